//! What the tests share: keys, payments, a node with a hand on it, and a network of nodes in virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks what it looks for")]

pub mod world;

use std::sync::Arc;
use std::time::Duration;

use tine_chain::amount::{Amount, COIN};
use tine_chain::block::{Block, Header};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::{BlockHash, Lock, Txid, Wtxid};
use tine_chain::merkle;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::reject::Reject;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{Parallel, public_key, sign};
use tine_chain::store::memory::MemoryStore;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction, TxData, TxIn, TxOut, Witness};
use tine_node::event::{
    Accepted, Action, Event, GossipId, Notice, PeerId, PeerInfo, RequestId, Submission, SubmitId, Verdict,
};
use tine_node::peers::Offence;
use tine_node::template::CoinbaseSpec;
use tine_node::wire::{CompactBlock, Gossip, Request, Response};
use tine_node::{Node, NodeConfig};

/// A fee that is enough for every payment in these tests.
pub const FEE: u64 = 10_000;

/// Regtest with coins that mature at once: the block after the next may spend them.
pub fn params() -> Params {
    Params { coinbase_maturity: 2, ..Params::of(Network::Regtest) }
}

/// An hour after the genesis.
pub fn start() -> Time {
    Time::from_secs(u64::from(params().genesis.time) + 3_600)
}

pub fn secret(owner: u8) -> [u8; 32] {
    [owner; 32]
}

pub fn lock(owner: u8) -> Lock {
    Policy::key(public_key(&secret(owner))).lock()
}

/// A coin, and who can spend it.
#[derive(Debug, Clone, Copy)]
pub struct Funds {
    pub outpoint: OutPoint,
    pub output: TxOut,
    pub owner: u8,
}

impl Funds {
    /// Output `vout` of `tx`, which pays `owner`.
    pub fn of(tx: &Transaction, vout: u32, owner: u8) -> Self {
        let output = tx.outputs[vout as usize];
        assert_eq!(output.lock, lock(owner));
        Self { outpoint: tx.outpoint(vout), output, owner }
    }
}

/// A transaction that is not signed yet.
pub fn draft(funds: &[Funds], outputs: &[(u8, u64)]) -> TxData {
    TxData {
        version: 2,
        inputs: funds.iter().map(|coin| TxIn { prevout: coin.outpoint, sequence: SEQUENCE_FINAL }).collect(),
        outputs: outputs.iter().map(|(to, value)| TxOut { value: Amount(*value), lock: lock(*to) }).collect(),
        lock_time: 0,
        witnesses: vec![Witness::default(); funds.len()],
    }
}

/// Signs `data`, whose inputs spend `funds` in order.
pub fn signed(mut data: TxData, funds: &[Funds]) -> Arc<Transaction> {
    let spent: Vec<TxOut> = funds.iter().map(|coin| coin.output).collect();
    let cache = SighashCache::new(&params().genesis_hash(), &data, &spent).expect("one coin for each input");
    data.witnesses = funds
        .iter()
        .enumerate()
        .map(|(at, coin)| {
            let secret = secret(coin.owner);
            Witness::key(public_key(&secret), sign(&secret, &cache.sighash(at)))
        })
        .collect();
    Arc::new(Transaction::new(data))
}

/// Spends `funds` to `outputs` of (owner, base units); what is left over is the fee.
pub fn pay(funds: &[Funds], outputs: &[(u8, u64)]) -> Arc<Transaction> {
    signed(draft(funds, outputs), funds)
}

/// Spends one coin whole to `to`, less `fee`.
pub fn forward(coin: Funds, to: u8, fee: u64) -> Arc<Transaction> {
    pay(&[coin], &[(to, coin.output.value.0 - fee)])
}

/// Searches the nonce.
pub fn solve(mut block: Block) -> Arc<Block> {
    let target = block.header.bits.to_target().expect("a template's bits encode a target");
    block.header.nonce = Scanner::new(&block.header).scan(target, 0..=u32::MAX).expect("regtest is easy");
    Arc::new(block)
}

/// The same block with other transactions, its root right again, mined again.
pub fn rebuilt(block: &Block, transactions: Vec<Arc<Transaction>>) -> Arc<Block> {
    let leaves: Vec<Wtxid> = transactions.iter().map(|tx| tx.wtxid()).collect();
    let merkle_root = merkle::merkle_root(&leaves).expect("there is a coinbase");
    solve(Block { header: Header { merkle_root, ..block.header }, transactions })
}

pub fn info(name: &str) -> PeerInfo {
    PeerInfo {
        identity: name.to_owned(),
        address: format!("memory/{name}"),
        outbound: true,
        agent: "test".to_owned(),
    }
}

pub fn new_node(seed: u64) -> Node {
    node_with(params(), seed)
}

