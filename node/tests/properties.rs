//! Random events in random order: nothing panics, the node always comes to rest, and the mempool's invariants hold.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use harness::*;
use proptest::prelude::*;
use tine_chain::block::Block;
use tine_chain::hash::{BlockHash, Wtxid};
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction};
use tine_node::Node;
use tine_node::event::{Action, Event, GossipId, PeerId, RequestId, Submission, SubmitId};
use tine_node::mempool::ENTRY_OVERHEAD;
use tine_node::wire::{CompactBlock, Gossip, Request, Response};

/// Blocks of a tree with three branches, and transactions that are good, conflicting, orphaned, locked or forged.
struct Universe {
    blocks: Vec<Arc<Block>>,
    transactions: Vec<Arc<Transaction>>,
}

fn universe() -> &'static Universe {
    static UNIVERSE: OnceLock<Universe> = OnceLock::new();
    UNIVERSE.get_or_init(|| {
        let mut trunk = Rig::new();
        let funds = trunk.fund(6, 7);
        let mut transactions = Vec::new();
        for coin in &funds {
            let first = pay(&[*coin], &[(2, REWARD / 2), (3, REWARD / 2 - FEE)]);
            let rival = forward(*coin, 4, 2 * FEE);
            let second = forward(Funds::of(&first, 0, 2), 5, FEE);
            let third = pay(&[Funds::of(&second, 0, 5), Funds::of(&first, 1, 3)], &[(6, REWARD - 4 * FEE)]);
            let mut locked = draft(&[Funds::of(&first, 1, 3)], &[(6, REWARD / 2 - 3 * FEE)]);
            locked.lock_time = trunk.height() + 2;
            locked.inputs[0].sequence = SEQUENCE_LOCK_TIME;
            let locked = signed(locked, &[Funds::of(&first, 1, 3)]);
            let mut forged = second.data().clone();
            forged.witnesses[0].0[40] ^= 1;
            transactions.extend([first, rival, second, third, locked, Arc::new(Transaction::new(forged))]);
        }
        let mut blocks = trunk.blocks();
        // three branches, each with its own choice of transactions
        for branch in 0..3usize {
            let mut rig = Rig::with(new_node(10 + branch as u64));
            rig.now = trunk.now;
            for block in trunk.blocks() {
                rig.submit_block(&block).expect("valid");
            }
            for height in 0..3 + branch {
                for tx in transactions.iter().skip(branch + height).step_by(2 + branch) {
                    let _ = rig.submit_tx(tx);
                }
                blocks.push(rig.mine(20 + branch as u8));
            }
        }
        // one that pays too much
        let last = blocks.last().expect("mined").clone();
        let mut coinbase = last.transactions[0].data().clone();
        coinbase.outputs[0].value.0 += 1_000 * REWARD;
        let mut body = last.transactions.clone();
        body[0] = Arc::new(Transaction::new(coinbase));
        blocks.push(rebuilt(&last, body));
        Universe { blocks, transactions }
    })
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Connect(u64),
    Disconnect(u64),
    Malformed(u64),
    GossipBlock(u64, usize),
    GossipTransaction(u64, usize),
    SubmitBlock(usize),
    SubmitTransaction(usize),
    /// Answers the open request with this number, honestly, or with something else.
    Answer(usize, bool, usize),
    Fail(usize),
    Ask(u64, usize),
    Invalidate(usize),
    Reconsider(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 1..5u64;
    let any = 0..1_000usize;
    prop_oneof![
        3 => peer.clone().prop_map(Step::Connect),
        1 => peer.clone().prop_map(Step::Disconnect),
        1 => peer.clone().prop_map(Step::Malformed),
        8 => (peer.clone(), any.clone()).prop_map(|(peer, at)| Step::GossipBlock(peer, at)),
        10 => (peer.clone(), any.clone()).prop_map(|(peer, at)| Step::GossipTransaction(peer, at)),
        4 => any.clone().prop_map(Step::SubmitBlock),
        6 => any.clone().prop_map(Step::SubmitTransaction),
        12 => (any.clone(), prop::bool::weighted(0.85), any.clone())
            .prop_map(|(open, honest, at)| Step::Answer(open, honest, at)),
        2 => any.clone().prop_map(Step::Fail),
        3 => (peer, any.clone()).prop_map(|(peer, at)| Step::Ask(peer, at)),
        1 => any.clone().prop_map(Step::Invalidate),
        2 => any.prop_map(Step::Reconsider),
        4 => (0..40u64).prop_map(Step::Wait),
    ]
}

/// The node under test, and what it has asked.
struct Subject {
    rig: Rig,
    connected: BTreeSet<u64>,
    numbers: BTreeMap<u64, u64>,
    open: Vec<(u64, RequestId, Request)>,
    judged: BTreeSet<GossipId>,
    next: u64,
}

