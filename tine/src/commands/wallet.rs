//! `tine wallet`.

use std::path::Path;

use serde_json::json;

use super::{Target, pay};
use crate::cli::{TargetArgs, WalletCommand, WalletTarget};
use crate::config::Settings;
use crate::dirs;
use crate::exit::Error;
use crate::methods::{
    self, Balance, HistoryEntry, WalletAddress, WalletBackup, WalletBalance, WalletCoin, WalletMade,
    WalletName, WalletNew, WalletRestore, WalletSummary, WalletUnlock,
};
use crate::out::Out;
use crate::passphrase;

/// Runs the command.
///
/// # Errors
/// No node answers; the wallet says no.
pub(super) fn run(out: Out, settings: &Settings, command: WalletCommand) -> Result<(), Error> {
    match command {
        WalletCommand::New { name, target } => make(out, settings, name, &target),
        WalletCommand::Restore { name, file, target } => {
            restore(out, settings, name, file.as_deref(), &target)
        }
        WalletCommand::List(args) => list(out, &Target::resolve(settings, &args)?),
        WalletCommand::Address { new, wallet } => {
            let request = WalletAddress { wallet: wallet.wallet.clone(), new };
            let address: String =
                near(settings, &wallet)?.client.call_as(methods::WALLET_ADDRESS, request)?;
            out.line(&address);
            out.document(&json!({ "address": address }));
            Ok(())
        }
        WalletCommand::Balance(wallet) => balance(out, settings, &wallet),
        WalletCommand::Coins(wallet) => coins(out, settings, &wallet),
        WalletCommand::Send(args) => pay::send(out, settings, &args),
        WalletCommand::History(wallet) => history(out, settings, &wallet),
        WalletCommand::Backup { path, wallet } => {
            let path = absolute(&path)?;
            let request = WalletBackup { wallet: wallet.wallet.clone(), path: path.clone() };
            near(settings, &wallet)?.client.call(methods::WALLET_BACKUP, request)?;
            out.line(format!("copied to {path}"));
            out.line(format!(
                "with its passphrase it restores every key: tine wallet restore NAME --file {path}"
            ));
            out.document(&json!({ "path": path }));
            Ok(())
        }
        WalletCommand::Unlock(wallet) => {
            let passphrase = passphrase::ask("passphrase")?;
            let request = WalletUnlock { wallet: wallet.wallet.clone(), passphrase };
            near(settings, &wallet)?.client.call(methods::WALLET_UNLOCK, request)?;
            out.line("unlocked until `tine wallet lock`, or the node stops");
            Ok(())
        }
        WalletCommand::Lock(wallet) => {
            near(settings, &wallet)?.client.call(methods::WALLET_LOCK, named(&wallet))?;
            out.line("locked");
            Ok(())
        }
    }
}

/// The node that is asked about a wallet: on a devnet, the one of the same name.
fn near(settings: &Settings, wallet: &WalletTarget) -> Result<Target, Error> {
    Target::resolve_near(settings, &wallet.target, wallet.wallet.as_deref())
}

fn named(wallet: &WalletTarget) -> WalletName {
    WalletName { wallet: wallet.wallet.clone() }
}

/// Refuses a name before anybody is asked for a passphrase. The node looks again: it has the last word.
fn check_free(target: &Target, name: &str) -> Result<(), Error> {
    dirs::check_name("wallet", name)?;
    let wallets: Vec<WalletSummary> = target.client.call_as(methods::WALLET_LIST, json!({}))?;
    if wallets.iter().any(|wallet| wallet.name == name) {
        return Err(Error::Failed(format!("{} has a wallet called {name:?} already", target.name)));
    }
    Ok(())
}

fn make(out: Out, settings: &Settings, name: String, target: &TargetArgs) -> Result<(), Error> {
    let target = Target::resolve(settings, target)?;
    check_free(&target, &name)?;
    let passphrase = passphrase::ask_new("a passphrase for the new wallet")?;
    let made: WalletMade = target.client.call_as(methods::WALLET_NEW, WalletNew { name, passphrase })?;
    out.line(format!("{}  {}", out.bold(&made.name), made.address));
    if let Some(phrase) = &made.phrase {
        out.line("these words restore it; they are shown this once, write them down:");
        out.line(format!("  {phrase}"));
    }
    out.document(&made);
    Ok(())
}

