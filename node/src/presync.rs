//! Headers of a chain whose work is not proved yet (Core: `HeadersSyncState`).
//!
//! A peer that begins a long chain of easy headers may never come to one that has enough work. So its headers are asked
//! for twice. The first time nothing of them is kept but their work, and one salted bit for each [`PERIOD`] of them. Only
//! when there is enough work they are asked for again, compared with the bits, and let through behind a buffer of
//! [`BUFFER`]: a peer that tells another chain the second time would have to guess a bit for every period in the buffer.

use std::collections::VecDeque;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;
use tine_chain::block::{HashedHeader, Header};
use tine_chain::hash::BlockHash;
use tine_chain::params::Params;
use tine_chain::pow::{CompactTarget, Target, Work, check_proof_of_work, is_permitted_transition};
use tine_chain::reject::Reject;
use tine_chain::time::Time;
use tine_chain::tree::BlockEntry;

use crate::event::PeerId;
use crate::node::Node;
use crate::wire::Request;

/// Headers to one bit (Core: `HEADER_COMMITMENT_PERIOD`).
const PERIOD: u32 = 641;
/// Headers that are held back the second time (Core: `REDOWNLOAD_BUFFER_SIZE`).
const BUFFER: usize = 15_218;
/// Blocks that fit a second, because each is later than the median of the eleven before it.
const BLOCKS_PER_SECOND: u64 = 6;

/// Where a chain of headers stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: BlockHash,
    height: u32,
    bits: CompactTarget,
    work: Work,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for what comes after this block.
    Ask(BlockHash),
    /// These may be kept; then ask for what comes after the block, if one is given, else the work is done.
    Keep(Vec<Header>, Option<BlockHash>),
    /// Forget it: the chain ends without enough work, or is not the one it was.
    Abandon,
}

#[derive(Debug)]
enum Phase {
    /// Nothing is kept.
    Proving,
    /// The chain is told again.
    Telling { buffer: VecDeque<Header> },
}

/// One peer's chain of headers, on its way.
#[derive(Debug)]
pub(crate) struct Presync {
    start: Place,
    last: Place,
    required: Work,
    phase: Phase,
    bits: VecDeque<bool>,
    max_bits: usize,
    salt: u64,
    period: u32,
    buffer_len: usize,
}

impl Presync {
    /// Begins on `start`, a block of ours; `required` is the work that the chain must come to.
    pub(crate) fn new(start: &BlockEntry, required: Work, params: &Params, salt: u64, now: Time) -> Self {
        let place =
            Place { hash: start.hash, height: start.height, bits: start.header.bits, work: start.work };
        let seconds =
            (now.as_secs() + params.max_future_secs).saturating_sub(u64::from(start.median_time_past));
        let max_bits = seconds.saturating_mul(BLOCKS_PER_SECOND) / u64::from(PERIOD) + 1;
        Self {
            start: place,
            last: place,
            required,
            phase: Phase::Proving,
            bits: VecDeque::new(),
            max_bits: usize::try_from(max_bits).unwrap_or(usize::MAX),
            salt,
            period: PERIOD,
            buffer_len: BUFFER,
        }
    }

    /// The block after which the next headers are wanted.
    pub(crate) fn asks_after(&self) -> BlockHash {
        self.last.hash
    }

    /// Takes in an answer; `full`: the peer may have more.
    pub(crate) fn answered(&mut self, headers: &[Header], full: bool, params: &Params) -> Step {
        let mut kept = Vec::new();
        for header in headers {
            if !self.goes_on(header, params) || !self.take(header, &mut kept) {
                return Step::Abandon;
            }
        }
        let proved = self.last.work >= self.required;
        match &mut self.phase {
            Phase::Proving if proved => {
                self.phase = Phase::Telling { buffer: VecDeque::new() };
                self.last = self.start;
                Step::Ask(self.start.hash)
            }
            Phase::Telling { buffer } if proved => {
                kept.extend(buffer.drain(..));
                Step::Keep(kept, None)
            }
            Phase::Proving | Phase::Telling { .. } if !full => Step::Abandon,
            Phase::Proving => Step::Ask(self.last.hash),
            Phase::Telling { .. } => Step::Keep(kept, Some(self.last.hash)),
        }
    }

