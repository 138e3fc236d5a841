//! Blocks, payments and forks on a [`TestNode`].

use serde_json::{Value, json};
use tine::rpc::ClientError;
use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::BlockHash;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{public_key, sign};
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction, TxData, TxIn, TxOut, Witness};

use super::{SECRET, TestNode, address_of};

pub(crate) const STRANGER: [u8; 32] = [9; 32];

pub(crate) fn code(result: Result<Value, ClientError>) -> i32 {
    result.expect_err("an error was expected").code().expect("the node's own error")
}

pub(crate) fn generate(node: &TestNode, count: u32, secret: &[u8; 32]) -> Vec<BlockHash> {
    node.client.call_as("generatetoaddress", (count, address_of(secret))).expect("mines")
}

pub(crate) fn best(node: &TestNode) -> BlockHash {
    node.client.call_as("getbestblockhash", ()).expect("there is a tip")
}

pub(crate) fn block_at(node: &TestNode, hash: &BlockHash) -> Block {
    let text: String = node.client.call_as("getblock", (hash, 0)).expect("the block is there");
    Block::from_bytes(&hex::decode(text).unwrap()).unwrap()
}

/// Spends outputs of [`SECRET`]'s key: `fee` less goes to `to`.
pub(crate) fn spend(node: &TestNode, coins: &[(OutPoint, TxOut)], to: &[u8; 32], fee: u64) -> Transaction {
    let total: u64 = coins.iter().map(|(_, output)| output.value.0).sum();
    let lock = tine_chain::policy::Policy::key(public_key(to)).lock();
    let mut data = TxData {
        version: 2,
        inputs: coins
            .iter()
            .map(|(prevout, _)| TxIn { prevout: *prevout, sequence: SEQUENCE_FINAL })
            .collect(),
        outputs: vec![TxOut { value: Amount(total - fee), lock }],
        lock_time: 0,
        witnesses: vec![Witness::default(); coins.len()],
    };
    let spent: Vec<TxOut> = coins.iter().map(|(_, output)| *output).collect();
    let genesis = node.handle().params().genesis_hash();
    let sighash = SighashCache::new(&genesis, &data, &spent).expect("as many coins as inputs");
    for input in 0..coins.len() {
        let signature = sign(&SECRET, &sighash.sighash(input));
        data.witnesses[input] = Witness::key(public_key(&SECRET), signature);
    }
    Transaction::new(data)
}

/// The reward of a block.
pub(crate) fn reward(node: &TestNode, hash: &BlockHash) -> (OutPoint, TxOut) {
    let block = block_at(node, hash);
    let coinbase = &block.transactions[0];
    (coinbase.outpoint(0), coinbase.outputs[0])
}

/// A node with a ripe reward of [`SECRET`]'s.
pub(crate) fn rich() -> (TestNode, (OutPoint, TxOut)) {
    let node = TestNode::start();
    let blocks = generate(&node, 1, &SECRET);
    generate(&node, 100, &STRANGER);
    let coin = reward(&node, &blocks[0]);
    (node, coin)
}

pub(crate) fn hexed(tx: &Transaction) -> String {
    hex::encode(tx.to_bytes())
}

/// Two branches of real blocks: the second, longer one wins.
pub(crate) fn fork(node: &TestNode) -> (BlockHash, Vec<BlockHash>, Vec<BlockHash>) {
    let base = generate(node, 2, &SECRET)[1];
    let old = generate(node, 1, &SECRET);
    let handle = node.handle();
    let mut parent = base;
    let mut new = Vec::new();
    for extra in 0u8..2 {
        let spec = tine_node::template::CoinbaseSpec {
            lock: tine_chain::policy::Policy::key(public_key(&STRANGER)).lock(),
            extra: vec![b'f', extra],
        };
        let template =
            handle.with_blocking(move |node, now| node.template(Some(parent), now, &spec)).unwrap().unwrap();
        let mut block = template.block;
        while !template.target.is_met_by(&block.hash()) {
            block.header.nonce += 1;
        }
        parent = block.hash();
        new.push(parent);
        let answer = node.client.call("submitblock", [hex::encode(block.to_bytes())]).unwrap();
        let expected = if extra == 0 { json!("inconclusive") } else { Value::Null };
        assert_eq!(answer, expected, "the first of the branch loses the tie, the second wins");
    }
    (base, old, new)
}
