//! The encoding of messages: round trips, bounds, and the golden short id.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::codec::{Decode, DecodeError, Encode};
use tine_chain::hash::{BlockHash, Lock, Txid, Wtxid};
use tine_chain::params::{Network, Params};
use tine_chain::transaction::{OutPoint, Transaction, TxData, TxIn, TxOut, Witness};
use tine_node::wire::{
    CompactBlock, Gossip, MAX_BLOCKS, MAX_GOSSIP_SIZE, MAX_HEADERS, MAX_LOCATOR, MAX_TRANSACTIONS, Request,
    Response, ShortIdKey,
};

fn header() -> Header {
    Params::of(Network::Bitcoin).genesis
}

fn transaction(seed: u8) -> Arc<Transaction> {
    Arc::new(Transaction::new(TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint { txid: Txid([seed; 32]), vout: 1 }, sequence: 0 }],
        outputs: vec![TxOut { value: Amount(5), lock: Lock([seed; 32]) }],
        lock_time: 0,
        witnesses: vec![Witness(vec![seed; 3])],
    }))
}

fn block() -> Arc<Block> {
    Arc::new(Block { header: header(), transactions: (0..4).map(transaction).collect() })
}

#[test]
fn requests_come_back_as_they_were() {
    for request in [
        Request::Headers { locator: vec![BlockHash([1; 32]), BlockHash([2; 32])] },
        Request::Blocks(vec![BlockHash([3; 32])]),
        Request::BlockTransactions(BlockHash([4; 32]), vec![1, 2, 900]),
        Request::Transactions(vec![Wtxid([5; 32])]),
        Request::Mempool,
    ] {
        assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
    }
}

#[test]
fn responses_come_back_as_they_were() {
    for response in [
        Response::Headers(vec![header(), header()]),
        Response::Blocks(vec![block()]),
        Response::BlockTransactions(BlockHash([4; 32]), vec![transaction(9)]),
        Response::Transactions(vec![transaction(7), transaction(8)]),
        Response::Mempool(vec![Wtxid([5; 32])]),
    ] {
        assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
    }
}

#[test]
fn gossip_comes_back_as_it_was() {
    let compact = CompactBlock::new(&block(), 77).expect("the block has transactions");
    assert_eq!(compact.short_ids.len(), 3);
    for gossip in [Gossip::Block(Arc::new(compact)), Gossip::Transaction(transaction(1))] {
        assert_eq!(Gossip::from_bytes(&gossip.to_bytes()), Ok(gossip));
    }
}

/// Computed apart from this code, in Python: SHA-256 of Bitcoin's genesis header and the nonce 7, SipHash-2-4 of
/// the bytes 0 to 31 under it, the low six bytes.
#[test]
fn short_ids_are_those_of_bip_152() {
    let id = Wtxid(std::array::from_fn(|at| u8::try_from(at).expect("below 32")));
    assert_eq!(ShortIdKey::new(&header(), 7).short_id(&id), [0x73, 0x4d, 0x2e, 0xae, 0xee, 0x88]);
}

#[test]
fn hdr_23_p2p_05_lists_above_their_limits_are_refused() {
    let hashes = |count: usize| vec![BlockHash::ZERO; count];
    for (request, limit) in [
        (Request::Headers { locator: hashes(MAX_LOCATOR + 1) }, MAX_LOCATOR),
        (Request::Blocks(hashes(MAX_BLOCKS + 1)), MAX_BLOCKS),
        (Request::Transactions(vec![Wtxid::ZERO; MAX_TRANSACTIONS + 1]), MAX_TRANSACTIONS),
    ] {
        match Request::from_bytes(&request.to_bytes()) {
            Err(DecodeError::TooLarge { limit: found, .. }) => assert_eq!(found, limit as u64),
            other => panic!("{other:?}"),
        }
    }
    let headers = Response::Headers(vec![header(); MAX_HEADERS + 1]);
    assert!(matches!(Response::from_bytes(&headers.to_bytes()), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn p2p_02_a_message_above_its_size_is_refused_unread() {
    let bytes = vec![1; MAX_GOSSIP_SIZE + 1];
    assert!(matches!(Gossip::from_bytes(&bytes), Err(DecodeError::TooLarge { what: "gossip bytes", .. })));
}

#[test]
fn p2p_04_unknown_tags_are_refused() {
    for tag in 5..=255 {
        assert!(matches!(Request::from_bytes(&[tag]), Err(DecodeError::UnknownTag { .. })));
        assert!(matches!(Response::from_bytes(&[tag]), Err(DecodeError::UnknownTag { .. })));
        assert!(matches!(Gossip::from_bytes(&[tag]), Err(DecodeError::UnknownTag { .. })));
    }
}

#[test]
fn places_that_do_not_increase_are_refused() {
    for places in [vec![3, 3], vec![3, 2]] {
        let bytes = Request::BlockTransactions(BlockHash::ZERO, places).to_bytes();
        assert!(matches!(Request::from_bytes(&bytes), Err(DecodeError::Malformed(_))));
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = Request::Mempool.to_bytes();
    bytes.push(0);
    assert_eq!(Request::from_bytes(&bytes), Err(DecodeError::TrailingBytes { count: 1 }));
}
