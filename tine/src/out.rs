//! What commands print: text for people or JSON, colour only where it is wanted.
#![expect(clippy::print_stderr, reason = "this is where the program prints")]

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Where a command's results go.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// Print JSON rather than text.
    pub json: bool,
    color: bool,
    quiet: bool,
}

impl Out {
    /// To standard output; in colour when that is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, color: !json && !no_color && std::io::stdout().is_terminal(), quiet: false }
    }

    /// To nowhere: for whoever shows by other means what a command did.
    #[must_use]
    pub(crate) fn quiet() -> Self {
        Self { json: false, color: false, quiet: true }
    }

    /// Prints a line for people; nothing when JSON is wanted.
    pub fn line(&self, text: impl std::fmt::Display) {
        if !self.json {
            self.write(&format!("{text}\n"));
        }
    }

    /// Prints one JSON document, or one line of a stream; nothing when text is wanted.
    pub fn document(&self, value: &impl Serialize) {
        if self.json {
            let text = serde_json::to_string(value).expect("our own types are JSON");
            self.write(&format!("{text}\n"));
        }
    }

    /// Prints in either mode: results that are what they are.
    pub fn raw(&self, text: impl std::fmt::Display) {
        self.write(&format!("{text}\n"));
    }

    /// A reader that went away (`tine … | head`) is no error of ours.
    fn write(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    fn styled(&self, style: Style, text: impl std::fmt::Display) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// In bold.
    #[must_use]
    pub fn bold(&self, text: impl std::fmt::Display) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// In a colour that steps back.
    #[must_use]
    pub fn dim(&self, text: impl std::fmt::Display) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// In a colour that warns.
    #[must_use]
    pub fn alarm(&self, text: impl std::fmt::Display) -> String {
        self.styled(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Prints rows under a head, columns aligned; for people only.
    pub fn table<const N: usize>(&self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        self.columns(&head, rows.into_iter().map(Vec::from));
    }

    /// The same where only the data says how many columns there are.
    pub fn columns(&self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        if self.json {
            return;
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(head);
        for row in rows {
            table.add_row(row);
        }
        self.line(table.trim_fmt());
    }
}

/// Prints why a command failed, to standard error.
pub fn error(json: bool, error: &crate::exit::Error) {
    if json {
        eprintln!("{}", serde_json::json!({ "error": error.to_string(), "exit": error.exit_code() }));
    } else {
        eprintln!("tine: {error}");
    }
}

/// The word that a value of a plain enum is in JSON.
#[must_use]
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Prints what clap says of a command line (its help goes to standard output); a bad value that came from the
/// environment is named by its variable, since nobody typed the option.
pub fn usage(error: &clap::Error) {
    use clap::error::{ContextKind, ContextValue};
    // a reader that went away is no error of ours
    let _ = error.print();
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return };
    let from = std::env::vars().find(|(name, set)| name.starts_with("TINE_") && set == value);
    if let Some((name, _)) = from {
        eprintln!("the value comes from the environment: {name}");
    }
}
