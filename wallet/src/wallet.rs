//! A wallet: keys, addresses, and what the chain says about them.
//!
//! In a directory of mode 0700 lie `keystore.json` (the sealed phrase), `addresses.json` (public keys and labels),
//! `history.json` (what the chain said; rebuilt when it is missing or damaged) and `lock`, held while the wallet is
//! open. The wallet has no clock and no connection: a program tells it of every [`Change`] and of what enters and
//! leaves the mempool, and calls [`Wallet::catch_up`] after opening it and whenever a change does not fit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::change::Change;
use tine_chain::hash::{Lock, Txid};
use tine_chain::params::{Network, Params};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};
use zeroize::Zeroizing;

use crate::balance::{Balance, WalletCoin};
use crate::book::{AddressEntry, Book, KeyRef};
use crate::error::WalletError;
use crate::file::{self, DirectoryLock};
use crate::history::HistoryEntry;
use crate::keys::{Keychain, Phrase, Seed};
use crate::keystore::{KdfCost, Keystore, Secret};
use crate::ledger::{Ledger, Removed, Status, Tip};
use crate::spend::Reservations;

const KEYSTORE: &str = "keystore.json";
const ADDRESSES: &str = "addresses.json";
const HISTORY: &str = "history.json";

/// Where a wallet lives, held for this process alone.
#[derive(Debug)]
struct Home {
    path: PathBuf,
    _lock: DirectoryLock,
}

/// Keys in use.
#[derive(Debug)]
struct Unlocked {
    seed: Seed,
    /// When to forget them.
    until: Option<Time>,
}

/// A wallet. See the module's documentation.
#[derive(Debug)]
pub struct Wallet {
    home: Option<Home>,
    pub(crate) params: Params,
    keystore: Keystore,
    unlocked: Option<Unlocked>,
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) reservations: Reservations,
}

impl Wallet {
    /// Makes a wallet in `directory` from the words of `phrase`, sealed under `passphrase`, and leaves it unlocked.
    ///
    /// Serves for a new phrase ([`Phrase::generate`]) and for an old one: then [`Wallet::rescan`] finds its coins.
    ///
    /// # Errors
    /// [`WalletError::Exists`], [`WalletError::EmptyPassphrase`], [`WalletError::InUse`], [`WalletError::Io`]:
    /// whichever it is, no file that was there has changed.
    pub fn create(
        directory: &Path,
        params: &Params,
        secret: &Secret,
        passphrase: &str,
        cost: KdfCost,
    ) -> Result<Self, WalletError> {
        let keystore = Keystore::seal(secret, passphrase, params.network, cost)?;
        Self::install(directory, params, keystore, secret)
    }

    /// Makes a wallet in `directory` from a secret that everyone knows: see [`crate::dev`].
    ///
    /// # Errors
    /// As [`Wallet::create`].
    pub fn create_public(directory: &Path, params: &Params, secret: &Secret) -> Result<Self, WalletError> {
        let keystore = Keystore::seal_public(secret, params.network)?;
        Self::install(directory, params, keystore, secret)
    }

    /// Makes a wallet in `directory` from a keystore file that [`Wallet::backup`] wrote.
    ///
    /// # Errors
    /// [`WalletError::WrongPassphrase`], [`WalletError::Corrupt`], [`WalletError::WrongNetwork`] for the backup, and
    /// all those of [`Wallet::create`]; no file that was there has changed.
    pub fn restore_backup(
        directory: &Path,
        params: &Params,
        backup: &Path,
        passphrase: &str,
    ) -> Result<Self, WalletError> {
        let keystore = read_keystore(backup, params.network)?;
        let secret = keystore.open(passphrase)?;
        Self::install(directory, params, keystore, &secret)
    }

