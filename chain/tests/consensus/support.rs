//! Fixed keys, and a transaction to spend with.

use tine_chain::amount::{Amount, COIN};
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, Lock, Txid};
use tine_chain::policy::{Policy, PublicKey};
use tine_chain::reject::Reject;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{self, SignatureCheck, verify_one};
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, TxData, TxIn, TxOut, Witness};
use tine_chain::witness::{Satisfier, check_witness};

/// A file of `chain/data`.
pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON file of `chain/data`.
pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&data(name)).expect("JSON")
}

/// Thirty-two bytes from a JSON string.
pub(crate) fn bytes<const N: usize>(value: &serde_json::Value) -> [u8; N] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hexadecimal digits");
    bytes.try_into().expect("as many bytes as wanted")
}

/// The secret of person `n`.
pub(crate) fn secret(n: u8) -> [u8; 32] {
    [n; 32]
}

/// The key of person `n`.
pub(crate) fn key(n: u8) -> PublicKey {
    signature::public_key(&secret(n))
}

pub(crate) const GENESIS: BlockHash = BlockHash([7; 32]);

/// A transaction that spends coins locked to `policies`, one each, without witnesses yet.
pub(crate) struct Spend {
    pub(crate) tx: TxData,
    pub(crate) coins: Vec<Coin>,
    pub(crate) policies: Vec<Policy>,
}

impl Spend {
    pub(crate) fn new(policies: Vec<Policy>) -> Self {
        let inputs = (0..policies.len() as u8)
            .map(|n| TxIn {
                prevout: OutPoint { txid: Txid([n; 32]), vout: u32::from(n) },
                sequence: SEQUENCE_LOCK_TIME,
            })
            .collect();
        let coins = policies
            .iter()
            .enumerate()
            .map(|(n, policy)| Coin {
                output: TxOut { value: Amount((n as u64 + 1) * COIN), lock: policy.lock() },
                height: 5,
                coinbase: false,
            })
            .collect();
        let tx = TxData {
            version: 2,
            inputs,
            outputs: vec![TxOut { value: Amount(COIN / 2), lock: Lock([9; 32]) }],
            lock_time: 0,
            witnesses: vec![Witness::default(); policies.len()],
        };
        Self { tx, coins, policies }
    }

    pub(crate) fn one(policy: Policy) -> Self {
        Self::new(vec![policy])
    }

    pub(crate) fn sighash(&self) -> SighashCache {
        let spent: Vec<TxOut> = self.coins.iter().map(|coin| coin.output).collect();
        SighashCache::new(&GENESIS, &self.tx, &spent).expect("one coin for each input")
    }

    /// A witness for `input` by the people `signers`, who know the preimages of `preimages`.
    pub(crate) fn witness(&self, input: usize, signers: &[u8], preimages: &[[u8; 32]]) -> Option<Witness> {
        let message = self.sighash().sighash(input);
        Satisfier {
            tx: &self.tx,
            input,
            sign: &|wanted| {
                let signer = signers.iter().find(|signer| key(**signer) == *wanted)?;
                Some(signature::sign(&secret(*signer), &message))
            },
            preimage: &|digest| {
                preimages.iter().find(|preimage| tine_chain::hash::sha256(&preimage[..]) == *digest).copied()
            },
        }
        .satisfy(&self.policies[input])
    }

    /// Everybody signs everything.
    pub(crate) fn signed(mut self, signers: &[u8], preimages: &[[u8; 32]]) -> Self {
        let witnesses: Vec<_> = (0..self.policies.len())
            .map(|input| self.witness(input, signers, preimages).expect("satisfiable"))
            .collect();
        self.tx.witnesses = witnesses;
        self
    }

    /// The verdict on `input`, curve arithmetic included.
    pub(crate) fn verdict(&self, input: usize) -> Result<Vec<SignatureCheck>, Reject> {
        let checks = check_witness(&self.tx, input, &self.coins[input], &self.sighash())?;
        if checks.iter().all(verify_one) { Ok(checks) } else { Err(Reject::BadSignature) }
    }

    /// The verdict on the first input after its witness became `bytes`.
    pub(crate) fn verdict_with(&mut self, bytes: Vec<u8>) -> Result<Vec<SignatureCheck>, Reject> {
        self.tx.witnesses[0] = Witness(bytes);
        self.verdict(0)
    }
}
