//! The real program as a child process: its output, its RPC, its signals.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The program that `cargo test --workspace` has built, or the one that `PROGRAM_UNDER_TEST` names.
///
/// # Panics
/// When there is none: the tests of this package need the whole workspace to be built.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("PROGRAM_UNDER_TEST") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own path");
    // target/<profile>/deps/<test>, or target/<profile>/<program>
    let folders = own.ancestors().skip(1).take(2).map(|folder| folder.join("tine"));
    let path = folders.clone().find(|path| path.is_file()).or_else(|| folders.last()).expect("two folders");
    assert!(path.exists(), "{} is missing: run `cargo test --workspace`", path.display());
    path
}

/// Ports that were free a moment ago, `count` in a row with `step` between them: the first of them. Each has its
/// two successors free too.
///
/// They lie below the range from which the system gives out ports by itself, and no two calls of a process get the same.
///
/// # Panics
/// When none of 400 such runs is free.
#[must_use]
pub fn free_ports(count: u16, step: u16) -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..400)
        .map(|_| {
            let place = std::process::id().wrapping_mul(31).wrapping_add(CALLS.fetch_add(1, Relaxed));
            20_000 + (place % 240) as u16 * 50
        })
        .find(|base| {
            free(base - 1)
                && (0..count)
                    .all(|k| free(base + k * step) && free(base + k * step + 1) && free(base + k * step + 2))
        })
        .unwrap_or_else(|| panic!("no {count} free ports in a row"))
}

/// Asks `poll` every 50 ms until it gives something.
///
/// # Panics
/// When `timeout` passes first: with `what` was waited for.
pub fn wait_for<T>(what: &str, timeout: Duration, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + timeout;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < end, "waited {timeout:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running `tine`, ended with the test if not before.
#[derive(Debug)]
pub struct Tine {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
}

impl Tine {
    /// Starts the program with `args`, its standard output and error collected line by line.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(program()).args(args), env)
    }

    /// Starts the program with `args` on a disk on which no file can grow over `kib` KiB: its writes fail there.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start_limited(args: &[&str], kib: u64) -> Self {
        // in units of 512 bytes; ignored, the signal becomes an error of the write
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
        Self::spawn(Command::new("sh").args(["-c", &script]).arg(program()).args(args), &[])
    }

    fn spawn(command: &mut Command, env: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(env.iter().copied())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("piped"), &output);
        collect(child.stderr.take().expect("piped"), &output);
        Self { child, output }
    }

    /// Runs a command to its end: its exit code, standard output and standard error.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn run(args: &[&str]) -> (i32, String, String) {
        let output = Command::new(program())
            .args(args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Everything that it has printed so far.
    ///
    /// # Panics
    /// When a collecting thread panicked.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().expect("collectors don't panic").clone()
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Panics
    /// When it does not come within `timeout`, or the process ends.
    pub fn wait_line(&mut self, text: &str, timeout: Duration) -> String {
        let end = Instant::now() + timeout;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            let ended = self.child.try_wait().expect("our own child");
            let all = || self.lines().join("\n");
            assert!(ended.is_none(), "ended with {ended:?} before it printed {text:?}:\n{}", all());
            assert!(Instant::now() < end, "{text:?} was not printed in {timeout:?}:\n{}", all());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it is still there.
    ///
    /// # Panics
    /// When the system won't say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`: no warning, no flush.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Ctrl-C.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn signal_interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("our own child");
    }

    /// SIGTERM, as a service manager sends it.
    ///
    /// # Panics
    /// When the system refuses, other than because it has ended.
    pub fn signal_terminate(&mut self) {
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).expect("our own child");
        }
    }

    /// Waits for it to end by itself; how it did.
    ///
    /// # Panics
    /// When it has not ended within `timeout`.
    pub fn wait_end(&mut self, timeout: Duration) -> ExitStatus {
        wait_for("the process to end", timeout, || self.child.try_wait().expect("our own child"))
    }

    /// Ctrl-C, and how it ended.
    ///
    /// # Panics
    /// When it has not ended within `timeout`.
    pub fn interrupt(&mut self, timeout: Duration) -> ExitStatus {
        self.signal_interrupt();
        wait_for("the process to end after Ctrl-C", timeout, || self.child.try_wait().expect("our own child"))
    }
}

impl Drop for Tine {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, output: &Arc<Mutex<Vec<String>>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            output.lock().expect("readers don't panic").push(line);
        }
    });
}

/// A JSON-RPC connection with the cookie of a data directory.
#[derive(Debug, Clone)]
pub struct Rpc {
    url: String,
    cookie: PathBuf,
}

impl Rpc {
    /// The server on loopback at `port`, whose cookie lies in `dir`.
    #[must_use]
    pub fn new(port: u16, dir: &Path) -> Self {
        Self { url: format!("http://127.0.0.1:{port}/"), cookie: dir.join(".cookie") }
    }

    /// Calls a method; the error is the server's `error` object, or a text when there was no answer.
    pub fn try_call(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let cookie = std::fs::read_to_string(&self.cookie).map_err(|error| json!(error.to_string()))?;
        let authorization = base64::engine::general_purpose::STANDARD.encode(cookie.trim());
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut response = agent
            .post(&self.url)
            .header("Authorization", &format!("Basic {authorization}"))
            .header("Content-Type", "application/json")
            .send(body)
            .map_err(|error| json!(error.to_string()))?;
        let text = response.body_mut().read_to_string().map_err(|error| json!(error.to_string()))?;
        let mut answer: Value =
            serde_json::from_str(&text).map_err(|error| json!(format!("{error}: {text}")))?;
        match answer.get("error") {
            None | Some(Value::Null) => Ok(answer["result"].take()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Calls a method that must succeed.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn call(&self, method: &str, params: &Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Waits until the server answers.
    ///
    /// # Panics
    /// When it does not within `timeout`: with the last error.
    pub fn wait_ready(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        while let Err(error) = self.try_call("getblockcount", &json!([])) {
            assert!(Instant::now() < end, "{} does not answer within {timeout:?}: {error}", self.url);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The active tip's height and id.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn tip(&self) -> (u64, String) {
        let info = self.call("getblockchaininfo", &json!([]));
        let hash = info["bestblockhash"].as_str().expect("a hash").to_owned();
        (info["blocks"].as_u64().expect("a height"), hash)
    }
}
