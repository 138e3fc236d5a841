//! Every constant of every network, in one place.

use std::sync::Arc;
use std::time::Duration;

use ruint::aliases::U256;

use crate::amount::{Amount, COIN};
use crate::block::{Block, Header};
use crate::hash::{BlockHash, Lock};
use crate::merkle::merkle_root;
use crate::pow::{CompactTarget, Target};
use crate::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};

/// When our genesis blocks were made: 2026-09-01 00:00:00 UTC.
const GENESIS_TIME: u32 = 1_788_220_800;

/// Which chain. Written as `main`, `devnet`, `regtest`, `bitcoin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Ten-minute blocks, retarget every 2,016.
    Main,
    /// Five-second blocks, retarget every 20: for a laptop.
    Devnet,
    /// Blocks on demand, no retarget.
    Regtest,
    /// Bitcoin's own headers, for checking real ones; no blocks.
    Bitcoin,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; there are main, devnet, regtest and bitcoin")]
pub struct ParseNetworkError(String);

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Main, Self::Devnet, Self::Regtest, Self::Bitcoin];

    /// The name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Devnet => "devnet",
            Self::Regtest => "regtest",
            Self::Bitcoin => "bitcoin",
        }
    }

    /// The human-readable part of addresses.
    #[must_use]
    pub fn address_hrp(self) -> &'static str {
        match self {
            Self::Main => "tine",
            Self::Devnet => "dtine",
            Self::Regtest => "rtine",
            Self::Bitcoin => "bc",
        }
    }

    /// What the coinbase of the genesis block says.
    fn genesis_message(self) -> &'static str {
        match self {
            Self::Main => "tine main, 2026-09-01: where two tips disagree, work decides",
            Self::Devnet => "tine devnet, 2026-09-01: watch it fork",
            Self::Regtest => "tine regtest, 2026-09-01: blocks on demand",
            Self::Bitcoin => "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks",
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|network| network.name() == text)
            .ok_or_else(|| ParseNetworkError(text.to_owned()))
    }
}

/// The constants of one network.
#[derive(Debug, Clone)]
pub struct Params {
    /// Which chain.
    pub network: Network,
    /// The first block's header, not mined but given. Its output is not in the coin set.
    pub genesis: Header,
    /// The easiest target.
    pub pow_limit: Target,
    /// Blocks between two difficulty changes; `None`: the bits never change.
    pub retarget_interval: Option<u32>,
    /// Seconds that a difficulty period should take.
    pub target_timespan_secs: i64,
    /// Count the first period from block 1: the genesis is older than any devnet.
    pub first_period_from_block_one: bool,
    /// BIP 54: seconds that a period's first block may be earlier than its predecessor; `None`: not enforced.
    pub timewarp_grace_secs: Option<u32>,
    /// Seconds a block may be ahead of the node's clock.
    pub max_future_secs: u64,
    /// Blocks between two halvings of the subsidy.
    pub halving_interval: u32,
    /// Blocks after which a coinbase's outputs may be spent.
    pub coinbase_maturity: u32,
    /// The human-readable part of addresses.
    pub address_hrp: &'static str,
    /// Blocks whose height is known, so that a run of headers that starts with one of them need not tell it. No rule
    /// depends on them.
    pub known_blocks: &'static [(u32, &'static str)],
}

/// The first block of the difficulty period from which our real headers come.
const BITCOIN_KNOWN_BLOCKS: &[(u32, &str)] =
    &[(822_528, "000000000000000000001daacd23f9cb40c69ba923085618a5f9dbdd4d97e93a")];

impl Params {
    /// The network called `network`.
    #[must_use]
    pub fn of(network: Network) -> Self {
        match network {
            Network::Main => Self {
                network,
                genesis: genesis(network, 0x1e00_ffff, 36_060_265),
                pow_limit: Target(U256::from(0xffffu64) << 216),
                retarget_interval: Some(2_016),
                target_timespan_secs: 2_016 * 600,
                first_period_from_block_one: false,
                timewarp_grace_secs: Some(7_200),
                max_future_secs: 7_200,
                halving_interval: 210_000,
                coinbase_maturity: 100,
                address_hrp: network.address_hrp(),
                known_blocks: &[],
            },
            Network::Devnet => Self {
                network,
                genesis: genesis(network, 0x1e10_c6f7, 2_709_798),
                pow_limit: Target(U256::from(0x0f_ffffu64) << 224),
                retarget_interval: Some(20),
                target_timespan_secs: 20 * 5,
                first_period_from_block_one: true,
                timewarp_grace_secs: Some(10),
                max_future_secs: 60,
                halving_interval: 210_000,
                coinbase_maturity: 10,
                address_hrp: network.address_hrp(),
                known_blocks: &[],
            },
            Network::Regtest => Self {
                network,
                genesis: genesis(network, 0x207f_ffff, 0),
                pow_limit: Target(U256::from(0x7f_ffffu64) << 232),
                retarget_interval: None,
                target_timespan_secs: 2_016 * 600,
                first_period_from_block_one: false,
                timewarp_grace_secs: Some(7_200),
                max_future_secs: 7_200,
                halving_interval: 150,
                coinbase_maturity: 100,
                address_hrp: network.address_hrp(),
                known_blocks: &[],
            },
            Network::Bitcoin => Self {
                network,
                genesis: Header {
                    version: 1,
                    prev_block: BlockHash::ZERO,
                    merkle_root: "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
                        .parse()
                        .expect("64 hexadecimal digits"),
                    time: 1_231_006_505,
                    bits: CompactTarget(0x1d00_ffff),
                    nonce: 2_083_236_893,
                },
                pow_limit: Target(U256::from(0xffffu64) << 208),
                retarget_interval: Some(2_016),
                target_timespan_secs: 2_016 * 600,
                first_period_from_block_one: false,
                timewarp_grace_secs: None,
                max_future_secs: 7_200,
                halving_interval: 210_000,
                coinbase_maturity: 100,
                address_hrp: network.address_hrp(),
                known_blocks: BITCOIN_KNOWN_BLOCKS,
            },
        }
    }

