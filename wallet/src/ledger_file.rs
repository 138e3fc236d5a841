//! The ledger's file. All of it can be found again in the chain (a rescan), so a file that can't be read costs time
//! and no money; only payments that never confirmed are lost with it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tine_chain::amount::Amount;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::params::Params;
use tine_chain::time::Time;
use tine_chain::transaction::{Transaction, TxOut};

use crate::ledger::{Confirmation, Conflict, Ledger, Record, Tip};

/// The version of the file.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct LedgerFile {
    version: u32,
    genesis: BlockHash,
    tip: Tip,
    transactions: Vec<RecordFile>,
}

#[derive(Serialize, Deserialize)]
struct RecordFile {
    /// The whole encoding, in hexadecimal.
    #[serde(with = "hex::serde")]
    transaction: Vec<u8>,
    /// Base units and lock of what each input spends, where known.
    spent: Vec<Option<(u64, Lock)>>,
    confirmation: Option<Confirmation>,
    conflict: Option<Conflict>,
    abandoned: bool,
    seen: Time,
}

impl Ledger {
    /// The file's content. What the mempool holds is not in it: the node says so anew.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let transactions = self
            .records
            .values()
            .map(|record| RecordFile {
                transaction: record.tx.to_bytes(),
                spent: record
                    .spent
                    .iter()
                    .map(|spent| spent.map(|output| (output.value.0, output.lock)))
                    .collect(),
                confirmation: record.confirmation,
                conflict: record.conflict,
                abandoned: record.abandoned,
                seen: record.seen,
            })
            .collect();
        let file = LedgerFile { version: VERSION, genesis: self.genesis, tip: self.tip, transactions };
        serde_json::to_vec(&file).expect("a struct of strings and numbers is JSON")
    }

    /// Reads the file's content; `None` when it is damaged, of another version, or of another chain.
    pub(crate) fn from_json(json: &[u8], params: &Params) -> Option<Self> {
        let file: LedgerFile = serde_json::from_slice(json).ok()?;
        let mut ledger = Self::new(params);
        if file.version != VERSION || file.genesis != ledger.genesis {
            return None;
        }
        ledger.tip = file.tip;
        for entry in file.transactions {
            let tx = Arc::new(Transaction::from_bytes(&entry.transaction).ok()?);
            if entry.spent.len() != tx.inputs.len() {
                return None;
            }
            let spent = entry
                .spent
                .into_iter()
                .map(|spent| spent.map(|(value, lock)| TxOut { value: Amount(value), lock }))
                .collect();
            ledger.index_inputs(&tx);
            let record = Record {
                tx: Arc::clone(&tx),
                spent,
                confirmation: entry.confirmation,
                in_mempool: false,
                conflict: entry.conflict,
                abandoned: entry.abandoned,
                seen: entry.seen,
            };
            ledger.records.insert(tx.txid(), record);
        }
        Some(ledger)
    }
}
