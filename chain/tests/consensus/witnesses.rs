//! Policies, their locks, and the witnesses that open them.

use tine_chain::amount::Amount;
use tine_chain::codec::{Decode as _, DecodeError, Encode as _};
use tine_chain::hash::{BlockHash, Lock, sha256};
use tine_chain::policy::{Branch, MAX_POLICY_DEPTH, MAX_POLICY_SIZE, Policy, PublicKey};
use tine_chain::reject::Reject;
use tine_chain::sighash::{SighashCache, SpentMismatch};
use tine_chain::signature::verify_one;
use tine_chain::transaction::{MAX_WITNESS_SIZE, Transaction, TxOut, Witness};
use tine_chain::witness::check_witness;

use crate::support::{GENESIS, Spend, key};

const SECRET: [u8; 32] = [0x55; 32];

fn two_of_three() -> Policy {
    Policy::threshold(2, vec![key(1), key(2), key(3)])
}

/// The keys of [`two_of_three`] in their order, as people.
fn in_order() -> [u8; 3] {
    let mut people = [1, 2, 3];
    people.sort_by_key(|person| key(*person));
    people
}

// -- opening

#[test]
fn every_kind_of_policy_opens() {
    let policies = [
        Policy::key(key(1)),
        two_of_three(),
        Policy::threshold(16, (1..=16).map(key).collect()),
        Policy::hash(sha256(&SECRET), Policy::key(key(1))),
        Policy::any(vec![Policy::key(key(1)), two_of_three(), Policy::key(key(9))]),
        Policy::any(vec![Policy::key(key(8)), Policy::hash(sha256(&SECRET), two_of_three())]),
    ];
    let people: Vec<u8> = (1..=7).chain(10..=16).chain([8, 9]).collect();
    for policy in policies {
        let spend = Spend::one(policy.clone()).signed(&people, &[SECRET]);
        assert_eq!(policy.check(), Ok(()));
        let checks = spend.verdict(0).unwrap_or_else(|reject| panic!("{policy:?}: {reject}"));
        assert!(!checks.is_empty());
        let witness = &spend.tx.witnesses[0].0;
        assert!(witness.len() <= policy.max_witness_size() && witness.len() <= MAX_WITNESS_SIZE);
    }
}

#[test]
fn a_key_is_97_bytes_and_its_bound_is_exact() {
    let policy = Policy::key(key(1));
    let spend = Spend::one(policy.clone()).signed(&[1], &[]);
    assert_eq!((spend.tx.witnesses[0].0.len(), policy.max_witness_size()), (97, 97));
    let checks = spend.verdict(0).expect("good");
    assert_eq!(Witness::key(key(1), checks[0].signature), spend.tx.witnesses[0]);
    assert_eq!(spend.tx.witnesses[0].policy(), Ok(policy));
}

#[test]
fn a_branch_hides_the_others() {
    let policy = Policy::any(vec![Policy::key(key(1)), two_of_three()]);
    let spend = Spend::one(policy.clone()).signed(&[1], &[]);
    let shown = spend.tx.witnesses[0].policy().expect("a policy");
    let Policy::Any(branches) = &shown else { panic!("an Any") };
    assert_eq!(branches.iter().filter(|branch| branch.policy().is_some()).count(), 1);
    assert_eq!(shown.lock(), policy.lock());
    // its bound is that of the other, longer branch
    assert_eq!(spend.tx.witnesses[0].0.len(), 2 + 33 + 1 + 97);
    assert_eq!(policy.max_witness_size(), 2 + 33 + 1 + two_of_three().max_witness_size());
}

#[test]
fn nobody_else_can_open() {
    assert!(Spend::one(Policy::key(key(1))).witness(0, &[2], &[]).is_none());
    assert!(Spend::one(two_of_three()).witness(0, &[2], &[]).is_none());
    let hashed = Policy::hash(sha256(&SECRET), Policy::key(key(1)));
    assert!(Spend::one(hashed.clone()).witness(0, &[1], &[]).is_none());
    assert!(Spend::one(hashed).witness(0, &[2], &[SECRET]).is_none());
    // all branches hidden: known to be there, but closed
    let hidden = Policy::Any(vec![Branch::Hidden(Policy::key(key(1)).lock())]);
    assert!(Spend::one(hidden).witness(0, &[1], &[]).is_none());
}

// -- refusing

#[test]
fn another_policy_than_the_locked_one_is_refused() {
    let mut spend = Spend::one(Policy::key(key(1))).signed(&[1], &[]);
    spend.coins[0].output.lock = Policy::key(key(2)).lock();
    assert_eq!(spend.verdict(0), Err(Reject::WitnessMismatch));
}

