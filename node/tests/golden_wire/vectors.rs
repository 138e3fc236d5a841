//! The golden vectors as the code computes them, for the test that pins them and the example that prints them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, Wtxid};
use tine_chain::transaction::Transaction;
use tine_node::wire::{CompactBlock, Gossip, Request, Response};

/// Values by name.
pub(crate) type Vectors = BTreeMap<String, String>;

/// A file of vectors.
pub(crate) fn file(name: &str) -> Vectors {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../chain/data").join(name);
    serde_json::from_slice(&std::fs::read(path).expect("the file is in the repository")).expect("JSON")
}

fn from_golden<T: Decode>(name: &str) -> T {
    let bytes = hex::decode(&file("golden.json")[name]).expect("hexadecimal digits");
    T::from_bytes(&bytes).expect("pinned by the chain's own test")
}

fn add<T: Encode + Decode + PartialEq + std::fmt::Debug>(vectors: &mut Vectors, name: &str, value: &T) {
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value), "{name}");
    vectors.insert(name.to_owned(), hex::encode(bytes));
}

/// Every vector, as the code computes it now.
pub(crate) fn computed() -> Vectors {
    let block: Arc<Block> = Arc::new(from_golden("block/bytes"));
    let transaction: Arc<Transaction> = Arc::new(from_golden("transaction/bytes"));
    let compact = CompactBlock::new(&block, 0x0807_0605_0403_0201).expect("it has transactions");
    let (a, b) = (BlockHash([0xa1; 32]), BlockHash([0xb2; 32]));
    let ids = vec![Wtxid([0xc3; 32]), Wtxid([0xd4; 32])];
    let mut vectors = Vectors::new();
    let all = &mut vectors;
    add(all, "request/headers", &Request::Headers { locator: vec![a, b] });
    add(all, "request/blocks", &Request::Blocks(vec![a]));
    add(all, "request/block_transactions", &Request::BlockTransactions(a, vec![1, 2, 900]));
    add(all, "request/transactions", &Request::Transactions(ids.clone()));
    add(all, "request/mempool", &Request::Mempool);
    add(all, "response/headers", &Response::Headers(vec![block.header]));
    add(all, "response/blocks", &Response::Blocks(vec![block.clone()]));
    add(all, "response/block_transactions", &Response::BlockTransactions(a, vec![transaction.clone()]));
    add(all, "response/transactions", &Response::Transactions(vec![transaction.clone()]));
    add(all, "response/mempool", &Response::Mempool(ids));
    add(all, "gossip/block", &Gossip::Block(Arc::new(compact.clone())));
    add(all, "gossip/transaction", &Gossip::Transaction(transaction));
    all.insert("short_id".to_owned(), hex::encode(compact.short_ids[0]));
    vectors
}
