//! What a wallet shows while payments come, go, and are taken back.

mod common;

use std::sync::Arc;

use common::{Toy, coins, home, now, params, pay, stranger, wallet};
use tine_chain::amount::Amount;
use tine_wallet::{Balance, CoinState, Kind, Removed, SendRequest, Status, Wallet, WalletError};

/// Alice with ten ripe rewards and more to come; the chain that she got them on.
fn rich() -> (Toy, Wallet) {
    let (mut toy, mut alice) = (Toy::new(), wallet(1));
    let reward = home(&mut alice).lock;
    toy.mine_many(10, reward, &mut [&mut alice]);
    toy.mine_many(10, stranger().lock, &mut [&mut alice]);
    (toy, alice)
}

fn balance(confirmed: Amount, pending: Amount, immature: Amount) -> Balance {
    Balance { confirmed, pending, immature }
}

#[test]
fn a_reward_ripens_after_ten_blocks_and_not_before() {
    let (mut toy, mut alice) = (Toy::new(), wallet(1));
    let reward = home(&mut alice).lock;
    toy.mine(reward, &mut [&mut alice]);
    for height in 1..=12 {
        // the reward of block 1 may be spent in block 11, so it is ripe when the tip is 10
        let ripe = height >= 10;
        let (confirmed, immature) = if ripe { (coins(50), Amount::ZERO) } else { (Amount::ZERO, coins(50)) };
        assert_eq!(alice.balance(), balance(confirmed, Amount::ZERO, immature), "tip {height}");
        toy.mine(stranger().lock, &mut [&mut alice]);
    }
    let history = alice.history();
    assert_eq!((history[0].kind, history[0].confirmations, history[0].fee), (Kind::Mined, 13, None));
}

#[test]
fn a_payment_goes_from_pending_to_confirmed_on_both_sides() {
    let (mut toy, mut alice) = rich();
    let mut bob = wallet(2);
    bob.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    let payment = pay(&mut alice, home(&mut bob), 5, 7);
    assert!(toy.submit(&payment.transaction, &mut [&mut alice, &mut bob]));
    alice.commit(&payment, now());

    assert_eq!(bob.balance(), balance(Amount::ZERO, coins(5), Amount::ZERO));
    let change = payment.change().unwrap().amount;
    assert_eq!(alice.balance(), balance(coins(450), change, Amount::ZERO));
    let sent = alice.entry(&payment.txid).unwrap();
    assert_eq!((sent.kind, sent.amount, sent.fee), (Kind::Sent, coins(5), Some(payment.fee)));
    assert_eq!(sent.net, -i64::try_from(coins(5).0 + payment.fee.0).unwrap());
    assert_eq!(sent.status, Status::Pending);
    assert_eq!(sent.outputs[0].address, home(&mut bob));
    assert_eq!(sent.change[0].amount, change);
    assert_eq!(bob.entry(&payment.txid).unwrap().fee, None, "the payer's coins are not bob's to know yet");

    let block = toy.mine(stranger().lock, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.balance(), balance(coins(5), Amount::ZERO, Amount::ZERO));
    assert_eq!(alice.balance(), balance(Amount(coins(450).0 + change.0), Amount::ZERO, Amount::ZERO));
    let received = bob.entry(&payment.txid).unwrap();
    assert_eq!((received.kind, received.amount, received.confirmations), (Kind::Received, coins(5), 1));
    assert_eq!(received.fee, Some(payment.fee), "the block's undo data tells it");
    let Status::Confirmed(confirmation) = received.status else { panic!("{:?}", received.status) };
    assert_eq!((confirmation.block, confirmation.height), (block, 21));
}