#[test]
fn tx_17_a_signature_by_another_key_is_refused() {
    let mut spend = Spend::one(Policy::key(key(1)));
    spend.policies = vec![Policy::key(key(2))];
    let stranger = spend.witness(0, &[2], &[]).expect("satisfiable");
    let mut bytes = Policy::key(key(1)).to_bytes();
    bytes.extend_from_slice(&stranger.0[33..]);
    assert_eq!(spend.verdict_with(bytes), Err(Reject::BadSignature));
}

#[test]
fn tx_18_the_signature_of_one_input_is_none_for_another() {
    let policy = Policy::key(key(1));
    let mut spend = Spend::new(vec![policy.clone(), policy]).signed(&[1], &[]);
    assert!(spend.verdict(0).is_ok() && spend.verdict(1).is_ok());
    spend.tx.witnesses.swap(0, 1);
    assert_eq!(spend.verdict(0), Err(Reject::BadSignature));
    assert_eq!(spend.verdict(1), Err(Reject::BadSignature));
}

#[test]
fn tx_19_a_signer_who_is_shown_wrong_amounts_or_locks_signs_something_else() {
    let policy = Policy::key(key(1));
    let honest = Spend::new(vec![policy.clone(), policy]).signed(&[1], &[]);
    // the lie may be about any coin, each signature commits to all of them
    for lied_about in [0, 1] {
        let mut shown = Spend::new(honest.policies.clone());
        shown.coins[lied_about].output.value = Amount(1);
        let signed = shown.signed(&[1], &[]);
        let real = Spend { tx: signed.tx, coins: honest.coins.clone(), policies: honest.policies.clone() };
        assert_eq!(real.verdict(0), Err(Reject::BadSignature));
        assert_eq!(real.verdict(1), Err(Reject::BadSignature));
    }
    let mut other_lock = Spend::new(honest.policies.clone());
    other_lock.coins[1].output.lock = Lock([1; 32]);
    let signed = other_lock.signed(&[1], &[]);
    let real = Spend { tx: signed.tx, coins: honest.coins.clone(), policies: honest.policies };
    assert_eq!(real.verdict(0), Err(Reject::BadSignature));
}

#[test]
fn a_signature_is_for_one_network() {
    let spend = Spend::one(Policy::key(key(1))).signed(&[1], &[]);
    let spent = [spend.coins[0].output];
    let elsewhere = SighashCache::new(&BlockHash([8; 32]), &spend.tx, &spent).expect("one coin");
    let checks = check_witness(&spend.tx, 0, &spend.coins[0], &elsewhere).expect("well formed");
    assert!(!verify_one(&checks[0]));
}

#[test]
fn the_sighash_commits_to_every_field() {
    let spend = Spend::new(vec![Policy::key(key(1)), Policy::key(key(2))]);
    let original = spend.sighash();
    assert_ne!(original.sighash(0), original.sighash(1));
    let changes: [fn(&mut Spend); 11] = [
        |spend| spend.tx.version += 1,
        |spend| spend.tx.lock_time += 1,
        |spend| spend.tx.inputs[1].prevout.txid.0[0] ^= 1,
        |spend| spend.tx.inputs[1].prevout.vout += 1,
        |spend| spend.tx.inputs[1].sequence -= 1,
        |spend| spend.tx.inputs.swap(0, 1),
        |spend| spend.tx.outputs[0].value.0 += 1,
        |spend| spend.tx.outputs[0].lock.0[31] ^= 1,
        |spend| spend.tx.outputs.push(TxOut { value: Amount(1), lock: Lock::ZERO }),
        |spend| spend.coins[1].output.value.0 += 1,
        |spend| spend.coins[1].output.lock.0[0] ^= 1,
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut changed = Spend::new(spend.policies.clone());
        change(&mut changed);
        assert_ne!(changed.sighash().sighash(0), original.sighash(0), "change {place}");
    }
    // but not to witnesses, or nobody could sign second
    let signed = Spend::new(spend.policies).signed(&[1, 2], &[]);
    assert_eq!(signed.sighash().sighash(0), original.sighash(0));
}

