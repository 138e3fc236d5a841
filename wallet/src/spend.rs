//! From "pay him that" to a signed transaction.
//!
//! Preparing a payment reserves its coins, so that two payments in the making never use the same one; it is then
//! either committed, when a node has taken it, or cancelled. Everything that could differ between two runs, the time
//! and the randomness, is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::amount::{Amount, COIN};
use tine_chain::hash::Txid;
use tine_chain::time::Time;
use tine_chain::transaction::{
    LOCK_TIME_THRESHOLD, OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut,
};

use crate::balance::{CoinState, WalletCoin};
use crate::book::KeyRef;
use crate::error::{CoinReason, WalletError};
use crate::fee::FeeRate;
use crate::keys::Keychain;
use crate::ledger::Tip;
use crate::payment::{Payment, PaymentInput, PaymentOutput};
use crate::select::{DUST_THRESHOLD, Purpose, Selection, Spendable, input_size, select, select_all};
use crate::sign::{InputToSign, SignedInput, prevouts, sign};
use crate::wallet::Wallet;

/// The most that a payment's fee may be unless its owner says otherwise: 0.1 coins (Core: `maxtxfee`).
pub const DEFAULT_MAX_FEE: Amount = Amount(COIN / 10);
/// A tip that is older than this says nothing about the present height (Core: 8 hours).
const MAX_TIP_AGE_SECS: u64 = 8 * 60 * 60;

/// Whom to pay, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// Whom.
    pub address: Address,
    /// How much.
    pub amount: Amount,
}

/// What to pay, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// Who gets what; at least one.
    pub recipients: Vec<Recipient>,
    /// What to pay for each byte.
    pub fee_rate: FeeRate,
    /// Exactly these coins; none: the wallet chooses.
    pub coins: Vec<OutPoint>,
    /// No fee over this.
    pub max_fee: Amount,
}

impl SendRequest {
    /// Pays `amount` to `address`, the rest as usual.
    #[must_use]
    pub fn new(address: Address, amount: Amount) -> Self {
        Self {
            recipients: vec![Recipient { address, amount }],
            fee_rate: FeeRate::DEFAULT,
            coins: Vec::new(),
            max_fee: DEFAULT_MAX_FEE,
        }
    }
}

/// Coins kept out of payments. In memory only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reservations {
    /// By their owner.
    pub(crate) locked: BTreeSet<OutPoint>,
    /// By payments in the making: which one.
    pub(crate) reserved: BTreeMap<OutPoint, Txid>,
}

/// A stream of choices from one random number (SplitMix64). For privacy, not for secrets.
struct Choices(u64);

impl Choices {
    /// A number under `bound`, which is small.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    /// Fisher and Yates.
    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// The lock time that takes the profit out of mining the tip again for its fees (Core: `DiscourageFeeSniping`): the
/// tip's height, once in ten some blocks less, so that delayed transactions don't stand out; 0 when the tip is old.
fn anti_fee_sniping_lock_time(tip: &Tip, now: Time, choices: &mut Choices) -> u32 {
    if now.as_secs().saturating_sub(tip.time.into()) > MAX_TIP_AGE_SECS {
        return 0;
    }
    let back = if choices.below(10) == 0 { choices.below(100) as u32 } else { 0 };
    tip.height.saturating_sub(back).min(LOCK_TIME_THRESHOLD - 1)
}

/// A payment before it is signed.
struct Draft {
    tx: TxData,
    coins: Vec<WalletCoin>,
    /// Which output is change, and whose key it has.
    change: Option<(usize, KeyRef)>,
    fee: Amount,
    size: usize,
}

impl Wallet {
    /// Builds and signs a payment, and reserves its coins. `random` decides the order of inputs and outputs and the
    /// lock time; the same number gives the same payment.
    ///
    /// # Errors
    /// [`WalletError::Locked`], [`WalletError::InsufficientFunds`], [`WalletError::Coin`], [`WalletError::Dust`],
    /// [`WalletError::MaxFeeExceeded`], [`WalletError::MaxFeeRateExceeded`], [`WalletError::MinFeeRate`],
    /// [`WalletError::AddressNetwork`], [`WalletError::NoRecipients`], [`WalletError::AmountOutOfRange`],
    /// [`WalletError::TooLarge`], [`WalletError::SelfCheck`]: nothing is reserved then.
    pub fn prepare(&mut self, request: &SendRequest, now: Time, random: u64) -> Result<Payment, WalletError> {
        self.lock_when_due(now);
        self.seed()?;
        let amount = self.check_request(request)?;
        let mut choices = Choices(random);
        let (coins, selection) = self.choose_coins(request, amount)?;
        if selection.fee > request.max_fee {
            return Err(WalletError::MaxFeeExceeded { fee: selection.fee, max: request.max_fee });
        }
        let draft = self.draft(request, coins, &selection, now, &mut choices)?;
        let change = draft.change;
        let payment = self.finish(draft);
        match &payment {
            Ok(payment) => {
                let coins = prevouts(&payment.transaction).map(|coin| (coin, payment.txid));
                self.reservations.reserved.extend(coins);
            }
            Err(_) => change.into_iter().for_each(|(_, key)| self.book.take_back(key)),
        }
        payment
    }

