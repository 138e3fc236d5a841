//! The figures that ours are shown beside.

use crate::cli::BenchRow;

/// Where they come from.
pub(super) const SOURCE: &str = "Bitcoin Core 31 and v31.99, the faster of the two (-O2, regtest, -assumevalid=0, \
    regtest's self-checks off); minerd for nonces. Measured by this project on an idle virtual machine with 2 cores of \
    a Xeon (SHA-NI, AVX-512) and 24 GiB, medians of 3 or more";

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// What a row measures, what Core reaches, and what is asked of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standard {
    pub(super) work: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// `None`, here and below: there is no such figure.
    pub(super) core: Option<f64>,
    pub(super) must: Option<f64>,
    pub(super) aim: Option<f64>,
}

impl Standard {
    /// Whether `value` is as good as what must be reached; `None`: nothing must.
    pub(super) fn is_met_by(&self, value: f64) -> Option<bool> {
        self.must.map(|must| match self.better {
            Better::More => value >= must,
            Better::Less => value <= must,
        })
    }

    /// The standard of a row.
    pub(super) const fn of(row: BenchRow) -> Self {
        use Better::{Less, More};
        const NONE: f64 = f64::NAN;
        let (work, unit, better, core, must, aim) = match row {
            BenchRow::Sync => {
                ("download and validate payments, fresh node", "tx/s", More, 41_500.0, 60_000.0, 90_000.0)
            }
            BenchRow::SyncEmpty => {
                ("download and validate empty blocks", "blocks/s", More, 12_000.0, 12_000.0, 25_000.0)
            }
            BenchRow::Reorg10 => ("reorganise by 10 full blocks", "s", Less, 0.66, 0.5, 0.25),
            BenchRow::Reorg100 => ("reorganise by 100 full blocks", "s", Less, 6.5, 5.0, 2.5),
            BenchRow::Redo => ("undo and redo 10 verified blocks", "s", Less, 1.53, 0.45, 0.1),
            BenchRow::Connect => ("connect a block known to the mempool", "ms", Less, 14.0, 10.0, 4.0),
            BenchRow::Mempool => ("mempool over RPC, one by one", "tx/s", More, 2_870.0, 5_000.0, 6_000.0),
            BenchRow::MempoolBatch => {
                ("mempool over RPC, batches of 100", "tx/s", More, 4_330.0, 12_000.0, 25_000.0)
            }
            BenchRow::Generate => ("generatetoaddress 1000", "blocks/s", More, 4_770.0, 3_000.0, 6_000.0),
            BenchRow::StartEmpty => ("start to first answer, empty blocks", "s", Less, 0.15, 0.3, 0.1),
            BenchRow::StartPayments => ("start to first answer, payments", "s", Less, 0.22, 0.4, 0.15),
            BenchRow::RelayEmpty => ("empty block along a line of 4 nodes", "ms", Less, 1.8, 5.0, 1.5),
            BenchRow::RelayFull => ("block of 2,000 known payments, 4 nodes", "ms", Less, 25.0, 25.0, 12.0),
            BenchRow::Nonces => ("nonce search, one thread", "MH/s", More, 14.3, 12.0, 44.0),
            BenchRow::CallCount => {
                ("getblockcount, one by one, one connection", "calls/s", More, NONE, 10_000.0, 20_000.0)
            }
            BenchRow::CallEcho => {
                ("echo, one by one, one connection", "calls/s", More, 6_000.0, 10_000.0, 20_000.0)
            }
            BenchRow::CallCountBatch => {
                ("getblockcount, batches of 100", "calls/s", More, NONE, 30_000.0, 140_000.0)
            }
            BenchRow::CallEchoBatch => {
                ("echo, batches of 100", "calls/s", More, 140_000.0, 30_000.0, 140_000.0)
            }
            BenchRow::AcceptQuiet => ("submitblock, nobody else there", "ms", Less, NONE, NONE, NONE),
            BenchRow::AcceptLoaded => {
                ("the same, 1,000 listeners, 200 clients ask 10 times a second", "ms", Less, NONE, 10.0, 3.0)
            }
            BenchRow::AcceptFlooded => {
                ("the same, 200 clients ask without pause", "ms", Less, NONE, NONE, NONE)
            }
        };
        Self { work, unit, better, core: known(core), must: known(must), aim: known(aim) }
    }
}

/// What is not NaN.
const fn known(value: f64) -> Option<f64> {
    if value.is_nan() { None } else { Some(value) }
}