/// "txid changes or the transaction is invalid, for every bit."
#[test]
fn tx_21_every_flipped_bit_of_a_signed_transaction_is_noticed() {
    let spend = Spend::one(Policy::key(key(1))).signed(&[1], &[]);
    let original = Transaction::new(spend.tx.clone());
    let bytes = original.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = Transaction::from_bytes(&flipped) else { continue };
        if other.txid() == original.txid() {
            let changed = Spend { tx: other.data().clone(), coins: spend.coins.clone(), policies: vec![] };
            assert!(changed.verdict(0).is_err(), "bit {bit} can be changed by anybody");
        } else {
            let changed = Spend { tx: other.data().clone(), coins: spend.coins.clone(), policies: vec![] };
            let spent = [spend.coins[0].output];
            if SighashCache::new(&GENESIS, &changed.tx, &spent).is_ok() {
                assert!(changed.verdict(0).is_err(), "bit {bit} is not signed");
            }
        }
    }
}

#[test]
fn tx_30_cut_or_lengthened_witnesses_are_refused() {
    let mut spend = Spend::one(Policy::key(key(1))).signed(&[1], &[]);
    let good = spend.tx.witnesses[0].0.clone();
    for length in 0..good.len() {
        assert_eq!(spend.verdict_with(good[..length].to_vec()), Err(Reject::WitnessDecode), "{length} bytes");
    }
    for extra in [1, 32, 64] {
        let mut longer = good.clone();
        longer.resize(good.len() + extra, 0);
        assert_eq!(spend.verdict_with(longer), Err(Reject::WitnessDecode));
    }
    let mut zeros = good.clone();
    zeros[33..].fill(0);
    assert_eq!(spend.verdict_with(zeros), Err(Reject::BadSignature));
    assert!(spend.verdict_with(good).is_ok());
}

#[test]
fn tx_23_tx_26_a_weak_key_in_a_witness_is_refused_by_name() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for weak in [identity, [0; 32], [0xff; 32]] {
        let policy = Policy::key(PublicKey(weak));
        assert_eq!(policy.check(), Err(Reject::WeakKey));
        assert!(matches!(Policy::from_bytes(&policy.to_bytes()), Err(DecodeError::Malformed(_))));
        let mut bytes = policy.to_bytes();
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(Spend::one(policy).verdict_with(bytes), Err(Reject::WeakKey));
        // nor where it would not even sign
        let mut keys = vec![PublicKey(weak), key(1), key(2)];
        keys.sort_unstable();
        let threshold = Policy::Threshold { required: 1, keys };
        let mut spend = Spend::one(threshold);
        let witness = spend.witness(0, &[1], &[]).expect("satisfiable");
        assert_eq!(spend.verdict_with(witness.0), Err(Reject::WeakKey));
    }
}

#[test]
fn tx_31_too_few_signatures_are_refused() {
    let mut spend = Spend::one(two_of_three()).signed(&[1, 2], &[]);
    let policy = two_of_three().to_bytes();
    let good = spend.tx.witnesses[0].0.clone();
    let signatures = &good[policy.len() + 2..];
    assert_eq!(signatures.len(), 128);
    let with = |bitmap: u16, signatures: &[u8]| [&policy[..], &bitmap.to_le_bytes(), signatures].concat();
    // one signature, honestly or not
    assert_eq!(spend.verdict_with(with(0b001, &signatures[..64])), Err(Reject::WitnessDecode));
    assert_eq!(spend.verdict_with(with(0b011, &signatures[..64])), Err(Reject::WitnessDecode));
    assert_eq!(spend.verdict_with(with(0, &[])), Err(Reject::WitnessDecode));
    // the same one twice
    let twice = [&signatures[..64], &signatures[..64]].concat();
    let bitmap = u16::from_le_bytes([good[policy.len()], good[policy.len() + 1]]);
    assert_eq!(spend.verdict_with(with(bitmap, &twice)), Err(Reject::BadSignature));
    assert!(spend.verdict_with(good).is_ok());
}

