//! Bitcoin's Merkle tree over wtxids, through rs_merkle.
//!
//! rs_merkle moves a lone node up unchanged, Bitcoin pairs it with itself. Repeating the last group of leaves until
//! every level is even makes the two agree at every size: the leaves are padded to a power of two. The override of
//! `concat_and_hash` that rs_merkle's documentation suggests would be wrong at 1, 2, 4, 8 … leaves.

use rs_merkle::{Hasher, MerkleTree, PartialTree};

use crate::codec::{Decode, DecodeError, Encode, Reader, write_compact_size, write_list};
use crate::hash::{MerkleRoot, Wtxid, sha256d};

/// The most leaves of a tree: more transactions than a block of 4,000,000 bytes can hold.
pub const MAX_LEAVES: u32 = 1 << 19;

/// SHA-256d of left ‖ right.
#[derive(Debug, Clone, Copy)]
struct Sha256d;

impl Hasher for Sha256d {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        sha256d(data)
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        let Some(right) = right else { return *left };
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(left);
        pair[32..].copy_from_slice(right);
        sha256d(&pair)
    }
}

/// The leaves, with the last group of each odd level repeated, up to a power of two.
fn padded(leaves: &[Wtxid]) -> Vec<[u8; 32]> {
    let size = leaves.len().next_power_of_two();
    let mut padded = Vec::with_capacity(size);
    padded.extend(leaves.iter().map(|leaf| leaf.0));
    let mut group = 1;
    while padded.len() < size {
        if padded.len() / group % 2 == 1 {
            padded.extend_from_within(padded.len() - group..);
        }
        group *= 2;
    }
    padded
}

fn tree(leaves: &[Wtxid]) -> Option<PartialTree<Sha256d>> {
    // MRK-07: an empty list has no root
    if leaves.is_empty() {
        return None;
    }
    PartialTree::from_leaves(&padded(leaves)).ok()
}

/// The root over `leaves`, in block order; `None` for an empty list.
#[must_use]
pub fn merkle_root(leaves: &[Wtxid]) -> Option<MerkleRoot> {
    tree(leaves)?.root().copied().map(MerkleRoot)
}

/// The root, and whether another, shorter list has the same one.
///
/// CVE-2012-2459: a list whose tree has two equal sibling subtrees can be told apart from the list without the
/// repetition only by this check (Core: `ComputeMerkleRoot`, `mutated`).
#[must_use]
pub fn merkle_root_and_mutation(leaves: &[Wtxid]) -> Option<(MerkleRoot, bool)> {
    let tree = tree(leaves)?;
    let root = MerkleRoot(*tree.root()?);
    let mut count = leaves.len();
    let mut mutated = false;
    for level in tree.layers() {
        // nodes of the padding repeat others by design
        mutated |= level[..count].chunks_exact(2).any(|pair| pair[0].1 == pair[1].1);
        count = count.div_ceil(2);
    }
    Some((root, mutated))
}

