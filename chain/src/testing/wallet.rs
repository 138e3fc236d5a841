//! Wallets whose one key follows from their name.

use crate::hash::{Lock, TaggedHash};
use crate::policy::Policy;
use crate::signature::public_key;

/// A key, and the lock that it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wallet {
    secret: [u8; 32],
    lock: Lock,
}

impl Wallet {
    /// The wallet called `name`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let secret = TaggedHash::new("tine/testing/wallet").chain(name).finish();
        Self { secret, lock: Policy::key(public_key(&secret)).lock() }
    }

    /// Its secret key.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// What its coins are locked to.
    #[must_use]
    pub fn lock(&self) -> Lock {
        self.lock
    }
}
