//! The explorer in a real browser: a fork watched, made, healed, explained and gone back over, by clicks.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tine_chain::codec::Encode as _;
use tine_chain::params::{Network, Params};
use tine_chain::testing::TestTree;
use tine_chain::transaction::Witness;
use tine_tests::browser::Browser;
use tine_tests::devnet::{Devnet, NAMES};
use tine_tests::process::{Tine, free_ports, wait_for};
use tine_tests::proxy::Wire;

/// Where blocks are drawn, and whose tips they are: `["alice:0000…", …]`, sorted.
const FLAGS: &str = "[...document.querySelectorAll('#tree-view .block')].flatMap(block => \
     [...block.querySelectorAll('.flag')].map(flag => `${flag.dataset.node}:${block.dataset.hash}`)).sort()";
/// Different blocks that are somebody's tip.
const TIPS: &str = "new Set([...document.querySelectorAll('#tree-view .block')]\
     .filter(block => block.querySelector('.flag')).map(block => block.dataset.hash)).size";
/// First sights of blocks on the timeline.
const SIGHTS: &str = "document.querySelectorAll('#time-view a[href^=\"#/block/\"]').length";

/// A devnet that nobody mines on by himself, and a browser that looks at it.
struct Scene {
    devnet: Devnet,
    browser: Browser,
}

impl Scene {
    fn open() -> Option<Self> {
        let browser = Browser::start()?;
        let devnet = Devnet::start(&["--no-mine"]);
        let scene = Self { devnet, browser };
        scene.browser.look((1280, 900), false, "light");
        scene.browser.open(&format!("http://127.0.0.1:{}/", scene.devnet.base_port - 1));
        scene.browser.wait_true("the stream", "document.querySelector('#live').textContent === 'live'");
        Some(scene)
    }

    /// Presses the page's own button.
    fn mine(&self, count: u32, on: &str) {
        self.browser.type_into("#mine input[name=count]", &count.to_string());
        self.browser.choose("#mine select[name=node]", on);
        self.browser.click("#mine button");
        let done = format!("mine {count} on {on}: done");
        self.browser.wait_true(&done, &format!("document.querySelector('#said').textContent === '{done}'"));
    }

    fn pictures(&self, state: &str) {
        pictures(&self.browser, state);
    }

    fn history(&self) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}/api/history", self.devnet.base_port - 1);
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let text = agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        serde_json::from_str(&text.expect("the page answers")).expect("a list of events")
    }

    /// Waits until the timeline has a mark for every first sight that the program told of: nothing is missing, nothing twice.
    fn wait_whole(&self) {
        let told = self.history().iter().filter(|event| event["kind"] == "block").count();
        self.browser.choose("#span", "30 minutes");
        self.browser.wait_true(&format!("{told} first sights"), &format!("{SIGHTS} === {told}"));
    }
}

