//! The block tree: every header that was accepted, how much work stands behind it, and which branch is best.
//!
//! Blocks live in one vector in the order of their arrival, a parent always before its children, and are linked by
//! position. Invariants: `connectable` holds exactly when the block and all its ancestors have bodies; an invalid
//! block's descendants are invalid; `candidates` holds exactly the valid connectable blocks without such a child.
//! Bodies, coins and the choice of when to switch are not here.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::block::Header;
use crate::change::{HeaderRecord, Invalidity};
use crate::hash::BlockHash;
use crate::params::Params;
use crate::pow::Work;
use crate::shared::{BlockFacts, Shared};
use crate::time::Time;

mod marks;

/// How many blocks the median of time is taken over (Core: `nMedianTimeSpan`).
const MEDIAN_TIME_SPAN: usize = 11;

/// A block's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Index(u32);

impl Index {
    /// Where the genesis always is.
    pub(crate) const GENESIS: Self = Self(0);
}

/// What the tree knows of one block: what its hash determines ([`BlockFacts`]), and what is this tree's own.
#[derive(Debug, Clone)]
pub struct BlockEntry {
    facts: Arc<BlockFacts>,
    /// Its place in the order in which blocks were first seen, given anew when the last missing body of its chain
    /// arrives: a header that was announced early wins no tie against a block that was there (Core: `nSequenceId`).
    pub sequence: u64,
    /// When its header was first seen.
    pub seen: Time,
    /// Whether its body is there.
    pub body: bool,
    /// Whether its body and those of all its ancestors are there.
    pub connectable: bool,
    /// Whether it was ever part of the active chain, and so is known to be valid with all its transactions.
    pub connected_once: bool,
    /// Why it is not valid, if it is known not to be.
    pub invalid: Option<Invalidity>,
    /// More than 0 when an operator prefers it to its equals; the highest wins.
    precious: u64,
    parent: Option<Index>,
    skip: Index,
    first_child: Option<Index>,
    next_sibling: Option<Index>,
}

impl std::ops::Deref for BlockEntry {
    type Target = BlockFacts;

    fn deref(&self) -> &BlockFacts {
        &self.facts
    }
}

/// The order among blocks that could be the tip: most work, then most precious, then seen first.
type Rank = (Work, u64, Reverse<u64>, Index);

/// Every accepted header, and the best of them.
#[derive(Debug, Clone)]
pub struct BlockTree {
    entries: Vec<BlockEntry>,
    /// Places by hash; the hashes are in the entries.
    by_hash: HashTable<Index>,
    hasher: RandomState,
    shared: Option<Arc<Shared>>,
    /// Blocks without children.
    tips: BTreeSet<Index>,
    candidates: BTreeSet<Rank>,
    best_header: Index,
    next_sequence: u64,
    next_precious: u64,
    precious_work: Work,
    /// Blocks whose record the store does not have as it is now; one can be here more than once.
    dirty: Vec<Index>,
}