    /// A node has taken the payment: it counts from now on, whether or not the node's notice has come already.
    pub fn commit(&mut self, payment: &Payment, now: Time) {
        self.release(payment);
        let is_confirmed =
            self.ledger.records.get(&payment.txid).is_some_and(|record| record.confirmation.is_some());
        if !is_confirmed {
            self.mempool_added(&payment.transaction, now);
        }
    }

    /// The payment will not be sent: its coins, and its change address, are free again.
    pub fn cancel(&mut self, payment: &Payment) {
        self.release(payment);
        if !self.ledger.records.contains_key(&payment.txid)
            && let Some(key) = payment.change().and_then(|output| output.change)
        {
            self.book.take_back(key);
        }
    }

    fn release(&mut self, payment: &Payment) {
        self.reservations.reserved.retain(|_, txid| *txid != payment.txid);
    }

    /// Everything about a request that needs no coins. The sum of its payments.
    fn check_request(&self, request: &SendRequest) -> Result<Amount, WalletError> {
        if request.recipients.is_empty() {
            return Err(WalletError::NoRecipients);
        }
        if request.fee_rate > FeeRate::MAX {
            return Err(WalletError::MaxFeeRateExceeded { rate: request.fee_rate, max: FeeRate::MAX });
        }
        if request.fee_rate < FeeRate::MIN_RELAY {
            return Err(WalletError::MinFeeRate { rate: request.fee_rate, min: FeeRate::MIN_RELAY });
        }
        let mut total = Amount::ZERO;
        for recipient in &request.recipients {
            if recipient.address.network != self.params.network {
                let (expected, found) = (self.params.network, recipient.address.network);
                return Err(WalletError::AddressNetwork { expected, found });
            }
            if recipient.amount < DUST_THRESHOLD {
                return Err(WalletError::Dust { amount: recipient.amount, threshold: DUST_THRESHOLD });
            }
            total = total.checked_add(recipient.amount).ok_or(WalletError::AmountOutOfRange)?;
        }
        Ok(total)
    }

    fn choose_coins(
        &self,
        request: &SendRequest,
        amount: Amount,
    ) -> Result<(Vec<WalletCoin>, Selection), WalletError> {
        let purpose = Purpose {
            amount,
            outputs: request.recipients.len(),
            fee_rate: request.fee_rate,
            change_input_size: input_size(crate::select::KEY_WITNESS_SIZE),
        };
        let all = self.coins();
        let (pool, selection) = if request.coins.is_empty() {
            self.choose_automatically(&all, purpose)?
        } else {
            let pool = self.chosen_coins(&all, &request.coins)?;
            let selection = select_all(&self.spendable(&pool), purpose)?;
            (pool, selection)
        };
        let coins = selection.chosen.iter().map(|index| pool[*index]).collect();
        Ok((coins, selection))
    }

    /// Confirmed coins if they are enough; own unconfirmed change only if not, since chains of it are limited.
    fn choose_automatically(
        &self,
        all: &[WalletCoin],
        purpose: Purpose,
    ) -> Result<(Vec<WalletCoin>, Selection), WalletError> {
        let usable = |coin: &&WalletCoin| self.obstacle(coin).is_none();
        let confirmed: Vec<WalletCoin> =
            all.iter().filter(usable).filter(|coin| coin.state == CoinState::Confirmed).copied().collect();
        if let Ok(selection) = select(&self.spendable(&confirmed), purpose) {
            return Ok((confirmed, selection));
        }
        let every: Vec<WalletCoin> = all.iter().filter(usable).copied().collect();
        let selection = select(&self.spendable(&every), purpose)?;
        Ok((every, selection))
    }

    /// The coins that were asked for, each of which can be spent.
    fn chosen_coins(&self, all: &[WalletCoin], wanted: &[OutPoint]) -> Result<Vec<WalletCoin>, WalletError> {
        let mut seen = BTreeSet::new();
        let mut pool = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let refuse = |reason| Err(WalletError::Coin { coin: *wanted, reason });
            if !seen.insert(*wanted) {
                return refuse(CoinReason::Duplicate);
            }
            let Some(coin) = all.iter().find(|coin| coin.outpoint == *wanted) else {
                let spender = self.ledger.own_output(wanted, &self.book).and(self.ledger.spender(wanted));
                return refuse(spender.map_or(CoinReason::Unknown, CoinReason::Spent));
            };
            if let Some(reason) = self.obstacle(coin) {
                return refuse(reason);
            }
            pool.push(*coin);
        }
        Ok(pool)
    }

    /// Why a coin can't be spent now.
    fn obstacle(&self, coin: &WalletCoin) -> Option<CoinReason> {
        if self.reservations.locked.contains(&coin.outpoint) {
            return Some(CoinReason::Locked);
        }
        if self.reservations.reserved.contains_key(&coin.outpoint) {
            return Some(CoinReason::Reserved);
        }
        if let Some(txid) = coin.held_by {
            return Some(CoinReason::Spent(txid));
        }
        match coin.state {
            CoinState::Confirmed | CoinState::Change => None,
            CoinState::Pending => Some(CoinReason::Unconfirmed),
            CoinState::Immature => Some(CoinReason::Immature(coin.spendable_at.unwrap_or(u32::MAX))),
        }
    }