#[test]
fn tx_33_each_set_of_signers_has_one_encoding() {
    let policy = two_of_three().to_bytes();
    let [a, b, c] = in_order();
    let mut spend = Spend::one(two_of_three());
    let message = spend.sighash().sighash(0);
    let sign = |person: u8| tine_chain::signature::sign(&crate::support::secret(person), &message);
    let with = |bitmap: u16, signers: &[u8]| {
        let signatures: Vec<u8> = signers.iter().flat_map(|signer| sign(*signer)).collect();
        [&policy[..], &bitmap.to_le_bytes(), &signatures].concat()
    };
    for (bitmap, signers) in [(0b011, [a, b]), (0b101, [a, c]), (0b110, [b, c])] {
        assert_eq!(spend.verdict_with(with(bitmap, &signers)).map(|checks| checks.len()), Ok(2));
        let [first, second] = signers;
        // the other way round, and under a wrong index
        assert_eq!(spend.verdict_with(with(bitmap, &[second, first])), Err(Reject::BadSignature));
        assert_eq!(
            spend.verdict_with(with(0b111 ^ bitmap | 0b010, &signers)).map(|_| ()),
            match 0b111 ^ bitmap | 0b010 {
                other if u16::count_ones(other) != 2 => Err(Reject::WitnessDecode),
                other if other == bitmap => Ok(()),
                _ => Err(Reject::BadSignature),
            }
        );
        // bits beyond the keys
        assert_eq!(spend.verdict_with(with(bitmap | 0b1000, &signers)), Err(Reject::WitnessDecode));
        assert_eq!(spend.verdict_with(with(0x8000 | bitmap, &signers)), Err(Reject::WitnessDecode));
    }
    // one more than asked for
    assert_eq!(spend.verdict_with(with(0b111, &[a, b, c])), Err(Reject::WitnessDecode));
    assert_eq!(spend.verdict_with(with(0b011, &[a, b, c])), Err(Reject::WitnessDecode));
}

#[test]
fn tx_34_thresholds_out_of_bounds_are_refused_everywhere() {
    let mut sixteen: Vec<PublicKey> = (1..=16).map(key).collect();
    sixteen.sort_unstable();
    let mut seventeen: Vec<PublicKey> = (1..=17).map(key).collect();
    seventeen.sort_unstable();
    let mut unsorted = sixteen.clone();
    unsorted.swap(3, 4);
    let bad = [
        (0, sixteen.clone()),
        (1, vec![]),
        (0, vec![]),
        (2, vec![key(1)]),
        (17, sixteen.clone()),
        (1, seventeen),
        (1, unsorted),
        (2, vec![key(1), key(1)]),
    ];
    for (required, keys) in bad {
        let policy = Policy::Threshold { required, keys };
        assert_eq!(policy.check(), Err(Reject::WitnessDecode), "{policy:?}");
        assert!(Policy::from_bytes(&policy.to_bytes()).is_err(), "{policy:?}");
        let mut bytes = policy.to_bytes();
        bytes.extend_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(Spend::one(policy).verdict_with(bytes), Err(Reject::WitnessDecode));
    }
    for required in [1, 16] {
        let policy = Policy::Threshold { required, keys: sixteen.clone() };
        assert_eq!(Policy::from_bytes(&policy.to_bytes()), Ok(policy));
    }
}

#[test]
fn tx_35_a_threshold_costs_as_many_checks_as_it_requires() {
    let policy = Policy::threshold(3, (1..=16).map(key).collect());
    let people: Vec<u8> = (1..=16).collect();
    let checks = Spend::one(policy).signed(&people, &[]).verdict(0).expect("good");
    assert_eq!(checks.len(), 3);
}

#[test]
fn tx_36_unknown_tags_are_invalid() {
    let mut spend = Spend::one(Policy::key(key(1)));
    for tag in (0..=255_u8).filter(|tag| !(1..=6).contains(tag)) {
        let bytes = [&[tag][..], &[7; 96]].concat();
        assert_eq!(Policy::from_bytes(&bytes), Err(DecodeError::UnknownTag { what: "policy", tag }));
        assert_eq!(spend.verdict_with(bytes), Err(Reject::WitnessDecode));
    }
    for tag in 2..=255 {
        let bytes = [&[6, 1, tag][..], &[7; 96]].concat();
        assert_eq!(Policy::from_bytes(&bytes), Err(DecodeError::UnknownTag { what: "branch", tag }));
    }
}

#[test]
fn tx_37_policies_nest_four_deep_and_no_deeper() {
    let mut policy = Policy::key(key(1));
    for depth in 1..=MAX_POLICY_DEPTH {
        assert_eq!((policy.depth(), policy.check()), (depth, Ok(())));
        assert_eq!(Policy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&policy));
        assert!(Spend::one(policy.clone()).signed(&[1], &[]).verdict(0).is_ok());
        policy = if depth % 2 == 0 { Policy::after(0, policy) } else { Policy::any(vec![policy]) };
    }
    assert_eq!(policy.check(), Err(Reject::WitnessDecode));
    assert_eq!(
        Policy::from_bytes(&policy.to_bytes()),
        Err(DecodeError::Malformed("the policy nests too deep"))
    );
    // and a hostile one of any depth costs nothing
    for tag in [3, 4] {
        let bytes: Vec<u8> = [tag, 0, 0, 0, 0].repeat(100_000);
        assert!(Policy::from_bytes(&bytes).is_err());
    }
    assert!(Policy::from_bytes(&[6, 1, 1].repeat(100_000)).is_err());
}

