//! Golden vectors: the bytes that `chain/SPEC.md` describes, pinned. Changing one is a decision about the protocol.
//!
//! `data/golden.json` holds the same names. `cargo run -p tine-chain --example golden` prints it as the code has it now.

#[path = "golden/vectors.rs"]
mod vectors;

use tine_chain::codec::Encode;
use tine_chain::hash::{Lock, sha256};
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::sighash::SighashCache;
use tine_chain::transaction::TxOut;
use vectors::{Vectors, computed, key, spend};

#[test]
fn encodings_ids_and_hashes_are_those_of_the_specification() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/golden.json");
    let pinned: Vectors =
        serde_json::from_slice(&std::fs::read(path).expect("the file is in the repository")).expect("JSON");
    let computed = computed();
    for (name, value) in &computed {
        assert_eq!(Some(value), pinned.get(name), "{name}");
    }
    assert_eq!(computed.len(), pinned.len(), "vectors that nothing computes");
}

#[test]
fn a_lock_is_the_hash_that_the_specification_spells_out() {
    let tag = sha256(b"tine/policy");
    let inner = sha256(&[&tag[..], &tag, &[1], &key(1).0].concat());
    assert_eq!(Policy::key(key(1)).lock(), Lock(inner));
    let outer = sha256(&[&tag[..], &tag, &[3], &500_u32.to_le_bytes(), &inner].concat());
    assert_eq!(Policy::after(500, Policy::key(key(1))).lock(), Lock(outer));
}

#[test]
fn a_sighash_is_the_hash_that_the_specification_spells_out() {
    let (data, coins) = spend();
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output).collect();
    let genesis = Params::of(Network::Devnet).genesis_hash();
    let all =
        |part: &dyn Fn(usize) -> Vec<u8>| sha256(&(0..data.inputs.len()).flat_map(part).collect::<Vec<u8>>());
    let tag = sha256(b"tine/sighash");
    let message = [
        &tag[..],
        &tag,
        &genesis.0,
        &data.version.to_le_bytes(),
        &data.lock_time.to_le_bytes(),
        &all(&|n| data.inputs[n].prevout.to_bytes()),
        &all(&|n| spent[n].value.0.to_le_bytes().to_vec()),
        &all(&|n| spent[n].lock.0.to_vec()),
        &all(&|n| data.inputs[n].sequence.to_le_bytes().to_vec()),
        &sha256(&data.outputs.iter().flat_map(Encode::to_bytes).collect::<Vec<u8>>()),
        &3_u32.to_le_bytes(),
    ]
    .concat();
    let cache = SighashCache::new(&genesis, &data, &spent).expect("one coin for each input");
    assert_eq!(cache.sighash(3), sha256(&message));
}
