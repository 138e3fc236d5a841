//! One long story, in the manner of Core's `feature_block.py` and btcd's full-block tests: one chain lives through all of
//! it, and each chapter goes on where the one before ended.
//!
//! Blocks are called by a letter for the branch and a number for the height, `x` for those that break a rule.

use std::sync::Arc;

use tine_chain::amount::{Amount, COIN, MAX_MONEY};
use tine_chain::block::Block;
use tine_chain::chain::{Chain, Inserted};
use tine_chain::hash::MerkleRoot;
use tine_chain::pow::CompactTarget;
use tine_chain::reject::Reject;
use tine_chain::testing::{Draft, TestTree, replay_coins, stored_coins};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData};

/// Blocks of the long reorganisation (Core: `LARGE_REORG_SIZE`).
const LARGE_REORG: usize = 1_088;

struct Story {
    tree: TestTree,
    chain: Chain,
    /// How many bad things were tried.
    refused: usize,
}

impl Story {
    /// Draws on, delivers everything that is new in the order of the drawing, and looks at the tip.
    fn goes(&mut self, drawing: &str, tip: &str) {
        self.tree.draw(drawing);
        for line in drawing.lines() {
            for word in line.split_whitespace().skip(1) {
                let name = word.split('[').next().expect("a name");
                self.tree.deliver(&mut self.chain, name);
            }
        }
        self.tip_is(tip);
    }

    fn tip_is(&self, tip: &str) {
        assert_eq!(self.tree.tip(&self.chain), tip);
    }

    /// A block `x…` on `parent` is refused for this reason, and moves neither the tip nor a coin.
    fn refuses(
        &mut self,
        parent: &str,
        transactions: &[&str],
        reject: Reject,
        spoil: impl FnOnce(&mut Draft),
    ) -> String {
        let name = format!("x{}", self.refused);
        let transactions: Vec<String> = transactions.iter().map(|name| (*name).to_owned()).collect();
        self.tree.block_with(&name, parent, &transactions, spoil);
        self.refuses_block(&name, reject);
        name
    }

    fn refuses_block(&mut self, name: &str, reject: Reject) {
        let before = (self.chain.tip().hash, self.chain.coin_set_hash().expect("memory"));
        assert_eq!(self.tree.submit(&mut self.chain, name), Err(reject), "{name}");
        let after = (self.chain.tip().hash, self.chain.coin_set_hash().expect("memory"));
        assert_eq!(before, after, "{name} left something behind");
        self.refused += 1;
    }

    /// The coins are those of a replay from the genesis.
    fn milestone(&self) {
        assert_eq!(stored_coins(&self.chain), replay_coins(&self.chain));
    }

    /// A transaction that is made without the wallet's help.
    fn odd(&mut self, name: &str, coin: &str, change: impl FnOnce(&mut TxData)) {
        let honest = self.tree.pay(&format!("honest {name}"), &[coin], &[("bob", COIN)]);
        let mut data = honest.data().clone();
        change(&mut data);
        self.tree.add_transaction(name, &Arc::new(Transaction::new(data)));
    }
}

#[test]
fn the_story() {
    let tree = TestTree::regtest();
    let mut story = Story { chain: tree.chain(), tree, refused: 0 };
    let start: Vec<_> = (1..=20).map(|height| format!("r{height}")).collect();
    story.goes(&format!("genesis {}", start.join(" ")), "r20");
    forks(&mut story);
    double_spends(&mut story);
    money(&mut story);
    headers(&mut story);
    bodies(&mut story);
    transactions(&mut story);
    chains_in_a_block(&mut story);
    locks(&mut story);
    mutants(&mut story);
    assert!(story.refused >= 40, "{} bad blocks", story.refused);
    the_long_way_there_and_back(&mut story);
}

/// The most work wins, and of equals the first.
fn forks(story: &mut Story) {
    story.goes("r20 a21 a22", "a22");
    story.goes("a21 b22", "a22");
    story.goes("b22 b23", "b23");
    story.goes("a22 a23", "b23");
    story.goes("a23 a24", "a24");
    story.milestone();
}

