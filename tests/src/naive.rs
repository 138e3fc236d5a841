//! A replay of a chain with plain maps: no cache, no undo, no rule but "spent coins go, new coins come".

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tine_chain::block::Block;
use tine_chain::codec::Decode;
use tine_chain::coins::Coin;
use tine_chain::transaction::OutPoint;

use crate::process::Rpc;

/// The coins after `blocks`, which begin with the genesis (whose output is not a coin).
///
/// # Panics
/// When a block spends a coin that is not there.
#[must_use]
pub fn replay<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> BTreeMap<OutPoint, Coin> {
    let mut coins = BTreeMap::new();
    for (height, block) in blocks.into_iter().enumerate().skip(1) {
        for transaction in &block.transactions {
            let coinbase = transaction.is_coinbase();
            if !coinbase {
                for input in &transaction.inputs {
                    assert!(
                        coins.remove(&input.prevout).is_some(),
                        "block {height} spends {}",
                        input.prevout
                    );
                }
            }
            for (vout, output) in (0..).zip(&transaction.outputs) {
                let coin = Coin { output: *output, height: height as u32, coinbase };
                coins.insert(transaction.outpoint(vout), coin);
            }
        }
    }
    coins
}

/// Every block of a node's active chain, the genesis first.
///
/// # Panics
/// When the node does not answer, or its bytes are no block.
#[must_use]
pub fn download(rpc: &Rpc) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut next = Some(rpc.call("getblockhash", &json!([0])));
    while let Some(hash) = next {
        let raw = rpc.call("getblock", &json!([hash, 0]));
        let bytes = hex::decode(raw.as_str().expect("hex")).expect("hex");
        blocks.push(Block::from_bytes(&bytes).expect("a block"));
        next = match rpc.call("getblockheader", &json!([hash])).get("nextblockhash") {
            None | Some(Value::Null) => None,
            Some(hash) => Some(hash.clone()),
        };
    }
    blocks
}

/// The hash of a set of coins that `gettxoutsetinfo` calls `lthash`, by its definition: of each coin, as outpoint 36 ‖ coin
/// 44, BLAKE3 makes 1,024 numbers of 16 bits; they are added up, and the sums hashed.
#[must_use]
pub fn hash(coins: &BTreeMap<OutPoint, Coin>) -> String {
    use tine_chain::codec::Encode;
    let mut sums = [0u16; 1_024];
    for (outpoint, coin) in coins {
        let mut hasher = blake3::Hasher::new_keyed(b"tine coin set: LtHash16, BLAKE3\0");
        hasher.update(&outpoint.to_bytes()).update(&coin.to_bytes());
        let mut numbers = [0; 2_048];
        hasher.finalize_xof().fill(&mut numbers);
        for (sum, number) in sums.iter_mut().zip(numbers.chunks(2)) {
            *sum = sum.wrapping_add(u16::from_le_bytes([number[0], number[1]]));
        }
    }
    let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex().to_string()
}
