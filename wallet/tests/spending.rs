//! What a wallet lets be spent, and what it refuses.

mod common;

use common::{Toy, coins, home, now, pay, stranger, wallet};
use tine_chain::address::Address;
use tine_chain::amount::{Amount, MAX_MONEY};
use tine_chain::coins::Coin;
use tine_chain::params::Network;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::verify_one;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, TxOut};
use tine_chain::witness::check_witness;
use tine_wallet::select::DUST_THRESHOLD;
use tine_wallet::{CoinReason, FeeRate, Payment, SendRequest, Wallet, WalletError};

/// Alice with `rewards` ripe coins of 50.
fn rich(rewards: usize) -> (Toy, Wallet) {
    let (mut toy, mut alice) = (Toy::new(), wallet(1));
    let reward = home(&mut alice).lock;
    toy.mine_many(rewards, reward, &mut [&mut alice]);
    toy.mine_many(10, stranger().lock, &mut [&mut alice]);
    (toy, alice)
}

fn refused(wallet: &mut Wallet, request: &SendRequest) -> WalletError {
    wallet.prepare(request, now(), 1).expect_err("must be refused")
}

fn spent(payment: &Payment) -> Vec<OutPoint> {
    payment.transaction.inputs.iter().map(|input| input.prevout).collect()
}

#[test]
fn a_payment_verifies_under_the_consensus_rules_and_its_sums_are_exact() {
    let (_, mut alice) = rich(3);
    let payment = pay(&mut alice, stranger(), 120, 42);
    let outputs: Vec<TxOut> =
        payment.inputs.iter().map(|input| TxOut { value: input.amount, lock: input.address.lock }).collect();
    let cache = SighashCache::new(&common::params().genesis.hash(), &payment.transaction, &outputs).unwrap();
    for (index, output) in outputs.iter().enumerate() {
        let coin = Coin { output: *output, height: 1, coinbase: true };
        let checks = check_witness(&payment.transaction, index, &coin, &cache).unwrap();
        assert!(!checks.is_empty() && checks.iter().all(verify_one));
    }
    let paid_in: u64 = payment.inputs.iter().map(|input| input.amount.0).sum();
    let paid_out: u64 = payment.transaction.outputs.iter().map(|output| output.value.0).sum();
    assert_eq!(paid_in - paid_out, payment.fee.0);
    assert_eq!(payment.fee, FeeRate::DEFAULT.fee(payment.transaction.size()));
    assert_eq!(payment.amount(), coins(120));
    assert!((1..=13).contains(&payment.lock_time), "WAL-13: the tip's height, or a little less");
}

#[test]
fn the_same_number_gives_the_same_payment_and_another_gives_another_order() {
    let pay = |random| pay(&mut rich(6).1, stranger(), 260, random);
    assert_eq!(pay(7).wtxid, pay(7).wtxid);
    assert!((0..10).any(|random| pay(random).txid != pay(7).txid));
}

#[test]
fn wal_11_two_payments_in_the_making_share_no_coin() {
    let (_, mut alice) = rich(4);
    let one = pay(&mut alice, stranger(), 60, 1);
    let two = pay(&mut alice, stranger(), 60, 2);
    assert!(spent(&one).iter().all(|coin| !spent(&two).contains(coin)));
    assert_ne!(one.change().unwrap().address, two.change().unwrap().address);
    let third = SendRequest::new(stranger(), coins(1));
    assert!(matches!(
        refused(&mut alice, &third),
        WalletError::InsufficientFunds { available: Amount(0), .. }
    ));
    let reserved = SendRequest { coins: vec![spent(&one)[0]], ..third.clone() };
    assert!(matches!(refused(&mut alice, &reserved), WalletError::Coin { reason: CoinReason::Reserved, .. }));
    alice.cancel(&one);
    alice.prepare(&third, now(), 3).unwrap();
}

#[test]
fn wal_11_ineligible_coins_are_never_chosen_and_say_why() {
    let (mut toy, mut alice) = rich(2);
    let reward = home(&mut alice).lock;
    let young = toy.mine(reward, &mut [&mut alice]);
    let immature = alice.coins().iter().find(|coin| coin.height == Some(13)).unwrap().outpoint;
    let mut bob = wallet(2);
    bob.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    let to_bob = pay(&mut alice, home(&mut bob), 49, 1);
    toy.submit(&to_bob.transaction, &mut [&mut alice, &mut bob]);
    alice.commit(&to_bob, now());
    let incoming = bob.coins()[0].outpoint;
    let used = spent(&to_bob)[0];
    let locked = alice.coins().iter().find(|coin| coin.height == Some(1)).map(|coin| coin.outpoint);
    let locked =
        locked.or(alice.coins().iter().find(|coin| coin.height == Some(2)).map(|coin| coin.outpoint));
    let locked = locked.unwrap();
    alice.lock_coin(locked);

    let with = |coin| SendRequest { coins: vec![coin], ..SendRequest::new(stranger(), coins(1)) };
    let reason = |wallet: &mut Wallet, coin| {
        let error = refused(wallet, &with(coin));
        let WalletError::Coin { coin: named, reason } = error else { panic!("{error}") };
        assert_eq!(named, coin);
        reason
    };
    assert_eq!(reason(&mut alice, immature), CoinReason::Immature(23));
    assert_eq!(reason(&mut alice, used), CoinReason::Spent(to_bob.txid));
    assert_eq!(reason(&mut alice, locked), CoinReason::Locked);
    assert_eq!(reason(&mut alice, incoming), CoinReason::Unknown, "it is bob's");
    assert_eq!(reason(&mut bob, incoming), CoinReason::Unconfirmed);
    let twice = SendRequest { coins: vec![locked, locked], ..SendRequest::new(stranger(), coins(1)) };
    alice.lock_coin(locked);
    assert!(matches!(refused(&mut alice, &twice), WalletError::Coin { .. }));
    // what is left is her own change, just under one coin
    assert!(matches!(
        refused(&mut alice, &SendRequest::new(stranger(), coins(1))),
        WalletError::InsufficientFunds { .. }
    ));
    assert!(alice.unlock_coin(&locked));
    let payment = pay(&mut alice, stranger(), 1, 5);
    assert_eq!(spent(&payment), [locked], "confirmed coins before unconfirmed change");
    assert_eq!(toy.tip(), young);
}