/// BLK-17, BLK-22: what is spent on a branch is spent on that branch, and nowhere else.
fn double_spends(story: &mut Story) {
    story.tree.pay("s1", &["r1:0"], &[("bob", 49 * COIN)]);
    story.tree.pay("s2", &["r1:0"], &[("carol", 49 * COIN)]);
    story.goes("a24 a25[s1]", "a25");
    story.refuses("a25", &["s2"], Reject::InputsMissingOrSpent, |_| {});
    // a longer branch that spends r1:0 twice itself
    story.goes("a24 c25[s1]", "a25");
    let twice = story.refuses("c25", &["s2"], Reject::InputsMissingOrSpent, |_| {});
    story.refuses(&twice, &[], Reject::BadPrevBlock, |_| {});
    // one that spends it for the first time
    story.goes("a24 d25[s2] d26", "d26");
    story.milestone();
    // bob's coin is of the other branch
    story.tree.pay("of a25", &["s1:0"], &[("dave", COIN)]);
    story.refuses("d26", &["of a25"], Reject::InputsMissingOrSpent, |_| {});
}

/// BLK-06, BLK-23, RRG-04: miners who take too much.
fn money(story: &mut Story) {
    let overpay = |draft: &mut Draft| draft.coinbase.outputs[0].value.0 += 1;
    story.refuses("d26", &[], Reject::CoinbaseAmount, overpay);
    // the block that would win takes too much, and a child of it spends what it made
    story.goes("d25 e26", "d26");
    story.tree.pay("t1", &["r2:0"], &[("bob", 49 * COIN)]);
    let bad = story.refuses("e26", &["t1"], Reject::CoinbaseAmount, overpay);
    story.tree.pay("t2", &["t1:0"], &[("carol", 48 * COIN)]);
    story.refuses(&bad, &["t2"], Reject::BadPrevBlock, |_| {});
    story.refuses("d26", &["t2"], Reject::InputsMissingOrSpent, |_| {});
    // the third of three, whose bodies come last block first: the two good ones stay
    story.tree.draw("d25 f26 f27");
    story.tree.block_with("xf28", "f27", &[], overpay);
    for name in ["f26", "f27", "xf28"] {
        let header = story.tree.block(name).header;
        story.chain.accept_header(header, story.tree.now()).expect("the header is honest");
    }
    for name in ["xf28", "f27"] {
        assert_eq!(story.tree.submit(&mut story.chain, name), Ok(Inserted::New));
        story.tip_is("d26");
    }
    story.tree.deliver(&mut story.chain, "f26");
    story.tip_is("f27");
    story.refuses_block("xf28", Reject::DuplicateInvalid);
    // coinbases are spent when they are mature
    story.tree.pay("young", &["f27:0"], &[("bob", COIN)]);
    story.refuses("f27", &["young"], Reject::PrematureSpend, |_| {});
    // BLK-05: a miner may take less
    story.tree.block_with("f28", "f27", &[], |draft| draft.coinbase.outputs[0].value.0 -= 7);
    story.tree.deliver(&mut story.chain, "f28");
    story.goes("f28 f29[young]", "f29");
    story.milestone();
}

fn headers(story: &mut Story) {
    let tip = "f29";
    story.refuses(tip, &[], Reject::HighHash, |draft| draft.without_work = true);
    story.refuses(tip, &[], Reject::BadDiffBits, |draft| draft.header.bits = CompactTarget(0x207f_fffe));
    for bits in [0x2080_0001, 0x2000_0000, 0xff12_3456, 0x2100_ffff] {
        story.refuses(tip, &[], Reject::HighHash, |draft| draft.header.bits = CompactTarget(bits));
    }
    let median = story.chain.median_time_past();
    story.refuses(tip, &[], Reject::TimeTooOld, |draft| draft.header.time = median);
    story.refuses(tip, &[], Reject::BadVersion, |draft| draft.header.version = 0);
    // one second later than the median is late enough
    story.tree.block_with("f30", tip, &[], |draft| draft.header.time = median + 1);
    story.tree.deliver(&mut story.chain, "f30");
    // a block that is ahead of the clock waits for its time
    story.tree.draw("f30 f31");
    let early = story.tree.block("f31");
    let ready = u64::from(early.header.time) - story.tree.params.max_future_secs;
    let verdict = story.chain.insert_block(early, Time::from_secs(ready - 1));
    assert_eq!(verdict, Err(Reject::TimeTooNew));
    story.tip_is("f30");
    story.chain.activate(Time::from_secs(ready), 16).expect("memory");
    story.tip_is("f31");
    // an unknown parent is nobody's fault
    story.tree.draw("f31 f32 f33");
    assert_eq!(story.tree.submit(&mut story.chain, "f33"), Err(Reject::PrevBlockNotFound));
    story.tree.deliver(&mut story.chain, "f32 f33");
    story.tip_is("f33");
}

