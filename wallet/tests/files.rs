//! A wallet's files: whole, private, encrypted, held by one process.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Toy, home, now, params, pay, stranger};
use tine_chain::params::{Network, Params};
use tine_wallet::{KdfCost, Phrase, Secret, Wallet, WalletError, wallet::secret_of};

const PASSPHRASE: &str = "correct horse battery staple";

fn secret() -> Secret {
    secret_of(Phrase::from_entropy(&[0xc3; 32]).unwrap())
}

fn create(directory: &Path) -> Wallet {
    Wallet::create(directory, &params(), &secret(), PASSPHRASE, KdfCost::LIGHT).unwrap()
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(
            |path| if path.is_dir() { files(&path) } else { vec![(path.clone(), fs::read(&path).unwrap())] },
        )
        .collect();
    files.sort();
    files
}

/// A child has its parent's open files until it becomes another program, and with them the locks: while one test starts a
/// child no other may close a wallet and open it again.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_wallet_comes_back_as_it_was_saved() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("wallets/savings");
    let mut toy = Toy::new();
    let (balance, history, labelled) = {
        let mut wallet = create(&directory);
        let first = home(&mut wallet);
        wallet.set_label(&first, "mining");
        toy.mine_many(12, first.lock, &mut [&mut wallet]);
        let payment = pay(&mut wallet, stranger(), 5, 1);
        toy.submit(&payment.transaction, &mut [&mut wallet]);
        wallet.commit(&payment, now());
        wallet.save().unwrap();
        (wallet.balance(), wallet.history(), first)
    };
    let mut wallet = Wallet::open(&directory, &params()).unwrap();
    assert!(wallet.is_locked() && !wallet.is_public());
    assert_eq!(wallet.tip().hash, toy.tip());
    wallet.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    wallet.sync_mempool(&toy.mempool, now());
    assert_eq!((wallet.balance(), wallet.history()), (balance, history));
    assert_eq!(wallet.address_entry(&labelled.lock).unwrap().label.as_deref(), Some("mining"));
    wallet.unlock(PASSPHRASE, None).unwrap();
    pay(&mut wallet, stranger(), 1, 2);
}

#[test]
fn a_damaged_or_missing_history_is_made_again_from_the_chain() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("w");
    let mut toy = Toy::new();
    let balance = {
        let mut wallet = create(&directory);
        let reward = home(&mut wallet).lock;
        toy.mine_many(12, reward, &mut [&mut wallet]);
        wallet.save().unwrap();
        wallet.balance()
    };
    let history = directory.join("history.json");
    let whole = fs::read(&history).unwrap();
    for content in [&b"{"[..], &whole[..whole.len() / 2], b""] {
        fs::write(&history, content).unwrap();
        let mut wallet = Wallet::open(&directory, &params()).unwrap();
        assert_eq!(wallet.tip().height, 0);
        wallet.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
        assert_eq!(wallet.balance(), balance);
    }
    fs::remove_file(&history).unwrap();
    fs::remove_file(directory.join("addresses.json")).unwrap();
    let mut wallet = Wallet::open(&directory, &params()).unwrap();
    wallet.unlock(PASSPHRASE, None).unwrap();
    wallet.rescan(&|height| toy.active_hash(height), &toy).unwrap();
    assert_eq!(wallet.balance(), balance);
}

#[test]
fn wal_02_no_window_of_the_seed_and_no_word_is_anywhere_on_disk() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("w");
    let mut wallet = create(&directory);
    wallet.save().unwrap();
    wallet.change_passphrase(PASSPHRASE, "another").unwrap();
    wallet.backup(&root.path().join("backup.json")).unwrap();
    wallet.save().unwrap();
    let secret = secret();
    let entropy = secret.phrase.entropy();
    let words = secret.phrase.words();
    let hex = hex::encode(&*entropy);
    let all = files(root.path());
    assert!(all.len() >= 4, "{all:?}");
    for (path, bytes) in all {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!bytes.windows(16).any(|window| window == &entropy[..16]), "{path:?}");
        assert!(!text.contains(&hex[..32]), "{path:?}");
        assert!(!text.contains(&words[..20]), "{path:?}");
        assert!(!text.contains(PASSPHRASE) && !text.contains("another"), "{path:?}");
    }
}

/// Not a test of its own: makes a wallet under the umask that [`wal_06_modes_are_private_whatever_the_umask`] sets.
#[test]
fn creating_child() {
    let Some(directory) = std::env::var_os("TINE_WALLET_TEST_CREATE") else { return };
    let directory = Path::new(&directory);
    let mut wallet = create(directory);
    wallet.save().unwrap();
    wallet.backup(&directory.join("backup.json")).unwrap();
}

