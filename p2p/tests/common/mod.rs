//! Nodes on loopback, and the means to wait for what they do.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tine_chain::amount::Amount;
use tine_chain::block::Header;
use tine_chain::hash::{BlockHash, Lock, MerkleRoot, Txid};
use tine_chain::pow::CompactTarget;
use tine_chain::transaction::{OutPoint, Transaction, TxData, TxIn, TxOut, Witness};
use tine_node::event::{Action, Event, GossipId, PeerId, Verdict};
use tine_node::wire::{CompactBlock, Gossip};
use tine_p2p::{Config, Identity, Network, Status};
use tokio::sync::mpsc;

/// The chain of the tests.
pub(crate) const GENESIS: BlockHash = BlockHash([0x5a; 32]);
/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for what must not happen to happen, if it did.
pub(crate) const A_WHILE: Duration = Duration::from_millis(1_500);

/// A network and its events.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) events: mpsc::Receiver<Event>,
}

/// A node on a free TCP port, without discovery.
pub(crate) fn config(seed: u8) -> Config {
    let mut config = Config::new(GENESIS, Identity::Seed([seed; 32]));
    config.listen = vec!["127.0.0.1:0".to_owned()];
    config.kademlia = false;
    config.connect_only = true;
    config
}

pub(crate) async fn start(config: Config) -> Node {
    let (network, events) = tine_p2p::start(config).await.expect("the network starts");
    Node { network, events }
}

/// A node that stays connected to these.
pub(crate) async fn start_connected(seed: u8, peers: &[&Node]) -> Node {
    let mut config = config(seed);
    config.connect = peers.iter().map(|peer| peer.address()).collect();
    start(config).await
}

impl Node {
    pub(crate) fn address(&self) -> String {
        self.network.listen_addresses().first().expect("it listens").clone()
    }

    pub(crate) fn identity(&self) -> String {
        self.network.identity().to_owned()
    }

    pub(crate) async fn act(&self, action: Action) {
        self.network.send_async(action).await.expect("the network runs");
    }

    /// The next event that `pick` makes something of; others are dropped.
    pub(crate) async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {what} came"))
    }

    /// Sees that nothing comes that `pick` makes something of, for a while.
    pub(crate) async fn never<T: std::fmt::Debug>(&mut self, pick: impl Fn(&Event) -> Option<T>) {
        let deadline = tokio::time::Instant::now() + A_WHILE;
        while let Ok(event) = tokio::time::timeout_at(deadline, self.events.recv()).await {
            let event = event.expect("the network runs");
            assert!(pick(&event).is_none(), "{event:?} came");
        }
    }

    pub(crate) async fn connected(&mut self, other: &Node) -> PeerId {
        let identity = other.identity();
        self.wait("connection", |event| match event {
            Event::Connected(peer, info) if info.identity == identity => Some(peer),
            _ => None,
        })
        .await
    }

    pub(crate) async fn disconnected(&mut self) -> PeerId {
        self.wait("disconnection", |event| match event {
            Event::Disconnected(peer) => Some(peer),
            _ => None,
        })
        .await
    }

    pub(crate) async fn gossip(&mut self, wanted: &Gossip) -> GossipId {
        self.wait("gossip", |event| match event {
            Event::Gossip(_, id, gossip) if gossip == *wanted => Some(id),
            _ => None,
        })
        .await
    }

    pub(crate) async fn never_gossip(&mut self, unwanted: &Gossip) {
        self.never(|event| matches!(event, Event::Gossip(_, _, gossip) if gossip == unwanted).then_some(()))
            .await;
    }

    pub(crate) async fn judge(&self, id: GossipId, verdict: Verdict) {
        self.act(Action::Judge(id, verdict)).await;
    }

    /// Waits until the status is as `is_so` wants it.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Arc<Status>) -> bool) -> Arc<Status> {
        let mut status = self.network.watch();
        let waiting = status.wait_for(is_so);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(status) => status.expect("the network runs").clone(),
            Err(_) => panic!("never {what}: {:#?}", self.network.status()),
        }
    }

    pub(crate) async fn until_peers(&self, count: usize) -> Arc<Status> {
        self.until(&format!("{count} peers"), |status| status.peers.len() == count).await
    }
}

pub(crate) fn is_connected(event: &Event) -> Option<()> {
    matches!(event, Event::Connected(..)).then_some(())
}

/// Gossips until everybody in this network takes part: a mesh takes a heartbeat or two to form.
pub(crate) async fn meshed(from: &Node, to: &mut Node) {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
    let deadline = Instant::now() + PATIENCE;
    loop {
        from.act(Action::Publish(transaction(NEXT.fetch_add(1, Ordering::Relaxed)))).await;
        let waiting = tokio::time::timeout(Duration::from_millis(300), to.events.recv());
        if let Ok(Some(Event::Gossip(_, id, _))) = waiting.await {
            to.judge(id, Verdict::Ignore).await;
            return;
        }
        assert!(Instant::now() < deadline, "no mesh has formed");
    }
}

fn some_transaction(n: u64) -> Arc<Transaction> {
    Arc::new(Transaction::new(TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint { txid: Txid([n as u8; 32]), vout: 0 }, sequence: 0 }],
        outputs: vec![TxOut { value: Amount(n), lock: Lock([1; 32]) }],
        lock_time: 0,
        witnesses: vec![Witness(vec![1, 2, 3])],
    }))
}

pub(crate) fn transaction(n: u64) -> Gossip {
    Gossip::Transaction(some_transaction(n))
}

pub(crate) fn block(n: u64) -> Gossip {
    let header = Header {
        version: 1,
        prev_block: GENESIS,
        merkle_root: MerkleRoot([2; 32]),
        time: n as u32,
        bits: CompactTarget(0x207f_ffff),
        nonce: 0,
    };
    Gossip::Block(Arc::new(CompactBlock {
        header: header.into(),
        nonce: n,
        coinbase: some_transaction(n),
        short_ids: vec![[3; 6]; 10],
    }))
}

/// Established TCP connections of this machine with this port at either end, each counted at both.
#[cfg(target_os = "linux")]
pub(crate) fn sockets_at(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns[3] == ESTABLISHED && columns[1..3].iter().any(|end| end.ends_with(&port)))
        .count()
}

pub(crate) fn port_of(node: &Node) -> u16 {
    let address = node.address();
    let mut parts = address.split('/');
    parts.nth(4).and_then(|port| port.parse().ok()).expect("/ip4/IP/tcp/PORT/p2p/IDENTITY")
}
