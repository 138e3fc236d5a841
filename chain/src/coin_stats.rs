//! What all coins amount to, kept as blocks connect: how many there are, what they are worth, and a hash of the set.
//!
//! The hash is `LtHash` (Lewi, Kim, Maykov and Weis, "Securing Update Propagation with Homomorphic Hashing", 2019,
//! section 3): BLAKE3's extendable output makes 1,024 numbers of 16 bits of each coin, and they are added up, each modulo
//! 2^16. So the order doesn't matter, a coin that goes is subtracted again, and two sets with the same sum are as hard
//! to find as a short vector in a lattice. Bitcoin Core's `MuHash` does the same with products modulo a prime of 3,072
//! bits.

use crate::amount::Amount;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::coins::Coin;
use crate::transaction::OutPoint;

/// How many numbers the sum has.
const LANES: usize = 1_024;

/// Separates our use of BLAKE3 from every other: its key, 32 bytes.
const KEY: &[u8; 32] = b"tine coin set: LtHash16, BLAKE3\0";

/// Encoded length of a coin with its outpoint, in bytes: 36 + 44.
const ELEMENT_SIZE: usize = 80;

/// A sum of coins. Two sums are equal exactly when the sets are (but for a broken hash).
#[derive(Clone, PartialEq, Eq)]
pub struct LtHash(Box<[u16; LANES]>);

impl Default for LtHash {
    /// The sum of no coins.
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl std::fmt::Debug for LtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LtHash({})", hex::encode(self.digest()))
    }
}

impl LtHash {
    /// 32 bytes that stand for the sum: BLAKE3 of its numbers, little-endian.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        blake3::hash(&self.to_bytes()).into()
    }

    fn zip(&mut self, other: impl Iterator<Item = u16>, with: impl Fn(u16, u16) -> u16) {
        for (lane, other) in self.0.iter_mut().zip(other) {
            *lane = with(*lane, other);
        }
    }
}

/// 2,048 bytes: the numbers, little-endian.
impl Encode for LtHash {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|lane| lane.to_le_bytes()));
    }
}

impl Decode for LtHash {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; 2 * LANES] = reader.array()?;
        let mut sum = Self::default();
        sum.zip(lanes(&bytes), |_, lane| lane);
        Ok(sum)
    }
}

fn lanes(bytes: &[u8; 2 * LANES]) -> impl Iterator<Item = u16> + '_ {
    bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// The numbers of one coin: BLAKE3, keyed, of outpoint 36 ‖ coin 44.
fn element(outpoint: &OutPoint, coin: &Coin) -> [u8; 2 * LANES] {
    let mut encoded = Vec::with_capacity(ELEMENT_SIZE);
    outpoint.encode(&mut encoded);
    coin.encode(&mut encoded);
    let mut hasher = blake3::Hasher::new_keyed(KEY);
    hasher.update(&encoded);
    let mut bytes = [0; 2 * LANES];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// What a set of coins amounts to, or what changes one: numbers wrap, so that a difference is one too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoinStats {
    /// How many coins there are.
    pub coins: u64,
    /// What they are worth together, in base units.
    pub total: u64,
    /// Their hash.
    pub hash: LtHash,
}

impl CoinStats {
    /// Takes a coin in.
    pub fn insert(&mut self, outpoint: &OutPoint, coin: &Coin) {
        self.coins = self.coins.wrapping_add(1);
        self.total = self.total.wrapping_add(coin.output.value.0);
        self.hash.zip(lanes(&element(outpoint, coin)), u16::wrapping_add);
    }

    /// Takes a coin out.
    pub fn remove(&mut self, outpoint: &OutPoint, coin: &Coin) {
        self.coins = self.coins.wrapping_sub(1);
        self.total = self.total.wrapping_sub(coin.output.value.0);
        self.hash.zip(lanes(&element(outpoint, coin)), u16::wrapping_sub);
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.coins = self.coins.wrapping_add(other.coins);
        self.total = self.total.wrapping_add(other.total);
        self.hash.zip(other.hash.0.iter().copied(), u16::wrapping_add);
    }

    /// What the coins are worth together.
    #[must_use]
    pub fn total(&self) -> Amount {
        Amount(self.total)
    }

    /// Encoded bytes of all coins with their outpoints (Core: `bogosize`): a size that doesn't depend on the database.
    #[must_use]
    pub fn bogosize(&self) -> u64 {
        self.coins.wrapping_mul(ELEMENT_SIZE as u64)
    }
}

/// coins u64 ‖ total u64 ‖ hash 2,048.
impl Encode for CoinStats {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.coins.to_le_bytes());
        out.extend_from_slice(&self.total.to_le_bytes());
        self.hash.encode(out);
    }
}

impl Decode for CoinStats {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { coins: reader.u64()?, total: reader.u64()?, hash: LtHash::decode(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Lock, Txid};
    use crate::transaction::TxOut;

    fn coin(byte: u8) -> (OutPoint, Coin) {
        let output = TxOut { value: Amount(u64::from(byte)), lock: Lock([byte; 32]) };
        let outpoint = OutPoint { txid: Txid([byte; 32]), vout: u32::from(byte) };
        (outpoint, Coin { output, height: 9, coinbase: byte.is_multiple_of(2) })
    }

    fn sum(bytes: impl IntoIterator<Item = u8>) -> CoinStats {
        let mut stats = CoinStats::default();
        bytes.into_iter().map(coin).for_each(|(outpoint, coin)| stats.insert(&outpoint, &coin));
        stats
    }

    #[test]
    fn the_order_does_not_matter_and_a_coin_that_goes_leaves_nothing() {
        let there = sum(1..20);
        assert_eq!(there, sum((1..20).rev()));
        assert_eq!((there.coins, there.total()), (19, Amount(190)));
        let mut without = there.clone();
        let (outpoint, gone) = coin(7);
        without.remove(&outpoint, &gone);
        assert_eq!(without, sum((1..20).filter(|byte| *byte != 7)));
        let mut parts = sum(1..9);
        parts.add(&sum(9..20));
        assert_eq!(parts, there);
        assert_eq!(CoinStats::from_bytes(&there.to_bytes()), Ok(there));
    }

    #[test]
    fn every_field_of_a_coin_counts() {
        let (outpoint, honest) = coin(3);
        let digest = |outpoint: OutPoint, coin: Coin| {
            let mut stats = CoinStats::default();
            stats.insert(&outpoint, &coin);
            stats.hash.digest()
        };
        let mut digests = vec![
            digest(outpoint, honest),
            digest(OutPoint { vout: 4, ..outpoint }, honest),
            digest(OutPoint { txid: Txid([4; 32]), ..outpoint }, honest),
            digest(outpoint, Coin { height: 10, ..honest }),
            digest(outpoint, Coin { coinbase: !honest.coinbase, ..honest }),
            digest(outpoint, Coin { output: TxOut { value: Amount(4), ..honest.output }, ..honest }),
            digest(outpoint, Coin { output: TxOut { lock: Lock([4; 32]), ..honest.output }, ..honest }),
            CoinStats::default().hash.digest(),
        ];
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 8);
    }
}
