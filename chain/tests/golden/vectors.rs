//! The golden vectors as the code computes them, for the test that pins them and the example that prints them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::amount::{Amount, COIN};
use tine_chain::block::{Block, Header};
use tine_chain::codec::{Decode, Encode, write_compact_size};
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::{BlockHash, MerkleRoot, TaggedHash, Txid, Wtxid, sha256, sha256d};
use tine_chain::merkle::{MerkleProof, merkle_root};
use tine_chain::params::{Network, Params};
use tine_chain::policy::{Policy, PublicKey};
use tine_chain::pow::CompactTarget;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{public_key, sign};
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};
use tine_chain::witness::{Satisfier, check_witness};

/// Values by name.
pub(crate) type Vectors = BTreeMap<String, String>;

/// Collects what it is told, and makes sure that encodings decode to what they came from.
#[derive(Default)]
struct Golden(Vectors);

impl Golden {
    fn text(&mut self, name: &str, value: impl ToString) {
        assert!(self.0.insert(name.to_owned(), value.to_string()).is_none(), "{name} twice");
    }

    fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, hex::encode(bytes));
    }

    fn encoded<T: Encode + Decode + PartialEq + std::fmt::Debug>(&mut self, name: &str, value: &T) {
        let bytes = value.to_bytes();
        assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value), "{name}");
        self.hex(name, bytes);
    }
}

fn secret(n: u8) -> [u8; 32] {
    [n; 32]
}

pub(crate) fn key(n: u8) -> PublicKey {
    public_key(&secret(n))
}

const PREIMAGE: [u8; 32] = [0x55; 32];

fn policies() -> Vec<(&'static str, Policy)> {
    let key_1 = Policy::key(key(1));
    let two_of_three = Policy::threshold(2, vec![key(1), key(2), key(3)]);
    vec![
        ("key", key_1.clone()),
        ("threshold", two_of_three.clone()),
        ("after", Policy::after(500, key_1.clone())),
        ("older", Policy::older(144, key_1.clone())),
        ("older_seconds", Policy::older(1 << 22 | 7, key_1.clone())),
        ("hash", Policy::hash(sha256(&PREIMAGE), key_1.clone())),
        ("any", Policy::any(vec![key_1.clone(), two_of_three.clone()])),
        (
            "nested",
            Policy::any(vec![
                Policy::hash(sha256(&PREIMAGE), Policy::key(key(4))),
                Policy::older(10, Policy::any(vec![two_of_three, key_1])),
            ]),
        ),
    ]
}

/// Spends one coin for each policy.
pub(crate) fn spend() -> (TxData, Vec<Coin>) {
    let policies = policies();
    let coins = policies
        .iter()
        .enumerate()
        .map(|(n, (_, policy))| Coin {
            output: TxOut { value: Amount((n as u64 + 1) * COIN), lock: policy.lock() },
            height: 100 + n as u32,
            coinbase: n == 0,
        })
        .collect();
    let inputs = (0..policies.len() as u8)
        .map(|n| TxIn {
            prevout: OutPoint { txid: Txid([n + 1; 32]), vout: u32::from(n) },
            sequence: match policies[usize::from(n)].0 {
                "older" | "nested" => 144,
                "older_seconds" => 1 << 22 | 8,
                _ => SEQUENCE_LOCK_TIME,
            },
        })
        .collect();
    let outputs = vec![
        TxOut { value: Amount(35 * COIN), lock: Policy::key(key(9)).lock() },
        TxOut { value: Amount(99_990_000), lock: Policy::key(key(8)).lock() },
    ];
    let witnesses = vec![Witness::default(); policies.len()];
    (TxData { version: 2, inputs, outputs, lock_time: 500, witnesses }, coins)
}

fn primitives(golden: &mut Golden) {
    for value in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        let mut bytes = Vec::new();
        write_compact_size(value, &mut bytes);
        golden.hex(&format!("compact_size/{value}"), bytes);
    }
    golden.hex("sha256d/empty", sha256d(b""));
    golden.hex("tagged_hash/tine_test", TaggedHash::new("tine/test").chain(b"message").finish());
    for bits in [0x1d00_ffff, 0x1e10_c6f7, 0x207f_ffff, 0x1b04_04cb] {
        let target = CompactTarget(bits).to_target().expect("a target");
        golden.text(&format!("target/{bits:08x}"), format!("{:064x}", target.0));
        golden.text(&format!("work/{bits:08x}"), target.work());
    }
    golden.hex("public_key/1", key(1).0);
    golden.hex("signature/1/zeros", sign(&secret(1), &[0; 32]));
}

