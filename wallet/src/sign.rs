//! Signing: a witness for each input, each checked before anyone else sees it.

use tine_chain::coins::Coin;
use tine_chain::hash::BlockHash;
use tine_chain::policy::{Policy, PublicKey};
use tine_chain::sighash::SighashCache;
use tine_chain::signature::verify_one;
use tine_chain::transaction::{OutPoint, TxData, TxOut};
use tine_chain::witness::{Satisfier, check_witness};

use crate::error::WalletError;
use crate::keys::SecretKey;

/// A coin to be spent, and all that opening it takes.
pub(crate) struct InputToSign {
    /// The coin.
    pub(crate) output: TxOut,
    /// What its lock hides.
    pub(crate) policy: Policy,
    /// Our keys in the policy.
    pub(crate) keys: Vec<SecretKey>,
}

/// What signing an input showed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InputSignature {
    /// The key.
    pub public_key: PublicKey,
    /// Its signature of the input's signing hash.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

/// An input, signed.
pub(crate) struct SignedInput {
    pub(crate) sighash: [u8; 32],
    pub(crate) signatures: Vec<InputSignature>,
}

/// Fills in the witnesses of `tx`, whose inputs spend `inputs` in the same order.
///
/// Any policy can be opened whose conditions the transaction meets and whose keys are ours (hash locks apart: the
/// wallet keeps no preimages).
pub(crate) fn sign(
    tx: &mut TxData,
    inputs: &[InputToSign],
    genesis: &BlockHash,
) -> Result<Vec<SignedInput>, WalletError> {
    let spent: Vec<TxOut> = inputs.iter().map(|input| input.output).collect();
    let sighash =
        SighashCache::new(genesis, tx, &spent).expect("the caller hands in one coin for each input");
    let witnesses: Result<Vec<_>, _> = (0..)
        .zip(inputs)
        .map(|(index, input)| {
            let message = sighash.sighash(index);
            let sign = |key: &PublicKey| {
                input.keys.iter().find(|ours| ours.public_key() == *key).map(|ours| ours.sign(&message))
            };
            Satisfier { tx, input: index, sign: &sign, preimage: &|_| None }
                .satisfy(&input.policy)
                .ok_or(WalletError::UnsupportedPolicy(tx.inputs[index].prevout))
        })
        .collect();
    tx.witnesses = witnesses?;
    (0..).zip(inputs).map(|(index, input)| check(tx, index, input, &sighash)).collect()
}

/// Judges what we signed as every node will. A bit that flipped in the machine can't reach the network.
fn check(
    tx: &TxData,
    index: usize,
    input: &InputToSign,
    sighash: &SighashCache,
) -> Result<SignedInput, WalletError> {
    // only the output counts for the witness
    let coin = Coin { output: input.output, height: 0, coinbase: false };
    let checks = check_witness(tx, index, &coin, sighash).map_err(|_| WalletError::SelfCheck)?;
    if checks.is_empty() || !checks.iter().all(verify_one) {
        return Err(WalletError::SelfCheck);
    }
    let signatures = checks
        .iter()
        .map(|check| InputSignature { public_key: PublicKey(check.key), signature: check.signature })
        .collect();
    Ok(SignedInput { sighash: sighash.sighash(index), signatures })
}

/// The outpoints of `tx`'s inputs, for errors and records.
pub(crate) fn prevouts(tx: &TxData) -> impl Iterator<Item = OutPoint> + '_ {
    tx.inputs.iter().map(|input| input.prevout)
}

#[cfg(test)]
mod tests {
    use tine_chain::amount::Amount;
    use tine_chain::hash::Txid;
    use tine_chain::params::Network;
    use tine_chain::transaction::{SEQUENCE_LOCK_TIME, TxIn};

    use super::*;
    use crate::keys::{KeyPath, Keychain, Phrase};

    fn key(index: u32) -> SecretKey {
        let path = KeyPath {
            coin_type: crate::keys::coin_type(Network::Regtest),
            account: 0,
            keychain: Keychain::Receive,
            index,
        };
        Phrase::from_entropy(&[3; 16]).unwrap().seed("").derive(path)
    }

    fn spend(policy: &Policy) -> (TxData, TxOut) {
        let output = TxOut { value: Amount(1_000), lock: policy.lock() };
        let tx = TxData {
            version: 2,
            inputs: vec![TxIn {
                prevout: OutPoint { txid: Txid([1; 32]), vout: 0 },
                sequence: SEQUENCE_LOCK_TIME,
            }],
            outputs: vec![output],
            lock_time: 100,
            witnesses: Vec::new(),
        };
        (tx, output)
    }

    fn signed(policy: Policy, keys: Vec<SecretKey>) -> Result<(TxData, Vec<SignedInput>), WalletError> {
        let (mut tx, output) = spend(&policy);
        let signed = sign(&mut tx, &[InputToSign { output, policy, keys }], &BlockHash([9; 32]))?;
        Ok((tx, signed))
    }

    #[test]
    fn every_kind_of_policy_that_our_keys_can_open_is_opened() {
        let pk = |index| key(index).public_key();
        let threshold = Policy::threshold(2, vec![pk(0), pk(1), pk(2)]);
        for (policy, keys, signatures) in [
            (Policy::key(pk(0)), vec![key(0)], 1),
            (threshold.clone(), vec![key(2), key(0)], 2),
            (Policy::after(100, Policy::key(pk(0))), vec![key(0)], 1),
            (Policy::any(vec![threshold, Policy::key(pk(5))]), vec![key(5)], 1),
        ] {
            let (tx, inputs) = signed(policy, keys).unwrap();
            assert_eq!(tx.witnesses.len(), 1);
            assert_eq!(inputs[0].signatures.len(), signatures);
        }
    }

    #[test]
    fn what_our_keys_can_not_open_is_an_error() {
        let pk = |index| key(index).public_key();
        for (policy, keys) in [
            (Policy::key(pk(0)), vec![key(1)]),
            (Policy::threshold(2, vec![pk(0), pk(1)]), vec![key(0)]),
            (Policy::after(101, Policy::key(pk(0))), vec![key(0)]),
            (Policy::hash([0; 32], Policy::key(pk(0))), vec![key(0)]),
        ] {
            assert!(matches!(signed(policy, keys), Err(WalletError::UnsupportedPolicy(_))));
        }
    }
}
