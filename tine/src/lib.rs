//! The program: command line, configuration, the thread that owns a node, the miner, wallets, the devnet, JSON-RPC.
//!
//! A library, so that tests can reach its pieces; `main.rs` only calls [`run`].

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod devnet;
pub mod digits;
pub mod dirs;
pub mod driver;
pub mod exit;
pub mod fleet;
pub mod full_node;
pub mod grpc_at;
pub mod hashrate;
pub mod logging;
pub mod mempool_file;
pub mod methods;
mod metrics;
pub mod miner;
pub mod node_cmd;
pub mod open_files;
pub mod out;
pub mod passphrase;
pub mod roster;
pub mod rpc;
pub mod secret;
pub mod signals;
pub mod view;
pub mod wallets;
mod watch;
pub mod web;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<cli::Cli, clap::Error> {
    let mut command = cli::examples::command();
    let matches = command.try_get_matches_from_mut(args)?;
    cli::Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Runs the program with these arguments, the first being its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            out::usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.common.json;
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::error(json, &error);
            ExitCode::from(&error)
        }
    }
}
