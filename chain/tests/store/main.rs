//! The store on disk: against a naive model, and against everything that breaks disks and processes.

mod budget;
mod chain;
mod deep;
mod faults;
mod flood;
mod model;
mod power;
mod sled_faults;
mod support;
