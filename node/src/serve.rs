//! Answering peers.
//!
//! A body is served only once it has been connected here: to serve is to vouch. Since headers are relayed before
//! bodies are known, a peer may ask for a body that is still on its way to us; such a question is parked for a moment
//! and answered when the body is connected.

use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::Block;
use tine_chain::hash::{BlockHash, Wtxid};
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use crate::event::{Action, PeerId, RequestId};
use crate::node::Node;
use crate::peers::Offence;
use crate::wire::{
    BLOCKS_RESPONSE_TARGET, MAX_BLOCKS, MAX_HEADERS, MAX_LOCATOR, MAX_MEMPOOL_IDS, MAX_TRANSACTIONS, Request,
    Response,
};

/// How long a question is parked.
const PARKED_FOR: Duration = Duration::from_secs(2);
/// Questions parked in all, and of one peer.
const MAX_PARKED: usize = 64;
const MAX_PARKED_PER_PEER: usize = 2;
/// How deep a block may be for its transactions to be served one by one (BIP 152: 10).
const MAX_BLOCK_TRANSACTIONS_DEPTH: u32 = 10;

/// A question about a body that is on its way to us.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) peer: PeerId,
    id: RequestId,
    request: Request,
    hash: BlockHash,
    until: Time,
}

impl Node {
    /// A peer asks.
    pub(crate) fn asked(&mut self, peer: PeerId, id: RequestId, request: Request) -> Result<(), StoreError> {
        if !self.is_here(peer) {
            return Ok(());
        }
        if is_too_long(&request) {
            self.charge(peer, Offence::TooLong);
            return Ok(());
        }
        if let Some(hash) = self.on_its_way(&request) {
            let of_peer = self.parked.iter().filter(|parked| parked.peer == peer).count();
            if self.parked.len() < MAX_PARKED && of_peer < MAX_PARKED_PER_PEER {
                self.parked.push(Parked { peer, id, request, hash, until: self.now + PARKED_FOR });
                return Ok(());
            }
        }
        self.respond(peer, id, request)
    }

    fn respond(&mut self, peer: PeerId, id: RequestId, request: Request) -> Result<(), StoreError> {
        let response = match request {
            Request::Headers { locator } => {
                Response::Headers(self.chain.headers_after(&locator, MAX_HEADERS))
            }
            Request::Blocks(hashes) => Response::Blocks(self.blocks_for(&hashes)?),
            Request::BlockTransactions(hash, places) => {
                Response::BlockTransactions(hash, self.block_transactions_for(&hash, &places)?)
            }
            Request::Transactions(ids) => Response::Transactions(self.transactions_for(&ids)),
            Request::Mempool => {
                let ids = self.mempool.entries().map(|entry| entry.tx.wtxid());
                Response::Mempool(ids.take(MAX_MEMPOOL_IDS).collect())
            }
        };
        self.out.push(Action::Respond(peer, id, response));
        Ok(())
    }

    /// The body that a question is about first, when it is not connected here and may soon be.
    fn on_its_way(&self, request: &Request) -> Option<BlockHash> {
        let hash = match request {
            Request::Blocks(hashes) => hashes.first()?,
            Request::BlockTransactions(hash, _) => hash,
            Request::Headers { .. } | Request::Transactions(_) | Request::Mempool => return None,
        };
        let entry = self.chain.tree().get(hash)?;
        let coming = entry.body || self.downloads.is_in_flight(hash);
        (coming && !entry.connected_once && entry.invalid.is_none()).then_some(*hash)
    }

    /// The body, if it was ever connected here and is not known to be invalid.
    fn vouched_block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        match self.chain.tree().get(hash) {
            Some(entry) if entry.connected_once && entry.invalid.is_none() => self.chain.block(hash),
            Some(_) | None => Ok(None),
        }
    }

    fn blocks_for(&self, hashes: &[BlockHash]) -> Result<Vec<Arc<Block>>, StoreError> {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        for hash in hashes {
            // "a block that is not there ends the list"
            let Some(block) = self.vouched_block(hash)? else { break };
            // the first may be as large as a block can be, the others must leave the answer within its target
            if !blocks.is_empty() && bytes + block.size() > BLOCKS_RESPONSE_TARGET {
                break;
            }
            bytes += block.size();
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn block_transactions_for(
        &self,
        hash: &BlockHash,
        places: &[u32],
    ) -> Result<Vec<Arc<Transaction>>, StoreError> {
        let recent = self
            .chain
            .tree()
            .get(hash)
            .is_some_and(|entry| entry.height + MAX_BLOCK_TRANSACTIONS_DEPTH >= self.chain.tip().height);
        if !recent {
            return Ok(Vec::new());
        }
        let Some(block) = self.vouched_block(hash)? else { return Ok(Vec::new()) };
        let found: Option<Vec<_>> =
            places.iter().map(|place| block.transactions.get(*place as usize).cloned()).collect();
        Ok(found.unwrap_or_default())
    }

    fn transactions_for(&self, ids: &[Wtxid]) -> Vec<Arc<Transaction>> {
        let mut bytes = 0;
        let found = ids.iter().filter_map(|id| self.mempool.get_by_wtxid(id)).map(|entry| entry.tx.clone());
        found
            .take_while(|tx| {
                bytes += tx.size();
                bytes <= BLOCKS_RESPONSE_TARGET
            })
            .collect()
    }

    /// Answers what was parked for `hash`, which is connected now.
    pub(crate) fn answer_parked(&mut self, hash: &BlockHash) -> Result<(), StoreError> {
        while let Some(at) = self.parked.iter().position(|parked| parked.hash == *hash) {
            let Parked { peer, id, request, .. } = self.parked.remove(at);
            self.respond(peer, id, request)?;
        }
        Ok(())
    }

    /// Answers what was parked for too long: with what there is, which may be nothing.
    pub(crate) fn release_parked(&mut self) -> Result<(), StoreError> {
        while let Some(at) = self.parked.iter().position(|parked| parked.until <= self.now) {
            let Parked { peer, id, request, .. } = self.parked.remove(at);
            self.respond(peer, id, request)?;
        }
        Ok(())
    }

    pub(crate) fn parked_deadline(&self) -> Option<Time> {
        self.parked.iter().map(|parked| parked.until).min()
    }
}

/// Whether a list is longer than its request may hold. Bytes are checked when they are decoded; in the laboratory
/// there are none.
fn is_too_long(request: &Request) -> bool {
    match request {
        Request::Headers { locator } => locator.len() > MAX_LOCATOR,
        Request::Blocks(hashes) => hashes.len() > MAX_BLOCKS,
        Request::BlockTransactions(_, places) => places.len() > crate::wire::MAX_BLOCK_TRANSACTIONS,
        Request::Transactions(ids) => ids.len() > MAX_TRANSACTIONS,
        Request::Mempool => false,
    }
}
