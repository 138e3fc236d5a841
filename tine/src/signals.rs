//! SIGINT and SIGTERM.

use crate::exit::Error;

/// Waits for the first request to stop. A second one ends the process at once.
///
/// # Errors
/// The system gives no signals.
pub async fn asked_to_stop() -> Result<(), Error> {
    wait().await?;
    tokio::spawn(async {
        if wait().await.is_ok() {
            // 128 + SIGINT, as shells report it
            std::process::exit(130);
        }
    });
    Ok(())
}

#[cfg(unix)]
async fn wait() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| Error::failed("signals", error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn wait() -> Result<(), Error> {
    tokio::signal::ctrl_c().await.map_err(|error| Error::failed("signals", error))
}
