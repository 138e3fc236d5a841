//! A block taken apart: a header's 80 bytes field by field, and its transactions.

use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::params::Network;
use tine_chain::transaction::{Transaction, TxOut};

/// Transactions that are listed; the rest are counted.
const MAX_LISTED: usize = 200;

/// The lines. Without a body only the header is there; without a network locks stand where addresses would.
pub(super) fn block(header: &Header, body: Option<&Block>, network: Option<Network>) -> Vec<String> {
    let bytes = header.to_array();
    let part = |from: usize, to: usize| hex::encode(&bytes[from..to]);
    let target = match header.bits.to_target() {
        Ok(target) => format!("{:064x}", target.0),
        Err(error) => error.to_string(),
    };
    let mut lines = vec![
        format!("hash     {}", header.hash()),
        "         SHA-256d of the header's 80 bytes, read backwards:".to_owned(),
        String::new(),
        format!("version  {}", part(0, 4)),
        format!("         {} (little-endian, as every number here)", header.version),
        format!("parent   {}", part(4, 36)),
        format!("         {}", header.prev_block),
        format!("merkle   {}", part(36, 68)),
        "         the root over all its transactions, witnesses included".to_owned(),
        format!("time     {}", part(68, 72)),
        format!("         {}", date(u64::from(header.time))),
        format!("bits     {}", part(72, 76)),
        "         a short form of what the hash may not be over:".to_owned(),
        format!("         {target}"),
        format!("nonce    {}", part(76, 80)),
        format!("         {}: what the miner varied until the hash was low enough", header.nonce),
        String::new(),
    ];
    match body {
        None => lines.push("its body is not known here".into()),
        Some(body) => {
            let all = &body.transactions;
            lines.push(super::describe::count(all.len(), "transaction"));
            lines.extend(all.iter().take(MAX_LISTED).flat_map(|tx| transaction(tx, network)));
            if all.len() > MAX_LISTED {
                lines.push(format!("… and {} more", all.len() - MAX_LISTED));
            }
        }
    }
    lines
}

fn transaction(tx: &Transaction, network: Option<Network>) -> Vec<String> {
    let kind = if tx.is_coinbase() { "coinbase, new coins for the miner" } else { "payment" };
    let mut lines = vec![format!("  {}  {kind}, {} bytes", tx.txid(), tx.size())];
    if !tx.is_coinbase() {
        lines.extend(tx.inputs.iter().map(|input| format!("    spends {}", input.prevout)));
    }
    let whom = |output: &TxOut| {
        network.map_or_else(
            || output.lock.to_string(),
            |network| Address { network, lock: output.lock }.to_string(),
        )
    };
    lines.extend(
        tx.outputs.iter().map(|output| format!("    pays {} to {}", Amount(output.value.0), whom(output))),
    );
    lines
}

/// A date of the proleptic Gregorian calendar, UTC (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(secs: u64) -> String {
    let (days, rest) = (secs / 86_400 + 719_468, secs % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC ({secs})",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use tine_chain::params::Params;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC (0)");
        assert_eq!(date(951_827_696), "2000-02-29 12:34:56 UTC (951827696)");
        assert_eq!(date(1_788_220_800), "2026-09-01 00:00:00 UTC (1788220800)");
        assert_eq!(date(4_102_444_799), "2099-12-31 23:59:59 UTC (4102444799)");
    }

    #[test]
    fn the_parts_of_a_header_are_all_of_it() {
        let header = Params::of(Network::Devnet).genesis;
        let lines = block(&header, None, None);
        let field = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} is missing")).trim().to_owned()
        };
        let parts = ["version ", "parent ", "merkle ", "time ", "bits ", "nonce "].map(field).concat();
        assert_eq!(parts, hex::encode(header.to_array()));
        assert_eq!(field("hash "), header.hash().to_string());
    }
}
