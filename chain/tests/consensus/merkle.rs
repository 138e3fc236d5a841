//! Merkle roots and proofs against Bitcoin's rule, real data, and forgeries that rs_merkle by itself would accept.

use proptest::prelude::*;
use tine_chain::codec::{Decode as _, Encode as _};
use tine_chain::hash::{MerkleRoot, Wtxid, sha256d};
use tine_chain::merkle::{MerkleProof, ProofError, is_mutated, merkle_root, merkle_root_and_mutation};

use crate::support::{bytes, data, json};

fn leaves(count: u32) -> Vec<Wtxid> {
    (0..count).map(|i| Wtxid(sha256d(&i.to_le_bytes()))).collect()
}

fn pair(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    sha256d(&[left, right].concat())
}

/// Bitcoin's rule, as plainly as it can be written.
fn naive_root(leaves: &[Wtxid]) -> [u8; 32] {
    let mut level: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|nodes| pair(nodes[0], *nodes.last().expect("one or two"))).collect();
    }
    level[0]
}

/// Core's detection: two equal neighbours on any level, before the lone node is repeated.
fn naive_mutation(leaves: &[Wtxid]) -> bool {
    let mut level: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut mutated = false;
    while level.len() > 1 {
        mutated |= level.chunks_exact(2).any(|nodes| nodes[0] == nodes[1]);
        level = level.chunks(2).map(|nodes| pair(nodes[0], *nodes.last().expect("one or two"))).collect();
    }
    mutated
}

#[test]
fn mrk_05_golden_roots_are_bitcoins() {
    for vector in json("merkle_golden.json")["vectors"].as_array().expect("a list") {
        let count = vector["n"].as_u64().expect("a number") as u32;
        assert_eq!(
            merkle_root(&leaves(count)),
            Some(MerkleRoot(bytes(&vector["bitcoin"]))),
            "{count} leaves"
        );
        if !count.is_power_of_two() {
            assert_ne!(merkle_root(&leaves(count)), Some(MerkleRoot(bytes(&vector["promote"]))));
        }
    }
}

#[test]
fn mrk_05_every_size_up_to_300_gives_bitcoins_root() {
    for count in 1..=300 {
        let leaves = leaves(count);
        assert_eq!(merkle_root_and_mutation(&leaves), Some((MerkleRoot(naive_root(&leaves)), false)));
    }
}

#[test]
fn the_root_of_bitcoin_block_830_000() {
    let file = data("bitcoin-mainnet-block-830000-txids.bin");
    let (header, txids) = file.split_at(80);
    let leaves: Vec<Wtxid> =
        txids.chunks_exact(32).map(|txid| Wtxid(txid.try_into().expect("32 bytes"))).collect();
    assert_eq!(leaves.len(), 1_851);
    let root = MerkleRoot(header[36..68].try_into().expect("32 bytes"));
    assert_eq!(merkle_root_and_mutation(&leaves), Some((root, false)));
    let proof = MerkleProof::prove(&leaves, &[0, 1_000, 1_850]).expect("in range");
    assert_eq!(proof.verify(root, 1_851, &[leaves[0], leaves[1_000], leaves[1_850]]), Ok(()));
}

#[test]
fn mrk_07_no_leaves_have_no_root_and_one_leaf_is_its_own() {
    assert_eq!(merkle_root(&[]), None);
    assert_eq!(merkle_root_and_mutation(&[]), None);
    assert!(!is_mutated(&[]));
    let one = leaves(1);
    assert_eq!(merkle_root(&one), Some(MerkleRoot(one[0].0)));
    assert!(!is_mutated(&one));
    let proof = MerkleProof::prove(&one, &[0]).expect("in range");
    assert_eq!(proof.hashes.len(), 0);
    assert_eq!(proof.verify(MerkleRoot(one[0].0), 1, &one), Ok(()));
    assert!(MerkleProof::prove(&[], &[]).is_none());
}

