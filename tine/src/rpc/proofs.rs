//! Core's `gettxoutproof` and `verifytxoutproof`: that a block has a transaction, shown by its Merkle path.
//!
//! Core's text is a `CMerkleBlock` over txids. Ours is the header, a [`MerkleProof`] as SPEC describes it, and the
//! leaves that it proves, because our tree commits to wtxids.

use std::collections::BTreeSet;
use std::sync::Arc;

use tine_chain::block::{Block, Header};
use tine_chain::codec::{Decode, DecodeError, Encode, Reader, write_compact_size};
use tine_chain::hash::{BlockHash, Txid, Wtxid};
use tine_chain::merkle::{MAX_LEAVES, MerkleProof};

use super::context::Context;
use super::error::{Code, RpcError};
use super::params::parse_hash;
use super::rawtransactions::find_in_active_chain;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use crate::view::View;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "gettxoutproof",
        category: Category::Blockchain,
        params: &[
            required("txids", Kind::Array, "The transactions' ids, all of one block."),
            optional(
                "blockhash",
                Kind::Hex,
                "The block, of any branch. Default: looked for as by getrawtransaction.",
            ),
        ],
        help: "A proof that a block has these transactions, in hexadecimal digits: header (80 bytes), Merkle proof (leaf \
               count u32; count and indices, u32 each; count and hashes, 32 bytes each), count and wtxids (32 bytes each).",
        handler: Handler::Now(get_tx_out_proof),
    },
    Method {
        name: "verifytxoutproof",
        category: Category::Blockchain,
        params: &[required("proof", Kind::Hex, "What gettxoutproof gave.")],
        help: "The transactions that a proof commits to: none when it proves nothing, an error when its block is not on \
               the active chain.",
        handler: Handler::Now(verify_tx_out_proof),
    },
];

/// A header, and leaves of its tree.
struct TxOutProof {
    header: Header,
    proof: MerkleProof,
    leaves: Vec<Wtxid>,
}

impl TxOutProof {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_array().to_vec();
        self.proof.encode(&mut bytes);
        write_compact_size(self.leaves.len() as u64, &mut bytes);
        self.leaves.iter().for_each(|leaf| bytes.extend_from_slice(&leaf.0));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Header::decode(&mut reader)?;
        let proof = MerkleProof::decode(&mut reader)?;
        let count = reader.count("leaves", u64::from(MAX_LEAVES), 32)?;
        let leaves = (0..count).map(|_| Ok(Wtxid(reader.array()?))).collect::<Result<_, DecodeError>>()?;
        match reader.remaining() {
            0 => Ok(Self { header, proof, leaves }),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }
}

fn wanted(call: &Call) -> Result<BTreeSet<Txid>, RpcError> {
    let texts: Vec<String> = call.params.required(0)?;
    if texts.is_empty() {
        return Err(RpcError::invalid("Parameter 'txids' cannot be empty"));
    }
    let mut txids = BTreeSet::new();
    for text in texts {
        if !txids.insert(parse_hash("txid", &text)?) {
            return Err(RpcError::invalid(format!("Invalid parameter, duplicated txid: {text}")));
        }
    }
    Ok(txids)
}

/// The block that is named, or the one of the active chain that has one of the transactions.
fn block_with(call: &Call, view: &View, txids: &BTreeSet<Txid>) -> Result<Arc<Block>, RpcError> {
    let context: &Context = &call.context;
    if call.params.raw(1).is_some() {
        let hash: BlockHash = call.params.hash(1)?;
        let info = view.block(&hash).ok_or_else(|| RpcError::not_found("Block not found"))?;
        return context.read_block(info);
    }
    for txid in txids {
        if let Some((_, block)) = find_in_active_chain(context, view, txid)? {
            return Ok(block);
        }
    }
    Err(RpcError::not_found("Transaction not yet in block"))
}

fn get_tx_out_proof(call: &Call) -> Outcome {
    let txids = wanted(call)?;
    let view = call.context.view();
    let block = block_with(call, &view, &txids)?;
    let indices: Vec<u32> = (0..)
        .zip(&block.transactions)
        .filter(|(_, tx)| txids.contains(&tx.txid()))
        .map(|(place, _)| place)
        .collect();
    if indices.len() != txids.len() {
        return Err(RpcError::not_found("Not all transactions found in specified or retrieved block"));
    }
    let all: Vec<Wtxid> = block.transactions.iter().map(|tx| tx.wtxid()).collect();
    let proof = MerkleProof::prove(&all, &indices).expect("places in the block, in order");
    let leaves = indices.iter().map(|&index| all[index as usize]).collect();
    answer(&hex::encode(TxOutProof { header: block.header, proof, leaves }.to_bytes()))
}

fn verify_tx_out_proof(call: &Call) -> Outcome {
    let refuse = |error: &dyn std::fmt::Display| {
        RpcError::new(Code::Deserialization, format!("proof decode failed: {error}"))
    };
    let bytes = hex::decode(call.params.text(0)?).map_err(|error| refuse(&error))?;
    let given = TxOutProof::from_bytes(&bytes).map_err(|error| refuse(&error))?;
    let view = call.context.view();
    let hash = given.header.hash();
    let info = view.block(&hash).filter(|_| view.is_active(&hash));
    let info = info.ok_or_else(|| RpcError::not_found("Block not found in chain"))?;
    let block = call.context.read_block(info)?;
    let count = u32::try_from(block.transactions.len()).unwrap_or(u32::MAX);
    // the count is the block's own: a proof's word for it is worth nothing
    if given.proof.verify(info.header.merkle_root, count, &given.leaves).is_err() {
        return answer(&[(); 0]);
    }
    let proven = given.proof.indices.iter().map(|&place| block.transactions[place as usize].txid());
    answer(&proven.collect::<Vec<Txid>>())
}
