//! Signing a transaction that was made elsewhere (Core: `signrawtransactionwithwallet`).

use tine_chain::sighash::SighashCache;
use tine_chain::time::Time;
use tine_chain::transaction::{TxData, TxOut};
use tine_chain::witness::Satisfier;

use crate::error::WalletError;
use crate::wallet::Wallet;

impl Wallet {
    /// Signs those inputs of `tx` that our keys open; `spent` is what its inputs spend, in their order. Says at which
    /// places it signed. Nothing is reserved.
    ///
    /// # Errors
    /// [`WalletError::Locked`].
    ///
    /// # Panics
    /// When `spent` has not one output for each input.
    pub fn sign_inputs(
        &mut self,
        tx: &mut TxData,
        spent: &[TxOut],
        now: Time,
    ) -> Result<Vec<usize>, WalletError> {
        self.lock_when_due(now);
        let seed = self.seed()?;
        let genesis = self.params.genesis_hash();
        let sighash = SighashCache::new(&genesis, tx, spent).expect("the caller hands in one for each input");
        let mut signed = Vec::new();
        for (place, output) in spent.iter().enumerate() {
            let Some(key) = self.book.owner(&output.lock) else { continue };
            let secret = seed.derive(self.book.path(key));
            let message = sighash.sighash(place);
            let sign = |wanted: &_| (secret.public_key() == *wanted).then(|| secret.sign(&message));
            let witness = Satisfier { tx, input: place, sign: &sign, preimage: &|_| None }
                .satisfy(&self.book.policy(key));
            if let Some(witness) = witness {
                tx.witnesses[place] = witness;
                signed.push(place);
            }
        }
        Ok(signed)
    }
}
