//! Log lines, to standard error: for people, or one JSON object a line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::cli::LogFormat;
use crate::exit::Error;

/// Starts logging. `filter` is in the form of [`EnvFilter`], such as `info` or `warn,tine_p2p=debug`.
///
/// # Errors
/// A filter that can't be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), Error> {
    let parsed =
        EnvFilter::try_new(filter).map_err(|error| Error::Usage(format!("--log {filter:?}: {error}")))?;
    let color =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_timer(SystemTime)
        .with_writer(std::io::stderr)
        .with_ansi(color);
    // a test may start more than one command in a process; the first one's settings stay
    let _already = match format {
        LogFormat::Human => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
