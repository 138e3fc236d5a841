//! Policies over time, and their encodings.

use proptest::prelude::*;
use tine_chain::codec::{Decode as _, Encode as _};
use tine_chain::policy::{Branch, Policy, SEQUENCE_LOCK_DISABLED, SEQUENCE_LOCK_SECONDS};
use tine_chain::reject::Reject;
use tine_chain::transaction::{SEQUENCE_FINAL, SEQUENCE_LOCK_TIME};

use crate::support::{Spend, key};

// -- time

#[test]
fn tx_14_after_by_bip_65() {
    const HEIGHT: u32 = 100;
    const TIME: u32 = 500_000_000;
    // (policy, transaction's lock time, sequence, verdict)
    let table = [
        (HEIGHT, HEIGHT - 1, SEQUENCE_LOCK_TIME, false),
        (HEIGHT, HEIGHT, SEQUENCE_LOCK_TIME, true),
        (HEIGHT, HEIGHT + 1, 0, true),
        (HEIGHT, HEIGHT, SEQUENCE_FINAL, false),
        (HEIGHT, TIME, SEQUENCE_LOCK_TIME, false),
        (HEIGHT, u32::MAX, SEQUENCE_LOCK_TIME, false),
        (TIME, TIME - 1, SEQUENCE_LOCK_TIME, false),
        (TIME - 1, TIME - 1, SEQUENCE_LOCK_TIME, true),
        (TIME, TIME, SEQUENCE_LOCK_TIME, true),
        (TIME + 1, TIME, SEQUENCE_LOCK_TIME, false),
        (u32::MAX, u32::MAX, SEQUENCE_LOCK_TIME, true),
        (0, 0, SEQUENCE_LOCK_TIME, true),
    ];
    for (wanted, lock_time, sequence, met) in table {
        let policy = Policy::after(wanted, Policy::key(key(1)));
        let mut spend = Spend::one(policy);
        spend.tx.lock_time = lock_time;
        spend.tx.inputs[0].sequence = sequence;
        assert_eq!(spend.witness(0, &[1], &[]).is_some(), met, "{wanted} {lock_time} {sequence}");
        let verdict = with_key_signature(spend);
        assert_eq!(verdict, if met { Ok(()) } else { Err(Reject::UnsatisfiedAfter) }, "{wanted} {lock_time}");
    }
}

#[test]
fn tx_14_older_by_bip_112() {
    const SECONDS: u32 = SEQUENCE_LOCK_SECONDS;
    // (policy, transaction's version, sequence, verdict)
    let table = [
        (10, 2, 9, false),
        (10, 2, 10, true),
        (10, 2, 0xffff, true),
        (10, 1, 10, false),
        (10, 0xffff_ffff, 10, true),
        (10, 2, 10 | SEQUENCE_LOCK_DISABLED, false),
        (10, 2, 10 | SECONDS, false),
        (10 | SECONDS, 2, 10, false),
        (10 | SECONDS, 2, 9 | SECONDS, false),
        (10 | SECONDS, 2, 10 | SECONDS, true),
        // bits that BIP 68 does not define are of no importance in a sequence
        (10, 2, 10 | 1 << 20, true),
        (10, 2, SEQUENCE_FINAL, false),
        (0, 2, 0, true),
    ];
    for (wanted, version, sequence, met) in table {
        let policy = Policy::older(wanted, Policy::key(key(1)));
        let mut spend = Spend::one(policy);
        spend.tx.version = version;
        spend.tx.inputs[0].sequence = sequence;
        assert_eq!(spend.witness(0, &[1], &[]).is_some(), met, "{wanted:x} {version} {sequence:x}");
        let verdict = with_key_signature(spend);
        assert_eq!(
            verdict,
            if met { Ok(()) } else { Err(Reject::UnsatisfiedOlder) },
            "{wanted:x} {sequence:x}"
        );
    }
    for undefined in [SEQUENCE_LOCK_DISABLED, 1 << 16, 1 << 21, 1 << 23, u32::MAX] {
        let policy = Policy::older(undefined, Policy::key(key(1)));
        assert_eq!(policy.check(), Err(Reject::WitnessDecode));
        assert!(Policy::from_bytes(&policy.to_bytes()).is_err());
    }
}

/// The verdict on a witness that is right but for the policy's time.
fn with_key_signature(mut spend: Spend) -> Result<(), Reject> {
    let signature = tine_chain::signature::sign(&crate::support::secret(1), &spend.sighash().sighash(0));
    let bytes = [&spend.policies[0].to_bytes()[..], &signature].concat();
    spend.verdict_with(bytes).map(|_| ())
}

// -- encodings

fn policies() -> impl Strategy<Value = Policy> {
    let leaf = prop_oneof![
        (1u8..40).prop_map(|n| Policy::key(key(n))),
        (1u8..4, prop::collection::btree_set(1u8..20, 4..8)).prop_map(
            |(required, people)| Policy::threshold(required, people.into_iter().map(key).collect())
        ),
        (40u8..80).prop_map(|n| Policy::key(key(n))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (any::<u32>(), inner.clone()).prop_map(|(lock_time, policy)| Policy::after(lock_time, policy)),
            (0u32..0x1_0000, any::<bool>(), inner.clone()).prop_map(|(number, seconds, policy)| {
                Policy::older(number | if seconds { SEQUENCE_LOCK_SECONDS } else { 0 }, policy)
            }),
            (any::<[u8; 32]>(), inner.clone()).prop_map(|(digest, policy)| Policy::hash(digest, policy)),
            prop::collection::vec(inner, 1..3).prop_map(Policy::any),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn tx_41_policies_round_trip(policy in policies()) {
        let bytes = policy.to_bytes();
        prop_assert_eq!(bytes.len(), policy.encoded_size());
        prop_assert_eq!(policy.check().is_ok(), Policy::from_bytes(&bytes).is_ok());
        if policy.check().is_ok() {
            let again = Policy::from_bytes(&bytes).expect("checked");
            prop_assert_eq!(again.lock(), policy.lock());
            prop_assert_eq!(again, policy);
        }
    }

    /// Whatever part of a policy is hidden, its lock stays; and two policies never share a lock.
    #[test]
    fn locks_name_policies(a in policies(), b in policies()) {
        prop_assert_eq!(a == b, a.lock() == b.lock());
        let both = Policy::any(vec![a.clone(), b.clone()]);
        if let Policy::Any(branches) = &both {
            for shown in branches {
                let hidden: Vec<Branch> = branches
                    .iter()
                    .map(|branch| if branch == shown { branch.clone() } else { Branch::Hidden(branch.lock()) })
                    .collect();
                prop_assert_eq!(Policy::Any(hidden).lock(), both.lock());
            }
        }
    }
}