    fn install(
        directory: &Path,
        params: &Params,
        keystore: Keystore,
        secret: &Secret,
    ) -> Result<Self, WalletError> {
        let path = directory.join(KEYSTORE);
        if path.exists() {
            return Err(WalletError::Exists(directory.to_owned()));
        }
        file::create_directory(directory)?;
        let lock = DirectoryLock::take(directory)?;
        // looked at again: between the first look and the lock another process may have made one
        if path.exists() {
            return Err(WalletError::Exists(directory.to_owned()));
        }
        file::write_atomically(&path, &keystore.to_json())?;
        let home = Home { path: directory.to_owned(), _lock: lock };
        let mut wallet = Self::assemble(Some(home), params, keystore, secret);
        wallet.save()?;
        Ok(wallet)
    }

    /// A wallet that lives in memory only, unlocked: for the public development wallets and for tests.
    ///
    /// # Errors
    /// [`WalletError::Randomness`].
    pub fn in_memory(params: &Params, secret: &Secret) -> Result<Self, WalletError> {
        let keystore = Keystore::seal_public(secret, params.network)?;
        Ok(Self::assemble(None, params, keystore, secret))
    }

    fn assemble(home: Option<Home>, params: &Params, keystore: Keystore, secret: &Secret) -> Self {
        let mut book = Book::new(params.network);
        let seed = secret.seed();
        book.fill(&seed);
        Self {
            home,
            params: params.clone(),
            keystore,
            unlocked: Some(Unlocked { seed, until: None }),
            book,
            ledger: Ledger::new(params),
            reservations: Reservations::default(),
        }
    }

    /// Opens the wallet in `directory`, locked: it can be looked at and can receive. Then catch up with the chain.
    ///
    /// # Errors
    /// [`WalletError::NotFound`], [`WalletError::InUse`], [`WalletError::WrongNetwork`], [`WalletError::Corrupt`],
    /// [`WalletError::Format`], [`WalletError::Io`].
    pub fn open(directory: &Path, params: &Params) -> Result<Self, WalletError> {
        if !directory.join(KEYSTORE).exists() {
            return Err(WalletError::NotFound(directory.to_owned()));
        }
        let lock = DirectoryLock::take(directory)?;
        file::remove_temporary(directory)?;
        let keystore = read_keystore(&directory.join(KEYSTORE), params.network)?;
        let path = directory.join(ADDRESSES);
        let book = match file::read(&path)? {
            None => Book::new(params.network),
            Some(json) => Book::from_json(&json, params.network).map_err(|what| {
                let what = format!("{what}; moved away, it is made again from the phrase, without labels");
                WalletError::Corrupt { path, what }
            })?,
        };
        let ledger = file::read(&directory.join(HISTORY))?
            .and_then(|json| Ledger::from_json(&json, params))
            .unwrap_or_else(|| Ledger::new(params));
        Ok(Self {
            home: Some(Home { path: directory.to_owned(), _lock: lock }),
            params: params.clone(),
            keystore,
            unlocked: None,
            book,
            ledger,
            reservations: Reservations::default(),
        })
    }

    /// Writes addresses and history to their files. A wallet in memory has none.
    ///
    /// # Errors
    /// [`WalletError::Io`]; each file is then the old one or the new one.
    pub fn save(&mut self) -> Result<(), WalletError> {
        let Some(home) = &self.home else { return Ok(()) };
        file::write_atomically(&home.path.join(ADDRESSES), &self.book.to_json())?;
        file::write_atomically(&home.path.join(HISTORY), &self.ledger.to_json())
    }

    /// Copies the sealed keystore to `to`, which must not exist. Together with the passphrase it restores every key.
    ///
    /// # Errors
    /// [`WalletError::Exists`], [`WalletError::Io`].
    pub fn backup(&self, to: &Path) -> Result<(), WalletError> {
        if to.exists() {
            return Err(WalletError::Exists(to.to_owned()));
        }
        file::write_atomically(to, &self.keystore.to_json())
    }

    /// The network whose coins the wallet holds.
    #[must_use]
    pub fn network(&self) -> Network {
        self.params.network
    }