impl Subject {
    fn new() -> Self {
        let mut rig = Rig::new();
        // half of the trunk is known
        for block in &universe().blocks[..4] {
            rig.now = rig.now + Duration::from_secs(10);
            rig.submit_block(block).expect("valid");
        }
        rig.now = start() + Duration::from_secs(1_000);
        Self {
            rig,
            connected: BTreeSet::new(),
            numbers: BTreeMap::new(),
            open: Vec::new(),
            judged: BTreeSet::new(),
            next: 0,
        }
    }

    fn feed(&mut self, event: Event) {
        let actions = self.rig.feed(event);
        self.note(actions);
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Request(peer, id, request) => self.open.push((peer.0, id, request)),
                Action::Judge(id, _) => assert!(self.judged.insert(id), "judged twice"),
                Action::Disconnect(peer, _) => {
                    self.connected.retain(|name| self.numbers.get(name) != Some(&peer.0));
                    self.feed(Event::Disconnected(peer));
                }
                Action::Respond(..)
                | Action::Publish(_)
                | Action::Punish(..)
                | Action::Answer(..)
                | Action::Notify(_) => {}
            }
        }
    }

    /// The number of the peer called `name`, when it is connected.
    fn peer(&self, name: u64) -> Option<PeerId> {
        self.connected.contains(&name).then(|| PeerId(self.numbers[&name]))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next + 1_000_000
    }

    fn step(&mut self, step: Step) {
        let all = universe();
        let block = |at: usize| all.blocks[at % all.blocks.len()].clone();
        let transaction = |at: usize| all.transactions[at % all.transactions.len()].clone();
        match step {
            Step::Connect(name) => {
                if self.connected.insert(name) {
                    let number = self.number();
                    self.numbers.insert(name, number);
                    self.feed(Event::Connected(PeerId(number), info("peer")));
                }
            }
            Step::Disconnect(name) => {
                if let Some(peer) = self.peer(name) {
                    self.connected.remove(&name);
                    self.feed(Event::Disconnected(peer));
                }
            }
            Step::Malformed(name) => {
                if let Some(peer) = self.peer(name) {
                    self.feed(Event::Malformed(peer));
                }
            }
            Step::GossipBlock(name, at) => {
                let compact = CompactBlock::new(&block(at), at as u64).expect("not empty");
                self.gossip(name, Gossip::Block(Arc::new(compact)));
            }
            Step::GossipTransaction(name, at) => self.gossip(name, Gossip::Transaction(transaction(at))),
            Step::SubmitBlock(at) => {
                let id = SubmitId(self.number());
                self.feed(Event::Submit(id, Submission::Block(block(at))));
            }
            Step::SubmitTransaction(at) => {
                let id = SubmitId(self.number());
                self.feed(Event::Submit(id, Submission::Transaction(transaction(at))));
            }
            Step::Answer(open, honest, at) => self.answer(open, honest, at),
            Step::Fail(open) => {
                if !self.open.is_empty() {
                    let (peer, id, _) = self.open.remove(open % self.open.len());
                    self.feed(Event::RequestFailed(PeerId(peer), id));
                }
            }
            Step::Ask(name, at) => {
                if let Some(peer) = self.peer(name) {
                    let request = match at % 5 {
                        0 => Request::Headers { locator: vec![block(at).hash()] },
                        1 => Request::Blocks(vec![block(at).hash(), block(at + 1).hash()]),
                        2 => Request::BlockTransactions(block(at).hash(), vec![0, 1, 70]),
                        3 => Request::Transactions(vec![transaction(at).wtxid()]),
                        _ => Request::Mempool,
                    };
                    let id = RequestId(self.number());
                    self.feed(Event::Request(peer, id, request));
                }
            }
            Step::Invalidate(at) => {
                if let Ok(actions) = self.rig.node.invalidate(&block(at).hash(), self.rig.now) {
                    self.note(actions);
                }
            }
            Step::Reconsider(at) => {
                if let Ok(actions) = self.rig.node.reconsider(&block(at).hash(), self.rig.now) {
                    self.note(actions);
                }
            }
            Step::Wait(seconds) => {
                let actions = self.rig.pass(Duration::from_secs(seconds));
                self.note(actions);
            }
        }
    }

    fn gossip(&mut self, name: u64, gossip: Gossip) {
        if let Some(peer) = self.peer(name) {
            let id = GossipId(self.number());
            self.feed(Event::Gossip(peer, id, gossip));
        }
    }

    fn answer(&mut self, open: usize, honest: bool, at: usize) {
        if self.open.is_empty() {
            return;
        }
        let (peer, id, request) = self.open.remove(open % self.open.len());
        let response = if honest { honest_answer(&request) } else { other_answer(at) };
        self.feed(Event::Response(PeerId(peer), id, response));
    }
}

