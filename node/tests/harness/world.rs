//! Several nodes in virtual time: links with latency, gossip that forwards what was accepted, and cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, sha256};
use tine_chain::reject::Reject;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;
use tine_node::event::{
    Accepted, Action, Event, GossipId, Notice, PeerId, RequestId, Submission, SubmitId, Verdict,
};
use tine_node::peers::Offence;
use tine_node::template::CoinbaseSpec;
use tine_node::wire::{Gossip, Request, Response};
use tine_node::{Node, Participant, Strategy};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::{info, lock, mine_on, solve, start};

/// Kinds of messages, each of which can be lost by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gossip,
    AskHeaders,
    Headers,
    AskBlocks,
    Blocks,
    AskBlockTransactions,
    BlockTransactions,
    AskTransactions,
    Transactions,
    AskMempool,
    Mempool,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Gossip,
        Self::AskHeaders,
        Self::Headers,
        Self::AskBlocks,
        Self::Blocks,
        Self::AskBlockTransactions,
        Self::BlockTransactions,
        Self::AskTransactions,
        Self::Transactions,
        Self::AskMempool,
        Self::Mempool,
    ];

    fn of_request(request: &Request) -> Self {
        match request {
            Request::Headers { .. } => Self::AskHeaders,
            Request::Blocks(_) => Self::AskBlocks,
            Request::BlockTransactions(..) => Self::AskBlockTransactions,
            Request::Transactions(_) => Self::AskTransactions,
            Request::Mempool => Self::AskMempool,
        }
    }

    fn of_response(response: &Response) -> Self {
        match response {
            Response::Headers(_) => Self::Headers,
            Response::Blocks(_) => Self::Blocks,
            Response::BlockTransactions(..) => Self::BlockTransactions,
            Response::Transactions(_) => Self::Transactions,
            Response::Mempool(_) => Self::Mempool,
        }
    }
}

/// How much is lost of what.
pub struct Loss {
    pub of: fn(Kind) -> f64,
    pub rng: ChaCha8Rng,
    /// How many were lost.
    pub lost: usize,
}

/// Something on its way.
enum Parcel {
    Request(RequestId, Vec<u8>),
    Response(RequestId, Vec<u8>),
    Gossip(Vec<u8>),
    Tick,
}

/// How long a link stays down that one end took down without a ban.
const REDIAL_AFTER: Duration = Duration::from_secs(5);

/// A member of the network, and what the harness keeps for it.
struct Member {
    node: Participant,
    /// By our number for the neighbour: which member it is, and its number for us.
    neighbours: BTreeMap<PeerId, (usize, PeerId)>,
    seen: BTreeSet<[u8; 32]>,
    /// Messages that await their verdict, and who sent them.
    judged: BTreeMap<GossipId, (Vec<u8>, PeerId)>,
    tick: Option<Time>,
}

/// The network.
pub struct World {
    members: Vec<Member>,
    /// By time and order.
    queue: BTreeMap<(Time, u64), (usize, Option<PeerId>, Parcel)>,
    pub now: Time,
    next: u64,
    pub latency: Duration,
    /// Whether gossip is lost on every link.
    deaf: bool,
    pub loss: Option<Loss>,
    /// Links that were taken down by an end, and when they are dialled again.
    redial: Vec<(Time, usize, usize)>,
    answers: BTreeMap<SubmitId, Result<Accepted, Reject>>,
    /// Everything that was held against anybody: who says so, of whom.
    pub offences: Vec<(usize, usize, Offence)>,
    pub notices: Vec<(usize, Notice)>,
    /// Bytes of each request kind's responses: to see what had to be fetched.
    pub requests: Vec<(usize, Request)>,
}