    fn spendable(&self, coins: &[WalletCoin]) -> Vec<Spendable> {
        coins
            .iter()
            .map(|coin| Spendable {
                outpoint: coin.outpoint,
                value: coin.value,
                input_size: input_size(self.book.policy(coin.key).max_witness_size()),
            })
            .collect()
    }

    fn draft(
        &mut self,
        request: &SendRequest,
        mut coins: Vec<WalletCoin>,
        selection: &Selection,
        now: Time,
        choices: &mut Choices,
    ) -> Result<Draft, WalletError> {
        choices.shuffle(&mut coins);
        let mut outputs: Vec<TxOut> = request
            .recipients
            .iter()
            .map(|recipient| TxOut { value: recipient.amount, lock: recipient.address.lock })
            .collect();
        let mut change = None;
        if let Some(value) = selection.change {
            let key = self.issue(Keychain::Change)?;
            let place = choices.below(outputs.len() + 1);
            outputs.insert(place, TxOut { value, lock: self.book.address(key).lock });
            change = Some((place, key));
        }
        let inputs =
            coins.iter().map(|coin| TxIn { prevout: coin.outpoint, sequence: SEQUENCE_LOCK_TIME }).collect();
        let lock_time = anti_fee_sniping_lock_time(&self.ledger.tip, now, choices);
        // version 2: relative locks are in force, should a policy ask for one (BIP 68)
        let tx = TxData { version: 2, inputs, outputs, lock_time, witnesses: Vec::new() };
        Ok(Draft { tx, coins, change, fee: selection.fee, size: selection.size })
    }

    fn finish(&self, draft: Draft) -> Result<Payment, WalletError> {
        let Draft { mut tx, coins, change, fee, size } = draft;
        let seed = self.seed()?;
        let to_sign: Vec<InputToSign> = coins
            .iter()
            .map(|coin| {
                let policy = self.book.policy(coin.key);
                InputToSign {
                    output: TxOut { value: coin.value, lock: policy.lock() },
                    policy,
                    keys: vec![seed.derive(self.book.path(coin.key))],
                }
            })
            .collect();
        let signed = sign(&mut tx, &to_sign, &self.ledger.genesis)?;
        let transaction = Arc::new(Transaction::new(tx));
        debug_assert_eq!(transaction.size(), size, "the fee was computed for another size");
        let address = |lock| Address { network: self.params.network, lock };
        let outputs = (0u32..)
            .zip(&transaction.outputs)
            .map(|(vout, output)| PaymentOutput {
                vout,
                address: address(output.lock),
                amount: output.value,
                change: change.filter(|(place, _)| *place == vout as usize).map(|(_, key)| key),
            })
            .collect();
        Ok(Payment {
            txid: transaction.txid(),
            wtxid: transaction.wtxid(),
            inputs: coins.iter().zip(signed).map(|(coin, signed)| self.payment_input(coin, signed)).collect(),
            outputs,
            fee,
            fee_rate: FeeRate::of(fee, transaction.size()),
            size: transaction.size(),
            lock_time: transaction.lock_time,
            transaction,
        })
    }

    fn payment_input(&self, coin: &WalletCoin, signed: SignedInput) -> PaymentInput {
        PaymentInput {
            outpoint: coin.outpoint,
            amount: coin.value,
            address: self.book.address(coin.key),
            path: self.book.path(coin.key),
            confirmations: coin.confirmations,
            sighash: signed.sighash,
            signatures: signed.signatures,
        }
    }
}

#[cfg(test)]
mod tests {
    use tine_chain::hash::BlockHash;

    use super::*;

    fn tip(height: u32, time: u32) -> Tip {
        Tip { height, hash: BlockHash::ZERO, time }
    }

    #[test]
    fn wal_13_lock_time_follows_a_recent_tip() {
        let now = Time::from_secs(1_800_000_000);
        let lock_times: Vec<u32> = (0..1_000)
            .map(|random| {
                anti_fee_sniping_lock_time(&tip(5_000, 1_799_999_000), now, &mut Choices(random * 77))
            })
            .collect();
        assert!(lock_times.iter().all(|lock_time| (4_901..=5_000).contains(lock_time)));
        let back = lock_times.iter().filter(|lock_time| **lock_time < 5_000).count();
        assert!((50..200).contains(&back), "about one in ten is set back, not {back} in 1000");
    }

    #[test]
    fn wal_13_lock_time_is_zero_when_the_tip_is_old() {
        let now = Time::from_secs(1_800_000_000);
        let old = tip(5_000, 1_800_000_000 - 8 * 3_600 - 1);
        assert_eq!(anti_fee_sniping_lock_time(&old, now, &mut Choices(1)), 0);
        assert!((0..50).all(|random| {
            anti_fee_sniping_lock_time(&tip(3, 1_800_000_000), now, &mut Choices(random)) <= 3
        }));
    }
}
