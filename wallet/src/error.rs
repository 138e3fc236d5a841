//! What can go wrong in a wallet: one variant for each thing a person can do something about.

use std::path::PathBuf;

use tine_chain::amount::Amount;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::Network;
use tine_chain::store::StoreError;
use tine_chain::transaction::OutPoint;

use crate::fee::FeeRate;

/// Why words are not a phrase. Never holds a word: it may be all but right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Neither 12 nor 24 words.
    #[error("a phrase has 12 or 24 words, not {0}")]
    WordCount(usize),
    /// A word that is not on the English list of BIP-39; counted from 1.
    #[error("word {0} is not on BIP-39's English list")]
    UnknownWord(usize),
    /// The last word does not fit the others.
    #[error("the words are known, but their checksum is wrong: one of them is, or their order")]
    Checksum,
}

/// Why a coin that was asked for can't be spent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoinReason {
    /// This wallet does not have it, on the chain that it follows.
    #[error("this wallet does not have it")]
    Unknown,
    /// A coinbase that is too young; it may be spent in the block of this height.
    #[error("it is a coinbase that may first be spent in block {0}")]
    Immature(u32),
    /// A transaction in a block or in the mempool spends it.
    #[error("{0} spends it")]
    Spent(Txid),
    /// A payment that was built and neither sent nor cancelled uses it.
    #[error("a payment in the making uses it")]
    Reserved,
    /// The owner has locked it.
    #[error("it is locked; unlock it first")]
    Locked,
    /// Someone else's unconfirmed payment: it can still be taken back.
    #[error("it is an unconfirmed payment from someone else")]
    Unconfirmed,
    /// It was chosen twice.
    #[error("it is chosen twice")]
    Duplicate,
}

/// What can go wrong in a wallet.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is a wallet already; it was left alone.
    #[error("{0} exists already: a wallet is never overwritten")]
    Exists(PathBuf),
    /// There is no wallet.
    #[error("no wallet at {0}")]
    NotFound(PathBuf),
    /// Another process has the wallet open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Written by a version that we don't know.
    #[error("{path} has format {found}, this program knows {known}: use a newer program")]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// A file is not what we wrote.
    #[error("{path} is damaged: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        what: String,
    },
    /// The wallet belongs to another network.
    #[error("the wallet is for {found:?}, not for {expected:?}")]
    WrongNetwork {
        /// The network asked for.
        expected: Network,
        /// The wallet's.
        found: Network,
    },
    /// The passphrase does not open the keystore, or its file was tampered with: nobody can tell which.
    #[error("wrong passphrase, or the keystore was changed")]
    WrongPassphrase,
    /// A passphrase has at least one character.
    #[error("the passphrase must not be empty")]
    EmptyPassphrase,
    /// The keys are locked.
    #[error("the wallet is locked: give its passphrase first")]
    Locked,
    /// The system gave no randomness; no key was made.
    #[error("the system gave no randomness: {0}")]
    Randomness(getrandom::Error),
    /// Words that are no phrase.
    #[error("{0}")]
    Phrase(#[from] PhraseError),
    /// Well-known keys are no place for real money.
    #[error("the development wallets are public: they are not for the main network")]
    PublicOnMain,
    /// No development wallet has that name.
    #[error("no development wallet is called {0}: there are alice, bob, carol and dave")]
    NoDevWallet(String),
    /// A path index of 2^31 or more.
    #[error("no more addresses: a derivation index stays under 2^31")]
    IndexExhausted,

    /// Nothing to pay.
    #[error("a payment needs at least one recipient")]
    NoRecipients,
    /// The sum of what is to be paid can't exist.
    #[error("the payments together are more than all the money there can be")]
    AmountOutOfRange,
    /// An output that costs more to spend than it is worth.
    #[error("{amount} is dust: the least is {threshold}")]
    Dust {
        /// What was to be paid.
        amount: Amount,
        /// The least that can be.
        threshold: Amount,
    },
    /// The address is of another network.
    #[error("the address is for {found:?}, the wallet for {expected:?}")]
    AddressNetwork {
        /// The wallet's network.
        expected: Network,
        /// The address's.
        found: Network,
    },
    /// Not enough coins that can be spent now.
    #[error(
        "insufficient funds: {needed} needed, fee of {fee} included, {available} can be spent now \
         (rewards must mature, and what others pay must be confirmed)"
    )]
    InsufficientFunds {
        /// Payments and fee.
        needed: Amount,
        /// The fee in it, for the best of all attempts.
        fee: Amount,
        /// All the coins that could have been used.
        available: Amount,
    },
    /// A chosen coin can't be spent.
    #[error("coin {coin} can't be spent: {reason}")]
    Coin {
        /// The coin.
        coin: OutPoint,
        /// Why.
        #[source]
        reason: CoinReason,
    },
    /// The fee is over the guard (Core: `max-fee-exceeded`).
    #[error("max-fee-exceeded: the fee would be {fee}, the most allowed is {max}")]
    MaxFeeExceeded {
        /// The fee that the rate asks for.
        fee: Amount,
        /// The guard.
        max: Amount,
    },
    /// The rate is absurd, or its unit was mistaken.
    #[error("a fee rate of {rate} is absurd (most: {max}); rates are in base units per byte")]
    MaxFeeRateExceeded {
        /// The rate asked for.
        rate: FeeRate,
        /// The guard.
        max: FeeRate,
    },
    /// The rate is under what nodes relay.
    #[error("a fee rate of {rate} is not relayed (least: {min})")]
    MinFeeRate {
        /// The rate asked for.
        rate: FeeRate,
        /// What nodes relay.
        min: FeeRate,
    },
    /// The transaction would be larger than any may be.
    #[error("the transaction would have {size} bytes, more than the {max} allowed: pay in parts")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The most.
        max: usize,
    },
    /// A policy that this wallet can't satisfy.
    #[error("the wallet has no way to satisfy the policy of {0}")]
    UnsupportedPolicy(OutPoint),
    /// A signature that we made does not verify. Nothing was sent.
    #[error("a signature just made does not verify; the machine may be faulty, nothing was sent")]
    SelfCheck,

    /// No such transaction in the history.
    #[error("the wallet knows no transaction {0}")]
    UnknownTransaction(Txid),
    /// A transaction in a block or in the mempool can't be given up.
    #[error("{0} is in a block or in the mempool: it can't be abandoned")]
    NotAbandonable(Txid),
    /// A change does not continue the chain that the wallet has seen: catch up first.
    #[error("the change starts after {found}, the wallet has seen {expected}: it must catch up")]
    NotContiguous {
        /// The wallet's tip.
        expected: BlockHash,
        /// What the change builds on, or takes away.
        found: BlockHash,
    },
    /// A body that is needed for the scan is not there.
    #[error("the body of block {0} is missing")]
    MissingBlock(BlockHash),
    /// The chain's store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}
