//! Headers that nobody needs: valid, cheap, and new every time.

use tine_chain::block::Header;
use tine_chain::hash::{MerkleRoot, sha256d};
use tine_chain::mining::Scanner;

use super::{Adversary, Turn};
use crate::event::{Action, Event};
use crate::wire::{Request, Response};

/// Headers in one answer: fewer than a difficulty period has, so that all of them carry the genesis' bits.
const HEADERS_PER_ANSWER: u32 = 16;
/// Nonces that are tried for one header. At the difficulty of the lab that is plenty; at the devnet's it seldom is.
const MAX_NONCES: u32 = 1 << 14;

/// Answers every question for headers with another branch from the genesis, which the asker has to keep.
#[derive(Debug)]
pub(super) struct HeaderSpam {
    count: u64,
}

impl HeaderSpam {
    pub(super) fn new(seed: u64) -> Self {
        Self { count: seed }
    }

    /// A branch from the genesis that nobody has seen.
    fn branch(&mut self, turn: &Turn<'_>) -> Vec<Header> {
        let genesis = turn.node.chain().params().genesis;
        let Ok(target) = genesis.bits.to_target() else { return Vec::new() };
        let mut headers: Vec<Header> = Vec::new();
        for step in 1..=HEADERS_PER_ANSWER {
            self.count = self.count.wrapping_add(1);
            let header = Header {
                version: 0x2000_0000,
                prev_block: headers.last().unwrap_or(&genesis).hash(),
                merkle_root: MerkleRoot(sha256d(&self.count.to_le_bytes())),
                time: genesis.time + step,
                ..genesis
            };
            match Scanner::new(&header).scan(target, 0..=MAX_NONCES) {
                Some(nonce) => headers.push(Header { nonce, ..header }),
                None => break,
            }
        }
        headers
    }
}

impl Adversary for HeaderSpam {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        if let Event::Request(peer, id, Request::Headers { .. }) = event {
            let headers = self.branch(turn);
            turn.actions.push(Action::Respond(peer, id, Response::Headers(headers)));
        } else {
            turn.events.push(event);
        }
    }
}