/// Pictures of the whole state, on a desk and on a phone, by day and by night, in the folder that `PICTURES` names.
fn pictures(browser: &Browser, state: &str) {
    let folder = std::env::var_os("PICTURES").map_or_else(std::env::temp_dir, PathBuf::from);
    for (device, size, phone) in [("desktop", (1280, 900), false), ("phone", (390, 844), true)] {
        for scheme in ["light", "dark"] {
            browser.look(size, phone, scheme);
            let height = browser.eval("document.documentElement.scrollHeight").as_u64();
            browser.look((size.0, height.expect("a number") as u32), phone, scheme);
            // the page draws what depends on its width anew
            std::thread::sleep(Duration::from_millis(300));
            let wide = browser.eval("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(wide, json!(true), "{state}: the page is wider than a {device}");
            browser.picture(&folder.join(format!("explorer-{state}-{device}-{scheme}.png")));
        }
    }
    browser.look((1280, 900), false, "light");
}

#[test]
fn a_fork_is_watched_made_healed_and_explained_on_the_page() {
    let Some(scene) = Scene::open() else { return };
    let (browser, devnet) = (&scene.browser, &scene.devnet);

    // blocks appear while one looks
    scene.mine(12, "alice");
    browser.wait_true("all tips together", &format!("{FLAGS}.length === 4 && {TIPS} === 1"));
    let coins = devnet.type_in_json(&["wallet", "coins", "alice"]);
    let mature = |coin: &&Value| coin["confirmations"].as_u64().is_some_and(|depth| depth > 10);
    let coin = coins.as_array().and_then(|coins| coins.iter().find(mature)).expect("a mature coin");
    let coin = coin["coin"].as_str().expect("an outpoint");
    scene.pictures("live");

    // alice is ticked from the start
    browser.click("#split button:not([type=button])");
    browser.wait_true("the cut", "document.querySelectorAll('#net-view .link.cut').length === 3");
    let pay = |to: &str, on: &str| {
        let sent = devnet.type_in_json(&["send", to, "5", "--from", "alice", "--coin", coin, "--on", on]);
        sent["sent"]["txid"].as_str().expect("a txid").to_owned()
    };
    let (to_bob, to_dave) = (pay("bob", "alice"), pay("dave", "bob"));
    scene.mine(1, "alice");
    scene.mine(2, "bob");
    browser.wait_true("two tips", &format!("{TIPS} === 2"));
    browser.wait_true("two lanes", "!!document.querySelector('#tree-view .block[data-lane=\"1\"]')");
    browser.wait_true("a band", "document.querySelectorAll('#time-view .band').length >= 1");
    scene.pictures("split");

    browser.click("#heal");
    let (_, tip) = devnet.wait_agreed(&NAMES, 14, Duration::from_secs(40));
    let together = format!("{FLAGS}.every(flag => flag.endsWith('{tip}'))");
    browser.wait_true("all tips on the heavier branch", &together);

    // the card comes by itself, with the pair of spends that collided
    browser.wait_true("the card", "location.hash.startsWith('#/reorg/alice/')");
    let card = wait_for("the fates", Duration::from_secs(10), || {
        let text = browser.text("#side-view .card");
        text.contains("conflicted").then_some(text)
    });
    assert!(card.contains("alice left 1 block for 2"), "{card}");
    assert!(card.contains(&to_bob[..10]) && card.contains(&to_dave[..10]), "{card}");
    scene.pictures("reorg");

    // from the card to the payment that was reversed, and to the one that took its coin
    browser.click(&format!("#side-view a[href='#/tx/{to_bob}']"));
    browser.wait_true("the page of the reversed payment", &shows("is in no block of the active chain"));
    browser.open(&format!("http://127.0.0.1:{}/#/tx/{to_dave}", devnet.base_port - 1));
    browser.wait_true("its Merkle path", &shows("it ends in the header's Merkle root."));
    scene.pictures("transaction");

    // back in time: before the heal alice stood alone, before the split nobody did
    let mut tips = Vec::new();
    for _ in 0..60 {
        browser.click("#back");
        tips.push(browser.eval(TIPS).as_u64().expect("a number"));
        if tips.ends_with(&[2, 1]) {
            break;
        }
    }
    assert!(
        tips.contains(&2) && tips.ends_with(&[1]),
        "the tips part and are one again, backwards: {tips:?}"
    );
    assert_ne!(browser.text("#clock"), "", "the time that is looked at");
    scene.pictures("past");
    browser.click("#now");
    browser.wait_true("the present", &together);

    // a bad line is made, shown, and ended by a heal
    browser.type_into("#line input[name=delay]", "400");
    browser.choose("#line select[name=node]", "carol");
    browser.click("#line button");
    let facts = "document.querySelector('#nodes [data-node=carol] .facts').textContent";
    browser.wait_true("carol's bad line", &format!("{facts}.includes('line +400 ms')"));
    browser.click("#heal");
    browser.wait_true("a good line", &format!("!{facts}.includes('line')"));

    // from the mempools to a transaction, from that to an address and back
    browser.open(&format!("http://127.0.0.1:{}/#/mempool", devnet.base_port - 1));
    browser.wait_true("the pools", &shows("Nothing waits to be mined"));
    browser.open(&format!("http://127.0.0.1:{}/#/tx/{to_dave}", devnet.base_port - 1));
    browser.wait_true(
        "its bytes, one by one",
        "document.querySelectorAll('#side-view .bytes > span').length > 8",
    );
    browser.click("#side-view td a[href^='#/address/']");
    browser.wait_true("the coins of an address", &shows("as seen by"));
    browser.wait_true(
        "the way back",
        &format!("!!document.querySelector(\"#side-view a[href='#/tx/{to_dave}']\")"),
    );
    let address = browser.eval("location.hash.split('/')[2]");
    browser.click("#side-close");
    browser.type_into("#search input", &format!("{}\n", address.as_str().expect("an address")));
    browser.wait_true("what was searched for", &shows("as seen by"));
    browser.type_into("#search input", "nonsense\n");
    browser.wait_true(
        "what is wrong with it",
        "document.querySelector('#found').textContent.includes('nonsense')",
    );
    scene.pictures("address");

    // a node is stopped: its flag turns grey and stays behind, its lane has a gap; started again it catches up
    let dave = "document.querySelector('#nodes [data-node=dave]')";
    browser.click("#nodes [data-node=dave] .power");
    browser.wait_true("dave to be off", &format!("{dave}.classList.contains('off')"));
    browser.wait_true("his grey flag", "!!document.querySelector('#tree-view .flag.gone[data-node=dave]')");
    scene.mine(2, "alice");
    browser.wait_true("him to be left behind", &format!("{TIPS} === 2"));
    browser.wait_true("the gap", "!!document.querySelector('#time-view rect.gone')");
    scene.pictures("stopped");
    browser.click("#nodes [data-node=dave] .power");
    browser.wait_true("dave to be back", &format!("!{dave}.classList.contains('off')"));
    let (_, tip) = devnet.wait_agreed(&NAMES, 16, Duration::from_secs(40));
    let together = format!("{FLAGS}.length === 4 && {FLAGS}.every(flag => flag.endsWith('{tip}'))");
    browser.wait_true("all flags together", &together);

    // reloaded, the page knows everything again
    browser.reload();
    browser.wait_true("the tree after a reload", &together);
    scene.wait_whole();
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

fn shows(text: &str) -> String {
    format!("document.querySelector('#side-view').textContent.includes({})", json!(text))
}

#[test]
fn a_browser_that_was_away_is_told_what_it_missed() {
    let Some(scene) = Scene::open() else { return };
    let (browser, devnet) = (&scene.browser, &scene.devnet);
    let wire = Wire::to(([127, 0, 0, 1], devnet.base_port - 1).into());
    browser.open(&format!("http://{}/", wire.address));
    scene.mine(2, "alice");

    wire.cut(true);
    browser
        .wait_true("the loss to be seen", "document.querySelector('#live').textContent === 'reconnecting'");
    let _ = devnet.type_in(&["mine", "5", "--on", "bob"]);
    let (height, tip) = devnet.wait_agreed(&NAMES, 7, Duration::from_secs(30));
    assert_eq!(height, 7);
    let there = format!("{FLAGS}.filter(flag => flag.endsWith('{tip}')).length === 4");
    assert_eq!(browser.eval(&there), json!(false), "it knows nothing of them yet");

    wire.cut(false);
    browser.wait_true("the stream again", "document.querySelector('#live').textContent === 'live'");
    browser.wait_true("the new tip", &there);
    scene.wait_whole();
}

/// What others say is text and nothing else: a miner's tag, and everything that a peer tells of itself.
#[test]
fn text_of_strangers_is_never_markup() {
    const EVIL: &str = "<img src=x onerror=\"window.hacked=1\">";
    let Some(scene) = Scene::open() else { return };
    let browser = &scene.browser;
    let mut tree = TestTree::new(Params::of(Network::Devnet));
    let tag = "<script>window.hacked=1<";
    let block = tree.block_with("a1", "genesis", &[], |draft| {
        draft.coinbase.witnesses = vec![Witness(format!("/{tag}/<b>bold</b>").into_bytes())];
    });
    let raw = hex::encode(block.to_bytes());
    assert_eq!(scene.devnet.rpc("alice").call("submitblock", &json!([raw])), Value::Null);
    browser.wait_true("the block", "!!document.querySelector('#tree-view .block[data-height=\"1\"]')");
    browser.click("#tree-view .block[data-height=\"1\"]");
    browser.wait_true("what its coinbase says", &shows(&format!("/{tag}/<b>bold</b>")));

    // the page's own question, answered by a liar
    let lie = format!(
        "(() => {{ const ask = window.fetch; window.fetch = async (url, given) => given?.body?.includes('getpeerinfo') ? \
         new Response(JSON.stringify({{ jsonrpc: '2.0', id: 1, result: [{{ id: 7, addr: {evil}, subver: {evil}, inbound: true, \
         synced_blocks: {evil}, {evil}: {evil} }}] }})) : ask(url, given); return true; }})()",
        evil = json!(EVIL)
    );
    assert_eq!(browser.eval(&lie), json!(true));
    browser.click("#nodes [data-node=bob] a");
    browser.wait_true("the peer's name", &shows(EVIL));
    browser.click("#side-view a[href='#/peer/bob/7']");
    browser.wait_true(
        "the peer's page",
        &format!("{} && location.hash === '#/peer/bob/7'", shows("as bob sees it")),
    );
    assert_eq!(
        browser.eval("document.querySelectorAll('img, #side-view b, #side-view script').length"),
        json!(0)
    );
    assert_eq!(browser.eval("window.hacked === undefined"), json!(true));
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}

#[test]
fn a_run_of_the_laboratory_opens_on_the_same_page() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("run.ndjson");
    let log = log.to_str().expect("a plain path");
    let (code, out, err) = Tine::run(&["lab", "run", "partition-long", "--events", log]);
    assert_eq!(code, 0, "{out}{err}");
    let port = free_ports(1, 1).to_string();
    let mut open = Tine::start(&["lab", "open", log, "--port", &port], &[]);
    let _ = open.wait_line("http://", Duration::from_secs(30));
    browser.look((1280, 900), false, "light");
    browser.open(&format!("http://127.0.0.1:{port}/"));

    browser.wait_true("a run that is over", "document.querySelector('#live').textContent === 'recorded'");
    browser.wait_true("all nodes agree at its end", &format!("{FLAGS}.length === 4 && {TIPS} === 1"));
    browser.wait_true("the partition", "document.querySelectorAll('#time-view .band').length >= 2");
    assert_eq!(browser.eval("document.querySelector('#controls').hidden"), json!(true), "nothing to drive");
    browser.wait_true("a deep branch", "!!document.querySelector('#tree-view .block[data-lane=\"1\"]')");
    let last =
        "[...document.querySelectorAll('#time-view a[href^=\"#/reorg/\"]')].pop().getAttribute('href')";
    let card = browser.eval(last);
    let _ = browser.eval(&format!("location.hash = {card}"));
    browser.wait_true("what the reorganisation did", &shows("both branches leave block"));
    pictures(&browser, "run");
    let step_back = |what: &str, until: &str| {
        for _ in 0..400 {
            browser.click("#back");
            if browser.eval(until) == json!(true) {
                return;
            }
        }
        panic!("going back, there was no moment with {what}");
    };
    step_back("two sides", &format!("{TIPS} === 2"));
    assert_eq!(browser.console_errors(), Vec::<String>::new());
    assert!(open.interrupt(Duration::from_secs(20)).success());
}