#[test]
fn own_unconfirmed_change_may_be_spent() {
    let (mut toy, mut alice) = rich(1);
    let first = pay(&mut alice, stranger(), 10, 1);
    toy.submit(&first.transaction, &mut [&mut alice]);
    alice.commit(&first, now());
    let second = pay(&mut alice, stranger(), 10, 2);
    assert_eq!(spent(&second)[0].txid, first.txid);
    assert_eq!(second.inputs[0].confirmations, 0);
    assert!(toy.submit(&second.transaction, &mut [&mut alice]));
}

#[test]
fn wal_12_absurd_fees_are_refused() {
    let (_, mut alice) = rich(2);
    let with_rate = |rate| SendRequest { fee_rate: rate, ..SendRequest::new(stranger(), coins(5)) };
    assert!(matches!(
        refused(&mut alice, &with_rate(FeeRate(FeeRate::MAX.0 + 1))),
        WalletError::MaxFeeRateExceeded { .. }
    ));
    assert!(matches!(refused(&mut alice, &with_rate(FeeRate(999))), WalletError::MinFeeRate { .. }));
    // 228 bytes at 10,000 are 0.0228 coins: under the guard of 0.1, over one of 0.01
    let guarded = SendRequest { max_fee: Amount(1_000_000), ..with_rate(FeeRate::MAX) };
    let error = refused(&mut alice, &guarded);
    assert!(error.to_string().starts_with("max-fee-exceeded"), "{error}");
    alice.prepare(&with_rate(FeeRate::MAX), now(), 1).unwrap();
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (_, mut alice) = rich(1);
    let mut request = SendRequest::new(stranger(), coins(1));
    request.recipients.clear();
    assert!(matches!(refused(&mut alice, &request), WalletError::NoRecipients));
    let dust = SendRequest::new(stranger(), Amount(DUST_THRESHOLD.0 - 1));
    assert!(matches!(refused(&mut alice, &dust), WalletError::Dust { .. }));
    let foreign = Address { network: Network::Regtest, ..stranger() };
    assert!(matches!(
        refused(&mut alice, &SendRequest::new(foreign, coins(1))),
        WalletError::AddressNetwork { .. }
    ));
    let mut all = SendRequest::new(stranger(), MAX_MONEY);
    all.recipients.push(all.recipients[0]);
    assert!(matches!(refused(&mut alice, &all), WalletError::AmountOutOfRange));
    assert!(matches!(
        refused(&mut alice, &SendRequest::new(stranger(), MAX_MONEY)),
        WalletError::InsufficientFunds { .. }
    ));
}

#[test]
fn a_failed_payment_uses_up_no_change_address_and_no_coin() {
    let (_, mut alice) = rich(2);
    let change = |wallet: &mut Wallet| {
        let payment = pay(wallet, stranger(), 5, 1);
        let address = payment.change().unwrap().address;
        wallet.cancel(&payment);
        address
    };
    assert_eq!(change(&mut alice), change(&mut alice));
}

#[test]
fn wal_01_a_locked_wallet_signs_nothing_and_locks_itself_on_time() {
    let (_, mut alice) = rich(1);
    let request = SendRequest::new(stranger(), coins(1));
    alice.unlock(tine_wallet::keystore::PUBLIC_PASSPHRASE, Some(Time(now().0 + 1))).unwrap();
    let payment = alice.prepare(&request, now(), 1).unwrap();
    alice.cancel(&payment);
    assert!(matches!(alice.prepare(&request, Time(now().0 + 1), 1), Err(WalletError::Locked)));
    assert!(alice.is_locked());
    assert!(matches!(alice.unlock("wrong", None), Err(WalletError::WrongPassphrase)));
    assert!(alice.is_locked());
    assert_eq!(alice.balance().confirmed, coins(50), "looking needs no passphrase");
    alice.next_address().unwrap();
}

#[test]
fn the_explanation_names_everything() {
    let (_, mut alice) = rich(1);
    let payment = pay(&mut alice, stranger(), 5, 3);
    let text = payment.explain().to_string();
    for needle in [
        payment.txid.to_string(),
        payment.inputs[0].outpoint.to_string(),
        payment.inputs[0].path.to_string(),
        hex::encode(payment.inputs[0].sighash),
        hex::encode(payment.inputs[0].signatures[0].signature),
        payment.fee.to_string(),
        payment.change().unwrap().amount.to_string(),
        stranger().to_string(),
        "5.00000000".to_owned(),
        "228 bytes at 2 base units each".to_owned(),
    ] {
        assert!(text.contains(&needle), "{needle} in\n{text}");
    }
    let json = serde_json::to_value(&payment).unwrap();
    assert_eq!(json["fee"], payment.fee.to_string());
    assert_eq!(json["fee_rate"], "2");
    assert_eq!(json["hex"].as_str().unwrap().len(), 2 * payment.size);
}