    /// Every rule that can be judged without the headers before: linkage, proof of work, permitted bits.
    fn goes_on(&mut self, header: &Header, params: &Params) -> bool {
        let (hash, height) = (header.hash(), self.last.height + 1);
        if header.prev_block != self.last.hash
            || check_proof_of_work(params, header.bits, &hash).is_err()
            || !is_permitted_transition(params, height, self.last.bits, header.bits)
        {
            return false;
        }
        let work = self.last.work + header.bits.to_target().map(Target::work).unwrap_or_default();
        self.last = Place { hash, height, bits: header.bits, work };
        true
    }

    /// Notes the bit of the last header the first time, and compares it the second.
    fn take(&mut self, header: &Header, kept: &mut Vec<Header>) -> bool {
        let bit = self.commitment();
        match &mut self.phase {
            Phase::Proving => {
                self.bits.extend(bit);
                self.bits.len() <= self.max_bits
            }
            Phase::Telling { buffer } => {
                if bit.is_some() && bit != self.bits.pop_front() {
                    return false;
                }
                buffer.push_back(*header);
                if buffer.len() > self.buffer_len {
                    kept.extend(buffer.pop_front());
                }
                true
            }
        }
    }

    /// The bit of the last header, at the heights that have one: nobody else knows the salt.
    fn commitment(&self) -> Option<bool> {
        let offset = u32::try_from(self.salt % u64::from(self.period)).expect("less than a u32");
        let due = self.last.height % self.period == offset;
        due.then(|| {
            let mut hasher = SipHasher24::new_with_keys(self.salt, !self.salt);
            hasher.write(&self.last.hash.0);
            hasher.finish() & 1 == 1
        })
    }
}

impl Node {
    /// Whether headers that follow on each other lead to enough work to be kept. Judged before any of them is.
    pub(crate) fn proved(&self, headers: &[HashedHeader]) -> Result<bool, (HashedHeader, Reject)> {
        let Some((first, last)) = headers.first().zip(headers.last()) else { return Ok(true) };
        let tree = self.chain.tree();
        let parent = tree.get(&first.prev_block);
        let (None, Some(parent)) = (tree.get(&last.hash()), parent) else { return Ok(true) };
        let required = self.chain.required_work(&parent.hash, self.config.minimum_chain_work);
        let mut work = parent.work;
        for header in headers {
            check_proof_of_work(self.chain.params(), header.bits, &header.hash())
                .map_err(|reject| (*header, reject))?;
            work = work + header.bits.to_target().map(Target::work).unwrap_or_default();
        }
        Ok(required.is_none_or(|required| work >= required))
    }

    pub(crate) fn begin_presync(&mut self, peer: PeerId, headers: &[Header]) {
        let salt = self.random();
        let Some(start) = headers.first().and_then(|first| self.chain.tree().get(&first.prev_block)) else {
            return;
        };
        let required =
            self.chain.required_work(&start.hash, self.config.minimum_chain_work).unwrap_or_default();
        let mut presync = Presync::new(start, required, self.chain.params(), salt, self.now);
        let step = presync.answered(headers, true, self.chain.params());
        self.presync_goes_on(peer, presync, step);
    }

    pub(crate) fn presync_goes_on(&mut self, peer: PeerId, presync: Presync, step: Step) {
        let next = match step {
            Step::Ask(after) => Some(after),
            Step::Keep(headers, next) => {
                // what is let through now is asked about further by the ordinary way
                let headers: Vec<_> = headers.into_iter().map(HashedHeader::from).collect();
                self.keep_headers(peer, &headers, next.is_none());
                next
            }
            Step::Abandon => return self.headers_told(peer, false),
        };
        if let Some(after) = next.filter(|_| self.is_here(peer)) {
            self.downloads.presyncs.insert(peer, presync);
            self.ask(peer, Request::Headers { locator: vec![after] });
        }
    }
}