fn bodies(story: &mut Story) {
    let tip = "f33";
    story.refuses(tip, &[], Reject::BadBlockLength, |draft| draft.no_coinbase = true);
    story.tree.pay("u1", &["r3:0"], &[("bob", 49 * COIN)]);
    story.refuses(tip, &["u1"], Reject::CoinbaseMissing, |draft| draft.no_coinbase = true);
    story.refuses(tip, &[], Reject::CoinbaseMultiple, |draft| {
        let mut second = draft.coinbase.clone();
        second.witnesses[0].0 = vec![1];
        draft.transactions.push(Arc::new(Transaction::new(second)));
    });
    story.refuses(tip, &[], Reject::BadMerkleRoot, |draft| draft.root = Some(MerkleRoot([7; 32])));
    for height in [0, 32, 34] {
        let lock_time = move |draft: &mut Draft| draft.coinbase.lock_time = height;
        let reject = if height == 34 { Reject::NonFinal } else { Reject::CoinbaseHeight };
        story.refuses(tip, &[], reject, lock_time);
    }
    for length in [0, 101] {
        let witness = move |draft: &mut Draft| draft.coinbase.witnesses[0].0 = vec![1; length];
        story.refuses(tip, &[], Reject::CoinbaseLength, witness);
    }
    // BLK-25: the coinbase of an earlier block again
    let earlier = story.tree.transaction("f29").data().clone();
    story.refuses(tip, &[], Reject::CoinbaseHeight, |draft| draft.coinbase = earlier);
    story.tree.block_with("f34", tip, &[], |draft| draft.coinbase.witnesses[0].0 = vec![1; 100]);
    story.tree.deliver(&mut story.chain, "f34");
    story.milestone();
}

fn transactions(story: &mut Story) {
    let tip = "f34";
    let null = OutPoint::NULL;
    story.odd("no inputs", "r4:0", |data| {
        data.inputs.clear();
        data.witnesses.clear();
    });
    story.odd("no outputs", "r4:0", |data| data.outputs.clear());
    story.odd("negative", "r4:0", |data| data.outputs[0].value = Amount(1 << 63));
    story.odd("too much", "r4:0", |data| {
        data.outputs[0].value = MAX_MONEY;
        data.outputs.push(data.outputs[0]);
    });
    story.odd("input twice", "r4:0", |data| {
        data.inputs.push(data.inputs[0]);
        data.witnesses.push(data.witnesses[0].clone());
    });
    story.odd("null input", "r4:0", |data| {
        data.inputs.push(data.inputs[0]);
        data.witnesses.push(data.witnesses[0].clone());
        data.inputs[1].prevout = null;
    });
    story.odd("too long", "r4:0", |data| {
        let output = data.outputs[0];
        data.outputs.resize(10_000, output);
    });
    story.odd("no such output", "r4:0", |data| data.inputs[0].prevout.vout = 1);
    story.odd("forged", "r4:0", |data| data.witnesses[0].0[50] ^= 1);
    story.odd("cut", "r4:0", |data| data.witnesses[0].0.truncate(96));
    story.tree.pay("too generous", &["r4:0"], &[("bob", 50 * COIN + 1)]);
    for (name, reject) in [
        ("no inputs", Reject::NoInputs),
        ("no outputs", Reject::NoOutputs),
        ("negative", Reject::OutputTooLarge),
        ("too much", Reject::OutputTotalTooLarge),
        ("input twice", Reject::DuplicateInputs),
        ("null input", Reject::NullPrevout),
        ("too long", Reject::TxTooLarge),
        ("no such output", Reject::InputsMissingOrSpent),
        ("forged", Reject::BadSignature),
        ("cut", Reject::WitnessDecode),
        ("too generous", Reject::InBelowOut),
    ] {
        // a coinbase of the subsidy alone, whatever the bad transaction is worth
        story.refuses(tip, &[name], reject, |draft| draft.coinbase.outputs[0].value = Amount(50 * COIN));
    }
}

