//! Prints `chain/data/golden_wire.json` as the code has it now: `cargo run -p tine-node --example golden_wire`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../tests/golden_wire/vectors.rs"]
mod vectors;

fn main() {
    println!("{}", serde_json::to_string_pretty(&vectors::computed()).expect("strings"));
}