#[cfg(test)]
mod tests {
    use tine_chain::hash::MerkleRoot;
    use tine_chain::mining::Scanner;
    use tine_chain::params::Network;
    use tine_chain::tree::BlockTree;

    use super::*;

    fn params() -> Params {
        Params::of(Network::Regtest)
    }

    /// `count` headers from the genesis; `branch` tells chains apart.
    fn headers(branch: u8, count: u32) -> Vec<Header> {
        let params = params();
        let mut headers: Vec<Header> = Vec::new();
        for number in 0..count {
            let prev_block = headers.last().map_or(params.genesis.hash(), Header::hash);
            let mut header = Header {
                version: 1,
                prev_block,
                merkle_root: MerkleRoot([branch; 32]),
                time: params.genesis.time + 1 + number,
                bits: params.genesis.bits,
                nonce: 0,
            };
            let target = header.bits.to_target().expect("a target");
            header.nonce = Scanner::new(&header).scan(target, 0..=u32::MAX).expect("regtest is easy");
            headers.push(header);
        }
        headers
    }

    /// A presync that asks for the work of `blocks` blocks, with a bit for every third header and a buffer of 30.
    fn presync(blocks: u32) -> Presync {
        let params = params();
        let tree = BlockTree::new(&params);
        let genesis = tree.iter().next().expect("the genesis");
        let required = (0..blocks).fold(genesis.work, |work, _| work + genesis.work);
        let now = Time::from_secs(u64::from(params.genesis.time) + 1_000_000);
        Presync { period: 3, buffer_len: 30, ..Presync::new(genesis, required, &params, 7, now) }
    }

    #[test]
    fn hdr_25_an_endless_chain_with_too_little_work_leaves_nothing() {
        let headers = headers(1, 90);
        let mut presync = presync(100);
        for answer in headers.chunks(30) {
            let last = answer.last().expect("thirty").hash();
            assert_eq!(presync.answered(answer, true, &params()), Step::Ask(last));
        }
        assert_eq!(presync.bits.len(), 30, "all that is held: one bit for three headers");
        assert_eq!(presync.answered(&[], false, &params()), Step::Abandon);
        let mut bounded = Presync { max_bits: 5, ..self::presync(100) };
        assert_eq!(
            bounded.answered(&headers, true, &params()),
            Step::Abandon,
            "more than fit the time there was"
        );
    }

    #[test]
    fn a_chain_with_enough_work_is_told_twice_and_kept_whole() {
        let (headers, params) = (headers(1, 90), params());
        let mut presync = presync(90);
        let genesis = params.genesis.hash();
        assert_eq!(presync.answered(&headers[..60], true, &params), Step::Ask(headers[59].hash()));
        assert_eq!(presync.answered(&headers[60..], true, &params), Step::Ask(genesis));
        let Step::Keep(first, Some(next)) = presync.answered(&headers[..60], true, &params) else {
            panic!("the buffer holds thirty");
        };
        assert_eq!((first.as_slice(), next), (&headers[..30], headers[59].hash()));
        assert_eq!(presync.answered(&headers[60..], true, &params), Step::Keep(headers[30..].to_vec(), None));
    }

    #[test]
    fn hdr_26_another_chain_the_second_time_is_noticed_before_any_of_it_is_kept() {
        let (honest, other, params) = (headers(1, 90), headers(2, 90), params());
        let mut presync = presync(90);
        presync.answered(&honest, true, &params);
        assert_eq!(presync.answered(&other[..30], true, &params), Step::Abandon);
    }

    #[test]
    fn hdr_14_bits_that_may_not_change_end_it() {
        let mut headers = headers(1, 5);
        headers[3].bits = CompactTarget(0x207f_fffe);
        assert_eq!(presync(100).answered(&headers, true, &params()), Step::Abandon);
    }
}