impl World {
    pub fn new(nodes: Vec<Node>) -> Self {
        let member = |node| Member {
            node: Participant::honest(node),
            neighbours: BTreeMap::new(),
            seen: BTreeSet::new(),
            judged: BTreeMap::new(),
            tick: None,
        };
        Self {
            members: nodes.into_iter().map(member).collect(),
            queue: BTreeMap::new(),
            now: start(),
            next: 0,
            latency: Duration::from_millis(50),
            deaf: false,
            loss: None,
            redial: Vec::new(),
            answers: BTreeMap::new(),
            offences: Vec::new(),
            notices: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub fn node(&self, at: usize) -> &Node {
        self.members[at].node.node()
    }

    pub fn tip(&self, at: usize) -> BlockHash {
        self.node(at).chain().tip().hash
    }

    /// From now on the member misbehaves.
    pub fn corrupt(&mut self, at: usize, strategy: Strategy) {
        self.members[at].node.set_strategy(Some(strategy));
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn link(&mut self, a: usize, b: usize) {
        let (at_a, at_b) = (PeerId(self.number()), PeerId(self.number()));
        self.members[a].neighbours.insert(at_a, (b, at_b));
        self.members[b].neighbours.insert(at_b, (a, at_a));
        self.feed(a, Event::Connected(at_a, info(&format!("node{b}"))));
        self.feed(b, Event::Connected(at_b, info(&format!("node{a}"))));
    }

    pub fn link_all(&mut self) {
        for a in 0..self.members.len() {
            for b in a + 1..self.members.len() {
                self.link(a, b);
            }
        }
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        let links: Vec<_> = self.members[a]
            .neighbours
            .iter()
            .filter(|(_, (other, _))| *other == b)
            .map(|(at_a, (_, at_b))| (*at_a, *at_b))
            .collect();
        for (at_a, at_b) in links {
            self.members[a].neighbours.remove(&at_a);
            self.members[b].neighbours.remove(&at_b);
            self.feed(a, Event::Disconnected(at_a));
            self.feed(b, Event::Disconnected(at_b));
        }
    }

    fn is_lost(&mut self, kind: Kind) -> bool {
        let Some(loss) = &mut self.loss else { return false };
        let lost = f64::from(loss.rng.next_u32()) < (loss.of)(kind) * f64::from(u32::MAX);
        loss.lost += usize::from(lost);
        lost
    }

    fn send(&mut self, from: usize, to: PeerId, parcel: Parcel) {
        let Some(&(other, back)) = self.members[from].neighbours.get(&to) else { return };
        let key = (self.now + self.latency, self.number());
        self.queue.insert(key, (other, Some(back), parcel));
    }

    fn feed(&mut self, at: usize, event: Event) {
        let actions = self.members[at].node.handle(event, self.now).expect("memory never fails");
        for action in actions {
            self.act(at, action);
        }
        let Some(deadline) = self.members[at].node.deadline() else { return };
        let due = deadline.max(self.now);
        // one tick is under way for each member, unless it wants an earlier one
        if self.members[at].tick.is_none_or(|tick| due < tick) {
            self.members[at].tick = Some(due);
            let key = (due, self.number());
            self.queue.insert(key, (at, None, Parcel::Tick));
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Request(to, id, request) => {
                self.requests.push((at, request.clone()));
                if !self.is_lost(Kind::of_request(&request)) {
                    self.send(at, to, Parcel::Request(id, request.to_bytes()));
                }
            }
            Action::Respond(to, id, response) => {
                if !self.is_lost(Kind::of_response(&response)) {
                    self.send(at, to, Parcel::Response(id, response.to_bytes()));
                }
            }
            Action::Publish(gossip) => {
                let bytes = gossip.to_bytes();
                if self.members[at].seen.insert(sha256(&bytes)) {
                    self.spread(at, None, &bytes);
                }
            }
            Action::Judge(id, verdict) => {
                let (bytes, from) = self.members[at].judged.remove(&id).expect("judged once");
                if verdict == Verdict::Accept {
                    self.spread(at, Some(from), &bytes);
                }
            }
            Action::Punish(peer, offence) => {
                let other = self.members[at].neighbours.get(&peer).map_or(usize::MAX, |(other, _)| *other);
                self.offences.push((at, other, offence));
            }
            Action::Disconnect(peer, _) => {
                if let Some(&(other, _)) = self.members[at].neighbours.get(&peer) {
                    self.cut(at, other);
                    self.redial.push((self.now + REDIAL_AFTER, at, other));
                }
            }
            Action::Answer(id, answer) => {
                self.answers.insert(id, answer);
            }
            Action::Notify(notice) => self.notices.push((at, notice)),
        }
    }

    fn spread(&mut self, at: usize, except: Option<PeerId>, bytes: &[u8]) {
        if self.deaf {
            return;
        }
        let others: Vec<PeerId> =
            self.members[at].neighbours.keys().copied().filter(|peer| Some(*peer) != except).collect();
        for peer in others {
            if self.is_lost(Kind::Gossip) {
                continue;
            }
            self.send(at, peer, Parcel::Gossip(bytes.to_vec()));
        }
    }

    fn deliver(&mut self, to: usize, from: Option<PeerId>, parcel: Parcel) {
        let Some(peer) = from else {
            self.members[to].tick = None;
            return self.feed(to, Event::Tick);
        };
        // cut while it was on its way
        if !self.members[to].neighbours.contains_key(&peer) {
            return;
        }
        match parcel {
            Parcel::Request(id, bytes) => {
                let request = Request::from_bytes(&bytes).expect("nodes encode what they decode");
                self.feed(to, Event::Request(peer, id, request));
            }
            Parcel::Response(id, bytes) => {
                let response = Response::from_bytes(&bytes).expect("nodes encode what they decode");
                self.feed(to, Event::Response(peer, id, response));
            }
            Parcel::Gossip(bytes) => {
                if !self.members[to].seen.insert(sha256(&bytes)) {
                    return;
                }
                let gossip = Gossip::from_bytes(&bytes).expect("nodes encode what they decode");
                let id = GossipId(self.number());
                self.members[to].judged.insert(id, (bytes, peer));
                self.feed(to, Event::Gossip(peer, id, gossip));
            }
            Parcel::Tick => unreachable!("ticks come from nobody"),
        }
    }

    /// Runs for `duration`.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            // a link that an end took down is dialled again
            if let Some(at) = self.redial.iter().position(|(due, ..)| *due <= entry.key().0) {
                let (_, a, b) = self.redial.swap_remove(at);
                self.link(a, b);
                continue;
            }
            self.now = entry.key().0;
            let (to, from, parcel) = entry.remove();
            self.deliver(to, from, parcel);
        }
        self.now = end;
    }

    /// Runs until so many milliseconds after the start.
    pub fn run_until(&mut self, millis: u64) {
        self.run((start() + Duration::from_millis(millis)).since(self.now));
    }

    /// Does something whose gossip is lost.
    pub fn gossip_reaches_nobody<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.deaf = true;
        let result = work(self);
        self.deaf = false;
        result
    }

