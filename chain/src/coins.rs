//! Coins: outputs that are not yet spent.

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::transaction::{OutPoint, TxOut};

/// An unspent output, with what later rules ask about it.
///
/// Layout: output 40 ‖ height × 2 + coinbase as u32 (44 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coin {
    /// Its amount and lock.
    pub output: TxOut,
    /// The height of the block that made it.
    pub height: u32,
    /// Whether a coinbase made it: then it matures.
    pub coinbase: bool,
}

impl Encode for Coin {
    fn encode(&self, out: &mut Vec<u8>) {
        self.output.encode(out);
        out.extend_from_slice(&(self.height << 1 | u32::from(self.coinbase)).to_le_bytes());
    }
}

impl Decode for Coin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let output = TxOut::decode(reader)?;
        let code = reader.u32()?;
        Ok(Self { output, height: code >> 1, coinbase: code & 1 == 1 })
    }
}

/// What became of one outpoint between two states of the coins.
///
/// Layout: flags, bit 0 for a coin before, bit 1 for one now ‖ the coins that are there, 44 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoinDelta {
    /// What was there.
    pub before: Option<Coin>,
    /// What is there now.
    pub now: Option<Coin>,
}

impl CoinDelta {
    /// Whether nothing has changed in the end.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.before == self.now
    }
}

impl Encode for CoinDelta {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.before.is_some()) | u8::from(self.now.is_some()) << 1);
        self.before.iter().chain(&self.now).for_each(|coin| coin.encode(out));
    }
}

impl Decode for CoinDelta {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        if flags > 3 {
            return Err(DecodeError::UnknownTag { what: "coin delta", tag: flags });
        }
        let mut coin = |bit| (flags & bit != 0).then(|| Coin::decode(reader)).transpose();
        Ok(Self { before: coin(1)?, now: coin(2)? })
    }
}

/// What a block spent, in the order in which it spent it: all that is needed to take the block off the chain again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undo {
    /// One for each input of each transaction after the coinbase, in block order.
    pub spent: Vec<(OutPoint, Coin)>,
}

impl Encode for Undo {
    fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::write_compact_size(self.spent.len() as u64, out);
        for (outpoint, coin) in &self.spent {
            outpoint.encode(out);
            coin.encode(out);
        }
    }
}

impl Decode for Undo {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count("spent coins", u64::MAX, 80)?;
        let mut spent = Vec::with_capacity(count);
        for _ in 0..count {
            spent.push((OutPoint::decode(reader)?, Coin::decode(reader)?));
        }
        Ok(Self { spent })
    }
}
