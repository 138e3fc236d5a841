//! What the papers say: closed forms and exact solutions, which the experiments are held against.
//!
//! Probabilities and rates, so floating point serves. Double spends without delay are computed by
//! [`tine_wallet::risk`], so that what a wallet shows of a payment is what the lab puts to the test.

pub mod delay;
pub mod double_spend;
pub mod process;
pub mod selfish;
