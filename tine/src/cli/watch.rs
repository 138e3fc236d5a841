//! What the terminal view can be told.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// `tine watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Run `tine devnet` in one terminal and this in another; a run to watch comes of \
    `tine lab run … --events run.ndjson`.\n\n\
    Keys: arrows move, m mine, s split, H heal, e explain, p pay, Space stop, , . back and forth in time, ? all of \
    them, q quit.\nColours follow NO_COLOR, TERM and COLORTERM.")]
pub struct WatchArgs {
    /// The event log of a run that is over, of the lab or of a devnet [default: the nodes that run here]
    #[arg(value_name = "RUN", conflicts_with_all = ["on", "rpc"])]
    pub run: Option<PathBuf>,
    /// As if the run had ended so many seconds after its start [default: its end]
    #[arg(long, value_name = "T", requires = "run")]
    pub until: Option<f64>,
    /// A node to watch, by name; may be repeated
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub on: Vec<String>,
    /// A node to watch, by URL: `http://host:port`, or `http://user:password@host:port`; may be repeated
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "TINE_RPC", hide_env_values = true)]
    pub rpc: Vec<String>,
    /// The file that holds the nodes' `user:password`
    #[arg(long, value_name = "FILE", env = "TINE_COOKIE_FILE", requires = "rpc")]
    pub cookie_file: Option<PathBuf>,
    /// Print one picture as text, and end: needs no terminal
    #[arg(long)]
    pub once: bool,
    /// How large that picture is
    #[arg(long, value_name = "COLUMNSxROWS", requires = "once", default_value = "120x36")]
    pub size: Size,
}

/// The size of a picture, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('x')
            .and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
        match parts {
            Some((columns @ 20..=1_000, rows @ 8..=500)) => Ok(Self { columns, rows }),
            Some(_) | None => Err("columns and rows are wanted, as in 80x24: 20x8 to 1000x500".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_bounded() {
        assert_eq!("80x24".parse(), Ok(Size { columns: 80, rows: 24 }));
        for wrong in ["80", "80x", "19x24", "80x7", "1001x24", "80x501", "-80x24"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