pub fn node_with(params: Params, seed: u64) -> Node {
    node_with_config(NodeConfig { seed, ..NodeConfig::new(params) })
}

pub fn node_with_config(config: NodeConfig) -> Node {
    let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
    let store = Box::new(MemoryStore::new());
    let chain = Chain::open(config.params.clone(), store, options).expect("memory never fails");
    Node::new(chain, config)
}

/// A template on `parent`, mined, its coinbase paying `owner`.
pub fn mine_on(node: &Node, parent: Option<BlockHash>, owner: u8, now: Time) -> Arc<Block> {
    let spec = CoinbaseSpec { lock: lock(owner), extra: vec![owner, 1] };
    solve(node.template(parent, now, &spec).expect("the parent is known").block)
}

/// One node, and the test in the place of everybody else.
pub struct Rig {
    pub node: Node,
    pub now: Time,
    next: u64,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(new_node(1))
    }

    pub fn with(node: Node) -> Self {
        Self { node, now: start(), next: 0 }
    }

    /// Hands an event in, then ticks for as long as the node has work. Returns all actions.
    pub fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut actions = self.node.handle(event, self.now).expect("memory never fails");
        for _ in 0..10_000 {
            if self.node.deadline().is_none_or(|deadline| deadline > self.now) {
                return actions;
            }
            actions.extend(self.node.handle(Event::Tick, self.now).expect("memory never fails"));
        }
        panic!("the node never rests");
    }

    /// Lets time pass, in steps of the node's own deadlines.
    pub fn pass(&mut self, duration: Duration) -> Vec<Action> {
        let end = self.now + duration;
        let mut actions = Vec::new();
        while let Some(deadline) = self.node.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            actions.extend(self.feed(Event::Tick));
        }
        self.now = end;
        actions.extend(self.feed(Event::Tick));
        actions
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn connect(&mut self, peer: u64) -> Vec<Action> {
        self.feed(Event::Connected(PeerId(peer), info(&format!("peer{peer}"))))
    }

    /// Connects a peer that has no headers to tell and an empty mempool.
    pub fn connect_empty(&mut self, peer: u64) {
        let mut actions = self.connect(peer);
        while let Some((id, request)) = first_request(&actions, peer) {
            let response = match request {
                Request::Headers { .. } => Response::Headers(vec![]),
                Request::Mempool => Response::Mempool(vec![]),
                other => panic!("asked for {other:?}"),
            };
            actions = self.answer(peer, id, response);
        }
    }

    pub fn answer(&mut self, peer: u64, id: RequestId, response: Response) -> Vec<Action> {
        self.feed(Event::Response(PeerId(peer), id, response))
    }

    pub fn gossip(&mut self, peer: u64, gossip: Gossip) -> Vec<Action> {
        let id = GossipId(self.number());
        self.feed(Event::Gossip(PeerId(peer), id, gossip))
    }

    pub fn gossip_block(&mut self, peer: u64, block: &Block) -> Vec<Action> {
        let compact = CompactBlock::new(block, 7).expect("a block has a coinbase");
        self.gossip(peer, Gossip::Block(Arc::new(compact)))
    }

    pub fn gossip_tx(&mut self, peer: u64, tx: &Arc<Transaction>) -> Vec<Action> {
        self.gossip(peer, Gossip::Transaction(tx.clone()))
    }

    pub fn submit_tx(&mut self, tx: &Arc<Transaction>) -> Result<Txid, Reject> {
        let id = SubmitId(self.number());
        match answer_of(&self.feed(Event::Submit(id, Submission::Transaction(tx.clone()))), id) {
            Ok(Accepted::Transaction(txid)) => Ok(txid),
            Ok(other) => panic!("a transaction became {other:?}"),
            Err(reject) => Err(reject),
        }
    }

    pub fn submit_block(&mut self, block: &Arc<Block>) -> Result<Accepted, Reject> {
        let id = SubmitId(self.number());
        answer_of(&self.feed(Event::Submit(id, Submission::Block(block.clone()))), id)
    }

    /// Mines on the tip, ten seconds after the last.
    pub fn mine(&mut self, owner: u8) -> Arc<Block> {
        self.now = self.now + Duration::from_secs(10);
        let block = mine_on(&self.node, None, owner, self.now);
        assert_eq!(self.submit_block(&block), Ok(Accepted::Connected(block.hash())));
        block
    }

    /// Mines a block on the tip that has these transactions and no others.
    pub fn mine_only(&mut self, owner: u8, transactions: &[Arc<Transaction>]) -> Arc<Block> {
        self.now = self.now + Duration::from_secs(10);
        let template = mine_on(&self.node, None, owner, self.now);
        let mut coinbase = template.transactions[0].data().clone();
        // what it may claim is not known here; less is always allowed
        coinbase.outputs[0].value = self.node.chain().params().subsidy(self.height() + 1);
        let mut body = vec![Arc::new(Transaction::new(coinbase))];
        body.extend_from_slice(transactions);
        let block = rebuilt(&template, body);
        assert_eq!(self.submit_block(&block), Ok(Accepted::Connected(block.hash())));
        block
    }

    /// Mines `count` blocks and returns their coinbases' coins, all mature after two more.
    pub fn fund(&mut self, count: usize, owner: u8) -> Vec<Funds> {
        let blocks: Vec<_> = (0..count).map(|_| self.mine(owner)).collect();
        self.mine(99);
        self.mine(99);
        blocks.iter().map(|block| Funds::of(&block.transactions[0], 0, owner)).collect()
    }

    pub fn tip(&self) -> BlockHash {
        self.node.chain().tip().hash
    }

    pub fn height(&self) -> u32 {
        self.node.chain().tip().height
    }

    pub fn has_tx(&self, tx: &Transaction) -> bool {
        self.node.mempool().get(&tx.txid()).is_some()
    }

    pub fn score(&self, peer: u64) -> u32 {
        self.node.peers().find(|state| state.id == PeerId(peer)).map_or(0, |state| state.score)
    }

    /// The active chain's blocks, the genesis not among them.
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        blocks_of(&self.node)
    }
}

