//! SIGINT and SIGTERM.

use tokio::sync::watch;

use crate::exit::Error;

/// A request to stop, which may come at any time: also before anybody waits for it.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Listens from now on, so that a node that is still starting is stopped cleanly when it has started. The second
    /// request ends the process at once.
    ///
    /// To be called within the runtime.
    ///
    /// # Errors
    /// The system gives no signals.
    pub fn listen() -> Result<Self, Error> {
        let mut source = Source::new()?;
        let (asked, asked_to_stop) = watch::channel(false);
        tokio::spawn(async move {
            source.next().await;
            asked.send_replace(true);
            source.next().await;
            // 128 + SIGINT, as shells report it
            std::process::exit(130);
        });
        Ok(Self(asked_to_stop))
    }

    /// Waits for the first request.
    pub async fn asked(mut self) {
        // an error means that the runtime ends
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Error::failed("signals", error);
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn new() -> Result<Self, Error> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // without signals nobody can ask
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
