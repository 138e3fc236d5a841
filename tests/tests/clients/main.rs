//! Clients that were written for Bitcoin Core, unmodified, against the program.

mod corepc;
mod fork_observer;
mod node;
mod python;
mod python_grpc;
mod venv;
