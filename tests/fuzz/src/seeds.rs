//! What each target's corpus begins with: `cargo run -p tine-fuzz --bin seeds` writes it to `fuzz/corpus/`.

use tine_chain::address::Address;
use tine_chain::codec::Encode;
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::BlockHash;
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::signature::public_key;
use tine_chain::testing::{TestTree, Wallet};
use tine_chain::transaction::Witness;
use tine_node::mempool::{Dump, Estimator};
use tine_node::wire::{CompactBlock, Gossip, Request, Response};
use tine_wallet::{KdfCost, Keystore, Phrase, wallet};

use crate::chain::{example_block, example_payment};
use crate::mempool::example_files;
use crate::store::example_commits;

/// The first inputs of the target `name`; none when there is no such target.
#[must_use]
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let tree = small_tree();
    match name {
        "block" => vec![example_block(), tree.block("a1").to_bytes()],
        "transaction" => vec![example_payment(), tree.transaction("a1").to_bytes()],
        "policy" => policies().iter().map(Encode::to_bytes).collect(),
        "values" => values(&tree),
        "headers" => vec![headers(&tree).concat(), Params::of(Network::Bitcoin).genesis.to_array().to_vec()],
        "request" => requests(&tree).iter().map(Encode::to_bytes).collect(),
        "response" => responses(&tree).iter().map(Encode::to_bytes).collect(),
        "gossip" => gossip(&tree).iter().map(Encode::to_bytes).collect(),
        "journal_record" => example_commits(),
        "mempool_file" | "estimates_file" => unsealed_files(name),
        "p2p_codec" => streams(&tree),
        "rpc_envelope" => calls(),
        "address" => addresses(),
        "keystore" => vec![keystore()],
        "wallet_files" => wallet_files(),
        "connect" => {
            vec![vec![], vec![0], vec![1, 1, 4, 0], vec![1, 1, 160, 0], vec![1, 128, 70, 1, 1, 71, 1]]
        }
        "reorganise" | "mempool" | "recover" | "reindex" => (1..=6).map(choices).collect(),
        _ => Vec::new(),
    }
}

fn small_tree() -> TestTree {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("one", &["a1:0"], &[("ann", 1), ("ben", 2)]);
    tree.draw("a3 a4[one]");
    tree
}

fn policies() -> Vec<Policy> {
    let key = |name: &str| public_key(&Wallet::named(name).secret());
    let one = Policy::key(key("ann"));
    let two = Policy::threshold(2, vec![key("ann"), key("ben"), key("cat")]);
    vec![
        one.clone(),
        two.clone(),
        Policy::after(500_000_000, one.clone()),
        Policy::older(10, two.clone()),
        Policy::hash([7; 32], one.clone()),
        Policy::any(vec![one.clone(), Policy::after(9, two), Policy::hash([1; 32], one)]),
    ]
}

fn values(tree: &TestTree) -> Vec<Vec<u8>> {
    let tagged = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let output = tree.transaction("one").outputs[0];
    let coin = Coin { output, height: 4, coinbase: false };
    let undo = Undo { spent: vec![(tree.outpoint("a1:0"), coin)] };
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4");
    let witness = Witness::key(public_key(&[1; 32]), [2; 64]);
    vec![
        tagged(1, undo.to_bytes()),
        tagged(2, coin.to_bytes()),
        tagged(4, witness.to_bytes()),
        tagged(5, tree.block("a4").header.to_bytes()),
    ]
}

fn headers(tree: &TestTree) -> Vec<Vec<u8>> {
    ["genesis", "a1", "a2", "a3", "a4"].map(|name| tree.block(name).header.to_array().to_vec()).to_vec()
}

fn requests(tree: &TestTree) -> Vec<Request> {
    let hash = tree.hash("a4");
    vec![
        Request::Headers { locator: vec![hash, tree.hash("a3"), BlockHash([1; 32])] },
        Request::Blocks(vec![hash]),
        Request::BlockTransactions(hash, vec![0, 1, 5]),
        Request::Transactions(vec![tree.transaction("one").wtxid()]),
        Request::Mempool,
    ]
}