/// The active chain's blocks, the genesis not among them.
pub fn blocks_of(node: &Node) -> Vec<Arc<Block>> {
    let chain = node.chain();
    (1..=chain.tip().height)
        .map(|height| {
            let hash = chain.active_hash(height).expect("up to the tip");
            chain.block(&hash).expect("memory never fails").expect("active blocks have bodies")
        })
        .collect()
}

pub fn headers_of(blocks: &[Arc<Block>]) -> Vec<Header> {
    blocks.iter().map(|block| block.header).collect()
}

fn answer_of(actions: &[Action], wanted: SubmitId) -> Result<Accepted, Reject> {
    let answers: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Answer(id, answer) if *id == wanted => Some(*answer),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 1, "one answer to each submission");
    answers[0]
}

// -- looking at actions

pub fn requests_to(actions: &[Action], peer: u64) -> Vec<(RequestId, Request)> {
    let of_peer = |action: &Action| match action {
        Action::Request(to, id, request) if *to == PeerId(peer) => Some((*id, request.clone())),
        _ => None,
    };
    actions.iter().filter_map(of_peer).collect()
}

pub fn first_request(actions: &[Action], peer: u64) -> Option<(RequestId, Request)> {
    requests_to(actions, peer).into_iter().next()
}

/// The id of the one request to `peer` that `wanted` picks.
pub fn request_id(actions: &[Action], peer: u64, wanted: impl Fn(&Request) -> bool) -> RequestId {
    let ids: Vec<_> = requests_to(actions, peer)
        .into_iter()
        .filter(|(_, request)| wanted(request))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids.len(), 1, "one such request to {peer} among {actions:?}");
    ids[0]
}

pub fn is_headers(request: &Request) -> bool {
    matches!(request, Request::Headers { .. })
}

pub fn is_blocks(request: &Request) -> bool {
    matches!(request, Request::Blocks(_))
}

pub fn verdicts(actions: &[Action]) -> Vec<Verdict> {
    let verdict = |action: &Action| match action {
        Action::Judge(_, verdict) => Some(*verdict),
        _ => None,
    };
    actions.iter().filter_map(verdict).collect()
}

pub fn offences(actions: &[Action]) -> Vec<(u64, Offence)> {
    let offence = |action: &Action| match action {
        Action::Punish(peer, offence) => Some((peer.0, *offence)),
        _ => None,
    };
    actions.iter().filter_map(offence).collect()
}

/// Who was disconnected, and whether it is kept out.
pub fn dropped(actions: &[Action]) -> Vec<(u64, bool)> {
    let gone = |action: &Action| match action {
        Action::Disconnect(peer, until) => Some((peer.0, until.is_some())),
        _ => None,
    };
    actions.iter().filter_map(gone).collect()
}

pub fn notices(actions: &[Action]) -> Vec<&Notice> {
    let picked = actions.iter().filter_map(|action| match action {
        Action::Notify(notice) => Some(notice),
        _ => None,
    });
    picked.collect()
}

pub fn published(actions: &[Action]) -> Vec<&Gossip> {
    let picked = actions.iter().filter_map(|action| match action {
        Action::Publish(gossip) => Some(gossip),
        _ => None,
    });
    picked.collect()
}

pub fn responses(actions: &[Action]) -> Vec<&Response> {
    let picked = actions.iter().filter_map(|action| match action {
        Action::Respond(_, _, response) => Some(response),
        _ => None,
    });
    picked.collect()
}

/// Coins of a block reward.
pub const REWARD: u64 = 50 * COIN;