#[test]
fn mrk_01_the_last_leaf_twice_keeps_the_root_and_is_found() {
    let [a, b, c] = leaves(3)[..] else { unreachable!("three leaves") };
    assert_eq!(merkle_root(&[a, b, c]), merkle_root(&[a, b, c, c]));
    assert!(!is_mutated(&[a, b, c]));
    assert!(is_mutated(&[a, b, c, c]));
    assert!(is_mutated(&[a, a]));
    // equal leaves that are no siblings change the root, so they hide nothing
    assert!(!is_mutated(&[a, b, b, c]));
}

#[test]
fn mrk_02_a_repeated_group_keeps_the_root_and_is_found() {
    let six = leaves(6);
    let mut eight = six.clone();
    eight.extend_from_slice(&six[4..]);
    assert_eq!(merkle_root(&six), merkle_root(&eight));
    assert!(!is_mutated(&six));
    assert!(is_mutated(&eight));
    for count in 1..130_usize {
        // every list that pads to the same tree
        let honest = leaves(count as u32);
        let mut padded = honest.clone();
        let mut group = 1;
        while padded.len() < count.next_power_of_two() {
            if padded.len() / group % 2 == 1 {
                padded.extend_from_within(padded.len() - group..);
                assert_eq!(merkle_root(&padded), merkle_root(&honest));
                assert!(is_mutated(&padded), "{count} leaves, repeated in groups of {group}");
            }
            group *= 2;
        }
    }
}

#[test]
fn mrk_08_a_proof_with_surplus_or_missing_hashes_is_refused() {
    let leaves = leaves(11);
    let root = merkle_root(&leaves).expect("leaves");
    for index in 0..11_u32 {
        let proof = MerkleProof::prove(&leaves, &[index]).expect("in range");
        let leaf = [leaves[index as usize]];
        assert_eq!(proof.verify(root, 11, &leaf), Ok(()));
        assert_eq!(proof.hashes.len(), 4, "as many as the tree is deep");
        let mut longer = proof.clone();
        longer.hashes.push([0; 32]);
        assert_eq!(longer.verify(root, 11, &leaf), Err(ProofError::Length { found: 5, needed: 4 }));
        let mut shorter = proof;
        shorter.hashes.pop();
        assert_eq!(shorter.verify(root, 11, &leaf), Err(ProofError::Length { found: 3, needed: 4 }));
    }
}

#[test]
fn mrk_09_an_inner_node_is_no_leaf_and_the_count_is_not_the_provers() {
    let leaves = leaves(8);
    let root = merkle_root(&leaves).expect("leaves");
    // the four inner nodes, as the leaves of a smaller tree with the same root
    let inner: Vec<Wtxid> = leaves.chunks(2).map(|two| Wtxid(pair(two[0].0, two[1].0))).collect();
    let lie = MerkleProof::prove(&inner, &[2]).expect("in range");
    assert_eq!(lie.verify(root, 4, &inner[2..3]), Ok(()), "true of a tree of four");
    assert_eq!(lie.verify(root, 8, &inner[2..3]), Err(ProofError::LeafCount { claimed: 4, committed: 8 }));
    let relabelled = MerkleProof { leaf_count: 8, ..lie };
    assert_eq!(relabelled.verify(root, 8, &inner[2..3]), Err(ProofError::Length { found: 2, needed: 3 }));
    // another index for the same path
    let proof = MerkleProof::prove(&leaves, &[5]).expect("in range");
    let moved = MerkleProof { indices: vec![4], ..proof.clone() };
    assert_eq!(moved.verify(root, 8, &leaves[5..6]), Err(ProofError::Root));
    // the padding repeats the last leaf, but it is not in the block a second time
    let seven = &leaves[..7];
    let root = merkle_root(seven).expect("leaves");
    let last = MerkleProof::prove(seven, &[6]).expect("in range");
    assert_eq!(last.verify(root, 7, &seven[6..]), Ok(()));
    let beyond = MerkleProof { indices: vec![7], ..last };
    assert_eq!(beyond.verify(root, 7, &seven[6..]), Err(ProofError::Indices));
}

