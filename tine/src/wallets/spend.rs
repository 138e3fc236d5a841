//! Payments.

use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::codec::Encode as _;
use tine_chain::transaction::OutPoint;
use tine_node::event::Submission;
use tine_wallet::{FeeRate, Payment, SendRequest, WalletError};

use super::{Open, WalletService, WalletsError, lock};
use crate::methods::{Send, Sent, SentInput, SentOutput};

impl WalletService {
    /// Builds, signs and submits a payment. Blocks the calling thread until the node has judged it.
    ///
    /// # Errors
    /// The wallet can't pay, or the node refuses: then nothing has happened, and the coins are free again.
    pub fn send(&self, request: &Send) -> Result<Sent, WalletsError> {
        let amount: Amount = request.amount.parse()?;
        let address = self.recipient(&request.to)?;
        let order = SendRequest {
            fee_rate: request.fee_rate.map_or(self.fee_rate(), FeeRate),
            coins: request.coins.clone(),
            ..SendRequest::new(address, amount)
        };
        let payer = match (&request.wallet, request.coins.first()) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(coin)) => self.holder_of(coin),
            (None, None) => None,
        };
        let (name, wallet) = self.find(payer.as_deref())?;
        let mut open = lock(&wallet);
        self.settle(&mut open)?;
        let payment = self.pay(&mut open, &order, request.passphrase.as_deref(), request.dry_run)?;
        open.wallet.save()?;
        Ok(sent(name, &address, amount, &payment))
    }

    /// What is paid when nobody says: the least that the mempool takes now, at least the wallet's own choice.
    pub(super) fn fee_rate(&self) -> FeeRate {
        FeeRate(self.node.view().mempool.min_fee_rate().units_per_kilobyte().max(FeeRate::DEFAULT.0))
    }

    /// Builds and signs; submits too, unless it is only a rehearsal.
    pub(super) fn pay(
        &self,
        open: &mut Open,
        order: &SendRequest,
        passphrase: Option<&str>,
        dry_run: bool,
    ) -> Result<Payment, WalletsError> {
        let was_locked = open.wallet.is_locked();
        if let Some(passphrase) = passphrase
            && was_locked
        {
            open.wallet.unlock(passphrase, None)?;
        }
        let prepared = open.wallet.prepare(order, self.node.clock().now(), rand::random());
        if was_locked {
            open.wallet.lock();
        }
        let payment = prepared?;
        if dry_run {
            open.wallet.cancel(&payment);
            return Ok(payment);
        }
        let verdict = self.node.submit_blocking(Submission::Transaction(Arc::clone(&payment.transaction)));
        match verdict {
            Ok(Ok(_)) => {
                open.wallet.commit(&payment, self.node.clock().now());
                Ok(payment)
            }
            Ok(Err(reject)) => {
                open.wallet.cancel(&payment);
                Err(WalletsError::Rejected(reject))
            }
            Err(stopped) => {
                open.wallet.cancel(&payment);
                Err(stopped.into())
            }
        }
    }

    /// An address, or the name of a wallet of this node.
    fn recipient(&self, to: &str) -> Result<Address, WalletsError> {
        let network = self.node.params().network;
        if self.names().iter().any(|name| name == to) {
            return Ok(Address { network, lock: self.first_lock(Some(to))? });
        }
        let address = Address::parse(to).map_err(|error| {
            WalletsError::BadRecipient(to.to_owned(), error.to_string(), self.names().join(", "))
        })?;
        if address.network != network {
            return Err(WalletError::AddressNetwork { expected: network, found: address.network }.into());
        }
        Ok(address)
    }

    /// The wallet that has a coin.
    fn holder_of(&self, coin: &OutPoint) -> Option<String> {
        let has = |name: &String| {
            let holds = |open: &mut Open| Ok(open.wallet.coins().iter().any(|held| held.outpoint == *coin));
            self.with(Some(name), holds).unwrap_or(false)
        };
        self.names().into_iter().find(has)
    }
}

fn sent(wallet: String, to: &Address, amount: Amount, payment: &Payment) -> Sent {
    let input = |input: &tine_wallet::PaymentInput| SentInput {
        coin: input.outpoint,
        amount: input.amount.to_string(),
        address: input.address.to_string(),
        confirmations: input.confirmations,
        path: input.path.to_string(),
        sighash: hex::encode(input.sighash),
        signatures: input
            .signatures
            .iter()
            .map(|signed| (signed.public_key.to_string(), hex::encode(signed.signature)))
            .collect(),
    };
    let output = |output: &tine_wallet::PaymentOutput| SentOutput {
        address: output.address.to_string(),
        amount: output.amount.to_string(),
        change: output.change.is_some(),
    };
    Sent {
        txid: payment.txid,
        hex: hex::encode(payment.transaction.to_bytes()),
        wallet,
        to: to.to_string(),
        amount: amount.to_string(),
        fee: payment.fee.to_string(),
        size: payment.size,
        inputs: payment.inputs.iter().map(input).collect(),
        outputs: payment.outputs.iter().map(output).collect(),
    }
}
