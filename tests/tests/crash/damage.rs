//! Damaged files, under the real program: every file of the data directory by every fault, in turns.
//!
//! The program comes back to the same chain, or ends within the time, names the file, and says which command repairs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tine_tests::crash::{Source, Victim};
use tine_tests::naive;

/// "Never a hang over 30 s": sled's watchdog takes 25 of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a page.
const PAGE: usize = 4_096;
/// Of every so many pairs of file and fault one is tried in a run; `TRY_ALL_DAMAGE` in the environment tries all.
const ONE_OF: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Fault {
    FlippedBit,
    CutTail,
    ZeroedPage,
    Empty,
}

impl Fault {
    const ALL: [Self; 4] = [Self::FlippedBit, Self::CutTail, Self::ZeroedPage, Self::Empty];

    /// Puts the fault in, about where `share` of 256 says.
    fn put_in(self, bytes: &mut Vec<u8>, share: usize) {
        let place = bytes.len() * share / 256;
        match self {
            Self::FlippedBit => bytes[place] ^= 0x10,
            Self::CutTail => bytes.truncate(place),
            Self::ZeroedPage => {
                let page = place / PAGE * PAGE;
                let end = bytes.len().min(page + PAGE);
                bytes[page..end].fill(0);
            }
            Self::Empty => bytes.clear(),
        }
    }
}

/// Every file below `path` that holds something and outlives a stop.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).expect("listed") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if fs::metadata(&path).expect("there").len() > 0 => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// Whether it is one of the chain's files, and not of the wallets' or the network's.
fn is_chain(file: &Path) -> bool {
    ["FORMAT", "journal.dat", "blocks", "index"].iter().any(|name| file.starts_with(name))
}

/// Waits until the node answers, or has ended: what it said then.
fn comes_up(victim: &mut Victim) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        if victim.rpc.try_call("getblockcount", &json!([])).is_ok() {
            return Ok(());
        }
        if !victim.tine.is_running() {
            std::thread::sleep(Duration::from_millis(50));
            return Err(victim.tine.lines().join("\n"));
        }
        assert!(Instant::now() < end, "it hangs:\n{}", victim.tine.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sto_09_to_sto_12_a_damaged_file_is_repaired_or_named() {
    let mut source = Source::new(4);
    let mut victim = Victim::start();
    let _ = victim.rpc.call("tine_walletnew", &json!({ "name": "w", "passphrase": "crash" }));
    let (loser, winner) = {
        source.extend(8);
        source.rivals(2)
    };
    for name in source.path().iter().take(8).chain(&loser).chain(&winner) {
        victim.submit(&source.raw(name));
    }
    let state = victim.state();
    assert!(victim.tine.interrupt(PATIENCE).success());
    let data = victim.data();
    let whole: Vec<(PathBuf, Vec<u8>)> =
        files(&data).into_iter().map(|path| (path.clone(), fs::read(&path).expect("read"))).collect();
    assert!(whole.len() > 6, "{whole:?}");

    let day = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as usize / 86_400;
    let all = std::env::var_os("TRY_ALL_DAMAGE").is_some();
    let pairs = whole.iter().flat_map(|(path, _)| Fault::ALL.map(|fault| (path, fault)));
    for (number, (path, fault)) in pairs.enumerate() {
        if !all && !(number + number / Fault::ALL.len() + day).is_multiple_of(ONE_OF) {
            continue;
        }
        restore(&data, &whole);
        let mut bytes = fs::read(path).expect("read");
        fault.put_in(&mut bytes, 37 + 61 * number % 180);
        fs::write(path, bytes).expect("written");
        let name = path.strip_prefix(&data).expect("below").to_owned();
        try_damaged(&mut victim, &name, fault, &state);
    }
}

/// Puts everything back as it was.
fn restore(data: &Path, whole: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(data).expect("removed");
    for (path, bytes) in whole {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

#[expect(clippy::print_stdout, reason = "what became of each, for `--nocapture`")]
fn try_damaged(victim: &mut Victim, name: &Path, fault: Fault, state: &(String, serde_json::Value)) {
    let what = format!("{fault:?} in {}", name.display());
    let started = Instant::now();
    victim.launch(None);
    if let Err(said) = comes_up(victim) {
        let file = name.file_name().expect("a file").to_string_lossy();
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(said.contains(&*file), "{what}: the file is not named: {said}");
        println!("{what}: refused after {:.1?}: {said}", started.elapsed());
        if !is_chain(name) || said.contains("format") || said.contains("network") {
            return;
        }
        assert!(said.contains("tine node --reindex"), "{what}: no way out is named: {said}");
        let arguments = victim.arguments(&["--reindex"]);
        victim.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        if let Err(said) = comes_up(victim) {
            panic!("{what}: a reindex does not help: {said}");
        }
    } else {
        println!("{what}: up after {:.1?}", started.elapsed());
    }
    let panicked = victim.tine.lines().into_iter().find(|line| line.contains("panicked"));
    assert_eq!(panicked, None, "{what}");
    // every body is there: then so is the tip, as soon as it is connected again
    if !name.starts_with("blocks") {
        tine_tests::process::wait_for(&what, PATIENCE, || (victim.rpc.tip().1 == state.0).then_some(()));
        assert_eq!(victim.state(), *state, "{what}");
    }
    let info = victim.rpc.try_call("gettxoutsetinfo", &json!(["lthash"]));
    if let Ok(info) = info
        && name.starts_with("blocks")
    {
        // a body that is damaged can't be downloaded: then the coins are those of before
        if info["bestblock"] != json!(state.0) {
            let coins = naive::replay(&naive::download(&victim.rpc));
            assert_eq!(info["lthash"], json!(naive::hash(&coins)), "{what}");
        } else {
            assert_eq!(info["lthash"], state.1, "{what}");
        }
    }
    victim.tine.kill();
}