/// The node may run in another directory.
fn absolute(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path).map_err(|error| Error::failed(path.display(), error))?;
    Ok(absolute.display().to_string())
}

fn restore(
    out: Out,
    settings: &Settings,
    name: String,
    file: Option<&Path>,
    target: &TargetArgs,
) -> Result<(), Error> {
    let target = Target::resolve(settings, target)?;
    check_free(&target, &name)?;
    let request = match file {
        Some(file) => WalletRestore {
            name,
            phrase: None,
            path: Some(absolute(file)?),
            passphrase: passphrase::ask("the backup's passphrase")?,
        },
        None => WalletRestore {
            name,
            phrase: Some(passphrase::ask("the wallet's 12 or 24 words")?),
            path: None,
            passphrase: passphrase::ask_new("a passphrase for this copy")?,
        },
    };
    let made: WalletMade = target.client.call_as(methods::WALLET_RESTORE, request)?;
    out.line(format!("{}  {}", out.bold(&made.name), made.address));
    out.document(&made);
    Ok(())
}

fn list(out: Out, target: &Target) -> Result<(), Error> {
    let wallets: Vec<WalletSummary> = target.client.call_as(methods::WALLET_LIST, json!({}))?;
    out.table(
        ["WALLET", "CONFIRMED", "PENDING", "IMMATURE", "ADDRESS", ""],
        wallets.iter().map(|wallet| {
            let note = match (wallet.public, wallet.locked) {
                (true, _) => "PUBLIC KEYS",
                (false, true) => "locked",
                (false, false) => "unlocked",
            };
            let Balance { confirmed, pending, immature } = &wallet.balance;
            [
                wallet.name.clone(),
                confirmed.clone(),
                pending.clone(),
                immature.clone(),
                wallet.address.clone(),
                note.to_owned(),
            ]
        }),
    );
    out.document(&wallets);
    Ok(())
}

fn balance(out: Out, settings: &Settings, wallet: &WalletTarget) -> Result<(), Error> {
    let target = near(settings, wallet)?;
    let answer: WalletBalance = target.client.call_as(methods::WALLET_BALANCE, named(wallet))?;
    let balance = &answer.balance;
    out.line(format!("{}, as {} sees it", out.bold(&answer.wallet), target.name));
    out.line(format!("confirmed {:>18}", balance.confirmed));
    out.line(format!("pending   {:>18}  in the mempool", balance.pending));
    out.line(format!("immature  {:>18}  mined, not spendable yet", balance.immature));
    out.document(&answer);
    Ok(())
}

fn coins(out: Out, settings: &Settings, wallet: &WalletTarget) -> Result<(), Error> {
    let target = near(settings, wallet)?;
    let coins: Vec<WalletCoin> = target.client.call_as(methods::WALLET_COINS, named(wallet))?;
    out.table(
        ["COIN", "AMOUNT", "CONFIRMATIONS", ""],
        coins.iter().map(|coin| {
            let note = if coin.immature { "immature" } else { "" };
            [coin.coin.to_string(), coin.amount.clone(), coin.confirmations.to_string(), note.to_owned()]
        }),
    );
    out.document(&coins);
    Ok(())
}

fn history(out: Out, settings: &Settings, wallet: &WalletTarget) -> Result<(), Error> {
    let target = near(settings, wallet)?;
    let history: Vec<HistoryEntry> = target.client.call_as(methods::WALLET_HISTORY, named(wallet))?;
    if history.is_empty() {
        out.line(format!("{} has seen no payment of this wallet, on any branch", target.name));
        out.document(&history);
        return Ok(());
    }
    out.table(
        ["AMOUNT", "STATE", "HEIGHT", "CONFIRMATIONS", "TRANSACTION", ""],
        history.iter().map(|entry| {
            let note = match (entry.conflicts_with, entry.coinbase) {
                (Some(other), _) => format!("lost to {other}"),
                (None, true) => "block reward".to_owned(),
                (None, false) => String::new(),
            };
            [
                entry.amount.clone(),
                crate::out::word(&entry.state),
                entry.height.map_or_else(String::new, |height| height.to_string()),
                entry.confirmations.to_string(),
                entry.txid.to_string(),
                note,
            ]
        }),
    );
    out.document(&history);
    Ok(())
}
