//! The wallets of a node: kept in its directory, driven by its notices, asked over RPC. This process signs, as Core's
//! does: a key leaves its keystore only into the memory of the node that it was unlocked on.

mod alter;
mod open;
mod spend;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tine_chain::hash::Lock;
use tine_chain::reject::Reject;
use tine_node::mempool::Mempool;
use tine_wallet::{CoinState, HistoryEntry as Entry, KeyRef, Keychain, Status, Wallet, WalletError};

use crate::dirs;
use crate::driver::{NodeHandle, Stopped};
use crate::methods::{
    Balance, HistoryEntry, PaymentState, WalletCoin, WalletMade, WalletNew, WalletRestore, WalletSummary,
};

/// The wallets that there are, or how to have one.
fn there_are(names: &str) -> String {
    if names.is_empty() {
        "there is none: `tine wallet new NAME` makes one".into()
    } else {
        format!("there are: {names}")
    }
}

/// Why a wallet did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletsError {
    /// No wallet is called so.
    #[error("no wallet is called {name:?} here; {there}", name = .0, there = there_are(.1))]
    NoWallet(String, String),
    /// There are several, and none of them is the node's own.
    #[error("say which wallet; {there}", there = there_are(.0))]
    NotNamed(String),
    /// A name that can't be a directory's.
    #[error("{0}")]
    BadName(String),
    /// Neither an address nor the name of a wallet.
    #[error("{to:?} is neither a wallet of this node ({there}) nor an address: {why}", to = .0, there = there_are(.2), why = .1)]
    BadRecipient(String, String, String),
    /// A wallet is made again from one thing.
    #[error("give either phrase or path, and not both")]
    PhraseOrPath,
    /// Not an amount.
    #[error("{0}")]
    BadAmount(#[from] tine_chain::amount::ParseAmountError),
    /// The wallet itself says no.
    #[error("{0}")]
    Wallet(#[from] WalletError),
    /// The node refused the payment; its coins are free again.
    #[error("the node refused the payment: {0}")]
    Rejected(Reject),
    /// The node's thread has ended.
    #[error("{0}")]
    Stopped(#[from] Stopped),
}

/// A wallet, and how much of the node's picture it has seen.
struct Open {
    wallet: Wallet,
    /// The mempool that it was last compared with.
    mempool: Option<Arc<Mempool>>,
    dirty: bool,
}

type Shared = Arc<Mutex<Open>>;

/// The wallets of a node.
pub struct WalletService {
    node: NodeHandle,
    /// One directory in it for each wallet.
    dir: PathBuf,
    /// The wallet that is meant when none is named, if it is there.
    own: String,
    wallets: Mutex<BTreeMap<String, Shared>>,
}

impl std::fmt::Debug for WalletService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalletService").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// The thread that tells the wallets what happens; ends when the node does.
#[derive(Debug)]
pub struct WalletThread(JoinHandle<()>);

impl WalletThread {
    /// Waits until the node has stopped and the wallets are saved.
    pub fn join(self) {
        // a panic in it has been reported where it happened
        let _ = self.0.join();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a wallet that panicked halfway is put right by the next comparison with the chain
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WalletService {
    /// Opens every wallet in `dir`, and on networks where they are allowed the development wallets called `dev`.
    /// `own` is the wallet that is meant when none is named.
    ///
    /// # Errors
    /// A wallet that can't be opened; the system gives no thread.
    pub fn start(
        node: NodeHandle,
        dir: &Path,
        own: &str,
        dev: &[&str],
    ) -> Result<(Arc<Self>, WalletThread), WalletsError> {
        dirs::create_private(dir).map_err(|source| WalletError::Io { path: dir.to_owned(), source })?;
        let service =
            Arc::new(Self { node, dir: dir.to_owned(), own: own.to_owned(), wallets: Mutex::default() });
        // before the wallets look at the chain, so that nothing falls between
        let notices = service.node.subscribe();
        service.open_all(dev)?;
        let watched = Arc::clone(&service);
        let thread = std::thread::Builder::new()
            .name(format!("wallets {own}"))
            .spawn(move || watch::run(&watched, notices))
            .map_err(|source| WalletError::Io { path: dir.to_owned(), source })?;
        Ok((service, WalletThread(thread)))
    }

    /// Names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.wallets).keys().cloned().collect()
    }

    /// The wallet that is meant by `name`.
    fn find(&self, name: Option<&str>) -> Result<(String, Shared), WalletsError> {
        let wallets = lock(&self.wallets);
        let names = || wallets.keys().cloned().collect::<Vec<_>>().join(", ");
        let name = match name {
            Some(name) => name,
            None if wallets.contains_key(&self.own) => &self.own,
            None if wallets.len() == 1 => wallets.keys().next().expect("there is one"),
            None => return Err(WalletsError::NotNamed(names())),
        };
        let wallet = wallets.get(name).ok_or_else(|| WalletsError::NoWallet(name.to_owned(), names()))?;
        Ok((name.to_owned(), Arc::clone(wallet)))
    }

    /// Runs `work` on a wallet that has seen everything that the node has published.
    fn with<R>(
        &self,
        name: Option<&str>,
        work: impl FnOnce(&mut Open) -> Result<R, WalletsError>,
    ) -> Result<R, WalletsError> {
        let (_, wallet) = self.find(name)?;
        let mut open = lock(&wallet);
        self.settle(&mut open)?;
        work(&mut open)
    }

    /// Brings a wallet to the node's last picture.
    fn settle(&self, open: &mut Open) -> Result<(), WalletError> {
        let view = self.node.view();
        if open.wallet.tip().hash != view.tip.hash {
            let touched = open.wallet.catch_up(&|height| view.active.get(height), &**self.node.reader())?;
            open.dirty |= !touched.is_empty();
        }
        if !open.mempool.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &view.mempool)) {
            let transactions: Vec<_> = view.mempool.entries().map(|entry| Arc::clone(&entry.tx)).collect();
            open.wallet.sync_mempool(&transactions, self.node.clock().now());
            open.mempool = Some(Arc::clone(&view.mempool));
        }
        Ok(())
    }

    /// The name of the wallet that is meant by `name`.
    ///
    /// # Errors
    /// No such wallet.
    pub fn resolve(&self, name: Option<&str>) -> Result<String, WalletsError> {
        Ok(self.find(name)?.0)
    }

    /// Looks at a wallet that has seen everything that the node has published. Nothing happens to it meanwhile: keep
    /// it short.
    ///
    /// # Errors
    /// As [`WalletService::balance`].
    pub fn inspect<R>(&self, name: Option<&str>, look: impl FnOnce(&Wallet) -> R) -> Result<R, WalletsError> {
        self.with(name, |open| Ok(look(&open.wallet)))
    }

    /// What a wallet holds. `None`: the node's own wallet, here and below.
    ///
    /// # Errors
    /// No such wallet; the store failed.
    pub fn balance(&self, name: Option<&str>) -> Result<Balance, WalletsError> {
        self.with(name, |open| Ok(balance(&open.wallet)))
    }

    /// A wallet's coins, by outpoint.
    ///
    /// # Errors
    /// As [`WalletService::balance`].
    pub fn coins(&self, name: Option<&str>) -> Result<Vec<WalletCoin>, WalletsError> {
        self.with(name, |open| {
            let wallet = &open.wallet;
            let addresses: BTreeMap<KeyRef, String> = [Keychain::Receive, Keychain::Change]
                .into_iter()
                .flat_map(|keychain| wallet.addresses(keychain))
                .map(|entry| (entry.key, entry.address.to_string()))
                .collect();
            let coin = |coin: tine_wallet::WalletCoin| WalletCoin {
                coin: coin.outpoint,
                amount: coin.value.to_string(),
                address: addresses.get(&coin.key).cloned().unwrap_or_default(),
                confirmations: coin.confirmations,
                immature: coin.state == CoinState::Immature,
            };
            Ok(wallet.coins().into_iter().map(coin).collect())
        })
    }

    /// A wallet's payments and what became of them: those in blocks first, in block order.
    ///
    /// # Errors
    /// As [`WalletService::balance`].
    pub fn history(&self, name: Option<&str>) -> Result<Vec<HistoryEntry>, WalletsError> {
        self.with(name, |open| Ok(open.wallet.history().into_iter().map(history_entry).collect()))
    }

    /// An address to be paid to: a new one, or the first, which never changes.
    ///
    /// # Errors
    /// As [`WalletService::balance`]; a locked wallet whose stored addresses are used up.
    pub fn address(&self, name: Option<&str>, new: bool) -> Result<String, WalletsError> {
        self.with(name, |open| {
            let entry = if new { open.wallet.next_address()? } else { open.wallet.first_address()? };
            if new {
                // an address that was given out must not be given out again
                open.wallet.save()?;
            }
            Ok(entry.address.to_string())
        })
    }

    /// A new address to be paid to, called `label`.
    ///
    /// # Errors
    /// As [`WalletService::address`].
    pub fn new_address(&self, name: Option<&str>, label: Option<&str>) -> Result<String, WalletsError> {
        self.with(name, |open| {
            let entry = open.wallet.next_address()?;
            if let Some(label) = label {
                open.wallet.set_label(&entry.address, label);
            }
            open.wallet.save()?;
            Ok(entry.address.to_string())
        })
    }

    /// The lock of a wallet's first address.
    ///
    /// # Errors
    /// As [`WalletService::address`].
    pub fn first_lock(&self, name: Option<&str>) -> Result<Lock, WalletsError> {
        self.with(name, |open| Ok(open.wallet.first_address()?.address.lock))
    }

    /// The wallet that was to be paid by an output locked so. Change is no payment: it comes back to who paid.
    #[must_use]
    pub fn owner_of(&self, wanted: &Lock) -> Option<String> {
        let wallets: Vec<(String, Shared)> =
            lock(&self.wallets).iter().map(|(name, wallet)| (name.clone(), Arc::clone(wallet))).collect();
        let is_paid = |wallet: &Shared| {
            let entry = lock(wallet).wallet.address_entry(wanted);
            entry.is_some_and(|entry| entry.key.keychain == Keychain::Receive)
        };
        wallets.into_iter().find(|(_, wallet)| is_paid(wallet)).map(|(name, _)| name)
    }

    /// All wallets.
    ///
    /// # Errors
    /// The store failed.
    pub fn list(&self) -> Result<Vec<WalletSummary>, WalletsError> {
        let summary = |name: String| {
            self.with(Some(&name), |open| {
                Ok(WalletSummary {
                    address: open.wallet.first_address()?.address.to_string(),
                    locked: open.wallet.is_locked(),
                    public: open.wallet.is_public(),
                    balance: balance(&open.wallet),
                    name: name.clone(),
                })
            })
        };
        self.names().into_iter().map(summary).collect()
    }

    /// Makes a wallet with a new phrase, which is in the answer and nowhere else, and leaves it unlocked.
    ///
    /// # Errors
    /// A name that is taken or can't be a directory's; an empty passphrase; the file system.
    pub fn create(&self, request: &WalletNew) -> Result<WalletMade, WalletsError> {
        self.make_new(request)
    }

    /// Makes a wallet from its phrase or from a backup, finds its coins, and leaves it unlocked.
    ///
    /// # Errors
    /// As [`WalletService::create`]; words that are no phrase; a file that is no backup; the wrong passphrase.
    pub fn restore(&self, request: &WalletRestore) -> Result<WalletMade, WalletsError> {
        self.make_old(request)
    }

    /// Copies a wallet's sealed keystore to a new file.
    ///
    /// # Errors
    /// No such wallet; the file exists or can't be written.
    pub fn backup(&self, name: Option<&str>, path: &Path) -> Result<(), WalletsError> {
        self.with(name, |open| Ok(open.wallet.backup(path)?))
    }

    /// Opens a wallet's keys until [`WalletService::lock`], or for `seconds`.
    ///
    /// # Errors
    /// No such wallet; the wrong passphrase.
    pub fn unlock(
        &self,
        name: Option<&str>,
        passphrase: &str,
        seconds: Option<u64>,
    ) -> Result<(), WalletsError> {
        let until = seconds.map(|seconds| self.node.clock().now() + std::time::Duration::from_secs(seconds));
        self.with(name, |open| Ok(open.wallet.unlock(passphrase, until)?))
    }

    /// Forgets a wallet's keys.
    ///
    /// # Errors
    /// No such wallet.
    pub fn lock(&self, name: Option<&str>) -> Result<(), WalletsError> {
        self.with(name, |open| {
            open.wallet.lock();
            Ok(())
        })
    }
}

fn balance(wallet: &Wallet) -> Balance {
    let balance = wallet.balance();
    Balance {
        confirmed: balance.confirmed.to_string(),
        pending: balance.pending.to_string(),
        immature: balance.immature.to_string(),
    }
}

fn history_entry(entry: Entry) -> HistoryEntry {
    let (mut block, mut height, mut conflicts_with) = (None, None, None);
    let state = match entry.status {
        Status::Confirmed(confirmation) => {
            (block, height) = (Some(confirmation.block), Some(confirmation.height));
            PaymentState::Confirmed
        }
        Status::Pending => PaymentState::Pending,
        Status::Inactive => PaymentState::Inactive,
        Status::Conflicted(conflict) => {
            conflicts_with = Some(conflict.by);
            PaymentState::Conflicted
        }
        Status::Abandoned => PaymentState::Abandoned,
    };
    HistoryEntry {
        txid: entry.txid,
        amount: signed_coins(entry.net),
        state,
        coinbase: entry.kind == tine_wallet::Kind::Mined,
        block,
        height,
        confirmations: entry.confirmations,
        time: entry.seen.as_secs(),
        conflicts_with,
    }
}

/// Coins with 8 decimals and a sign, exactly.
fn signed_coins(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "+" };
    format!("{sign}{}", tine_chain::amount::Amount(units.unsigned_abs()))
}
