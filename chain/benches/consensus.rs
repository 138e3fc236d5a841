//! What consensus costs: header check, signatures, nonce search, encoding, Merkle roots.
//!
//! `cargo bench -p tine-chain --bench consensus`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ruint::aliases::U256;
use tine_chain::amount::{Amount, COIN};
use tine_chain::block::Block;
use tine_chain::codec::{Decode as _, Encode as _};
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, Lock, Txid, Wtxid};
use tine_chain::header_chain::check_headers;
use tine_chain::merkle::merkle_root_and_mutation;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::pow::Target;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{Parallel, SignatureCheck, public_key, sign, verify_batch, verify_one};
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};
use tine_chain::witness::check_witness;

const PAYMENTS: u32 = 2_000;

fn secret(n: u32) -> [u8; 32] {
    let mut secret = [1; 32];
    secret[..4].copy_from_slice(&n.to_le_bytes());
    secret
}

/// A signed payment with one input and two outputs, and the coin it spends.
fn payment(n: u32) -> (Transaction, Coin) {
    let key = public_key(&secret(n));
    let lock = Policy::key(key).lock();
    let coin = Coin { output: TxOut { value: Amount(COIN), lock }, height: 1, coinbase: false };
    let mut txid = [2; 32];
    txid[..4].copy_from_slice(&n.to_le_bytes());
    let mut data = TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint { txid: Txid(txid), vout: 0 }, sequence: SEQUENCE_LOCK_TIME }],
        outputs: vec![
            TxOut { value: Amount(COIN / 2), lock: Lock([3; 32]) },
            TxOut { value: Amount(COIN / 3), lock: Lock([4; 32]) },
        ],
        lock_time: 0,
        witnesses: vec![Witness::default()],
    };
    let sighash = SighashCache::new(&BlockHash::ZERO, &data, &[coin.output]).expect("one coin");
    data.witnesses[0] = Witness::key(key, sign(&secret(n), &sighash.sighash(0)));
    (Transaction::new(data), coin)
}

fn signature_checks(payments: &[(Transaction, Coin)]) -> Vec<SignatureCheck> {
    payments
        .iter()
        .flat_map(|(tx, coin)| {
            let sighash = SighashCache::new(&BlockHash::ZERO, tx, &[coin.output]).expect("one coin");
            check_witness(tx, 0, coin, &sighash).expect("a good witness")
        })
        .collect()
}

fn headers(criterion: &mut Criterion) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/bitcoin-mainnet-headers-822528.bin");
    let bytes = std::fs::read(path).expect("the file is in the repository");
    let params = Params::of(Network::Bitcoin);
    let mut group = criterion.benchmark_group("headers");
    group.throughput(Throughput::Elements(bytes.len() as u64 / 80));
    group.bench_function("check 4,033 of Bitcoin's", |bencher| {
        bencher.iter(|| check_headers(black_box(&bytes), &params, None).expect("real headers are good"));
    });
}

fn nonces(criterion: &mut Criterion) {
    const NONCES: u32 = 100_000;
    let scanner = Scanner::new(&Params::of(Network::Main).genesis);
    let mut group = criterion.benchmark_group("nonces");
    group.throughput(Throughput::Elements(u64::from(NONCES)));
    group.bench_function("search, one thread", |bencher| {
        // no hash is 1 or less
        bencher.iter(|| scanner.scan(black_box(Target(U256::ONE)), 1..=NONCES));
    });
}

fn signatures(criterion: &mut Criterion) {
    let payments: Vec<_> = (0..PAYMENTS).map(payment).collect();
    let checks = signature_checks(&payments);
    let mut group = criterion.benchmark_group("signatures");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one alone", |bencher| bencher.iter(|| verify_one(black_box(&checks[0]))));
    for (name, count, parallel) in [
        ("batch of 64, one thread", 64, Parallel::Inline),
        ("batch of 1,024, one thread", 1_024, Parallel::Inline),
        ("2,000, all cores", 2_000, Parallel::AllCores),
    ] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| verify_batch(black_box(&checks[..count]), parallel));
        });
    }
    group.throughput(Throughput::Elements(u64::from(PAYMENTS)));
    group.bench_function("witnesses of 2,000 payments, without curve equations", |bencher| {
        bencher.iter(|| signature_checks(black_box(&payments)));
    });
}

fn encoding(criterion: &mut Criterion) {
    let transactions: Vec<_> = (0..PAYMENTS).map(|n| Arc::new(payment(n).0)).collect();
    let wtxids: Vec<Wtxid> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
    let block = Block { header: Params::of(Network::Main).genesis, transactions };
    let bytes = block.to_bytes();
    let mut group = criterion.benchmark_group("blocks of 2,000 payments");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&block).to_bytes()));
    group.bench_function("decode, with ids", |bencher| {
        bencher.iter_batched(
            || bytes.clone(),
            |bytes| Block::from_bytes(&bytes).expect("a block"),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("Merkle root", |bencher| {
        bencher.iter(|| merkle_root_and_mutation(black_box(&wtxids)));
    });
}

criterion_group! {
    name = consensus;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = headers, nonces, signatures, encoding
}
criterion_main!(consensus);
