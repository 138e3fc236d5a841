//! What an operator may ask of a node besides moving its chain: to look at a header, to fetch a body from somebody.

use tine_chain::block::Header;
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::time::Time;

use crate::event::{Action, PeerId};
use crate::node::Node;
use crate::wire::Request;

/// Why a body is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No header of it is known.
    #[error("Block header missing")]
    UnknownHeader,
    /// It is here.
    #[error("Block already downloaded")]
    HaveIt,
    /// No such peer is connected.
    #[error("Peer does not exist")]
    NoPeer,
    /// The peer owes too many answers.
    #[error("the peer owes too many answers already")]
    Busy,
}

impl Node {
    /// Takes in a header without a body (Core: `submitheader`); within, the rule that it breaks.
    ///
    /// # Errors
    /// Only when storage fails.
    pub fn submit_header(
        &mut self,
        header: Header,
        now: Time,
    ) -> Result<(Vec<Action>, Result<(), Reject>), StoreError> {
        self.now = now;
        let verdict = self.accept_header(header.into(), None).map(|_| ());
        self.quiet = None;
        self.advance()?;
        Ok((std::mem::take(&mut self.out), verdict))
    }

    /// Asks one peer for the body of a block whose header is known (Core: `getblockfrompeer`).
    ///
    /// # Errors
    /// Why it is not asked for.
    pub fn fetch_block(
        &mut self,
        peer: PeerId,
        hash: &BlockHash,
        now: Time,
    ) -> Result<Vec<Action>, FetchError> {
        self.now = now;
        let entry = self.chain.tree().get(hash).ok_or(FetchError::UnknownHeader)?;
        if entry.body || entry.height == 0 {
            return Err(FetchError::HaveIt);
        }
        if !self.peers.contains_key(&peer) {
            return Err(FetchError::NoPeer);
        }
        self.ask(peer, Request::Blocks(vec![*hash])).ok_or(FetchError::Busy)?;
        Ok(std::mem::take(&mut self.out))
    }
}