/// BLK-11, BLK-14, BLK-15: an output can be spent in its own block, after it was made, once.
fn chains_in_a_block(story: &mut Story) {
    story.tree.pay("v1", &["r5:0"], &[("bob", 49 * COIN)]);
    story.tree.pay("v2", &["v1:0"], &[("carol", 48 * COIN)]);
    story.tree.pay("v3", &["v1:0"], &[("dave", 48 * COIN)]);
    story.refuses("f34", &["v2", "v1"], Reject::InputsMissingOrSpent, |_| {});
    story.refuses("f34", &["v1", "v2", "v3"], Reject::InputsMissingOrSpent, |_| {});
    story.refuses("f34", &["v1", "v2", "v1"], Reject::InputsMissingOrSpent, |_| {});
    story.goes("f34 f35[v1,v2]", "f35");
    story.milestone();
}

/// TX-13, TX-16: not before its time.
fn locks(story: &mut Story) {
    story.tree.pay_with("at36", &["r6:0"], &[("bob", COIN)], |data| {
        data.lock_time = 36;
        data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    });
    story.tree.pay_with("old3", &["v2:0"], &[("bob", COIN)], |data| data.inputs[0].sequence = 3);
    story.refuses("f35", &["at36"], Reject::NonFinal, |_| {});
    story.refuses("f35", &["old3"], Reject::SequenceLock, |_| {});
    story.goes("f35 f36", "f36");
    story.refuses("f36", &["old3"], Reject::SequenceLock, |_| {});
    story.goes("f36 f37[at36] f38[old3]", "f38");
}

/// MRK-01, MRK-03: a body that repeats its end has the same root. It is refused, and the honest one is taken.
fn mutants(story: &mut Story) {
    story.tree.pay("w1", &["r7:0"], &[("bob", 49 * COIN)]);
    story.tree.pay("w2", &["w1:0"], &[("bob", 48 * COIN)]);
    story.tree.draw("f38 f39[w1,w2]");
    let honest = story.tree.block("f39");
    let mut mutant = Block::clone(&honest);
    mutant.transactions.push(Arc::clone(&honest.transactions[2]));
    let now = story.tree.now();
    let verdict = story.chain.insert_block(Arc::new(mutant), now);
    assert_eq!(verdict, Err(Reject::DuplicateTransactions));
    story.tip_is("f38");
    story.tree.deliver(&mut story.chain, "f39");
    story.tip_is("f39");
    story.milestone();
}

/// RRG-03: over a thousand blocks with a payment each are left for others, and come back.
///
/// ```text
///  f39 ── l1 … l1088 ─────────────────── l1089 l1090
///     └── m1 … m1089
/// ```
fn the_long_way_there_and_back(story: &mut Story) {
    let branch = |story: &mut Story, letter: char, count: usize| {
        let (owner, mut coin) = (letter.to_string(), "r8:0".to_owned());
        let mut words = vec!["f39".to_owned()];
        for number in 1..=count {
            let payment = format!("{letter}p{number}");
            story.tree.pay(&payment, &[coin.as_str()], &[(owner.as_str(), 40 * COIN - number as u64)]);
            words.push(format!("{letter}{number}[{payment}]"));
            coin = format!("{payment}:0");
        }
        words.join(" ")
    };
    let there = branch(story, 'l', LARGE_REORG);
    story.goes(&there, "l1088");
    let coins = stored_coins(&story.chain);
    let before = story.chain.journal().len();
    let away = branch(story, 'm', LARGE_REORG + 1);
    story.goes(&away, "m1089");
    story.milestone();
    story.goes("l1088 l1089 l1090", "l1090");
    story.milestone();
    let lost = coins.keys().filter(|outpoint| story.chain.coin(outpoint).expect("memory").is_none());
    assert_eq!(lost.count(), 0, "every coin of the first branch is back");
    let journal = &story.chain.journal()[before..];
    let depths: Vec<_> =
        journal.iter().map(|reorg| (reorg.disconnected.len(), reorg.connected.len())).collect();
    assert_eq!(depths, [(LARGE_REORG, LARGE_REORG + 1), (LARGE_REORG + 1, LARGE_REORG + 2)]);
}
