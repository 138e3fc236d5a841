//! Block trees, timelines and whole pages as text: SVG inside one HTML file that needs nothing else.
//!
//! What is seen means the same everywhere: a node is a colour of Okabe and Ito's (2008), which colour-blind people can
//! tell apart, and a letter; a block's fill is its miner, its border its status, its label the work behind it.

mod incident;
mod page;
mod timeline;
mod tree;

pub use incident::incident;
pub use page::{page, reorg_card};
pub use timeline::timeline;
pub use tree::{Status, TreeBlock, tree};

/// Okabe and Ito's colours, without black, which is the text's.
const COLOURS: [&str; 7] = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

/// The colour of node number `place`.
#[must_use]
pub fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

/// The letter of a node: the first of its name, and its digits.
#[must_use]
pub fn letter(name: &str) -> String {
    let first = name.chars().next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    first.chain(name.chars().filter(char::is_ascii_digit).take(2)).collect()
}

/// Text that HTML may hold anywhere.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}