    /// The genesis block. Bitcoin's has no transactions here: they have another format, and we check only its headers.
    #[must_use]
    pub fn genesis_block(&self) -> Arc<Block> {
        let transactions = match self.network {
            Network::Main | Network::Devnet | Network::Regtest => {
                vec![Arc::new(genesis_coinbase(self.network))]
            }
            Network::Bitcoin => Vec::new(),
        };
        Arc::new(Block { header: self.genesis, transactions })
    }

    /// The id of the genesis block: it names the network in every signature and in the protocol's name.
    #[must_use]
    pub fn genesis_hash(&self) -> BlockHash {
        self.genesis.hash()
    }

    /// The subsidy of the block at `height`: 50 coins, halved every [`Params::halving_interval`] blocks.
    #[must_use]
    pub fn subsidy(&self, height: u32) -> Amount {
        Amount((50 * COIN).checked_shr(height / self.halving_interval).unwrap_or(0))
    }

    /// How far ahead of the clock a block may be.
    #[must_use]
    pub fn max_future(&self) -> Duration {
        Duration::from_secs(self.max_future_secs)
    }
}

/// The header of one of our own genesis blocks.
fn genesis(network: Network, bits: u32, nonce: u32) -> Header {
    let coinbase = genesis_coinbase(network);
    Header {
        version: 1,
        prev_block: BlockHash::ZERO,
        merkle_root: merkle_root(&[coinbase.wtxid()]).expect("one leaf has a root"),
        time: GENESIS_TIME,
        bits: CompactTarget(bits),
        nonce,
    }
}

/// The one transaction of a genesis block: its message, and an output that is in no coin set and that no policy opens.
///
/// Height − 1 does not exist at height 0, so the lock time is 0: the genesis block is given, not checked.
fn genesis_coinbase(network: Network) -> Transaction {
    Transaction::new(TxData {
        version: 1,
        inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
        outputs: vec![TxOut { value: Amount(50 * COIN), lock: Lock::ZERO }],
        lock_time: 0,
        witnesses: vec![Witness(network.genesis_message().as_bytes().to_vec())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::MAX_MONEY;
    use crate::pow::check_proof_of_work;

    #[test]
    fn every_genesis_meets_its_own_target() {
        for network in Network::ALL {
            let params = Params::of(network);
            let hash = params.genesis_hash();
            assert_eq!(check_proof_of_work(&params, params.genesis.bits, &hash), Ok(()), "{network}");
        }
        assert_eq!(
            Params::of(Network::Bitcoin).genesis_hash().to_string(),
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        );
    }

    #[test]
    fn genesis_blocks_hold_what_their_headers_commit_to() {
        for network in [Network::Main, Network::Devnet, Network::Regtest] {
            let block = Params::of(network).genesis_block();
            let wtxids: Vec<_> = block.transactions.iter().map(|transaction| transaction.wtxid()).collect();
            assert_eq!(Some(block.header.merkle_root), merkle_root(&wtxids));
            assert!(block.transactions[0].is_coinbase());
            assert!((1..=100).contains(&block.transactions[0].witnesses[0].0.len()));
        }
    }

    #[test]
    fn the_devnet_starts_at_a_million_hashes() {
        let target = Params::of(Network::Devnet).genesis.bits.to_target().expect("a target");
        assert_eq!(target.work().0, U256::from(200_000 * 5));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert!("mainnet".parse::<Network>().is_err());
    }

    #[test]
    fn blk_32_no_more_than_21_million_coins_are_ever_made() {
        for network in Network::ALL {
            let params = Params::of(network);
            let interval = u64::from(params.halving_interval);
            let total: u64 =
                (0..70).map(|halving| params.subsidy(halving * params.halving_interval).0 * interval).sum();
            assert!(total <= MAX_MONEY.0, "{network}: {total}");
            assert_eq!(params.subsidy(params.halving_interval - 1), Amount(50 * COIN));
            assert_eq!(params.subsidy(params.halving_interval), Amount(25 * COIN));
            assert_eq!(params.subsidy(64 * params.halving_interval), Amount::ZERO);
            assert_eq!(
                params.subsidy(u32::MAX).0,
                (50 * COIN) >> (u32::MAX / params.halving_interval).min(63)
            );
        }
        // the exact sum of Bitcoin's schedule (Core: validation_tests.cpp, subsidy_limit_test)
        let params = Params::of(Network::Main);
        let total: u64 = (0..70).map(|halving| params.subsidy(halving * 210_000).0 * 210_000).sum();
        assert_eq!(total, 2_099_999_997_690_000);
    }
}