impl BlockTree {
    /// A tree of the genesis alone.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self::sharing(params, None)
    }

    /// [`BlockTree::new`], with what other trees of the process have worked out.
    pub(crate) fn sharing(params: &Params, shared: Option<Arc<Shared>>) -> Self {
        let hash = params.genesis.hash();
        let facts = || BlockFacts {
            header: params.genesis,
            hash,
            height: 0,
            work: own_work(&params.genesis),
            median_time_past: params.genesis.time,
        };
        let genesis = BlockEntry {
            facts: learn(shared.as_ref(), hash, facts),
            sequence: 0,
            seen: Time::from_secs(u64::from(params.genesis.time)),
            body: true,
            connectable: true,
            connected_once: true,
            invalid: None,
            precious: 0,
            parent: None,
            skip: Index::GENESIS,
            first_child: None,
            next_sibling: None,
        };
        let mut tree = Self {
            entries: vec![genesis],
            by_hash: HashTable::new(),
            hasher: RandomState::default(),
            shared,
            tips: BTreeSet::from([Index::GENESIS]),
            candidates: BTreeSet::new(),
            best_header: Index::GENESIS,
            next_sequence: 1,
            next_precious: 1,
            precious_work: Work::default(),
            dirty: Vec::new(),
        };
        tree.index(Index::GENESIS);
        tree.refresh_candidate(Index::GENESIS);
        tree
    }

    // -- what others may read

    /// The block called `hash`.
    #[must_use]
    pub fn get(&self, hash: &BlockHash) -> Option<&BlockEntry> {
        self.index_of(hash).map(|index| self.at(index))
    }

    /// How many blocks there are, the genesis among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never: the genesis is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Every block in the order of arrival, the genesis first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &BlockEntry> {
        self.entries.iter()
    }

    /// The block before `entry`; `None` for the genesis.
    #[must_use]
    pub fn parent(&self, entry: &BlockEntry) -> Option<&BlockEntry> {
        entry.parent.map(|parent| self.at(parent))
    }

    /// The ancestor of `hash` at `height`, itself if that is its own height.
    #[must_use]
    pub fn ancestor(&self, hash: &BlockHash, height: u32) -> Option<&BlockEntry> {
        self.ancestor_of(self.index_of(hash)?, height).map(|index| self.at(index))
    }

    /// Whether `ancestor` is on the chain that ends with `descendant`; a block is its own ancestor.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: &BlockHash, descendant: &BlockHash) -> bool {
        match (self.index_of(ancestor), self.index_of(descendant)) {
            (Some(ancestor), Some(descendant)) => self.descends(descendant, ancestor),
            (None, _) | (_, None) => false,
        }
    }

    /// The last block that the chains ending with `a` and with `b` share; `None` when either is not known.
    #[must_use]
    pub fn fork_point(&self, a: &BlockHash, b: &BlockHash) -> Option<&BlockEntry> {
        Some(self.at(self.fork_of(self.index_of(a)?, self.index_of(b)?)))
    }

    /// The blocks that nothing builds on, in the order of arrival.
    pub fn tips(&self) -> impl Iterator<Item = &BlockEntry> {
        self.tips.iter().map(|&index| self.at(index))
    }

    // -- by place

    pub(crate) fn at(&self, index: Index) -> &BlockEntry {
        &self.entries[index.0 as usize]
    }

    fn at_mut(&mut self, index: Index) -> &mut BlockEntry {
        &mut self.entries[index.0 as usize]
    }

    pub(crate) fn index_of(&self, hash: &BlockHash) -> Option<Index> {
        let is_it = |index: &Index| self.at(*index).facts.hash == *hash;
        self.by_hash.find(self.hasher.hash_one(hash), is_it).copied()
    }

    /// Makes a new entry known by its hash.
    fn index(&mut self, index: Index) {
        let Self { entries, by_hash, hasher, .. } = self;
        let hash_of = |index: &Index| hasher.hash_one(entries[index.0 as usize].facts.hash);
        by_hash.insert_unique(hash_of(&index), index, hash_of);
    }

    pub(crate) fn parent_of(&self, index: Index) -> Option<Index> {
        self.at(index).parent
    }

    /// The ancestor at `height`, in a number of steps logarithmic in the distance (Core: `CBlockIndex::GetAncestor`).
    pub(crate) fn ancestor_of(&self, index: Index, height: u32) -> Option<Index> {
        let mut walk = index;
        let mut at = self.at(index).height;
        if height > at {
            return None;
        }
        while at > height {
            let skip = skip_height(at);
            let skip_before = skip_height(at - 1);
            // skip, unless the parent's skip is the better one
            if skip == height || (skip > height && !(skip_before + 2 < skip && skip_before >= height)) {
                walk = self.at(walk).skip;
                at = skip;
            } else {
                walk = self.at(walk).parent.expect("only the genesis, at height 0, has no parent");
                at -= 1;
            }
        }
        Some(walk)
    }

    pub(crate) fn descends(&self, descendant: Index, ancestor: Index) -> bool {
        self.ancestor_of(descendant, self.at(ancestor).height) == Some(ancestor)
    }

    /// The last common ancestor (Core: `LastCommonAncestor`).
    pub(crate) fn fork_of(&self, a: Index, b: Index) -> Index {
        let height = self.at(a).height.min(self.at(b).height);
        let common = "height is not over that of either block";
        let mut a = self.ancestor_of(a, height).expect(common);
        let mut b = self.ancestor_of(b, height).expect(common);
        while a != b {
            // at equal heights the skips are at equal heights too
            let (entry_a, entry_b) = (self.at(a), self.at(b));
            if entry_a.skip != entry_b.skip {
                (a, b) = (entry_a.skip, entry_b.skip);
            } else {
                let differ = "two blocks at height 0 are the same block";
                (a, b) = (entry_a.parent.expect(differ), entry_b.parent.expect(differ));
            }
        }
        a
    }

    /// Whether nothing builds on it.
    pub(crate) fn is_tip(&self, index: Index) -> bool {
        self.tips.contains(&index)
    }

    fn children(&self, index: Index) -> impl Iterator<Item = Index> {
        std::iter::successors(self.at(index).first_child, |&child| self.at(child).next_sibling)
    }

    /// The valid header with the most work behind it, the first of equals.
    pub(crate) fn best_header(&self) -> Index {
        self.best_header
    }

    /// The block that should be the tip, among those that all bodies are there for.
    pub(crate) fn best_candidate(&self) -> Index {
        self.candidates.last().map_or(Index::GENESIS, |&(_, _, _, index)| index)
    }

    // -- growing

    /// Adds a header whose parent is in the tree and which was found to follow the rules.
    pub(crate) fn insert(&mut self, header: Header, hash: BlockHash, parent: Index, seen: Time) -> Index {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let invalid = self.at(parent).invalid.map(|_| Invalidity::Ancestor);
        let index = self.link(header, hash, parent, seen, sequence, invalid);
        self.dirty.push(index);
        index
    }

    /// Adds a header that the store kept.
    pub(crate) fn restore(&mut self, record: &HeaderRecord, parent: Index) -> Index {
        self.next_sequence = self.next_sequence.max(record.sequence + 1);
        self.link(record.header, record.hash, parent, record.seen, record.sequence, record.invalid)
    }

    fn link(
        &mut self,
        header: Header,
        hash: BlockHash,
        parent: Index,
        seen: Time,
        sequence: u64,
        invalid: Option<Invalidity>,
    ) -> Index {
        let index = Index(u32::try_from(self.entries.len()).expect("memory ends before 2^32 blocks"));
        let before = self.at(parent);
        let next_sibling = before.first_child;
        let facts = learn(self.shared.as_ref(), hash, || BlockFacts {
            header,
            hash,
            height: before.height + 1,
            work: before.work + own_work(&header),
            median_time_past: self.median_time(header.time, parent),
        });
        let skip = self.ancestor_of(parent, skip_height(facts.height)).expect("a skip leads to an ancestor");
        let work = facts.work;
        self.entries.push(BlockEntry {
            facts,
            sequence,
            seen,
            body: false,
            connectable: false,
            connected_once: false,
            invalid,
            precious: 0,
            parent: Some(parent),
            skip,
            first_child: None,
            next_sibling,
        });
        self.at_mut(parent).first_child = Some(index);
        self.index(index);
        self.tips.remove(&parent);
        self.tips.insert(index);
        if invalid.is_none() && work > self.at(self.best_header).work {
            self.best_header = index;
        }
        index
    }

    /// The median of `time` and the times of `parent` and its nine ancestors before it, as many as there are.
    fn median_time(&self, time: u32, parent: Index) -> u32 {
        let mut times = [0; MEDIAN_TIME_SPAN];
        times[0] = time;
        let mut count = 1;
        let mut walk = Some(parent);
        while let (Some(index), true) = (walk, count < MEDIAN_TIME_SPAN) {
            times[count] = self.at(index).header.time;
            count += 1;
            walk = self.at(index).parent;
        }
        let times = &mut times[..count];
        times.sort_unstable();
        times[count / 2]
    }

    /// The body of `index` is there. Returns whether that makes it or a descendant connectable.
    pub(crate) fn set_body(&mut self, index: Index) -> bool {
        self.at_mut(index).body = true;
        let parent_connectable = self.parent_of(index).is_none_or(|parent| self.at(parent).connectable);
        if !parent_connectable || self.at(index).connectable {
            return false;
        }
        let mut ready = std::collections::VecDeque::from([index]);
        while let Some(index) = ready.pop_front() {
            self.at_mut(index).connectable = true;
            self.give_sequence(index);
            self.refresh_candidate(index);
            if let Some(parent) = self.parent_of(index) {
                self.refresh_candidate(parent);
            }
            // siblings are listed latest first; they become connectable in the order of their arrival
            let mut children: Vec<_> = self.children(index).filter(|&child| self.at(child).body).collect();
            children.reverse();
            ready.extend(children);
        }
        true
    }

    /// The same for a body that the store kept: its sequence is what it was.
    pub(crate) fn restore_body(&mut self, index: Index) {
        self.at_mut(index).body = true;
    }

    /// After every header and body was restored: which blocks are connectable, and which are candidates.
    pub(crate) fn restored(&mut self) {
        for place in 1..self.entries.len() {
            let parent = self.entries[place].parent.expect("only the genesis has none");
            self.entries[place].connectable = self.entries[place].body && self.at(parent).connectable;
        }
        self.candidates.clear();
        for place in 0..self.entries.len() {
            self.refresh_candidate(Index(place as u32));
        }
        self.find_best_header();
    }

    /// Moves a block to the end of the order of arrival, unless it is there already.
    fn give_sequence(&mut self, index: Index) {
        if self.at(index).sequence + 1 == self.next_sequence {
            return;
        }
        self.at_mut(index).sequence = self.next_sequence;
        self.next_sequence += 1;
        self.dirty.push(index);
    }

    pub(crate) fn set_connected(&mut self, index: Index) {
        self.at_mut(index).connected_once = true;
    }

    // -- candidates

    fn rank(&self, index: Index) -> Rank {
        let entry = self.at(index);
        (entry.work, entry.precious, Reverse(entry.sequence), index)
    }

    fn is_possible(&self, index: Index) -> bool {
        let entry = self.at(index);
        entry.connectable && entry.invalid.is_none()
    }

    /// Puts the block among the candidates, or takes it from them.
    ///
    /// Its rank must not have changed since it was put there.
    fn refresh_candidate(&mut self, index: Index) {
        let possible = self.is_possible(index) && !self.children(index).any(|child| self.is_possible(child));
        let rank = self.rank(index);
        if possible {
            self.candidates.insert(rank);
        } else {
            self.candidates.remove(&rank);
        }
    }

    /// The records that the store lacks, parents before children; from now on it has them.
    pub(crate) fn take_dirty(&mut self) -> Vec<HeaderRecord> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty.into_iter().map(|index| self.record(index)).collect()
    }

    fn record(&self, index: Index) -> HeaderRecord {
        let entry = self.at(index);
        HeaderRecord {
            header: entry.header,
            hash: entry.hash,
            height: entry.height,
            sequence: entry.sequence,
            seen: entry.seen,
            invalid: entry.invalid,
        }
    }
}

/// The work that a header claims by its own bits.
fn own_work(header: &Header) -> Work {
    header.bits.to_target().map(crate::pow::Target::work).unwrap_or_default()
}

/// Facts from whoever knows them already.
fn learn(
    shared: Option<&Arc<Shared>>,
    hash: BlockHash,
    work_out: impl FnOnce() -> BlockFacts,
) -> Arc<BlockFacts> {
    match shared {
        Some(shared) => shared.facts(hash, work_out),
        None => Arc::new(work_out()),
    }
}

/// The height that a block's skip pointer leads to (Core: `GetSkipHeight`).
fn skip_height(height: u32) -> u32 {
    let without_lowest_one = |number: u32| number & number.wrapping_sub(1);
    match height {
        0 | 1 => 0,
        odd if odd & 1 == 1 => without_lowest_one(without_lowest_one(odd - 1)) + 1,
        even => without_lowest_one(even),
    }
}
