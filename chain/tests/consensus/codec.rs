//! One byte string for each value, for everything that goes over the wire.

use std::sync::Arc;

use proptest::prelude::*;
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::codec::{Decode, DecodeError, Encode};
use tine_chain::hash::{BlockHash, Lock, MerkleRoot, Txid};
use tine_chain::policy::Policy;
use tine_chain::pow::CompactTarget;
use tine_chain::transaction::{MAX_WITNESS_SIZE, OutPoint, Transaction, TxData, TxIn, TxOut, Witness};

use crate::support::{Spend, key};

prop_compose! {
    fn transactions()(
        version: u32,
        lock_time: u32,
        inputs in prop::collection::vec((any::<[u8; 32]>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)), 0..5),
        outputs in prop::collection::vec((0..=tine_chain::amount::MAX_MONEY.0, any::<[u8; 32]>()), 0..5),
    ) -> Transaction {
        Transaction::new(TxData {
            version,
            inputs: inputs.iter().map(|(txid, vout, sequence, _)| TxIn {
                prevout: OutPoint { txid: Txid(*txid), vout: *vout },
                sequence: *sequence,
            }).collect(),
            outputs: outputs.into_iter().map(|(value, lock)| TxOut { value: Amount(value), lock: Lock(lock) }).collect(),
            lock_time,
            witnesses: inputs.into_iter().map(|(.., witness)| Witness(witness)).collect(),
        })
    }
}

prop_compose! {
    fn headers()(version: i32, prev: [u8; 32], root: [u8; 32], time: u32, bits: u32, nonce: u32) -> Header {
        Header {
            version,
            prev_block: BlockHash(prev),
            merkle_root: MerkleRoot(root),
            time,
            bits: CompactTarget(bits),
            nonce,
        }
    }
}

proptest! {
    #[test]
    fn tx_41_transactions_round_trip_with_their_ids(tx in transactions()) {
        let bytes = tx.to_bytes();
        prop_assert_eq!(bytes.len(), tx.size());
        let again = Transaction::from_bytes(&bytes).expect("its own encoding");
        prop_assert_eq!(again.data(), tx.data());
        prop_assert_eq!((again.txid(), again.wtxid(), again.size()), (tx.txid(), tx.wtxid(), tx.size()));
    }

    #[test]
    fn tx_41_blocks_round_trip(header in headers(), txs in prop::collection::vec(transactions(), 0..4)) {
        let block = Block { header, transactions: txs.into_iter().map(Arc::new).collect() };
        let bytes = block.to_bytes();
        prop_assert_eq!(bytes.len(), block.size());
        prop_assert_eq!(Block::from_bytes(&bytes), Ok(block));
    }

    #[test]
    fn tx_41_bytes_that_decode_are_the_encoding(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(tx) = Transaction::from_bytes(&bytes) {
            prop_assert_eq!(tx.to_bytes(), bytes.clone());
        }
        if let Ok(block) = Block::from_bytes(&bytes) {
            prop_assert_eq!(block.to_bytes(), bytes.clone());
        }
        if let Ok(policy) = Policy::from_bytes(&bytes) {
            prop_assert_eq!(policy.to_bytes(), bytes);
        }
    }

    /// Real encodings with one byte changed come closer to the edge than random ones.
    #[test]
    fn tx_41_a_changed_byte_decodes_to_another_value_or_not_at_all(tx in transactions(), at: prop::sample::Index, flip in 1u8..) {
        let mut bytes = tx.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Transaction::from_bytes(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
            prop_assert_ne!(other.wtxid(), tx.wtxid());
        }
    }

    #[test]
    fn tx_38_bytes_left_over_are_refused(tx in transactions(), count in 1usize..5) {
        let mut bytes = tx.to_bytes();
        bytes.resize(bytes.len() + count, 0);
        prop_assert_eq!(Transaction::from_bytes(&bytes).expect_err("left over"), DecodeError::TrailingBytes { count });
        prop_assert!(Transaction::from_bytes(&bytes[..bytes.len() - count - 1]).is_err(), "cut short");
    }
}

/// "No transaction can be 64 bytes long" (CVE-2017-12842): 64 bytes could pass for two nodes of a Merkle tree.
#[test]
fn tx_10_the_smallest_transaction_is_longer_than_two_merkle_nodes() {
    let mut spend = Spend::one(Policy::key(key(1)));
    spend.tx.witnesses = vec![Witness::default()];
    assert_eq!(Transaction::new(spend.tx).size(), tine_chain::block::MIN_TRANSACTION_SIZE);
    assert_eq!(tine_chain::block::MIN_TRANSACTION_SIZE, 91);
}

#[test]
fn tx_39_a_count_in_a_longer_form_is_refused() {
    let spend = Spend::one(Policy::key(key(1))).signed(&[1], &[]);
    let bytes = Transaction::new(spend.tx).to_bytes();
    assert_eq!(bytes[4], 1, "the count of inputs");
    for long in [&[0xfd, 1, 0][..], &[0xfe, 1, 0, 0, 0], &[0xff, 1, 0, 0, 0, 0, 0, 0, 0]] {
        let other = [&bytes[..4], long, &bytes[5..]].concat();
        assert_eq!(
            Transaction::from_bytes(&other).expect_err("not the shortest"),
            DecodeError::NonCanonicalCompactSize { value: 1 }
        );
    }
}

#[test]
fn tx_40_counts_that_the_bytes_cannot_hold_fail_before_they_allocate() {
    for count in [&[0xfe, 0xff, 0xff, 0xff, 0xff][..], &[0xfe, 0x00, 0x09, 0x3d, 0x00]] {
        let bytes = [&[2, 0, 0, 0], count, &[0; 10]].concat();
        assert!(Transaction::from_bytes(&bytes).is_err());
        assert!(Block::from_bytes(&[&[0; 80], count, &[0; 10]].concat()).is_err());
    }
    // a witness longer than any may be
    let mut spend = Spend::one(Policy::key(key(1)));
    spend.tx.witnesses = vec![Witness(vec![0; MAX_WITNESS_SIZE + 1])];
    assert!(matches!(
        Transaction::from_bytes(&Transaction::new(spend.tx).to_bytes()),
        Err(DecodeError::TooLarge { .. })
    ));
}