fn responses(tree: &TestTree) -> Vec<Response> {
    let block = tree.block("a4");
    vec![
        Response::Headers(vec![tree.block("a1").header, tree.block("a2").header]),
        Response::Blocks(vec![tree.block("a1")]),
        Response::BlockTransactions(block.hash(), block.transactions.clone()),
        Response::Transactions(vec![tree.transaction("one")]),
        Response::Mempool(vec![tree.transaction("one").wtxid()]),
    ]
}

fn gossip(tree: &TestTree) -> Vec<Gossip> {
    let compact = CompactBlock::new(&tree.block("a4"), 7).expect("it has a coinbase");
    vec![Gossip::Block(compact.into()), Gossip::Transaction(tree.transaction("one"))]
}

/// What a node writes when it stops, without the checksums.
fn unsealed_files(name: &str) -> Vec<Vec<u8>> {
    let (mempool, estimates) = example_files();
    let contents = |mut file: Vec<u8>| {
        file.truncate(file.len() - 32);
        file
    };
    match name {
        "mempool_file" => vec![contents(mempool), contents(Dump::default().to_file())],
        _ => vec![contents(estimates), contents(Estimator::default().to_file())],
    }
}

/// Messages behind their lengths, as a peer sends them a few bytes at a time, and gossip.
fn streams(tree: &TestTree) -> Vec<Vec<u8>> {
    let framed = |kind: u8, bytes: Vec<u8>| {
        [vec![kind, 6], (bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat()
    };
    let requests = requests(tree).into_iter().map(|request| framed(0, request.to_bytes()));
    let responses = responses(tree).into_iter().map(|response| framed(1, response.to_bytes()));
    let gossip = gossip(tree).into_iter().map(|message| {
        let kind = if matches!(message, Gossip::Block(_)) { 2 } else { 3 };
        [vec![kind, 0], message.to_bytes()].concat()
    });
    requests.chain(responses).chain(gossip).collect()
}

fn calls() -> Vec<Vec<u8>> {
    [
        r#"{"method":"getblockcount","id":1}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":"getblock","params":["0000000000000000000000000000000000000000000000000000000000000000",2]}"#,
        r#"{"jsonrpc":"1.0","method":"sendtoaddress","params":{"address":"a","amount":1.10,"args":[]},"id":null}"#,
        r#"[{"jsonrpc":"2.0","method":"stop"},{"method":"submitblock","params":["\u0030\u0031"],"id":[1,{"a":2}]},3]"#,
        r#"{"method":"help","params":[true],"id":-1.5e9,"more":{"a":[[[]]]}}"#,
        "[]",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn addresses() -> Vec<Vec<u8>> {
    let lock = Wallet::named("ann").lock();
    [Network::Main, Network::Devnet, Network::Regtest]
        .map(|network| Address { network, lock }.to_string().into_bytes())
        .to_vec()
}

fn keystore() -> Vec<u8> {
    let phrase = Phrase::from_entropy(&[7; 16]).expect("16 bytes");
    Keystore::seal_public(&wallet::secret_of(phrase), Network::Regtest).expect("sealed").to_json()
}

/// The book and the history of a wallet that was paid.
fn wallet_files() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("wallet");
    let params = Params::of(Network::Regtest);
    let secret = wallet::secret_of(Phrase::from_entropy(&[7; 16]).expect("16 bytes"));
    let mut wallet =
        tine_wallet::Wallet::create(&path, &params, &secret, "fuzz", KdfCost::LIGHT).expect("made");
    wallet.next_address().expect("an address");
    wallet.save().expect("saved");
    drop(wallet);
    let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
    let (book, history) = (read("addresses.json"), read("history.json"));
    vec![[book.clone(), vec![0], history].concat(), book]
}

/// Some choices: the numbers of a linear congruence (Knuth's MMIX), their high bytes.
fn choices(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..seed * 40).map(|_| next()).collect()
}
