//! `tine faucet`: coins on a devnet for whoever wants to try something.

use serde_json::json;
use tine_chain::amount::Amount;

use super::{Target, pay};
use crate::cli::FaucetArgs;
use crate::config::Settings;
use crate::exit::Error;
use crate::methods::{self, Send, Sent, WalletAddress, WalletSummary};
use crate::out::Out;

/// Runs the command. Only wallets whose keys are public pay.
///
/// # Errors
/// No node answers; no public wallet has as much; the node refuses.
pub(super) fn run(out: Out, settings: &Settings, args: &FaucetArgs) -> Result<(), Error> {
    let target = Target::resolve(settings, &args.target)?;
    let wallets: Vec<WalletSummary> = target.client.call_as(methods::WALLET_LIST, json!({}))?;
    let payer = richest(&wallets, &args.to).ok_or_else(|| {
        Error::Failed(format!("{} has no public wallet to pay from: a faucet is for a devnet", target.name))
    })?;
    if spendable(payer) < args.amount {
        return Err(Error::Failed(format!(
            "the fullest public wallet, {}'s, has {} to spend; a reward can be spent after 10 blocks: tine mine 12",
            payer.name, payer.balance.confirmed
        )));
    }
    let request = Send {
        wallet: Some(payer.name.clone()),
        to: recipient(settings, &target, &args.to)?,
        amount: args.amount.to_string(),
        fee_rate: None,
        coins: Vec::new(),
        passphrase: None,
        dry_run: false,
    };
    let start = std::time::Instant::now();
    let sent: Sent = target.client.call_as(methods::SEND, &request)?;
    out.line(format!("{} from {} to {}  txid {}", out.bold(&sent.amount), sent.wallet, args.to, sent.txid));
    pay::report_spread(out, settings, &target, &sent, start);
    Ok(())
}

fn spendable(wallet: &WalletSummary) -> Amount {
    wallet.balance.confirmed.parse().unwrap_or(Amount::ZERO)
}

/// The public wallet that has most, other than the one that is paid; of equals the first.
fn richest<'a>(wallets: &'a [WalletSummary], to: &str) -> Option<&'a WalletSummary> {
    let others = wallets.iter().filter(|wallet| wallet.public && wallet.name != to && wallet.address != to);
    others.rev().max_by_key(|wallet| spendable(wallet))
}

/// An address: the one given, or that of the wallet of this name at the node that is asked, else at any node here.
fn recipient(settings: &Settings, target: &Target, to: &str) -> Result<String, Error> {
    let others = Target::all(settings).unwrap_or_default();
    for node in std::iter::once(target).chain(&others) {
        let wallets: Vec<WalletSummary> = node.client.call_as(methods::WALLET_LIST, json!({}))?;
        if wallets.iter().any(|wallet| wallet.name == to) {
            let request = WalletAddress { wallet: Some(to.to_owned()), new: false };
            return Ok(node.client.call_as(methods::WALLET_ADDRESS, request)?);
        }
    }
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::Balance;

    fn wallet(name: &str, confirmed: &str, public: bool) -> WalletSummary {
        let zero = || "0.00000000".to_owned();
        let balance = Balance { confirmed: confirmed.into(), pending: zero(), immature: zero() };
        WalletSummary { name: name.into(), address: format!("a-{name}"), locked: false, public, balance }
    }

    #[test]
    fn the_fullest_public_wallet_pays_and_never_itself() {
        let wallets =
            [wallet("alice", "50.0", true), wallet("bob", "150.0", true), wallet("savings", "900.0", false)];
        let payer = |to: &str| richest(&wallets, to).map(|wallet| wallet.name.as_str());
        assert_eq!(payer("carol"), Some("bob"));
        assert_eq!(payer("bob"), Some("alice"));
        assert_eq!(payer("a-bob"), Some("alice"));
        assert_eq!(
            richest(&wallets[2..], "carol").map(|wallet| wallet.name.as_str()),
            None,
            "private keys don't"
        );
    }
}
