//! Random damage, to numbers at their boundaries, to fields, to lists and to bytes.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tine_chain::amount::{Amount, MAX_MONEY};
use tine_chain::block::Header;
use tine_chain::hash::{BlockHash, MerkleRoot, Txid};
use tine_chain::pow::CompactTarget;
use tine_chain::transaction::{OutPoint, TxData, TxOut, Witness};

/// Numbers at which rules change, apart from those that the place in the chain gives.
const EDGES: [u64; 13] = [
    0,
    1,
    2,
    0xffff,
    0x1_0000,
    1 << 22,
    499_999_999,
    500_000_000,
    1 << 31,
    0xffff_fffe,
    0xffff_ffff,
    MAX_MONEY.0,
    u64::MAX,
];

/// A number beside `present`, or one at an edge.
pub(super) fn number(rng: &mut ChaCha8Rng, present: u64, near: &[u64]) -> u64 {
    let edge = match rng.random_range(0..8) {
        0..4 => present,
        4 | 5 if !near.is_empty() => near[rng.random_range(0..near.len())],
        _ => EDGES[rng.random_range(0..EDGES.len())],
    };
    edge.wrapping_add_signed(rng.random_range(-1..=1))
}

fn small(rng: &mut ChaCha8Rng, present: u32, near: &[u64]) -> u32 {
    number(rng, u64::from(present), near) as u32
}

/// The place of a random element of a list of `length`, if it has any.
fn place(rng: &mut ChaCha8Rng, length: usize) -> Option<usize> {
    (length > 0).then(|| rng.random_range(0..length))
}

/// Changes one thing of a transaction. `near` are heights and times of its place, `outpoints` such as others spend.
/// Returns what it is.
pub(super) fn transaction(
    rng: &mut ChaCha8Rng,
    data: &mut TxData,
    near: &[u64],
    outpoints: &[OutPoint],
) -> Option<&'static str> {
    let input = place(rng, data.inputs.len());
    let output = place(rng, data.outputs.len());
    match rng.random_range(0..60) {
        0..5 => {
            data.version = small(rng, data.version, &[]);
            Some("version")
        }
        5..11 => {
            data.lock_time = small(rng, data.lock_time, near);
            Some("lock time")
        }
        11..17 => {
            data.inputs[input?].sequence = small(rng, data.inputs[input?].sequence, near);
            Some("sequence")
        }
        17..20 => {
            let prevout = &mut data.inputs[input?].prevout;
            prevout.vout = small(rng, prevout.vout, &[]);
            Some("index of a coin")
        }
        20..24 => {
            data.inputs[input?].prevout = outpoints[place(rng, outpoints.len())?];
            Some("coin")
        }
        24 => {
            data.inputs[input?].prevout = OutPoint::NULL;
            Some("null coin")
        }
        25 => {
            data.inputs[input?].prevout.txid = Txid(rng.random());
            Some("coin of nowhere")
        }
        26..29 => {
            data.inputs.push(data.inputs[input?]);
            data.witnesses.push(data.witnesses[input?].clone());
            Some("input twice")
        }
        29 => {
            data.inputs.clear();
            data.witnesses.clear();
            Some("no inputs")
        }
        30 => {
            data.outputs.clear();
            Some("no outputs")
        }
        31..43 => {
            data.outputs[output?].value.0 = number(rng, data.outputs[output?].value.0, near);
            Some("value")
        }
        43..47 => {
            data.outputs.push(data.outputs[output?]);
            Some("output twice")
        }
        47 => {
            data.outputs.push(TxOut { value: MAX_MONEY, lock: data.outputs[output?].lock });
            Some("all the money")
        }
        48 => {
            // 400,000 bytes, one more or one less, when there is one input
            let output = TxOut { value: Amount(0), ..data.outputs[output?] };
            data.outputs.resize(9_990 + rng.random_range(0..8), output);
            Some("many outputs")
        }
        49..52 => {
            let length = [0, 1, 2, 99, 100, 101, 102, 4_096, 4_097][rng.random_range(0..9)];
            data.witnesses[input?].0.resize(length, 7);
            Some("length of a witness")
        }
        52 => {
            let size = 399_998 + rng.random_range(0..5);
            fill(data, size);
            Some("size")
        }
        _ => {
            bytes(rng, &mut data.witnesses[input?].0);
            Some("witness")
        }
    }
}

/// Adds outputs of nothing, and bytes to the first witness, up to `size`.
fn fill(data: &mut TxData, size: usize) {
    use tine_chain::transaction::Transaction;
    let Some(output) = data.outputs.first().map(|output| TxOut { value: Amount(0), ..*output }) else {
        return;
    };
    let present = |data: &TxData| Transaction::new(data.clone()).size();
    let missing = |data: &TxData| size.saturating_sub(present(data));
    let outputs = missing(data).saturating_sub(200) / 40;
    data.outputs.extend(std::iter::repeat_n(output, outputs));
    let rest = missing(data);
    if let Some(Witness(bytes)) = data.witnesses.first_mut() {
        bytes.extend(std::iter::repeat_n(7, rest));
    }
}

/// Changes one field of a header. Returns which.
pub(super) fn header(rng: &mut ChaCha8Rng, header: &mut Header, near: &[u64]) -> &'static str {
    match rng.random_range(0..10) {
        0 => {
            header.version = small(rng, header.version as u32, &[]) as i32;
            "version"
        }
        1..6 => {
            header.time = small(rng, header.time, near);
            "time"
        }
        6 => {
            header.bits = CompactTarget(small(rng, header.bits.0, &[0x1d00_ffff, 0x0180_0001, 0x0300_0000]));
            "bits"
        }
        7 => {
            // a sign, another exponent, another mantissa
            header.bits.0 ^= 1 << rng.random_range(0..32);
            "a bit of the bits"
        }
        8 => {
            header.prev_block = BlockHash(rng.random());
            "parent"
        }
        _ => {
            header.merkle_root = MerkleRoot(rng.random());
            "root"
        }
    }
}

/// Changes a list of things. Returns how.
pub(super) fn list<T: Clone>(rng: &mut ChaCha8Rng, list: &mut Vec<T>) -> &'static str {
    let length = list.len();
    match (rng.random_range(0..6), place(rng, length)) {
        (0, Some(at)) => {
            list.remove(at);
            "one left out"
        }
        (1, Some(at)) => {
            list.insert(rng.random_range(0..=length), list[at].clone());
            "one twice"
        }
        (2, Some(at)) => {
            list.swap(at, rng.random_range(0..length));
            "two swapped"
        }
        // CVE-2012-2459: the last one, two or four again
        (3, Some(at)) => {
            let group = 1 << rng.random_range(0..3);
            list.extend_from_within(length.saturating_sub(group.min(at + 1))..);
            "the last ones again"
        }
        (4, Some(_)) => {
            list.reverse();
            "all reversed"
        }
        _ => {
            list.clear();
            "none left"
        }
    }
}

/// Damages a string of bytes in one to three places.
pub(super) fn bytes(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..=3) {
        let Some(at) = place(rng, bytes.len()) else {
            bytes.push(rng.random());
            return;
        };
        match rng.random_range(0..9) {
            0..3 => bytes[at] ^= 1 << rng.random_range(0..8),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff][rng.random_range(0..8)],
            4 => bytes.insert(at, rng.random()),
            5 => {
                bytes.remove(at);
            }
            6 => {
                // a count in a longer form
                let wide = [0xfd, bytes[at], 0];
                bytes.splice(at..=at, wide);
            }
            7 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
}
