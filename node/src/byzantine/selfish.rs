//! Selfish mining and its stubborn variants.
//!
//! Eyal and Sirer, "Majority is not Enough: Bitcoin Mining is Vulnerable" (2014), algorithm 1; Nayak, Kumar, Miller and
//! Shi, "Stubborn Mining" (2016), §3. The pool mines on a private branch and shows of it as much as it needs to make
//! others' blocks stale. Lengths are heights here, and an epoch ends when one branch is given up.

use tine_chain::hash::BlockHash;
use tine_chain::tree::BlockEntry;

use super::hidden::{Hidden, News, news};
use super::{Adversary, Turn};
use crate::event::{Action, Event};

/// How the strategy departs from the published algorithm 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    /// "Lead stubborn": with a lead of two and others finding one, show one block and not both.
    pub(super) lead_stubborn: bool,
    /// "Equal fork stubborn": in a race, hide the block that would decide it.
    pub(super) equal_fork_stubborn: bool,
    /// "Trail stubborn": go on while at most so many blocks behind.
    pub(super) trail: u32,
    /// With a lead of two or more show nothing at all, so that the branch comes as one surprise.
    pub(super) silent_lead: bool,
}

/// The last block of a branch.
#[derive(Debug, Clone, Copy)]
struct Tip {
    hash: BlockHash,
    height: u32,
}

impl From<&BlockEntry> for Tip {
    fn from(entry: &BlockEntry) -> Self {
        Self { hash: entry.hash, height: entry.height }
    }
}

/// A selfish pool.
#[derive(Debug)]
pub(super) struct Selfish {
    rules: Rules,
    hidden: Hidden,
    /// The private branch, while there is one. All of it may have been shown, in a race.
    private: Option<Tip>,
    /// The longest branch that everybody knows.
    public: Option<Tip>,
}

impl Selfish {
    pub(super) fn new(rules: Rules, seed: u64) -> Self {
        Self { rules, hidden: Hidden::new(seed), private: None, public: None }
    }

    /// "My pool found a block."
    fn found(&mut self, block: Tip, turn: &mut Turn<'_>) {
        let public = self.public.map_or(0, |public| public.height);
        // "was tie with branch of 1": the private branch has been shown, and so have others'
        let raced = self.private.is_some_and(|private| private.height == public);
        self.private = Some(block);
        if raced && !self.rules.equal_fork_stubborn {
            self.win(block, turn);
        }
    }

    /// "Others found a block."
    fn heard(&mut self, block: Tip, turn: &mut Turn<'_>) {
        if self.public.is_some_and(|public| block.height <= public.height) {
            return;
        }
        self.public = Some(block);
        let Some(private) = self.private else { return };
        let tree = turn.node.chain().tree();
        let work = |tip: Tip| tree.get(&tip.hash).map(|entry| entry.work);
        // the branch was shown whole and has won, or it will not win any more
        let built_upon = tree.is_ancestor(&private.hash, &block.hash);
        let behind = block.height.saturating_sub(private.height);
        let hopeless = behind > self.rules.trail || (behind == 0 && work(private) < work(block));
        if built_upon || hopeless {
            self.private = None;
            self.hidden.abandon();
            return;
        }
        match private.height.saturating_sub(block.height) {
            // "now same length: try our luck"
            0 => self.hidden.show_up_to(private.height, turn),
            // "pool wins due to the lead of 1"
            1 if !self.rules.lead_stubborn => self.win(private, turn),
            // "publish first unpublished block in private branch"
            _ if !self.rules.silent_lead => self.hidden.show_up_to(block.height, turn),
            _ => {}
        }
    }

    /// "Publish all of the private chain": it is the longest, and everybody's from now on.
    fn win(&mut self, private: Tip, turn: &mut Turn<'_>) {
        self.hidden.show_up_to(private.height, turn);
        self.private = None;
        self.public = Some(private);
    }
}

impl Adversary for Selfish {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        let tip = turn.node.chain().tip();
        self.public.get_or_insert_with(|| tip.into());
        self.hidden.note(&event, turn);
        turn.events.push(event);
    }

    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        match news(&action) {
            News::Stored(blocks) => {
                for (hash, _) in blocks {
                    if let Some(height) = self.hidden.height(&hash) {
                        self.found(Tip { hash, height }, turn);
                    }
                }
            }
            News::Header(hash, height) if !self.hidden.contains(&hash) => {
                self.heard(Tip { hash, height }, turn);
            }
            News::Header(..) | News::Nothing => {}
        }
        turn.actions.extend(self.hidden.without_secrets(action));
    }

    fn parent(&self) -> Option<BlockHash> {
        self.private.map(|private| private.hash)
    }
}