#[test]
fn mrk_10_hostile_proofs_are_refused_without_panic() {
    let leaves = leaves(5);
    let root = merkle_root(&leaves).expect("leaves");
    let good = MerkleProof::prove(&leaves, &[1, 3]).expect("in range");
    let shown = [leaves[1], leaves[3]];
    assert_eq!(good.verify(root, 5, &shown), Ok(()));
    let with = |leaf_count, indices: &[u32]| MerkleProof {
        leaf_count,
        indices: indices.to_vec(),
        hashes: good.hashes.clone(),
    };
    // a forged leaf at a repeated index: rs_merkle accepts it
    let forged = [leaves[1], Wtxid([6; 32])];
    assert_eq!(with(5, &[1, 1]).verify(root, 5, &forged), Err(ProofError::Indices));
    assert_eq!(with(5, &[3, 1]).verify(root, 5, &shown), Err(ProofError::Indices));
    assert_eq!(with(5, &[1, u32::MAX]).verify(root, 5, &shown), Err(ProofError::Indices));
    assert_eq!(with(5, &[]).verify(root, 5, &[]), Err(ProofError::Indices));
    assert_eq!(with(0, &[]).verify(root, 0, &[]), Err(ProofError::Indices));
    assert_eq!(with(5, &[1, 3]).verify(root, 5, &shown[..1]), Err(ProofError::Leaves));
    assert!(matches!(
        with(u32::MAX, &[1, 3]).verify(root, u32::MAX, &shown),
        Err(ProofError::LeafCount { .. })
    ));
    // bytes: a count that the rest can't hold, a length that is no multiple of 32, something left over
    let bytes = good.to_bytes();
    assert_eq!(MerkleProof::from_bytes(&bytes), Ok(good));
    for end in 0..bytes.len() {
        assert!(MerkleProof::from_bytes(&bytes[..end]).is_err());
    }
    assert!(MerkleProof::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(MerkleProof::from_bytes(&[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff]).is_err());
}

proptest! {
    #[test]
    fn mrk_11_a_permutation_changes_the_root(count in 2u32..40, a in 0usize..40, b in 0usize..40) {
        let honest = leaves(count);
        let (a, b) = (a % honest.len(), b % honest.len());
        let mut swapped = honest.clone();
        swapped.swap(a, b);
        prop_assert_eq!(merkle_root(&honest) == merkle_root(&swapped), a == b);
    }

    #[test]
    fn mrk_01_mutations_are_found_as_core_finds_them(picks in prop::collection::vec(0u32..4, 1..40)) {
        let leaves: Vec<Wtxid> = picks.iter().map(|pick| Wtxid([*pick as u8; 32])).collect();
        prop_assert_eq!(
            merkle_root_and_mutation(&leaves),
            Some((MerkleRoot(naive_root(&leaves)), naive_mutation(&leaves)))
        );
    }

    #[test]
    fn proofs_of_any_set_verify_and_nothing_else_does(
        count in 1u32..70,
        picks in prop::collection::btree_set(0u32..70, 1..12),
        spoil in 0usize..200,
    ) {
        let leaves = leaves(count);
        let root = merkle_root(&leaves).expect("leaves");
        let indices: Vec<u32> = picks.into_iter().filter(|pick| *pick < count).collect();
        prop_assume!(!indices.is_empty());
        let proof = MerkleProof::prove(&leaves, &indices).expect("in range");
        let mut shown: Vec<Wtxid> = indices.iter().map(|&index| leaves[index as usize]).collect();
        prop_assert_eq!(proof.verify(root, count, &shown), Ok(()));
        let mut spoiled = proof.clone();
        if spoil < shown.len() {
            shown[spoil].0[0] ^= 1;
        } else if let Some(hash) = spoiled.hashes.get_mut(spoil - shown.len()) {
            hash[0] ^= 1;
        } else {
            shown[0].0[31] ^= 1;
        }
        prop_assert_eq!(spoiled.verify(root, count, &shown), Err(ProofError::Root));
    }

    #[test]
    fn mrk_10_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(proof) = MerkleProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
            let leaves = leaves(proof.indices.len() as u32);
            let _ = proof.verify(MerkleRoot::ZERO, proof.leaf_count, &leaves);
        }
    }
}
