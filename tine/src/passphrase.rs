//! Secrets are asked for at the terminal, without showing them, or read from standard input; never from arguments,
//! which everyone on the machine can see.

use std::io::{BufRead as _, IsTerminal as _};

use crate::exit::Error;

/// Asks for a secret.
///
/// # Errors
/// Nothing was given.
pub fn ask(what: &str) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::failed(what, error);
    let text = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).map_err(failed)?
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if text.is_empty() { Err(Error::Failed(format!("{what}: nothing was given"))) } else { Ok(text) }
}

/// Asks for a new secret, twice at a terminal.
///
/// # Errors
/// Nothing was given, or two different things.
pub fn ask_new(what: &str) -> Result<String, Error> {
    let first = ask(what)?;
    if std::io::stdin().is_terminal() && ask(&format!("{what}, again"))? != first {
        return Err(Error::Failed(format!("{what}: the two differ")));
    }
    Ok(first)
}
