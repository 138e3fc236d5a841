//! `kill -9` of the real program, again and again: what it acknowledged is there when it comes back, and its coins equal a
//! replay from the genesis.
//!
//! [`Campaign::cycle`] brings a victim to a [`Moment`] and kills it there; [`Tally`] counts, by what the store's log said
//! last, where the kills hit.

mod source;
mod tally;
mod victim;

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

pub use source::Source;
pub use tally::Tally;
pub use victim::Victim;

/// Blocks of the branch that loses, in each reorganisation.
pub const DEPTH: usize = 8;
/// Acknowledged blocks that are asked for after each kill, the newest; older ones were asked for after earlier kills,
/// and all of them at the end.
const ASKED: usize = 60;
/// How long a victim may take to answer again.
const COMES_BACK: Duration = Duration::from_secs(30);

/// What the victim is doing when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It connects a block that was submitted.
    Connecting,
    /// It changes over to a better branch.
    Reorganising,
    /// It writes its coins out, having been asked to stop.
    Flushing,
    /// It was asked to stop; it dies anywhere on the way.
    Stopping,
    /// It comes back from an earlier kill.
    Recovering,
    /// It mines.
    Mining,
    /// It downloads blocks from a peer.
    Syncing,
}

impl Moment {
    /// All of them, in the order in which a campaign goes round; the hard ones more often.
    pub const ROUND: [Self; 10] = [
        Self::Reorganising,
        Self::Flushing,
        Self::Recovering,
        Self::Reorganising,
        Self::Connecting,
        Self::Flushing,
        Self::Mining,
        Self::Reorganising,
        Self::Stopping,
        Self::Syncing,
    ];
}

/// A victim, what it was given, and what it acknowledged.
pub struct Campaign {
    source: Source,
    victim: Victim,
    /// A peer that has every block, from the first time it is wanted.
    peer: Option<Victim>,
    acknowledged: Vec<String>,
    rng: StdRng,
    tally: Tally,
}

