//! The chain from outside: every rule by its rejection, forks as drawings, the journal, marks, and a naive model.

mod activation;
mod ahead;
mod blocks;
mod catalogue;
mod faults;
mod forks;
mod headers;
mod journal;
mod loose;
mod marks;
mod model;
mod places;
mod queries;
mod story;
mod transactions;
mod worst;