    /// Whether the keys are well known: anyone can spend these coins.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.keystore.header().public
    }

    // -- keys

    /// Opens the keys until `until`, or until [`Wallet::lock`].
    ///
    /// # Errors
    /// [`WalletError::WrongPassphrase`], [`WalletError::EmptyPassphrase`]; a wallet that was unlocked stays so.
    pub fn unlock(&mut self, passphrase: &str, until: Option<Time>) -> Result<(), WalletError> {
        let seed = self.keystore.open(passphrase)?.seed();
        self.book.fill(&seed);
        self.unlocked = Some(Unlocked { seed, until });
        Ok(())
    }

    /// Forgets the keys.
    pub fn lock(&mut self) {
        self.unlocked = None;
    }

    /// Forgets the keys when their time has come. Signing does so by itself; a program calls this on its own clock.
    pub fn lock_when_due(&mut self, now: Time) {
        if self.unlocked.as_ref().and_then(|unlocked| unlocked.until).is_some_and(|until| until <= now) {
            self.lock();
        }
    }

    /// Whether the passphrase is needed before the next signature.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.unlocked.is_none()
    }

    /// The seed, if the wallet is unlocked.
    pub(crate) fn seed(&self) -> Result<&Seed, WalletError> {
        self.unlocked.as_ref().map(|unlocked| &unlocked.seed).ok_or(WalletError::Locked)
    }

    /// Seals the same phrase under another passphrase: the old one is dead from then on.
    ///
    /// # Errors
    /// As [`Wallet::unlock`], and [`WalletError::Io`]: then the old one still holds.
    pub fn change_passphrase(&mut self, old: &str, new: &str) -> Result<(), WalletError> {
        let keystore = self.keystore.change_passphrase(old, new)?;
        if let Some(home) = &self.home {
            file::write_atomically(&home.path.join(KEYSTORE), &keystore.to_json())?;
        }
        self.keystore = keystore;
        Ok(())
    }

    /// The words, for their owner to write down.
    ///
    /// # Errors
    /// As [`Wallet::unlock`].
    pub fn phrase(&self, passphrase: &str) -> Result<Zeroizing<String>, WalletError> {
        Ok(self.keystore.open(passphrase)?.phrase.words())
    }

    // -- addresses

    /// An address that was not given out before, to receive with.
    ///
    /// # Errors
    /// [`WalletError::Locked`] when the 20 in store are used up, [`WalletError::IndexExhausted`].
    pub fn next_address(&mut self) -> Result<AddressEntry, WalletError> {
        let key = self.issue(Keychain::Receive)?;
        Ok(self.book.entry(key))
    }

    pub(crate) fn issue(&mut self, keychain: Keychain) -> Result<KeyRef, WalletError> {
        let key = self.book.issue(keychain)?;
        self.refill();
        Ok(key)
    }

    /// Derives the addresses that the gap limit asks for, if the keys are at hand.
    pub(crate) fn refill(&mut self) {
        if let Some(unlocked) = &self.unlocked {
            self.book.fill(&unlocked.seed);
        }
    }

    /// The first address: the same in every life of the wallet, for miners and for showing who someone is.
    ///
    /// # Errors
    /// [`WalletError::Locked`] when the wallet was never unlocked.
    pub fn first_address(&mut self) -> Result<AddressEntry, WalletError> {
        let first = self.book.issued(Keychain::Receive).next();
        first.map_or_else(|| self.next_address(), Ok)
    }

    /// The addresses that were given out, in order.
    #[must_use]
    pub fn addresses(&self, keychain: Keychain) -> Vec<AddressEntry> {
        self.book.issued(keychain).collect()
    }

    /// The entry of an address, if it is ours.
    #[must_use]
    pub fn address_entry(&self, lock: &Lock) -> Option<AddressEntry> {
        self.book.owner(lock).map(|key| self.book.entry(key))
    }

    /// Names an address of ours; an empty name takes the old one away. Says whether the address is ours.
    pub fn set_label(&mut self, address: &Address, label: &str) -> bool {
        let Some(key) = self.book.owner(&address.lock) else { return false };
        self.book.set_label(key, label);
        true
    }

    // -- what the chain says

    /// The last block that the wallet has seen; the genesis at first.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.ledger.tip
    }

    /// Takes over what one commit of the chain changed. Says which of our transactions it touched.
    ///
    /// # Errors
    /// [`WalletError::NotContiguous`] when the change does not start from [`Wallet::tip`]: nothing is taken over, and
    /// [`Wallet::catch_up`] puts it right.
    pub fn apply(&mut self, change: &Change) -> Result<Vec<Txid>, WalletError> {
        let unlocked = self.unlocked.as_ref();
        let fill = |book: &mut Book| {
            if let Some(unlocked) = unlocked {
                book.fill(&unlocked.seed);
            }
        };
        Ok(self.ledger.apply(change, &mut self.book, fill)?.into_iter().collect())
    }

    /// The mempool took a transaction. Says whether it is ours.
    pub fn mempool_added(&mut self, tx: &Arc<Transaction>, now: Time) -> bool {
        let ours = self.ledger.mempool_added(tx, &mut self.book, now);
        self.refill();
        ours
    }

    /// The mempool dropped a transaction. Says whether it is ours.
    pub fn mempool_removed(&mut self, txid: &Txid, removed: Removed) -> bool {
        self.ledger.mempool_removed(txid, removed)
    }

    /// Makes the wallet's view of the mempool exactly `transactions`: after opening, and after catching up.
    pub fn sync_mempool(&mut self, transactions: &[Arc<Transaction>], now: Time) {
        self.ledger.sync_mempool(transactions, &mut self.book, now);
        self.refill();
    }

    /// What the wallet has.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.ledger.balance(&self.book)
    }

    /// Every coin that nothing in a block or in the mempool spends, by outpoint.
    #[must_use]
    pub fn coins(&self) -> Vec<WalletCoin> {
        self.ledger.coins(&self.book)
    }

    /// Every transaction of ours: those in blocks first, in block order, then the others by when they were first seen.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryEntry> {
        self.ledger.history(&self.book, self.params.network)
    }

    /// One transaction of ours.
    #[must_use]
    pub fn entry(&self, txid: &Txid) -> Option<HistoryEntry> {
        let record = self.ledger.records.get(txid)?;
        Some(self.ledger.history_entry(record, &self.book, self.params.network))
    }

    /// What became of a transaction of ours.
    #[must_use]
    pub fn status(&self, txid: &Txid) -> Option<Status> {
        self.ledger.status(txid)
    }

    /// A transaction of ours, whatever became of it.
    #[must_use]
    pub fn transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.ledger.records.get(txid).map(|record| Arc::clone(&record.tx))
    }

    /// Transactions that are neither in a block nor in the mempool and may be sent again, parents before children.
    #[must_use]
    pub fn to_resend(&self) -> Vec<Arc<Transaction>> {
        self.ledger.inactive()
    }

    /// Gives up a transaction that is neither in a block nor in the mempool, and what builds on it: its coins are free.
    ///
    /// # Errors
    /// [`WalletError::UnknownTransaction`], [`WalletError::NotAbandonable`].
    pub fn abandon(&mut self, txid: &Txid) -> Result<(), WalletError> {
        self.ledger.abandon(txid)
    }

    /// Keeps a coin out of payments until it is unlocked. Kept in memory only, as in Core.
    pub fn lock_coin(&mut self, coin: OutPoint) {
        self.reservations.locked.insert(coin);
    }

    /// Lets a coin be spent again. Says whether it was locked.
    pub fn unlock_coin(&mut self, coin: &OutPoint) -> bool {
        self.reservations.locked.remove(coin)
    }

    /// The coins locked by [`Wallet::lock_coin`].
    pub fn locked_coins(&self) -> impl Iterator<Item = &OutPoint> {
        self.reservations.locked.iter()
    }
}

fn read_keystore(path: &Path, network: Network) -> Result<Keystore, WalletError> {
    let json = file::read(path)?.ok_or_else(|| WalletError::NotFound(path.to_owned()))?;
    let keystore = Keystore::from_json(&json, path)?;
    let found = keystore.header().network;
    if found != network {
        return Err(WalletError::WrongNetwork { expected: network, found });
    }
    Ok(keystore)
}

/// A secret of a phrase without a passphrase of BIP-39's.
#[must_use]
pub fn secret_of(phrase: Phrase) -> Secret {
    Secret { phrase, bip39_passphrase: Zeroizing::new(String::new()) }
}
