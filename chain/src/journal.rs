//! The journal: what each reorganisation did, and to whom.

use crate::codec::{Decode, DecodeError, Encode, Reader, write_list};
use crate::hash::{BlockHash, Txid};
use crate::pow::Work;
use crate::time::Time;
use crate::transaction::OutPoint;

/// A block of one of the two branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchBlock {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its place in the order in which blocks were first seen.
    pub sequence: u64,
    /// When it was first seen.
    pub seen: Time,
    /// How many transactions it has, the coinbase among them.
    pub transactions: u32,
}

/// What became of a transaction that had been confirmed on the old branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The new branch has it too.
    ConfirmedAgain {
        /// In this block.
        block: BlockHash,
    },
    /// It can be mined again.
    Returned,
    /// The new branch spends a coin that it spends, or that one of its ancestors does.
    Conflicted {
        /// The coin that both spend.
        coin: OutPoint,
        /// The transaction that spent it on the new branch.
        by: Txid,
        /// The block that transaction is in.
        block: BlockHash,
    },
    /// It was the coinbase of a block that is no longer part of the chain, or spends from one.
    Orphaned,
}

/// One transaction of the old branch, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionFate {
    /// The transaction.
    pub txid: Txid,
    /// The block of the old branch that had it.
    pub block: BlockHash,
    /// How many confirmations it had.
    pub confirmations: u32,
    /// What became of it.
    pub fate: Fate,
}

/// One reorganisation, complete: a journal entry is never looked up anywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    /// Its number, from 0.
    pub number: u64,
    /// When the node switched.
    pub time: Time,
    /// The last block that both branches have.
    pub fork: BranchBlock,
    /// Cumulative work at the fork.
    pub fork_work: Work,
    /// The old branch from the fork up; its last is the old tip.
    pub disconnected: Vec<BranchBlock>,
    /// Cumulative work at the old tip.
    pub old_work: Work,
    /// The new branch from the fork up; its last is the new tip.
    pub connected: Vec<BranchBlock>,
    /// Cumulative work at the new tip.
    pub new_work: Work,
    /// The transactions of the old branch, in block order; of very many, those of its latest blocks.
    pub transactions: Vec<TransactionFate>,
    /// How many of its transactions are not listed.
    pub omitted: u64,
}

impl BranchBlock {
    /// Encoded length, in bytes: hash 32 ‖ height u32 ‖ sequence u64 ‖ seen u64 ‖ transactions u32.
    const SIZE: usize = 56;
}

impl Encode for BranchBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        self.hash.encode(out);
        out.extend_from_slice(&self.height.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.seen.0.to_le_bytes());
        out.extend_from_slice(&self.transactions.to_le_bytes());
    }
}

impl Decode for BranchBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            hash: BlockHash::decode(reader)?,
            height: reader.u32()?,
            sequence: reader.u64()?,
            seen: Time(reader.u64()?),
            transactions: reader.u32()?,
        })
    }
}

/// A tag byte (0 confirmed again, 1 returned, 2 conflicted, 3 orphaned), then what the variant holds, in order.
impl Encode for Fate {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::ConfirmedAgain { block } => {
                out.push(0);
                block.encode(out);
            }
            Self::Returned => out.push(1),
            Self::Conflicted { coin, by, block } => {
                out.push(2);
                coin.encode(out);
                by.encode(out);
                block.encode(out);
            }
            Self::Orphaned => out.push(3),
        }
    }
}

impl Decode for Fate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(Self::ConfirmedAgain { block: BlockHash::decode(reader)? }),
            1 => Ok(Self::Returned),
            2 => Ok(Self::Conflicted {
                coin: OutPoint::decode(reader)?,
                by: Txid::decode(reader)?,
                block: BlockHash::decode(reader)?,
            }),
            3 => Ok(Self::Orphaned),
            tag => Err(DecodeError::UnknownTag { what: "fate", tag }),
        }
    }
}

impl TransactionFate {
    /// The shortest encoding, in bytes: txid 32, block 32, confirmations 4, a fate's tag.
    const LEAST_SIZE: usize = 69;
}

/// txid 32 ‖ block 32 ‖ confirmations u32 ‖ fate.
impl Encode for TransactionFate {
    fn encode(&self, out: &mut Vec<u8>) {
        self.txid.encode(out);
        self.block.encode(out);
        out.extend_from_slice(&self.confirmations.to_le_bytes());
        self.fate.encode(out);
    }
}

impl Decode for TransactionFate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            txid: Txid::decode(reader)?,
            block: BlockHash::decode(reader)?,
            confirmations: reader.u32()?,
            fate: Fate::decode(reader)?,
        })
    }
}

impl Encode for Work {
    /// 32 bytes, little-endian.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes::<32>());
    }
}

impl Decode for Work {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array::<32>().map(|bytes| Self(ruint::aliases::U256::from_le_bytes(bytes)))
    }
}

/// number u64 ‖ time u64 ‖ fork ‖ its work 32 ‖ count, blocks out ‖ old work 32 ‖ count, blocks in ‖ new work 32 ‖
/// count, transactions ‖ omitted u64.
impl Encode for Reorg {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        self.fork.encode(out);
        self.fork_work.encode(out);
        write_list(&self.disconnected, out);
        self.old_work.encode(out);
        write_list(&self.connected, out);
        self.new_work.encode(out);
        write_list(&self.transactions, out);
        out.extend_from_slice(&self.omitted.to_le_bytes());
    }
}

impl Decode for Reorg {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: reader.u64()?,
            time: Time(reader.u64()?),
            fork: BranchBlock::decode(reader)?,
            fork_work: Work::decode(reader)?,
            disconnected: reader.list("blocks out", u64::MAX, BranchBlock::SIZE)?,
            old_work: Work::decode(reader)?,
            connected: reader.list("blocks in", u64::MAX, BranchBlock::SIZE)?,
            new_work: Work::decode(reader)?,
            transactions: reader.list("fates", u64::MAX, TransactionFate::LEAST_SIZE)?,
            omitted: reader.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use ruint::aliases::U256;

    use super::*;

    fn block(byte: u8) -> BranchBlock {
        BranchBlock {
            hash: BlockHash([byte; 32]),
            height: u32::from(byte),
            sequence: 7,
            seen: Time(1_234),
            transactions: 3,
        }
    }

    #[test]
    fn every_fate_survives_its_encoding() {
        let fates = [
            Fate::ConfirmedAgain { block: BlockHash([1; 32]) },
            Fate::Returned,
            Fate::Conflicted {
                coin: OutPoint { txid: Txid([2; 32]), vout: 5 },
                by: Txid([3; 32]),
                block: BlockHash([4; 32]),
            },
            Fate::Orphaned,
        ];
        let reorg = Reorg {
            number: 2,
            time: Time(99),
            fork: block(1),
            fork_work: Work(U256::from(10u64)),
            disconnected: vec![block(2)],
            old_work: Work(U256::from(11u64)),
            connected: vec![block(3), block(4)],
            new_work: Work(U256::MAX),
            transactions: fates
                .into_iter()
                .map(|fate| TransactionFate {
                    txid: Txid([9; 32]),
                    block: BlockHash([2; 32]),
                    confirmations: 1,
                    fate,
                })
                .collect(),
            omitted: 8,
        };
        let bytes = reorg.to_bytes();
        assert_eq!(Reorg::from_bytes(&bytes), Ok(reorg));
        for cut in 0..bytes.len() {
            assert!(Reorg::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