#[test]
fn wal_06_modes_are_private_whatever_the_umask() {
    let _alone = alone();
    for umask in ["000", "022", "277"] {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("w");
        let status = Command::new("sh")
            .args(["-c", "umask $0 && exec \"$1\" creating_child --exact", umask])
            .arg(std::env::current_exe().unwrap())
            .env("TINE_WALLET_TEST_CREATE", &directory)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let files = files(&directory);
        assert_eq!(files.len(), 5, "keystore, addresses, history, lock, backup: {files:?}");
        for (path, _) in files {
            assert_eq!(mode(&path), 0o600, "{path:?} under umask {umask}");
        }
    }
}

#[test]
fn wal_06_a_second_opening_is_refused_while_the_first_lives() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("w");
    let wallet = create(&directory);
    assert!(matches!(Wallet::open(&directory, &params()), Err(WalletError::InUse(_))));
    drop(wallet);
    Wallet::open(&directory, &params()).unwrap();
}

#[test]
fn wal_05_a_failed_creation_or_restore_touches_no_file() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("w");
    drop(create(&directory));
    let backup = root.path().join("backup.json");
    Wallet::open(&directory, &params()).unwrap().backup(&backup).unwrap();
    let before = files(root.path());

    let again = Wallet::create(&directory, &params(), &secret(), "x", KdfCost::LIGHT);
    assert!(matches!(again, Err(WalletError::Exists(_))));
    let over = Wallet::restore_backup(&directory, &params(), &backup, PASSPHRASE);
    assert!(matches!(over, Err(WalletError::Exists(_))));
    let open = Wallet::open(&directory, &params()).unwrap();
    assert!(matches!(open.backup(&backup), Err(WalletError::Exists(_))));
    drop(open);
    let new = root.path().join("new");
    let wrong = Wallet::restore_backup(&new, &params(), &backup, "wrong");
    assert!(matches!(wrong, Err(WalletError::WrongPassphrase)));
    let empty = Wallet::create(&new, &params(), &secret(), "", KdfCost::LIGHT);
    assert!(matches!(empty, Err(WalletError::EmptyPassphrase)));
    let main = Params::of(Network::Main);
    let foreign = Wallet::restore_backup(&new, &main, &backup, PASSPHRASE);
    assert!(matches!(foreign, Err(WalletError::WrongNetwork { .. })));
    assert!(matches!(Wallet::open(&directory, &main), Err(WalletError::WrongNetwork { .. })));
    assert!(matches!(Wallet::open(&new, &params()), Err(WalletError::NotFound(_))));
    let no_backup = Wallet::restore_backup(&new, &params(), &root.path().join("none"), PASSPHRASE);
    assert!(matches!(no_backup, Err(WalletError::NotFound(_))));
    assert_eq!(files(root.path()), before);

    let restored = Wallet::restore_backup(&new, &params(), &backup, PASSPHRASE).unwrap();
    assert_eq!(*restored.phrase(PASSPHRASE).unwrap(), *secret().phrase.words());
}

/// Not a test of its own: the process that [`wal_04_kill_9_leaves_the_old_file_or_the_new_one`] starts and kills.
#[test]
fn busy_child() {
    let Some(directory) = std::env::var_os("TINE_WALLET_TEST_CHILD") else { return };
    let mut wallet = Wallet::open(Path::new(&directory), &params()).unwrap();
    let (mut old, mut new) = ("one", "two");
    if wallet.unlock(old, None).is_err() {
        (old, new) = (new, old);
    }
    fs::write(std::env::var_os("TINE_WALLET_TEST_STARTED").unwrap(), b"").unwrap();
    for _ in 0..10_000 {
        wallet.change_passphrase(old, new).unwrap();
        wallet.next_address().ok();
        wallet.save().unwrap();
        (old, new) = (new, old);
    }
}

#[test]
fn wal_04_kill_9_leaves_the_old_file_or_the_new_one() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("w");
    drop(Wallet::create(&directory, &params(), &secret(), "one", KdfCost::LIGHT).unwrap());
    let started = root.path().join("started");
    let mut opened = [0, 0];
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["busy_child", "--exact", "--test-threads=1"])
            .env("TINE_WALLET_TEST_CHILD", &directory)
            .env("TINE_WALLET_TEST_STARTED", &started)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..3_000 {
            if started.exists() {
                break;
            }
            wait_millis(10);
        }
        fs::remove_file(&started).expect("the child got to work within 30 seconds");
        wait_millis(round * 37 % 90);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut wallet = Wallet::open(&directory, &params()).expect("a whole wallet is there");
        let which = ["one", "two"].iter().position(|passphrase| wallet.unlock(passphrase, None).is_ok());
        opened[which.expect("one of the two passphrases opens it")] += 1;
        wallet.next_address().unwrap();
        assert!(files(&directory).iter().all(|(path, _)| !path.to_string_lossy().ends_with(".tmp")));
    }
    assert_eq!(opened[0] + opened[1], 25);
    assert!(opened[1] > 0, "the child got to work at least once: {opened:?}");
}

/// Waits without the clock, which the pure crates' lints forbid: a channel that nobody sends on.
fn wait_millis(millis: u64) {
    let (_keep, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(std::time::Duration::from_millis(millis));
}
