//! What Core's wallet methods change in a wallet, besides paying one address.

use tine_chain::hash::Txid;
use tine_chain::transaction::{TxData, TxOut};
use tine_wallet::spend::DEFAULT_MAX_FEE;
use tine_wallet::{FeeRate, Recipient, SendRequest, Wallet, WalletError};

use super::{WalletService, WalletsError, lock};

impl WalletService {
    /// Changes a wallet that has seen everything that the node has published, and writes it to disk.
    ///
    /// # Errors
    /// No such wallet; what `change` says; the file system.
    pub fn alter<R>(
        &self,
        name: Option<&str>,
        change: impl FnOnce(&mut Wallet) -> Result<R, WalletError>,
    ) -> Result<R, WalletsError> {
        self.with(name, |open| {
            let result = change(&mut open.wallet)?;
            open.wallet.save()?;
            Ok(result)
        })
    }

    /// Pays several at once, and submits. `fee_rate` is in base units for 1,000 bytes.
    ///
    /// # Errors
    /// As [`WalletService::send`].
    pub fn send_many(
        &self,
        name: Option<&str>,
        recipients: Vec<Recipient>,
        fee_rate: Option<u64>,
    ) -> Result<Txid, WalletsError> {
        let order = SendRequest {
            recipients,
            fee_rate: fee_rate.map_or(self.fee_rate(), FeeRate),
            coins: Vec::new(),
            max_fee: DEFAULT_MAX_FEE,
        };
        let (_, wallet) = self.find(name)?;
        let mut open = lock(&wallet);
        self.settle(&mut open)?;
        let payment = self.pay(&mut open, &order, None, false)?;
        open.wallet.save()?;
        Ok(payment.txid)
    }

    /// Signs those inputs of a transaction that a wallet's keys open; `spent` is what its inputs spend.
    ///
    /// # Errors
    /// No such wallet, or it is locked.
    pub fn sign_inputs(
        &self,
        name: Option<&str>,
        tx: &mut TxData,
        spent: &[TxOut],
    ) -> Result<Vec<usize>, WalletsError> {
        self.with(name, |open| Ok(open.wallet.sign_inputs(tx, spent, self.node.clock().now())?))
    }
}