    fn submit(&mut self, at: usize, submission: Submission) -> Result<Accepted, Reject> {
        let id = SubmitId(self.number());
        self.feed(at, Event::Submit(id, submission));
        // a reorganisation may take some ticks
        for _ in 0..1_000 {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            self.feed(at, Event::Tick);
        }
        panic!("no answer");
    }

    pub fn submit_tx(&mut self, at: usize, tx: &Arc<Transaction>) -> Result<Accepted, Reject> {
        self.submit(at, Submission::Transaction(tx.clone()))
    }

    /// Mines on the member's own tip.
    pub fn mine(&mut self, at: usize, owner: u8) -> Arc<Block> {
        let block = mine_on(self.node(at), None, owner, self.now);
        assert_eq!(self.submit(at, Submission::Block(block.clone())), Ok(Accepted::Connected(block.hash())));
        block
    }

    /// Mines on whatever the member mines on, honest or not.
    pub fn mine_as(&mut self, at: usize, owner: u8) -> Arc<Block> {
        let extra = self.number().to_le_bytes().to_vec();
        let spec = CoinbaseSpec { lock: lock(owner), extra };
        let now = self.now;
        let template = self.members[at].node.template(now, &spec).expect("the parent is known");
        let block = solve(template.block);
        let _ = self.submit(at, Submission::Block(block.clone()));
        block
    }

    pub fn assert_agreed(&self) {
        let tips: BTreeSet<BlockHash> = (0..self.members.len()).map(|at| self.tip(at)).collect();
        assert_eq!(tips.len(), 1, "nodes disagree: {tips:?}");
    }
}