/// Whether the list repeats a subtree, so that a shorter list has the same root (CVE-2012-2459).
#[must_use]
pub fn is_mutated(leaves: &[Wtxid]) -> bool {
    merkle_root_and_mutation(leaves).is_some_and(|(_, mutated)| mutated)
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof is about a tree of another size than the one that is known.
    #[error("the proof is for {claimed} leaves, the tree has {committed}")]
    LeafCount {
        /// What the proof says.
        claimed: u32,
        /// What is known.
        committed: u32,
    },
    /// No indices, too many, or not strictly increasing, or over the number of leaves.
    #[error("the indices are not strictly increasing below the number of leaves")]
    Indices,
    /// Not as many leaves as indices.
    #[error("as many leaves as indices are needed")]
    Leaves,
    /// Not exactly the hashes that are needed.
    #[error("{found} hashes, exactly {needed} are needed")]
    Length {
        /// In the proof.
        found: usize,
        /// For these indices.
        needed: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Shows that transactions stand at certain places of a block.
///
/// Layout: leaf count u32 ‖ count, indices u32 each ‖ count, hashes 32 each (from the leaves up, each level from left
/// to right).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleProof {
    /// Transactions in the block.
    pub leaf_count: u32,
    /// Places of the proven ones, strictly increasing.
    pub indices: Vec<u32>,
    /// The nodes beside their paths.
    pub hashes: Vec<[u8; 32]>,
}

impl MerkleProof {
    /// Proves the leaves at `indices`; `None` unless these are strictly increasing and below the number of leaves.
    #[must_use]
    pub fn prove(leaves: &[Wtxid], indices: &[u32]) -> Option<Self> {
        let leaf_count = u32::try_from(leaves.len()).ok()?;
        check_indices(indices, leaf_count).ok()?;
        let places: Vec<usize> = indices.iter().map(|&index| index as usize).collect();
        let tree = MerkleTree::<Sha256d>::from_leaves(&padded(leaves));
        let hashes = tree.proof(&places).proof_hashes().to_vec();
        Some(Self { leaf_count, indices: indices.to_vec(), hashes })
    }

    /// Checks that `leaves` stand at [`MerkleProof::indices`] of the block with `root` and `leaf_count` transactions.
    ///
    /// `leaf_count` must come from somewhere else than the proof: rs_merkle's verification takes an inner node for a
    /// leaf of a smaller tree, ignores surplus hashes, and accepts forged leaves at repeated indices. So length, order
    /// and count are checked before it is asked.
    ///
    /// # Errors
    /// What is wrong with the proof.
    pub fn verify(&self, root: MerkleRoot, leaf_count: u32, leaves: &[Wtxid]) -> Result<(), ProofError> {
        if self.leaf_count != leaf_count || leaf_count > MAX_LEAVES {
            return Err(ProofError::LeafCount { claimed: self.leaf_count, committed: leaf_count });
        }
        check_indices(&self.indices, leaf_count)?;
        if leaves.len() != self.indices.len() {
            return Err(ProofError::Leaves);
        }
        let needed = needed_hashes(&self.indices, leaf_count);
        if self.hashes.len() != needed {
            return Err(ProofError::Length { found: self.hashes.len(), needed });
        }
        let places: Vec<usize> = self.indices.iter().map(|&index| index as usize).collect();
        let leaves: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();
        let size = (leaf_count as usize).next_power_of_two();
        let proof = rs_merkle::MerkleProof::<Sha256d>::new(self.hashes.clone());
        if proof.verify(root.0, &places, &leaves, size) { Ok(()) } else { Err(ProofError::Root) }
    }
}

fn check_indices(indices: &[u32], leaf_count: u32) -> Result<(), ProofError> {
    let in_order = indices.is_sorted_by(|a, b| a < b);
    let in_range = indices.last().is_some_and(|&last| last < leaf_count);
    if in_order && in_range { Ok(()) } else { Err(ProofError::Indices) }
}

/// How many nodes beside the paths of `indices` a tree of `leaf_count` leaves, padded to a power of two, has.
fn needed_hashes(indices: &[u32], leaf_count: u32) -> usize {
    let mut nodes = indices.to_vec();
    let mut needed = 0;
    for _ in 0..leaf_count.next_power_of_two().trailing_zeros() {
        let known = nodes.len();
        nodes.iter_mut().for_each(|node| *node /= 2);
        nodes.dedup();
        // every parent has two children, and the known ones need not be told
        needed += 2 * nodes.len() - known;
    }
    needed
}

impl Encode for MerkleProof {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.leaf_count.to_le_bytes());
        write_compact_size(self.indices.len() as u64, out);
        for index in &self.indices {
            out.extend_from_slice(&index.to_le_bytes());
        }
        write_list(&self.hashes.iter().map(|hash| Wtxid(*hash)).collect::<Vec<_>>(), out);
    }
}

impl Decode for MerkleProof {
    /// Reads the bytes; whether they prove anything is for [`MerkleProof::verify`].
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let leaf_count = reader.u32()?;
        let count = reader.count("indices", u64::from(MAX_LEAVES), 4)?;
        let mut indices = Vec::with_capacity(count);
        for _ in 0..count {
            indices.push(reader.u32()?);
        }
        let hashes: Vec<Wtxid> = reader.list("hashes", u64::from(MAX_LEAVES), 32)?;
        Ok(Self { leaf_count, indices, hashes: hashes.into_iter().map(|hash| hash.0).collect() })
    }
}
