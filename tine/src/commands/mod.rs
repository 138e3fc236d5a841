//! What each command does.

mod bench;
pub(crate) mod chain;
mod experiments;
mod faucet;
mod headers;
mod lab;
pub(crate) mod net;
mod pay;
mod recorded;
mod rpc;
pub(crate) mod scenario;
mod sweep;
mod target;
mod wallet;
mod worlds;

pub use target::Target;

use crate::cli::{Cli, Command, Shell, examples};
use crate::config::{self, DevnetSettings, NodeSettings, Settings};
use crate::exit::Error;
use crate::out::Out;
use crate::{devnet, logging, node_cmd, watch};

/// yamux warns of every connection that the other side closed first, gossipsub of every message that came by gossip
/// before, Kademlia of having nobody to ask yet: nothing that a person could act on.
macro_rules! quiet_libraries {
    () => {
        "yamux=off,libp2p_gossipsub=error,libp2p_kad=error"
    };
}

/// Runs a command that has been parsed.
///
/// # Errors
/// Why it did not do what it was asked.
pub fn run(cli: Cli) -> Result<(), Error> {
    let settings = Settings::resolve(&cli.common)?;
    let out = Out::new(settings.json);
    config::check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let default_filter = if matches!(cli.command, Command::Node(_)) {
        concat!("info,", quiet_libraries!())
    } else {
        concat!("warn,", quiet_libraries!())
    };
    // a log line in the middle of a screen would tear it
    let default_filter = if matches!(cli.command, Command::Watch(_)) { "off" } else { default_filter };
    logging::start(settings.log.as_deref().unwrap_or(default_filter), settings.log_format)?;
    crate::open_files::raise();
    match cli.command {
        Command::Devnet(args) => {
            devnet::run(out, &settings, &DevnetSettings::resolve(&args, &settings.file)?)
        }
        Command::Node(args) => node_cmd::run(out, &settings, &NodeSettings::resolve(&args, &settings.file)?),
        Command::Wallet(args) => wallet::run(out, &settings, args.command),
        Command::Mine(args) => pay::mine(out, &settings, &args),
        Command::Send(args) => pay::send(out, &settings, &args),
        Command::Faucet(args) => faucet::run(out, &settings, &args),
        Command::Net(args) => net::run(out, &settings, &args),
        Command::Forks(args) => chain::forks(out, &Target::resolve(&settings, &args)?),
        Command::Reorgs(args) => chain::reorgs(out, &settings, &args),
        Command::Explain(args) => chain::explain(out, &settings, args.what),
        Command::Rpc(args) => rpc::run(out, &settings, &args),
        Command::Watch(args) => watch::run(out, &settings, &args),
        Command::Lab(args) => lab::run(out, &args.command),
        Command::Headers(args) => headers::run(out, &args.command),
        Command::Bench(args) => bench::run(out, &args.command),
        Command::Completions { shell } => completions(out, shell),
        Command::Man => man(out),
    }
}

fn completions(out: Out, shell: Shell) -> Result<(), Error> {
    use clap_complete::aot;
    let generator = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Elvish => aot::Shell::Elvish,
        Shell::Fish => aot::Shell::Fish,
        Shell::Powershell => aot::Shell::PowerShell,
        Shell::Zsh => aot::Shell::Zsh,
    };
    let mut text = Vec::new();
    aot::generate(generator, &mut examples::command(), "tine", &mut text);
    out.raw(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// One page for the program and one section for each command, in roff.
fn man(out: Out) -> Result<(), Error> {
    let mut command = examples::command();
    command.build();
    let mut text = Vec::new();
    render_manual(command, &mut text).map_err(|error| Error::failed("the manual page", error))?;
    out.raw(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

/// A built command's page, and those of all below it.
pub(crate) fn render_manual(command: clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        render_manual(child.clone(), text)?;
    }
    Ok(())
}