#[test]
fn wal_10_a_double_spend_reverses_a_payment_and_it_shows_as_conflicted_not_as_money() {
    let (mut toy, mut alice) = rich();
    let (mut bob, mut dave) = (wallet(2), wallet(4));
    let fork = toy.tip();
    for other in [&mut bob, &mut dave] {
        other.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    }
    let coin = alice.coins()[0].outpoint;
    let with = |to| SendRequest { coins: vec![coin], ..SendRequest::new(to, coins(5)) };
    let to_bob = alice.prepare(&with(home(&mut bob)), now(), 1).unwrap();
    alice.cancel(&to_bob);
    let to_dave = alice.prepare(&with(home(&mut dave)), now(), 2).unwrap();
    alice.cancel(&to_dave);

    let all = &mut [&mut alice, &mut bob, &mut dave];
    assert!(toy.submit(&to_bob.transaction, all));
    toy.mine(stranger().lock, all);
    assert_eq!(all[1].balance().confirmed, coins(5));
    // bob passes three of them on
    let onward = pay(all[1], stranger(), 3, 3);
    assert!(toy.submit(&onward.transaction, all));
    all[1].commit(&onward, now());

    // the other side: two blocks, with the payment to dave
    let first = toy.mine_on(fork, stranger().lock, &[Arc::clone(&to_dave.transaction)]);
    let second = toy.mine_on(first, stranger().lock, &[]);
    let change = toy.switch(second, all);
    assert_eq!((change.disconnected.len(), change.connected.len()), (1, 2));

    assert_eq!(bob.balance(), Balance::default(), "bob's 5 are reversed");
    assert_eq!(dave.balance().confirmed, coins(5));
    for (txid, what) in [(to_bob.txid, "the payment"), (onward.txid, "what was built on it")] {
        let Some(Status::Conflicted(conflict)) = bob.status(&txid) else { panic!("{what}") };
        assert_eq!(conflict.by, to_dave.txid, "{what}");
        assert_eq!((conflict.coin, conflict.block), (coin, Some(first)), "{what}");
    }
    let shown = bob.entry(&to_bob.txid).unwrap();
    assert_eq!((shown.kind, shown.amount, shown.confirmations), (Kind::Received, coins(5), 0));
    assert!(matches!(alice.status(&to_bob.txid), Some(Status::Conflicted(_))));
    assert!(matches!(alice.status(&to_dave.txid), Some(Status::Confirmed(_))));

    // and back again: the first branch grows longer
    let mut tip = toy.active_hash(20).unwrap();
    tip = toy.mine_on(tip, stranger().lock, &[Arc::clone(&to_bob.transaction)]);
    tip = toy.mine_on(tip, stranger().lock, &[]);
    tip = toy.mine_on(tip, stranger().lock, &[]);
    toy.switch(tip, &mut [&mut alice, &mut bob, &mut dave]);
    assert_eq!(bob.balance().confirmed, coins(5));
    assert!(matches!(bob.status(&onward.txid), Some(Status::Inactive)), "it may be sent again");
    assert_eq!(bob.to_resend(), [Arc::clone(&onward.transaction)]);
    assert_eq!(dave.balance(), Balance::default());
}

#[test]
fn a_conflict_ends_with_the_block_that_made_it() {
    let (mut toy, mut alice) = rich();
    let mut bob = wallet(2);
    let fork = toy.tip();
    bob.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    let coin = alice.coins()[0].outpoint;
    let with = |to| SendRequest { coins: vec![coin], ..SendRequest::new(to, coins(5)) };
    let to_bob = alice.prepare(&with(home(&mut bob)), now(), 1).unwrap();
    alice.cancel(&to_bob);
    let to_stranger = alice.prepare(&with(stranger()), now(), 2).unwrap();
    alice.cancel(&to_stranger);
    toy.submit(&to_bob.transaction, &mut [&mut alice, &mut bob]);
    let rival = toy.mine_on(fork, stranger().lock, &[Arc::clone(&to_stranger.transaction)]);
    toy.switch(rival, &mut [&mut alice, &mut bob]);
    assert!(matches!(bob.status(&to_bob.txid), Some(Status::Conflicted(_))));

    let first = toy.mine_on(fork, stranger().lock, &[]);
    let second = toy.mine_on(first, stranger().lock, &[]);
    toy.switch(second, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.status(&to_bob.txid), Some(Status::Inactive));
    toy.mempool.clear();
    alice.mempool_removed(&to_stranger.txid, Removed::Dropped);
    assert!(toy.submit(&to_bob.transaction, &mut [&mut alice, &mut bob]));
    assert_eq!(bob.status(&to_bob.txid), Some(Status::Pending));
    assert_eq!(bob.balance().pending, coins(5));
}

#[test]
fn a_payment_that_a_reorganisation_returns_to_the_mempool_is_pending_again() {
    let (mut toy, mut alice) = rich();
    let mut bob = wallet(2);
    let fork = toy.tip();
    bob.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    let payment = pay(&mut alice, home(&mut bob), 5, 7);
    toy.submit(&payment.transaction, &mut [&mut alice, &mut bob]);
    alice.commit(&payment, now());
    toy.mine(stranger().lock, &mut [&mut alice, &mut bob]);
    let first = toy.mine_on(fork, stranger().lock, &[]);
    let second = toy.mine_on(first, stranger().lock, &[]);
    toy.switch(second, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.status(&payment.txid), Some(Status::Pending));
    assert_eq!(bob.balance(), balance(Amount::ZERO, coins(5), Amount::ZERO));
    let coin = bob.coins()[0];
    assert_eq!((coin.state, coin.confirmations), (CoinState::Pending, 0));
}

#[test]
fn wal_10_an_orphaned_reward_is_abandoned_and_no_money() {
    let (mut toy, mut alice) = rich();
    let fork = toy.tip();
    let before = alice.balance();
    let reward = home(&mut alice).lock;
    toy.mine(reward, &mut [&mut alice]);
    assert_eq!(alice.balance().immature, coins(50));
    let first = toy.mine_on(fork, stranger().lock, &[]);
    let second = toy.mine_on(first, stranger().lock, &[]);
    toy.switch(second, &mut [&mut alice]);
    assert_eq!(alice.balance(), before);
    let last = alice.history().pop().unwrap();
    assert_eq!((last.kind, last.status), (Kind::Mined, Status::Abandoned));
    assert!(alice.to_resend().is_empty(), "a reward is never sent again");
}

