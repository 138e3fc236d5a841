//! The papers' tables, as they lie in `lab/data` with their sources in their heads.

/// Bitcoin paper, section 11.
pub const NAKAMOTO: &str = include_str!("../../data/nakamoto2008_s11_success_probability.csv");
/// Rosenfeld 2014, table 1.
pub const ROSENFELD: &str = include_str!("../../data/rosenfeld2014_success_probability.csv");
/// The best private attack with pre-mining.
pub const PREMINED: &str = include_str!("../../data/double_spend_premined_zero_delay.csv");
/// Eyal and Sirer 2014, equation 8.
pub const EYAL_SIRER: &str = include_str!("../../data/eyal_sirer2014_revenue.csv");
/// Grunspan and Pérez-Marco 2018: selfish mining and the retarget.
pub const GRUNSPAN: &str = include_str!("../../data/grunspan2018_selfish_retarget.csv");
/// The stubborn variants of Nayak et al. 2016.
pub const NAYAK: &str = include_str!("../../data/nayak2016_stubborn.csv");
/// Optimal selfish mining, Sapirshtein et al. 2016.
pub const SAPIRSHTEIN: &str = include_str!("../../data/sapirshtein2016_optimal.csv");
/// Decker and Wattenhofer 2013.
pub const DECKER: &str = include_str!("../../data/decker_wattenhofer2013.csv");
/// Gervais et al. 2016, the networks measured.
pub const GERVAIS: &str = include_str!("../../data/gervais2016_networks.csv");
/// Stale rates under a constant delay.
pub const STALE: &str = include_str!("../../data/stale_rate_vs_delay.csv");
/// Shares at which the longest chain loses consistency.
pub const CONSISTENCY: &str = include_str!("../../data/consistency_thresholds.csv");
/// Messages of OM(m) and SM(m), Lamport, Shostak and Pease 1982.
pub const LAMPORT_COUNTS: &str = include_str!("../../data/lamport1982_message_counts.csv");
/// OM(m) under every traitor.
pub const LAMPORT_OM: &str = include_str!("../../data/lamport1982_om_cases.csv");
/// SM(m) under every traitor.
pub const LAMPORT_SM: &str = include_str!("../../data/lamport1982_sm_cases.csv");

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    head: &'a str,
    line: &'a str,
}

impl<'a> Row<'a> {
    /// The text under `column`.
    ///
    /// # Panics
    /// When the table has no such column: the tables and the names are both our own.
    #[must_use]
    pub fn text(&self, column: &str) -> &'a str {
        let place = self.head.split(',').position(|name| name == column);
        let place = place.unwrap_or_else(|| panic!("no column {column} in {}", self.head));
        self.line.split(',').nth(place).unwrap_or("")
    }

    /// The number under `column`, if there is one.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<f64> {
        self.text(column).parse().ok()
    }

    /// The number that every row has under `column`.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn number(&self, column: &str) -> f64 {
        self.get(column).unwrap_or_else(|| panic!("no number under {column} in {}", self.line))
    }
}

/// The rows of a table; lines that begin with `#` are its sources.
pub fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    let mut lines = table.lines().filter(|line| !line.starts_with('#'));
    let head = lines.next().unwrap_or("");
    lines.map(move |line| Row { head, line })
}
