//! Who may spend: keys, addresses, coin selection, signing.
//!
//! A [`wallet::Wallet`] is a sealed phrase ([`keystore`]), a book of addresses ([`book`]) and a ledger of what the chain
//! and the mempool say about them ([`ledger`]). It is driven from outside: [`Wallet::apply`] for each change of the
//! chain, [`Wallet::mempool_added`] and [`Wallet::mempool_removed`] for the mempool, [`Wallet::catch_up`] after it was
//! closed; [`Wallet::prepare`], then [`Wallet::commit`] or [`Wallet::cancel`], to pay.
//!
//! No clock, no threads, no connection: time and the randomness of choices are arguments. Secrets, salts and nonces
//! come from the operating system. Files are the one kind of input and output that this crate does itself
//! (`file.rs`), because how a keystore reaches the disk is part of its safety.

pub mod balance;
pub mod book;
pub mod dev;
pub mod error;
pub mod fee;
mod file;
pub mod history;
pub mod keys;
pub mod keystore;
pub mod ledger;
mod ledger_file;
pub mod payment;
mod raw;
pub mod risk;
mod scan;
pub mod select;
pub mod sign;
pub mod spend;
pub mod wallet;

pub use balance::{Balance, CoinState, WalletCoin};
pub use book::{AddressEntry, KeyRef};
pub use error::{CoinReason, PhraseError, WalletError};
pub use fee::FeeRate;
pub use history::{HistoryEntry, HistoryOutput, Kind};
pub use keys::{Keychain, Phrase, PhraseLength};
pub use keystore::{KdfCost, Keystore, Secret};
pub use ledger::{Confirmation, Conflict, Removed, Status, Tip};
pub use payment::{Payment, PaymentInput, PaymentOutput};
pub use risk::{confirmation_risk, exact_risk};
pub use spend::{Recipient, SendRequest};
pub use wallet::Wallet;