#[test]
fn an_evicted_payment_keeps_its_coins_until_it_is_abandoned() {
    let (mut toy, mut alice) = rich();
    let payment = pay(&mut alice, stranger(), 499, 7);
    toy.submit(&payment.transaction, &mut [&mut alice]);
    alice.commit(&payment, now());
    assert!(matches!(alice.abandon(&payment.txid), Err(WalletError::NotAbandonable(_))));
    toy.mempool.clear();
    alice.mempool_removed(&payment.txid, Removed::Dropped);
    assert_eq!(alice.status(&payment.txid), Some(Status::Inactive));
    assert_eq!(alice.balance().confirmed, coins(500), "the chain says that they are hers");
    let again = alice.prepare(&SendRequest::new(stranger(), coins(1)), now(), 8);
    assert!(matches!(again, Err(WalletError::InsufficientFunds { .. })), "they may still be taken");
    alice.abandon(&payment.txid).unwrap();
    assert_eq!(alice.status(&payment.txid), Some(Status::Abandoned));
    pay(&mut alice, stranger(), 1, 9);
}

#[test]
fn a_change_that_does_not_fit_is_refused_whole_and_catching_up_puts_it_right() {
    let (mut toy, mut alice) = rich();
    let missed = toy.tip();
    toy.mine_many(2, stranger().lock, &mut []);
    let reward = home(&mut alice).lock;
    let hash = toy.mine_on(toy.tip(), reward, &[]);
    let change = toy.switch(hash, &mut []);
    assert!(matches!(alice.apply(&change), Err(WalletError::NotContiguous { .. })));
    assert_eq!(alice.tip().hash, missed);
    let touched = alice.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    assert_eq!((touched.len(), alice.tip().hash), (1, hash));
    assert_eq!(alice.balance(), toy.fresh(1).balance());
}

#[test]
fn rrg_11_catching_up_goes_through_a_reorganisation_that_happened_meanwhile() {
    let (mut toy, mut alice) = rich();
    let reward = home(&mut alice).lock;
    let fork = toy.tip();
    toy.mine_many(2, reward, &mut [&mut alice]);
    let mut tip = fork;
    for _ in 0..3 {
        tip = toy.mine_on(tip, stranger().lock, &[]);
    }
    toy.switch(tip, &mut []);
    alice.catch_up(&|height| toy.active_hash(height), &toy).unwrap();
    assert_eq!(alice.tip().hash, tip);
    assert_eq!(alice.balance(), toy.fresh(1).balance());
    assert_eq!(alice.balance().immature, Amount::ZERO);
}

#[test]
fn another_chain_is_not_followed() {
    let mut alice = wallet(1);
    let toy = Toy::new();
    let other = |_| Some(tine_chain::hash::BlockHash([5; 32]));
    assert!(matches!(alice.catch_up(&other, &toy), Err(WalletError::NotContiguous { .. })));
}

#[test]
fn wal_09_a_restored_wallet_finds_every_coin_beyond_the_gap() {
    let (mut toy, mut alice) = (Toy::new(), wallet(1));
    let addresses: Vec<_> = (0..90).map(|_| alice.next_address().unwrap().address.lock).collect();
    // used backwards in time: the far ones first, each run within the gap of the run after it
    for index in [75, 57, 38, 19, 0] {
        toy.mine(addresses[index], &mut [&mut alice]);
    }
    assert_eq!(alice.balance().total(), coins(250));
    let mut restored = toy.fresh(1);
    assert_eq!(restored.balance(), alice.balance());
    assert_eq!(restored.next_address().unwrap().key.index, 76, "an address is never given out twice");
    assert_eq!(
        restored.addresses(tine_wallet::Keychain::Receive)[..76],
        alice.addresses(tine_wallet::Keychain::Receive)[..76]
    );
}

#[test]
fn history_is_in_chain_order_and_labels_stay() {
    let (toy, mut alice) = rich();
    let first = home(&mut alice);
    assert!(alice.set_label(&first, "mining"));
    assert!(!alice.set_label(&stranger(), "nobody"));
    let heights: Vec<u32> =
        alice.history().iter().map(|entry| alice.tip().height + 1 - entry.confirmations).collect();
    assert_eq!(heights, (1..=10).collect::<Vec<_>>());
    assert_eq!(alice.history()[0].outputs[0].label.as_deref(), Some("mining"));
    let json = serde_json::to_value(&alice.history()[0]).unwrap();
    assert_eq!(json["status"], "confirmed");
    assert_eq!(json["kind"], "mined");
    assert_eq!(json["amount"], "50.00000000");
    assert_eq!(json["confirmations"], 20);
    assert_eq!(alice.tip().height, 20);
    assert_eq!(toy.active.len(), 21);
    assert_eq!(params().coinbase_maturity, 10);
}