/// What a peer that has everything says.
fn honest_answer(request: &Request) -> Response {
    let all = universe();
    let find = |hash: &BlockHash| all.blocks.iter().find(|block| block.hash() == *hash).cloned();
    match request {
        // the longest branch is the last
        Request::Headers { .. } => {
            let mut headers = headers_of(&all.blocks[..8]);
            headers.extend(headers_of(&all.blocks[15..20]));
            Response::Headers(headers)
        }
        Request::Blocks(hashes) => Response::Blocks(hashes.iter().map_while(find).collect()),
        Request::BlockTransactions(hash, places) => {
            let block = find(hash).expect("only blocks of this universe are announced");
            let found = places.iter().map(|place| block.transactions[*place as usize].clone());
            Response::BlockTransactions(*hash, found.collect())
        }
        Request::Transactions(ids) => {
            let wanted: BTreeSet<Wtxid> = ids.iter().copied().collect();
            let found = all.transactions.iter().filter(|tx| wanted.contains(&tx.wtxid()));
            Response::Transactions(found.cloned().collect())
        }
        Request::Mempool => Response::Mempool(all.transactions.iter().map(|tx| tx.wtxid()).collect()),
    }
}

/// Something that somebody might say to something else.
fn other_answer(at: usize) -> Response {
    let all = universe();
    let block = all.blocks[at % all.blocks.len()].clone();
    match at % 6 {
        0 => Response::Headers(vec![]),
        1 => Response::Headers(vec![block.header]),
        2 => Response::Blocks(vec![]),
        3 => Response::Blocks(vec![block]),
        4 => Response::BlockTransactions(block.hash(), vec![]),
        _ => Response::Transactions(vec![]),
    }
}

/// The invariants, each computed anew from the entries.
fn check(node: &Node) {
    let pool = node.mempool();
    let mut spent: BTreeSet<OutPoint> = BTreeSet::new();
    let mut earlier = BTreeMap::new();
    let mut bytes = 0;
    for entry in pool.entries() {
        let mut ancestors = BTreeSet::new();
        for input in &entry.tx.inputs {
            assert!(spent.insert(input.prevout), "a coin is spent twice");
            assert_eq!(pool.spender_of(&input.prevout), Some(entry.tx.txid()));
            if let Some((tx, of_parent)) = earlier.get(&input.prevout.txid) {
                let tx: &Arc<Transaction> = tx;
                assert!((input.prevout.vout as usize) < tx.outputs.len());
                ancestors.extend(BTreeSet::clone(of_parent));
                ancestors.insert(input.prevout.txid);
            } else {
                let coin = node.chain().coin(&input.prevout).expect("memory never fails");
                assert!(coin.is_some(), "an input is neither in the chain nor from an earlier entry");
            }
        }
        assert_eq!(entry.ancestors.count as usize, ancestors.len() + 1);
        earlier.insert(entry.tx.txid(), (entry.tx.clone(), ancestors));
        bytes += entry.tx.size() as u64;
    }
    for entry in pool.entries() {
        let of_entry = earlier.values().filter(|(_, ancestors)| ancestors.contains(&entry.tx.txid())).count();
        assert_eq!(entry.descendants.count as usize, of_entry + 1);
    }
    assert_eq!((pool.len(), pool.bytes()), (earlier.len(), bytes));
    assert_eq!(pool.usage(), bytes + ENTRY_OVERHEAD * earlier.len() as u64);
    assert!(node.orphan_count() <= 100);
    // and all of it makes a valid block
    let spec = tine_node::template::CoinbaseSpec { lock: lock(1), extra: vec![1] };
    let tip_is_valid = node.chain().tip().invalid.is_none();
    if tip_is_valid {
        let now = start() + Duration::from_secs(100_000);
        let template = node.template(None, now, &spec).expect("the tip is valid");
        assert_eq!(template.block.transactions.len(), pool.len() + 1);
        let verdict = node.chain().verify_block_template(&template.block, now).expect("memory never fails");
        assert_eq!(verdict, Ok(template.fees));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_node(steps in prop::collection::vec(step(), 1..120)) {
        let mut subject = Subject::new();
        for step in steps {
            subject.step(step);
            check(&subject.rig.node);
        }
    }
}

/// The same events in the same order give the same actions: nothing depends on the order of a hash map or on a clock.
#[test]
fn a_node_is_deterministic() {
    let run = || {
        let mut rig = Rig::new();
        let mut log = Vec::new();
        for peer in 1..4 {
            log.extend(rig.connect(peer));
        }
        for block in &universe().blocks {
            log.extend(rig.gossip_block(1, block));
        }
        for tx in &universe().transactions {
            log.extend(rig.gossip_tx(2, tx));
        }
        log.extend(rig.pass(Duration::from_secs(100)));
        format!("{log:?}")
    };
    let first = run();
    assert!(first.len() > 1_000);
    assert_eq!(first, run());
}