impl Campaign {
    /// Begins one with a chain of 101 blocks, so that there are coins to spend.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut campaign = Self {
            source: Source::new(seed),
            victim: Victim::start(),
            peer: None,
            acknowledged: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            tally: Tally::default(),
        };
        let blocks = campaign.source.extend(101);
        campaign.submit(&blocks);
        campaign
    }

    /// Where the kills hit so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Kills the victim at the next moment of the round, starts it again, and checks what it has.
    ///
    /// # Panics
    /// When something acknowledged is lost, the coins are others, or the victim does not come back.
    pub fn cycle(&mut self) {
        match Moment::ROUND[self.tally.kills % Moment::ROUND.len()] {
            Moment::Connecting => self.kill_while_connecting(),
            Moment::Reorganising => self.kill_while_reorganising(),
            Moment::Flushing => self.kill_while_flushing(),
            Moment::Stopping => self.kill_while_stopping(),
            Moment::Recovering => self.kill_while_recovering(),
            Moment::Mining => self.kill_while_mining(),
            Moment::Syncing => self.kill_while_syncing(),
        }
    }

    /// Submits blocks, each of which must be answered as taken; from then on they must not be lost.
    fn submit(&mut self, blocks: &[String]) {
        for name in blocks {
            self.victim.submit(&self.source.raw(name));
            self.acknowledged.push(self.source.hash(name));
        }
    }

    /// Submits one block from another thread and kills the victim at `word`. Whether it had answered.
    fn submit_and_kill(&mut self, name: &str, word: &str, limit: Duration) -> bool {
        let (rpc, raw) = (self.victim.rpc.clone(), self.source.raw(name));
        let submission = thread::spawn(move || rpc.try_call("submitblock", &json!([raw])) == Ok(Value::Null));
        self.victim.kill_at(word, limit);
        self.tally.count(&self.victim.stages());
        submission.join().expect("a call does not panic")
    }

    /// Starts the victim again. Its tip must be one of `tips`, the last of them if `answered`, and nothing lost.
    fn come_back(&mut self, tips: &[String], answered: bool) {
        self.victim.restart(None);
        let tip = self.victim.rpc.tip().1;
        assert!(tips.contains(&tip), "the tip is {tip}, none of {tips:?}");
        assert!(!answered || Some(&tip) == tips.last(), "the tip {tip} is older than what was answered");
        self.check();
    }

    fn kill_while_connecting(&mut self) {
        let blocks = self.source.extend(3);
        let (last, first) = blocks.split_last().expect("three");
        self.submit(first);
        let words = ["Append {", "SyncBlocks", "AppendJournal", "SyncJournal", "Committed"];
        let word = words[self.rng.random_range(0..words.len())];
        let answered = self.submit_and_kill(last, word, Duration::from_millis(500));
        let tips = [first.last().expect("two"), last].map(|name| self.source.hash(name));
        self.come_back(&tips, answered);
        self.submit(std::slice::from_ref(last));
    }

    /// The winning branch is one block longer; the victim dies while it changes over.
    fn kill_while_reorganising(&mut self) {
        let (loser, winner) = self.source.rivals(DEPTH);
        self.submit(&loser);
        let (last, side) = winner.split_last().expect("not empty");
        self.submit(side);
        let old = self.victim.rpc.tip().1;
        assert_eq!(
            Some(&old),
            loser.last().map(|name| self.source.hash(name)).as_ref(),
            "equal work does not win"
        );
        let limit = match self.rng.random_range(0..4) {
            0 => Duration::from_millis(self.rng.random_range(0..20)),
            _ => Duration::from_millis(500),
        };
        let answered = self.submit_and_kill(last, &format!("disconnected: {DEPTH}"), limit);
        let new = self.source.hash(last);
        self.come_back(&[old, new.clone()], answered);
        self.submit(std::slice::from_ref(last));
        assert_eq!(self.victim.rpc.tip().1, new, "it goes on to the better branch");
    }

    /// Ctrl-C makes it flush; the victim dies in the middle of that.
    fn kill_while_flushing(&mut self) {
        let blocks = self.source.extend(2);
        self.submit(&blocks);
        let words = ["FlushBegin", "FlushSlice", "FlushSync", "FlushMark"];
        let word = words[self.rng.random_range(0..words.len())];
        self.victim.tine.signal_interrupt();
        self.victim.kill_at(word, Duration::from_secs(20));
        self.tally.count(&self.victim.stages());
        self.come_back(&[self.source.tip_hash()], true);
    }

    fn kill_while_stopping(&mut self) {
        let blocks = self.source.extend(1);
        self.submit(&blocks);
        self.victim.tine.signal_interrupt();
        thread::sleep(Duration::from_millis(self.rng.random_range(0..150)));
        self.victim.tine.kill();
        self.tally.count(&self.victim.stages());
        self.tally.in_shutdown += 1;
        self.come_back(&[self.source.tip_hash()], true);
    }

    /// Killed, and killed again as it comes back, up to three times.
    fn kill_while_recovering(&mut self) {
        let blocks = self.source.extend(2);
        self.submit(&blocks);
        self.victim.tine.kill();
        for _ in 0..self.rng.random_range(1..4) {
            self.victim.launch(None);
            match self.rng.random_range(0..3) {
                0 => {
                    thread::sleep(Duration::from_millis(self.rng.random_range(0..100)));
                    self.victim.tine.kill();
                }
                _ => self.victim.kill_at("Replay", Duration::from_secs(20)),
            }
            self.tally.count(&self.victim.stages());
        }
        self.come_back(&[self.source.tip_hash()], true);
    }

    /// The victim dies while it mines; what it had answered for is there.
    fn kill_while_mining(&mut self) {
        let before = self.victim.rpc.tip().0;
        let (rpc, address) = (self.victim.rpc.clone(), self.source.address());
        let mining = thread::spawn(move || {
            let mut mined = Vec::new();
            while let Ok(hashes) = rpc.try_call("generatetoaddress", &json!([1, address])) {
                mined.extend(hashes[0].as_str().map(str::to_owned));
            }
            mined
        });
        thread::sleep(Duration::from_millis(self.rng.random_range(20..240)));
        self.victim.tine.kill();
        self.tally.count(&self.victim.stages());
        let mined = mining.join().expect("a call does not panic");
        self.victim.restart(None);
        let height = self.victim.rpc.tip().0;
        assert!(height >= before + mined.len() as u64, "{} blocks were answered", mined.len());
        for height in before + 1..=height {
            self.source.adopt(&self.victim.raw_at(height));
        }
        self.acknowledged.extend(mined);
        self.check();
    }

    /// The victim dies while it downloads a peer's blocks; with the peer there it reaches its tip all the same.
    fn kill_while_syncing(&mut self) {
        let peer = self.peer.get_or_insert_with(Victim::start);
        // nodes remember each other: it may have been left on a branch that has lost since
        let known = (peer.rpc.tip().0 as usize).saturating_sub(DEPTH);
        self.source.extend(40);
        for name in self.source.path().iter().skip(known) {
            peer.submit(&self.source.raw(name));
        }
        let (port, goal) = (peer.port, peer.rpc.tip());
        assert_eq!(goal.1, self.source.tip_hash(), "it has every block");
        let before = self.victim.rpc.tip().0;
        self.victim.tine.kill();
        self.victim.launch(Some(port));
        let seen = Instant::now();
        let wait = Duration::from_millis(self.rng.random_range(0..600));
        while seen.elapsed() < wait && self.victim.rpc.try_call("getblockcount", &json!([])).is_err() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(self.rng.random_range(0..150)));
        self.victim.tine.kill();
        self.tally.count(&self.victim.stages());
        self.victim.restart(Some(port));
        assert!(self.victim.rpc.tip().0 >= before);
        let end = Instant::now() + COMES_BACK;
        while self.victim.rpc.tip() != goal {
            let report = || {
                let peers = self.victim.rpc.call("getpeerinfo", &json!([]));
                format!(
                    "it has {:?}, its peer {goal:?} of {:?}; its peers: {peers}",
                    self.victim.rpc.tip(),
                    peer.rpc.tip()
                )
            };
            assert!(Instant::now() < end, "the victim does not reach its peer's tip: {}", report());
            thread::sleep(Duration::from_millis(50));
        }
        self.check();
    }

    /// Asks for every block that was ever acknowledged.
    ///
    /// # Panics
    /// When one is lost.
    pub fn check_all(&self) {
        self.ask_for(self.acknowledged.len());
    }

    fn ask_for(&self, newest: usize) {
        for hash in self.acknowledged.iter().rev().take(newest) {
            let block = self.victim.rpc.try_call("getblock", &json!([hash, 0]));
            assert!(block.is_ok(), "block {hash} was acknowledged: {block:?}");
        }
    }

    /// Nothing acknowledged is lost, and the coins equal a replay.
    fn check(&self) {
        self.ask_for(ASKED);
        let tip = self.victim.rpc.tip().1;
        let (count, hash) = self.source.coins_at(&tip);
        let info = self.victim.rpc.call("gettxoutsetinfo", &json!(["lthash"]));
        assert_eq!(info["bestblock"], json!(tip));
        assert_eq!(info["txouts"], json!(count), "the coins at {tip}");
        assert_eq!(info["lthash"], json!(hash), "the coins equal a replay from the genesis");
    }
}

impl Drop for Campaign {
    /// Keeps the directory of a victim that lost something.
    #[expect(clippy::print_stdout, reason = "for whoever looks at the test that failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            let mut report = String::new();
            for line in self.victim.tine.lines().iter().rev().take(20).rev() {
                let _ = writeln!(report, "  {line}");
            }
            println!("{}\n{report}kept in {}", self.tally, self.victim.keep().display());
        }
    }
}