#[test]
fn a_policy_has_at_most_1024_bytes() {
    let sixteen = Policy::threshold(1, (1..=16).map(key).collect());
    let other = Policy::threshold(2, (1..=16).map(key).collect());
    let fits = Policy::any(vec![sixteen.clone(), Policy::key(key(1))]);
    assert!(fits.encoded_size() <= MAX_POLICY_SIZE && fits.check().is_ok());
    let too_long = Policy::any(vec![sixteen, other]);
    assert_eq!(too_long.encoded_size(), too_long.to_bytes().len());
    assert_eq!(too_long.check(), Err(Reject::WitnessDecode));
    assert!(matches!(Policy::from_bytes(&too_long.to_bytes()), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn branches_stand_in_order_and_one_is_shown() {
    let (a, b) = (Policy::key(key(1)), Policy::key(key(2)));
    let Policy::Any(branches) = Policy::any(vec![a.clone(), b.clone()]) else { panic!("an Any") };
    let reversed = Policy::Any(branches.iter().rev().cloned().collect());
    let twice = Policy::Any(vec![Branch::Revealed(a.clone()), Branch::Hidden(a.lock())]);
    let none = Policy::Any(vec![]);
    let seventeen = Policy::any((1..=17).map(|n| Policy::key(key(n))).collect());
    for bad in [reversed, twice, none, seventeen] {
        assert_eq!(bad.check(), Err(Reject::WitnessDecode), "{bad:?}");
        assert!(Policy::from_bytes(&bad.to_bytes()).is_err(), "{bad:?}");
    }
    // a witness shows exactly one branch: with two, either could be hidden by anybody
    let both = Policy::Any(branches.clone());
    let mut spend = Spend::one(both.clone());
    let signature = spend.witness(0, &[1], &[]).expect("satisfiable").0[2 + 33 + 34..].to_vec();
    assert_eq!(spend.verdict_with([&both.to_bytes()[..], &signature].concat()), Err(Reject::WitnessDecode));
    let hidden = Policy::Any(branches.iter().map(|branch| Branch::Hidden(branch.lock())).collect());
    assert_eq!(hidden.lock(), both.lock());
    assert_eq!(spend.verdict_with([&hidden.to_bytes()[..], &signature].concat()), Err(Reject::WitnessDecode));
}

#[test]
fn a_wrong_preimage_is_refused() {
    let policy = Policy::hash(sha256(&SECRET), Policy::key(key(1)));
    let mut spend = Spend::one(policy.clone()).signed(&[1], &[SECRET]);
    assert!(spend.verdict(0).is_ok());
    spend.tx.witnesses[0].0[policy.encoded_size()] ^= 1;
    assert_eq!(spend.verdict(0), Err(Reject::BadPreimage));
}

// -- misuse

#[test]
fn tx_43_misaligned_data_is_an_error_and_never_a_check_against_the_wrong_output() {
    let spend = Spend::new(vec![Policy::key(key(1)), Policy::key(key(2))]).signed(&[1, 2], &[]);
    let spent: Vec<TxOut> = spend.coins.iter().map(|coin| coin.output).collect();
    assert_eq!(
        SighashCache::new(&GENESIS, &spend.tx, &spent[..1]).err(),
        Some(SpentMismatch { inputs: 2, spent: 1 })
    );
    assert!(SighashCache::new(&GENESIS, &spend.tx, &[spent[0], spent[1], spent[1]]).is_err());
    let cache = spend.sighash();
    // an input that does not exist, a witness that does not, a cache made for another transaction
    assert_eq!(check_witness(&spend.tx, 2, &spend.coins[0], &cache), Err(Reject::WitnessCount));
    assert_eq!(check_witness(&spend.tx, usize::MAX, &spend.coins[0], &cache), Err(Reject::WitnessCount));
    let mut fewer = spend.tx.clone();
    fewer.witnesses.pop();
    assert_eq!(check_witness(&fewer, 0, &spend.coins[0], &cache), Err(Reject::WitnessCount));
    let other = Spend::one(Policy::key(key(1))).sighash();
    assert_eq!(check_witness(&spend.tx, 0, &spend.coins[0], &other), Err(Reject::WitnessCount));
    // the wrong coin
    assert_eq!(check_witness(&spend.tx, 0, &spend.coins[1], &cache), Err(Reject::WitnessMismatch));
}
