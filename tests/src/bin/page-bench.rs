//! Measures the explorer in a real browser: 2,000 blocks and 50 nodes, live and recorded.
//!
//! `cargo run --release -p tine-tests --bin page-bench`, after `cargo build --release`; `--minutes 60` for the memory of
//! an hour, `--json` for one document. Exit 1 when a figure is missed. `PROGRAM_UNDER_TEST` names another program than the
//! one beside it.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use tine_tests::page_bench::{Settings, measure};

/// Measures the explorer in a real browser.
#[derive(Debug, Parser)]
struct Arguments {
    /// Blocks of the chain
    #[arg(long, default_value_t = 2_000)]
    blocks: u32,
    /// Nodes of the devnet, and of the recorded run
    #[arg(long, default_value_t = 50)]
    nodes: u32,
    /// Blocks mined one after the other while the page is watched
    #[arg(long, default_value_t = 40)]
    live: u32,
    /// Minutes for which memory is watched
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Only the recorded run
    #[arg(long)]
    recorded: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { blocks, nodes, live, minutes, recorded, json } = Arguments::parse();
    let Some(rows) = measure(&Settings { blocks, nodes, live, minutes, recorded }) else {
        return ExitCode::from(2);
    };
    if json {
        println!("{}", serde_json::json!({ "blocks": blocks, "nodes": nodes, "rows": rows }));
    } else {
        println!("{blocks} blocks, {nodes} nodes");
        for row in &rows {
            println!("{row}");
        }
    }
    if rows.iter().all(|row| row.met()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
