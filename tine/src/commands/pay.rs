//! `tine mine` and `tine send`.

use std::time::{Duration, Instant};

use serde_json::json;
use tine_chain::hash::Txid;

use super::Target;
use crate::cli::{MineArgs, SendArgs};
use crate::config::Settings;
use crate::exit::Error;
use crate::methods::{self, Mine, Mined, Send, Sent};
use crate::out::Out;
use crate::passphrase;

/// How long a payment may take to reach every mempool here before it is counted.
const SPREAD: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The share of all power that the line about risk assumes of an attacker.
const ATTACKER: f64 = 0.1;

/// Runs `tine mine`.
///
/// # Errors
/// No node answers, or it refuses.
pub(super) fn mine(out: Out, settings: &Settings, args: &MineArgs) -> Result<(), Error> {
    let target = Target::resolve(settings, &args.target)?;
    let mined: Mined =
        target.client.call_as(methods::MINE, Mine { count: args.count, address: args.to.clone() })?;
    for (above, hash) in (0..).zip(mined.blocks.iter().rev()).collect::<Vec<(u32, _)>>().into_iter().rev() {
        // what the node does not keep itself has no place in its chain
        let height =
            mined.height.map_or_else(|| "#–".into(), |last| format!("#{}", last.saturating_sub(above)));
        out.line(format!("{} {hash}  mined by {}", out.bold(height), target.name));
    }
    out.document(&mined);
    Ok(())
}

/// Runs `tine send`.
///
/// # Errors
/// No node answers; the wallet can't pay; the node refuses.
pub(super) fn send(out: Out, settings: &Settings, args: &SendArgs) -> Result<(), Error> {
    let target = Target::resolve_near(settings, &args.target, args.from.as_deref())?;
    let mut request = Send {
        wallet: args.from.clone(),
        to: args.to.clone(),
        amount: args.amount.to_string(),
        fee_rate: args.fee_rate,
        coins: args.coins.clone(),
        passphrase: None,
        dry_run: args.dry_run,
    };
    let start = Instant::now();
    let mut answer = target.client.call_as::<Sent>(methods::SEND, &request);
    // Core: RPC_WALLET_UNLOCK_NEEDED
    if answer.as_ref().is_err_and(|error| error.code() == Some(-13)) {
        request.passphrase = Some(passphrase::ask("passphrase of the wallet that pays")?);
        answer = target.client.call_as(methods::SEND, &request);
    }
    let sent = answer?;
    if args.explain {
        explain(out, &sent);
    }
    out.line(format!(
        "{} from {} to {}  fee {}  txid {}",
        out.bold(&sent.amount),
        sent.wallet,
        args.to,
        sent.fee,
        sent.txid
    ));
    if args.dry_run {
        out.line("not submitted (--dry-run)");
        out.document(&json!({ "sent": sent, "mempools": 0, "nodes": 0 }));
    } else {
        report_spread(out, settings, &target, &sent, start);
    }
    Ok(())
}

/// Says how many mempools have a payment that was begun at `start`, and how long that took.
pub(super) fn report_spread(out: Out, settings: &Settings, target: &Target, sent: &Sent, start: Instant) {
    let (reached, of) = spread(settings, target, &sent.txid, start);
    let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    out.line(format!("in {reached} of {of} mempools after {took} ms"));
    out.line(out.dim(risk_line(0)));
    out.document(&json!({ "sent": sent, "mempools": reached, "nodes": of, "milliseconds": took }));
}

/// In how many mempools a transaction is within [`SPREAD`], of how many that answer.
fn spread(settings: &Settings, target: &Target, txid: &Txid, start: Instant) -> (usize, usize) {
    let mut nodes = Target::all(settings).unwrap_or_default();
    if !nodes.iter().any(|node| node.client.url() == target.client.url()) {
        nodes = vec![target.clone()];
    }
    nodes.retain(|node| node.client.is_up());
    let of = nodes.len();
    // a block may have taken it already; then it is known all the same
    let has = |node: &Target| {
        node.client.call("getmempoolentry", json!([txid])).is_ok()
            || node.client.call("getrawtransaction", json!([txid])).is_ok()
    };
    loop {
        nodes.retain(|node| !has(node));
        if nodes.is_empty() || start.elapsed() > SPREAD {
            return (of - nodes.len(), of);
        }
        std::thread::sleep(LOOK);
    }
}

fn explain(out: Out, sent: &Sent) {
    for input in &sent.inputs {
        let depth = match input.confirmations {
            0 => "own change, unconfirmed".to_owned(),
            1 => "1 confirmation".to_owned(),
            more => format!("{more} confirmations"),
        };
        out.line(format!("input    {:>17}  {}", input.amount, input.coin));
        out.line(out.dim(format!("         {}, {depth}, key {}", input.address, input.path)));
    }
    for output in &sent.outputs {
        let word = if output.change { "change" } else { "pay   " };
        out.line(format!("{word}   {:>17}  {}", output.amount, output.address));
    }
    out.line(format!("fee      {:>17}  for {} bytes", sent.fee, sent.size));
    for (number, input) in sent.inputs.iter().enumerate() {
        out.line(format!("sighash  {}  what input {number} signs", input.sighash));
        for (key, signature) in &input.signatures {
            out.line(format!("key      {key}"));
            out.line(format!("signed   {signature}"));
        }
    }
    out.line(format!("txid     {}", sent.txid));
}

/// What a payment with so many confirmations is worth.
pub(super) fn risk_line(confirmations: u32) -> String {
    let percent = |risk: f64| format!("{:.3} %", 100.0 * risk);
    let of = |z| {
        let paper = percent(tine_wallet::confirmation_risk(ATTACKER, z));
        let exact = percent(tine_wallet::exact_risk(ATTACKER, z));
        format!("{paper} (Bitcoin paper, section 11; exact race {exact})")
    };
    if confirmations == 0 {
        return format!(
            "0 confirmations: whoever mines next may leave it out. With 1, reversal by 10 % of the power: {}",
            of(1)
        );
    }
    let plural = if confirmations == 1 { "" } else { "s" };
    format!("{confirmations} confirmation{plural}: reversal by 10 % of the power: {}", of(confirmations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_is_the_papers_beside_the_exact_race() {
        let line = risk_line(1);
        assert!(line.contains("20.459 %") && line.contains("20.000 %"), "{line}");
        assert!(risk_line(0).starts_with("0 confirmations"));
    }
}
