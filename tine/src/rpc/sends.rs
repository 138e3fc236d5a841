//! Transactions that a batch sends one after the other: given to the node together, which takes one step for all of them.
//! Each is answered as if it had been sent by itself in its turn.

use std::collections::HashMap;
use std::sync::Arc;

use tine_chain::transaction::Transaction;
use tine_node::Offer;

use super::context::Context;
use super::envelope::{Parsed, RawParams, Request};
use super::error::RpcError;
use super::rawtransactions::{DEFAULT_MAX_FEE_RATE, decode_hex, max_fee_at, verdict};
use super::registry::{Outcome, answer};

/// How many are given to the node together: about ten milliseconds of its time.
const MAX_TOGETHER: usize = 500;

/// What a batch sends, by place.
pub(super) struct Sends {
    transactions: Vec<Option<Arc<Transaction>>>,
    answers: HashMap<usize, Outcome>,
}

impl Sends {
    /// Of `batch`, the calls that give a transaction and nothing else. All others are run one by one.
    pub(super) fn of(batch: &[Parsed]) -> Self {
        let transaction = |item: &Parsed| match item {
            Ok(Request { method, params: RawParams::List(params), .. })
                if method == "sendrawtransaction" && params.len() == 1 =>
            {
                let digits: &str = serde_json::from_str(params[0].get()).ok()?;
                decode_hex(digits).ok().map(Arc::new)
            }
            Ok(_) | Err(_) => None,
        };
        Self { transactions: batch.iter().map(transaction).collect(), answers: HashMap::new() }
    }

    /// The answer to the call at `place`, if it is one of these. Everything before it has been run.
    pub(super) fn answer(&mut self, context: &Context, place: usize) -> Option<Outcome> {
        if let Some(answer) = self.answers.remove(&place) {
            return Some(answer);
        }
        let run = self.transactions.get_mut(place..)?.iter_mut().map_while(Option::take);
        let run: Vec<Arc<Transaction>> = run.take(MAX_TOGETHER).collect();
        if run.is_empty() {
            return None;
        }
        self.send(context, place, run);
        self.answers.remove(&place)
    }

    fn send(&mut self, context: &Context, first: usize, run: Vec<Arc<Transaction>>) {
        let offer = |tx: &Arc<Transaction>| Offer {
            tx: Arc::clone(tx),
            max_fee: max_fee_at(DEFAULT_MAX_FEE_RATE, tx.size()),
        };
        let offers: Vec<Offer> = run.iter().map(offer).collect();
        let answered = context.node.control_blocking(move |node, now| node.offer(&offers, now));
        for (number, tx) in run.iter().enumerate() {
            let outcome = match &answered {
                Ok(answers) => verdict(tx.txid(), answers.get(number)).and_then(|txid| answer(&txid)),
                Err(stopped) => Err(RpcError::from(*stopped)),
            };
            self.answers.insert(first + number, outcome);
        }
    }
}
