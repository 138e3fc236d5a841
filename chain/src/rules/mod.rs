//! The rules of consensus, each quoted above the line that enforces it.
//!
//! Pure functions: what a rule depends on is handed in, and the mempool calls the same ones as the chain. Nothing is
//! looked up here, and nothing is changed. `DESIGN.md` §3 names the rules, Bitcoin Core's function stands beside each.

mod block;
mod header;
mod locks;
mod transaction;

pub(crate) use block::check_body;
pub use block::{CheckedBlock, check_block, check_block_in_context, check_coinbase_amount, sum_fees};
pub use header::{HeaderContext, check_header};
pub use locks::{check_final, check_sequence_locks, is_final};
pub use transaction::{check_inputs, check_transaction, check_witnesses};
