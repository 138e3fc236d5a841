//! A second opinion: the whole protocol once more, as plainly as it can be written.
//!
//! It is written from `chain/SPEC.md` and takes nothing from the crate that it judges: its own parsing, hashing, curve
//! equation, compact bits and Merkle tree. Bytes come in, verdicts come out. It is slow on purpose. Coins are counted
//! from the genesis for each block that is judged: there is no coin cache and no undo data that could be wrong. What it
//! remembers of a block is that it was found valid, which depends on nothing but the block and its ancestors.

use std::collections::{BTreeMap, VecDeque};

use num_bigint::BigUint;

mod curve;
mod money;
mod policy;
mod rules;
mod wire;
mod work;

pub use wire::{OutPoint, sha256d};

use money::{Coin, Coins};
use wire::{Hash, Header, Transaction};

/// Why something is refused: the name that SPEC §9 gives the rule.
pub type Reason = &'static str;

/// What an implementation says of a header, a block or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is new and breaks no rule that can be judged yet.
    Accepted,
    /// It was there.
    Duplicate,
    /// It breaks this rule.
    Refused(Reason),
}

impl Verdict {
    /// The reason, or what else happened, as text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Refused(reason) => reason,
        }
    }
}

/// The constants of one network: the columns of SPEC §5.
#[derive(Debug, Clone)]
pub struct Network {
    /// The header of the genesis block, 80 bytes.
    pub genesis: [u8; 80],
    /// The easiest target.
    pub limit: BigUint,
    /// Blocks between two retargets.
    pub interval: Option<u32>,
    /// Seconds that they should take.
    pub timespan: i64,
    /// Whether the first period is measured from block 1.
    pub first_period_from_block_one: bool,
    /// The grace of BIP 54, in seconds.
    pub grace: Option<u32>,
    /// Seconds that a block may be ahead of the clock.
    pub max_future: u64,
    /// Blocks between two halvings.
    pub halving: u32,
    /// Blocks until a coinbase's outputs may be spent.
    pub maturity: u32,
}

/// A header that was accepted, and what came after it.
struct Entry {
    header: Header,
    parent: Option<usize>,
    height: u32,
    /// Of its whole chain.
    work: BigUint,
    /// Empty until the body is there; the genesis's stays empty, since its output is in no coin set.
    body: Option<Vec<Transaction>>,
    /// When the last missing body of its chain came, counted in such blocks.
    complete: Option<u64>,
    invalid: bool,
    /// Found valid with all its transactions.
    connected: bool,
}

/// The protocol, judged plainly.
pub struct Reference {
    network: Network,
    /// Coins that are there before the first block.
    granted: Coins,
    entries: Vec<Entry>,
    by_hash: BTreeMap<Hash, usize>,
    /// Blocks that only the clock refuses, by the second in which they may come in.
    early: BTreeMap<(u64, Hash), Vec<u8>>,
    completed: u64,
    tip: usize,
}

impl Reference {
    /// The genesis of `network`, with coins out of nothing: outpoint 36, coin 44 (SPEC §9).
    #[must_use]
    pub fn new(network: Network, granted: &[([u8; 36], [u8; 44])]) -> Self {
        let header = Header::parse(&network.genesis);
        let genesis = Entry {
            work: work::target(header.bits).map_or_else(BigUint::default, |target| work::work(&target)),
            parent: None,
            height: 0,
            body: Some(Vec::new()),
            complete: Some(0),
            invalid: false,
            connected: true,
            header,
        };
        Self {
            by_hash: BTreeMap::from([(genesis.header.hash, 0)]),
            granted: granted.iter().map(|(outpoint, coin)| (*outpoint, Coin::parse(coin))).collect(),
            entries: vec![genesis],
            early: BTreeMap::new(),
            completed: 0,
            tip: 0,
            network,
        }
    }

    /// The hash of the last block of the best chain.
    #[must_use]
    pub fn tip(&self) -> [u8; 32] {
        self.entries[self.tip].header.hash
    }

    /// Every coin at the tip: outpoint and encoding (SPEC §9).
    #[must_use]
    pub fn coins(&self) -> BTreeMap<OutPoint, [u8; 44]> {
        self.coins_after(self.tip).into_iter().map(|(outpoint, coin)| (outpoint, coin.encoding())).collect()
    }

    // -- headers

    /// Judges a header by itself.
    pub fn submit_header(&mut self, bytes: &[u8], now_secs: u64) -> Verdict {
        let Ok(bytes) = bytes.try_into() else { return Verdict::Refused("header-decode") };
        let known = self.entries.len();
        match self.accept(&Header::parse(bytes), now_secs) {
            Err(reason) => Verdict::Refused(reason),
            Ok(_) if self.entries.len() > known => Verdict::Accepted,
            Ok(_) => Verdict::Duplicate,
        }
    }

