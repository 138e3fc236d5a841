//! A node without a network: its thread, its miner and its wallets, on a store on disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tine::driver::{Driver, NodeHandle};
use tine::hashrate::HashRate;
use tine::mempool_file::{MEMPOOL_FILE, MempoolFiles, MempoolKeeper};
use tine::methods::{PaymentState, Send};
use tine::miner::{Miner, MinerOptions, miner_tag};
use tine::wallets::{WalletService, WalletThread, WalletsError};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::params::{Network, Params};
use tine_chain::reject::Reject;
use tine_chain::store::{SledOptions, SledStore};
use tine_node::event::Submission;
use tine_node::{Node, NodeConfig, Participant};

struct World {
    node: NodeHandle,
    driver: Driver,
    wallets: Arc<WalletService>,
    thread: WalletThread,
    miner: Miner,
}

/// The node alone.
fn bare(dir: &Path) -> (NodeHandle, Driver) {
    let params = Params::of(Network::Regtest);
    let store = SledStore::open(dir, &params, SledOptions::default()).expect("the store opens");
    let chain =
        Chain::open(params.clone(), Box::new(store), ChainOptions::default()).expect("the chain opens");
    Driver::start("alice", Participant::honest(Node::new(chain, NodeConfig::new(params))), None)
        .expect("a thread")
}

fn halt(node: &NodeHandle, driver: Driver) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(node.stop());
    driver.join().expect("no storage error");
}

fn start(dir: &Path, rate: Option<HashRate>) -> World {
    let (node, driver) = bare(dir);
    let (wallets, thread) =
        WalletService::start(node.clone(), &dir.join("wallets"), "alice", &["alice", "bob", "carol"])
            .expect("wallets open");
    let options = MinerOptions {
        mining: false,
        rate,
        threads: 1,
        lock: wallets.first_lock(None).expect("alice has an address"),
        tag: "alice".into(),
    };
    let miner = Miner::start(node.clone(), options).expect("a thread");
    World { node, driver, wallets, thread, miner }
}

impl World {
    fn stop(self) {
        drop(self.miner);
        halt(&self.node, self.driver);
        self.thread.join();
    }

    fn mine(&self, count: u32) {
        self.miner.handle().mine_now(count, None).expect("blocks are mined");
    }

    fn pay(&self, from: &str, to: &str, amount: &str) -> Send {
        Send {
            wallet: Some(from.into()),
            to: to.into(),
            amount: amount.into(),
            fee_rate: None,
            coins: Vec::new(),
            passphrase: None,
            dry_run: false,
        }
    }

    fn confirmed(&self, name: &str) -> String {
        self.wallets.balance(Some(name)).expect("a balance").confirmed
    }
}

#[test]
fn mined_coins_ripen_are_paid_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let world = start(dir.path(), None);
    world.mine(101);
    let view = world.node.view();
    assert_eq!((view.tip.height, view.tips.len()), (101, 1));
    assert_eq!(world.confirmed("alice"), "100.00000000");

    let sent = world.wallets.send(&world.pay("alice", "bob", "5")).expect("a payment");
    assert!(world.node.view().mempool.get(&sent.txid).is_some(), "the picture has what the answer speaks of");
    assert_eq!(world.wallets.balance(Some("bob")).expect("a balance").pending, "5.00000000");
    world.mine(1);
    assert_eq!(world.confirmed("bob"), "5.00000000");
    assert!(world.node.view().mempool.is_empty());
    let history = world.wallets.history(Some("bob")).expect("a history");
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].state, history[0].confirmations), (PaymentState::Confirmed, 1));
    let tip = world.node.view().tip.clone();
    let block = world.node.reader().block(&tip.hash).expect("readable").expect("there");
    assert_eq!(block.transactions.len(), 2);
    assert_eq!(miner_tag(&block).as_deref(), Some("alice"));
    world.stop();

    let world = start(dir.path(), None);
    assert_eq!(world.node.view().tip.hash, tip.hash, "the same chain goes on");
    assert_eq!(world.confirmed("bob"), "5.00000000");
    world.mine(1);
    assert_eq!(world.node.view().tip.height, 103);
    world.stop();
}

#[test]
fn a_double_spend_is_refused_and_the_wallet_keeps_its_coins() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let world = start(dir.path(), None);
    world.mine(101);
    let coin = world
        .wallets
        .coins(None)
        .expect("coins")
        .into_iter()
        .find(|coin| !coin.immature)
        .expect("a ripe coin");
    let mut first = world.pay("alice", "bob", "5");
    first.coins = vec![coin.coin];
    first.dry_run = true;
    let rival = world.wallets.send(&first).expect("built and signed, not sent");
    assert!(world.node.view().mempool.is_empty());
    first.dry_run = false;
    first.to = "carol".into();
    world.wallets.send(&first).expect("sent");

    let bytes = hex::decode(&rival.hex).expect("hexadecimal");
    let tx = tine_chain::codec::Decode::from_bytes(&bytes).expect("a transaction");
    let verdict = world.node.submit_blocking(Submission::Transaction(Arc::new(tx))).expect("the node runs");
    assert_eq!(verdict, Err(Reject::InsufficientFee), "it pays no more than the first");
    let spent = world.wallets.send(&first);
    assert!(
        matches!(spent, Err(WalletsError::Wallet(_))),
        "the wallet knows that the coin is gone: {spent:?}"
    );
    let nobody = world.wallets.send(&world.pay("mallory", "bob", "1"));
    assert!(matches!(nobody, Err(WalletsError::NoWallet(..))));
    world.stop();
}

#[test]
fn the_miner_follows_its_budget_and_can_be_paused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // a hash in two is a block on regtest
    let world = start(dir.path(), Some(HashRate(20)));
    let miner = world.miner.handle();
    assert!(!miner.status().mining);
    miner.resume();
    let start = Instant::now();
    while world.node.view().tip.height < 5 && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    miner.pause();
    std::thread::sleep(Duration::from_millis(300));
    let (height, hashes) = (world.node.view().tip.height, miner.status().hashes);
    assert!(height >= 5, "mined {height} blocks");
    let budget = 20.0 * start.elapsed().as_secs_f64() + 10.0;
    assert!((hashes as f64) <= budget, "{hashes} hashes, the budget was {budget}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.node.view().tip.height, height, "a paused miner mines nothing");
    world.stop();
}

/// Runs the node alone with its mempool's keeper until the file has been read. Gives what was in the mempool.
fn restarted_mempool(dir: &Path) -> Vec<String> {
    let (node, driver) = bare(dir);
    let files = MempoolFiles::new(dir.to_owned());
    let keeper = MempoolKeeper::start(Arc::clone(&files), node.clone()).expect("a thread");
    let start = Instant::now();
    while !files.is_loaded() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(files.is_loaded());
    let found = node.view().mempool.entries().map(|entry| entry.tx.txid().to_string()).collect();
    keeper.stop();
    halt(&node, driver);
    found
}

#[test]
fn the_mempool_outlives_the_program_and_a_damaged_file_is_ignored() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let world = start(dir.path(), None);
    world.mine(101);
    let txid = world.wallets.send(&world.pay("alice", "bob", "5")).expect("sent").txid.to_string();
    let files = MempoolFiles::new(dir.path().to_owned());
    files.save(&world.node).expect("written");
    world.stop();

    let expected = [txid];
    assert_eq!(restarted_mempool(dir.path()), expected);
    assert_eq!(restarted_mempool(dir.path()), expected, "it was written again at the stop");
    let path = dir.path().join(MEMPOOL_FILE);
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    assert_eq!(restarted_mempool(dir.path()), Vec::<String>::new());
}