fn genesis(golden: &mut Golden) {
    for network in [Network::Main, Network::Devnet, Network::Regtest] {
        let params = Params::of(network);
        golden.encoded(&format!("genesis/{network}/header"), &params.genesis);
        golden.encoded(&format!("genesis/{network}/block"), &*params.genesis_block());
        golden.text(&format!("genesis/{network}/hash"), params.genesis_hash());
        let address = Address { network, lock: Policy::key(key(1)).lock() };
        golden.text(&format!("address/{network}/key_1"), address);
    }
}

fn transactions(golden: &mut Golden) {
    let (mut data, coins) = spend();
    let genesis = Params::of(Network::Devnet).genesis_hash();
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output).collect();
    let sighash = SighashCache::new(&genesis, &data, &spent).expect("one coin for each input");
    for (input, (name, policy)) in policies().iter().enumerate() {
        golden.encoded(&format!("policy/{name}"), policy);
        golden.text(&format!("lock/{name}"), policy.lock());
        golden.encoded(&format!("coin/{name}"), &coins[input]);
        golden.hex(&format!("sighash/devnet/{name}"), sighash.sighash(input));
        let witness = Satisfier {
            tx: &data,
            input,
            sign: &|wanted| {
                let signer = (1..=3).find(|n| key(*n) == *wanted)?;
                Some(sign(&secret(signer), &sighash.sighash(input)))
            },
            preimage: &|_| Some(PREIMAGE),
        }
        .satisfy(policy)
        .expect("satisfiable");
        golden.encoded(&format!("witness/{name}"), &witness);
        data.witnesses[input] = witness;
        let checks = check_witness(&data, input, &coins[input], &sighash).expect("good");
        assert!(checks.iter().all(tine_chain::signature::verify_one), "{name}");
    }
    let transaction = Transaction::new(data);
    golden.encoded("transaction/bytes", &transaction);
    golden.text("transaction/txid", transaction.txid());
    golden.text("transaction/wtxid", transaction.wtxid());
    golden.encoded("outpoint", &transaction.outpoint(1));
    golden.encoded("undo", &Undo { spent: vec![(transaction.inputs[0].prevout, coins[0])] });
    blocks(golden, transaction);
}

fn blocks(golden: &mut Golden, transaction: Transaction) {
    let coinbase = Transaction::new(TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
        outputs: vec![TxOut { value: Amount(50 * COIN), lock: Policy::key(key(1)).lock() }],
        lock_time: 599,
        witnesses: vec![Witness(b"golden".to_vec())],
    });
    assert_eq!(coinbase.txid().0, coinbase.wtxid().0);
    golden.encoded("coinbase/bytes", &coinbase);
    golden.text("coinbase/txid", coinbase.txid());
    let leaves = [coinbase.wtxid(), transaction.wtxid()];
    let header = Header {
        version: 1,
        prev_block: BlockHash([0xab; 32]),
        merkle_root: merkle_root(&leaves).expect("two leaves"),
        time: 1_800_000_000,
        bits: CompactTarget(0x207f_ffff),
        nonce: 0x0102_0304,
    };
    let block = Block { header, transactions: vec![Arc::new(coinbase), Arc::new(transaction)] };
    golden.encoded("block/bytes", &block);
    golden.text("block/hash", block.hash());
    merkle(golden);
}

fn merkle(golden: &mut Golden) {
    let leaves: Vec<Wtxid> = (0..11_u32).map(|i| Wtxid(sha256d(&i.to_le_bytes()))).collect();
    let root: MerkleRoot = merkle_root(&leaves).expect("leaves");
    golden.text("merkle/root/11", root);
    let proof = MerkleProof::prove(&leaves, &[2, 10]).expect("in range");
    assert_eq!(proof.verify(root, 11, &[leaves[2], leaves[10]]), Ok(()));
    golden.encoded("merkle/proof/11/2,10", &proof);
}

/// Every vector, as the code computes it now.
pub(crate) fn computed() -> Vectors {
    let mut golden = Golden::default();
    primitives(&mut golden);
    genesis(&mut golden);
    transactions(&mut golden);
    golden.0
}