    fn accept(&mut self, header: &Header, now_secs: u64) -> Result<usize, Reason> {
        if let Some(&at) = self.by_hash.get(&header.hash) {
            return if self.entries[at].invalid { Err("duplicate-invalid") } else { Ok(at) };
        }
        work::check_proof(header, &self.network.limit)?;
        let &parent = self.by_hash.get(&header.parent).ok_or("prev-blk-not-found")?;
        if self.entries[parent].invalid {
            return Err("bad-prevblk");
        }
        self.check_header(header, parent, now_secs)?;
        let target = work::target(header.bits).expect("the proof of work was checked");
        let entry = Entry {
            header: header.clone(),
            parent: Some(parent),
            height: self.entries[parent].height + 1,
            work: &self.entries[parent].work + work::work(&target),
            body: None,
            complete: None,
            invalid: false,
            connected: false,
        };
        self.by_hash.insert(header.hash, self.entries.len());
        self.entries.push(entry);
        Ok(self.entries.len() - 1)
    }

    /// The rules of SPEC §5 that need the chain and the clock.
    fn check_header(&self, header: &Header, parent: usize, now_secs: u64) -> Result<(), Reason> {
        let chain: Vec<&Header> = self.path(parent).into_iter().map(|at| &self.entries[at].header).collect();
        if Some(header.bits) != work::next_bits(&self.network, &chain) {
            return Err("bad-diffbits");
        }
        if header.time <= work::median_time(&chain) {
            return Err("time-too-old");
        }
        work::check_period(&self.network, &chain, header.time)?;
        if header.version < 1 {
            return Err("bad-version");
        }
        if u64::from(header.time) > now_secs + self.network.max_future {
            return Err("time-too-new");
        }
        Ok(())
    }

    // -- blocks

    /// Judges a block by all that can be judged without coins.
    pub fn submit_block(&mut self, bytes: &[u8], now_secs: u64) -> Verdict {
        let Some((header, body)) = wire::parse_block(bytes) else { return Verdict::Refused("block-decode") };
        let at = match self.accept(&header, now_secs) {
            Ok(at) => at,
            Err("time-too-new") => {
                if let Err(reason) = rules::check_body(&header, &body, bytes.len()) {
                    return Verdict::Refused(reason);
                }
                let ready = u64::from(header.time).saturating_sub(self.network.max_future);
                self.early.insert((ready, header.hash), bytes.to_vec());
                return Verdict::Refused("time-too-new");
            }
            Err(reason) => return Verdict::Refused(reason),
        };
        if self.entries[at].body.is_some() {
            return Verdict::Duplicate;
        }
        let checked = rules::check_body(&header, &body, bytes.len())
            .and_then(|()| rules::check_place(&body, self.entries[at].height, self.median_before(at)));
        if let Err(reason) = checked {
            // what fails before the root is known to match says nothing about the header
            if !matches!(reason, "bad-blk-length" | "bad-txnmrklroot" | "bad-txns-duplicate") {
                self.mark_invalid(at);
            }
            return Verdict::Refused(reason);
        }
        self.entries[at].body = Some(body);
        self.complete(at);
        Verdict::Accepted
    }

    /// Judges a block that has no proof of work yet, on a parent whose chain has all bodies.
    #[must_use]
    pub fn judge_template(&self, bytes: &[u8], now_secs: u64) -> Verdict {
        let Some((header, body)) = wire::parse_block(bytes) else { return Verdict::Refused("block-decode") };
        match self.judge_template_on_its_parent(&header, &body, bytes.len(), now_secs) {
            Ok(()) => Verdict::Accepted,
            Err(reason) => Verdict::Refused(reason),
        }
    }

    fn judge_template_on_its_parent(
        &self,
        header: &Header,
        body: &[Transaction],
        size: usize,
        now_secs: u64,
    ) -> Result<(), Reason> {
        let parent = self.by_hash.get(&header.parent).copied();
        let parent = parent.filter(|&at| self.entries[at].complete.is_some()).ok_or("prev-blk-not-found")?;
        self.check_header(header, parent, now_secs)?;
        rules::check_body(header, body, size)?;
        let headers = self.headers(parent);
        rules::check_place(body, self.entries[parent].height + 1, work::median_time(&headers))?;
        if self.path(parent).into_iter().any(|at| !self.entries[at].connected && self.judge(at).is_err()) {
            return Err("bad-prevblk");
        }
        rules::connect(&self.network, &headers, body, self.coins_after(parent)).map(|_| ())
    }

