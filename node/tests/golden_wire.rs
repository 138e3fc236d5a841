//! Golden vectors of the wire messages that `chain/SPEC.md` describes. Changing one is a decision about the protocol.
//!
//! `cargo run -p tine-node --example golden_wire` prints `chain/data/golden_wire.json` as the code has it now.

#[path = "golden_wire/vectors.rs"]
mod vectors;

#[test]
fn messages_are_those_of_the_specification() {
    assert_eq!(vectors::computed(), vectors::file("golden_wire.json"));
}
