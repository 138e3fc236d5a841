//! A real terminal: the program behind a pseudo-terminal, keys typed into it, the screen read as a person sees it.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtyPair, PtySize, SlavePty, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{program, wait_for};

/// The program in a terminal, ended with the test if not before.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    master: Box<dyn MasterPty + Send>,
    // held open: what the terminal was set to is asked when the program has gone
    _slave: Box<dyn SlavePty + Send>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn some(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has rows and columns")
}

impl Terminal {
    /// Starts the program with `args` in a terminal of this size.
    ///
    /// # Panics
    /// When the system gives no terminal, or the program can't be started.
    #[must_use]
    pub fn start(args: &[&str], env: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let PtyPair { master, slave } =
            native_pty_system().openpty(size(columns, rows)).expect("the system gives a terminal");
        let mut command = CommandBuilder::new(program());
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        env.iter().for_each(|(name, value)| command.env(name, value));
        let child = slave.spawn_command(command).expect("the program starts");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(columns), 0)));
        let mut reader = master.try_clone_reader().expect("our own terminal");
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count) = reader.read(&mut bytes)
                && count > 0
            {
                seen.lock().expect("nobody panics with it").process(&bytes[..count]);
            }
        });
        let keys = master.take_writer().expect("taken once");
        Self { child, keys, screen, master, _slave: slave }
    }

    /// Types keys.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("our own terminal");
    }

    /// The text on the screen.
    ///
    /// # Panics
    /// When the thread that reads it panicked.
    #[must_use]
    pub fn text(&self) -> String {
        self.screen.lock().expect("nobody panics with it").screen().contents()
    }

    /// Waits until the screen shows `text`.
    ///
    /// # Panics
    /// When it does not within `timeout`: with what it shows.
    pub fn wait_text(&self, text: &str, timeout: Duration) -> String {
        self.wait(&format!("{text:?}"), timeout, |screen| screen.contains(text))
    }

    /// Waits until the screen is as wanted; its text then.
    ///
    /// # Panics
    /// When it is not within `timeout`: with what it shows.
    pub fn wait(&self, what: &str, timeout: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + timeout;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < end, "the screen did not show {what} in {timeout:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes the terminal's size.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.lock().expect("nobody panics with it").set_size(some(rows), some(columns));
        self.master.resize(size(columns, rows)).expect("our own terminal");
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// When the program has ended.
    pub fn terminate(&self) {
        let pid = self.child.process_id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        kill_process(pid.expect("it runs"), Signal::TERM).expect("our own child");
    }

    /// Waits for it to end by itself; its exit code.
    ///
    /// # Panics
    /// When it has not ended within `timeout`.
    pub fn wait_end(&mut self, timeout: Duration) -> u32 {
        let status =
            wait_for("the program to end", timeout, || self.child.try_wait().expect("our own child"));
        status.exit_code()
    }

    /// Whether the terminal is as a shell wants it: the screen that it had before, a cursor, lines edited and echoed by
    /// the system.
    ///
    /// # Panics
    /// When the system won't say.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        let parser = self.screen.lock().expect("nobody panics with it");
        let screen = parser.screen();
        let settings = self.master.get_termios().expect("a terminal has settings");
        // as the flags print themselves: their type is that of a crate that this one does not use
        let flags = format!("{:?}", settings.local_flags);
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && flags.contains("ICANON")
            && flags.contains("ECHO")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