    /// Judges a transaction as if it stood in the next block on the tip.
    #[must_use]
    pub fn judge_transaction(&self, bytes: &[u8]) -> Verdict {
        let Some(transaction) = wire::parse_transaction(bytes) else { return Verdict::Refused("tx-decode") };
        let headers = self.headers(self.tip);
        match rules::check_loose(&self.network, &headers, &transaction, &self.coins_after(self.tip)) {
            Ok(()) => Verdict::Accepted,
            Err(reason) => Verdict::Refused(reason),
        }
    }

    // -- the best chain

    /// Moves to the best chain. What turned out to break a rule on the way, in order.
    pub fn activate(&mut self, now_secs: u64) -> Vec<([u8; 32], Reason)> {
        let mut found = self.retry_early(now_secs);
        loop {
            let best = self.best();
            let broken = self.path(best).into_iter().find_map(|at| match self.entries[at].connected {
                true => None,
                false => match self.judge(at) {
                    Ok(()) => {
                        self.entries[at].connected = true;
                        None
                    }
                    Err(reason) => Some((at, reason)),
                },
            });
            match broken {
                None => {
                    self.tip = best;
                    return found;
                }
                Some((at, reason)) => {
                    self.mark_invalid(at);
                    found.push((self.entries[at].header.hash, reason));
                }
            }
        }
    }

    fn retry_early(&mut self, now_secs: u64) -> Vec<([u8; 32], Reason)> {
        let mut found = Vec::new();
        while let Some(((_, hash), bytes)) = self
            .early
            .first_key_value()
            .filter(|((ready, _), _)| *ready <= now_secs)
            .map(|(key, bytes)| (*key, bytes.clone()))
        {
            self.early.pop_first();
            match self.submit_block(&bytes, now_secs) {
                Verdict::Accepted | Verdict::Duplicate => {}
                Verdict::Refused(reason) => found.push((hash, reason)),
            }
        }
        found
    }

    /// "The valid one with most work; between equals, the one that was complete first."
    fn best(&self) -> usize {
        let possible = self.entries.iter().enumerate().filter(|(_, entry)| !entry.invalid);
        let ranked = possible
            .filter_map(|(at, entry)| Some(((entry.work.clone(), std::cmp::Reverse(entry.complete?)), at)));
        ranked.max().map_or(0, |(_, at)| at)
    }

    /// The body of `at` is there: its chain may be whole now, and those that build on it.
    fn complete(&mut self, at: usize) {
        let mut ready = VecDeque::from([at]);
        while let Some(at) = ready.pop_front() {
            let parent = self.entries[at].parent.expect("the genesis is complete");
            if self.entries[at].body.is_none() || self.entries[parent].complete.is_none() {
                continue;
            }
            self.completed += 1;
            self.entries[at].complete = Some(self.completed);
            // entries stand in the order in which their headers came
            ready.extend((0..self.entries.len()).filter(|&child| self.entries[child].parent == Some(at)));
        }
    }

    /// A block, and all that builds on it. Children stand behind their parents.
    fn mark_invalid(&mut self, at: usize) {
        self.entries[at].invalid = true;
        for child in at + 1..self.entries.len() {
            let parent = self.entries[child].parent.expect("only the genesis has none");
            self.entries[child].invalid |= self.entries[parent].invalid;
        }
    }

    /// The rules that need the coins of all ancestors.
    fn judge(&self, at: usize) -> Result<(), Reason> {
        let parent = self.entries[at].parent.expect("the genesis is not judged");
        let body = self.entries[at].body.as_ref().expect("only complete chains are judged");
        rules::connect(&self.network, &self.headers(parent), body, self.coins_after(parent)).map(|_| ())
    }

    // -- walking

    /// From the genesis to `at`.
    fn path(&self, at: usize) -> Vec<usize> {
        let mut path: Vec<_> = std::iter::successors(Some(at), |&at| self.entries[at].parent).collect();
        path.reverse();
        path
    }

    fn headers(&self, at: usize) -> Vec<&Header> {
        self.path(at).into_iter().map(|at| &self.entries[at].header).collect()
    }

    fn median_before(&self, at: usize) -> u32 {
        work::median_time(&self.headers(self.entries[at].parent.expect("the genesis has its body")))
    }

    fn coins_after(&self, at: usize) -> Coins {
        let mut coins = self.granted.clone();
        for at in self.path(at) {
            let body = self.entries[at].body.as_ref().expect("only complete chains are counted");
            money::replay(&mut coins, body, self.entries[at].height);
        }
        coins
    }
}
