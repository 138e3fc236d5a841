//! Prints `chain/data/golden.json` as the code has it now: `cargo run -p tine-chain --example golden`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../tests/golden/vectors.rs"]
mod vectors;

fn main() {
    println!("{}", serde_json::to_string_pretty(&vectors::computed()).expect("strings"));
}
