//! The terminal: taken, drawn on, and given back however the program ends.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::palette::Palette;
use super::state::App;
use super::view;
use crate::exit::Error;

/// Whether a thread has panicked since the terminal was taken.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal, ours until this is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal: its other screen, keys unbuffered. A panic of any thread gives it back before it is reported.
    ///
    /// # Errors
    /// The terminal refuses.
    pub(super) fn take() -> Result<Self, Error> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                PANICKED.store(true, Ordering::Relaxed);
                give_back();
                before(info);
            }));
        });
        let failed = |error: io::Error| {
            give_back();
            Error::failed("the terminal", error)
        };
        enable_raw_mode().map_err(failed)?;
        execute!(io::stdout(), EnterAlternateScreen).map_err(failed)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(failed)?;
        Ok(Self { terminal })
    }

    /// Draws the view, at whatever size the terminal has now.
    ///
    /// # Errors
    /// The terminal is gone, or a thread has panicked and the screen is no longer ours.
    pub(super) fn draw(&mut self, app: &App, palette: Palette) -> Result<(), Error> {
        if PANICKED.load(Ordering::Relaxed) {
            return Err(Error::Failed("a part of the view failed; what it said stands above".into()));
        }
        let drawn = self.terminal.draw(|frame| view::draw(frame, app, palette));
        drawn.map(|_| ()).map_err(|error| Error::failed("the terminal", error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // a terminal that is gone needs nothing back
        let _ = self.terminal.show_cursor();
        give_back();
    }
}

/// Puts the terminal back as it was; harmless if it is.
fn give_back() {
    // a terminal that is gone needs nothing back
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen);
}

/// The view as lines of text, without colours.
pub(super) fn picture(app: &App, columns: u16, rows: u16) -> Vec<String> {
    let mut terminal = match Terminal::new(TestBackend::new(columns, rows)) {
        Ok(terminal) => terminal,
        Err(never) => match never {},
    };
    match terminal.draw(|frame| view::draw(frame, app, Palette::None)) {
        Ok(_) => {}
        Err(never) => match never {},
    }
    let buffer = terminal.backend().buffer();
    let line = |row: &[ratatui::buffer::Cell]| {
        let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    buffer.content().chunks(usize::from(columns)).map(line).collect()
}
