//! `/rest/getutxos` (BIP 64): which coins are there.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tine_chain::codec::{Encode, write_compact_size};
use tine_chain::hash::BlockHash;
use tine_chain::store::StoreError;
use tine_chain::transaction::{OutPoint, TxOut};

use super::{Format, Refusal, binary, blocking, json, split_file, text};
use crate::rpc::amount::Coins;
use crate::rpc::context::Context;
use crate::rpc::shapes::ScriptPubKey;

/// The most coins in one question (Core: `MAX_GETUTXOS_OUTPOINTS`).
const MAX_OUTPOINTS: usize = 15;
/// The height that stands for the mempool (Core: `MEMPOOL_HEIGHT`).
const MEMPOOL_HEIGHT: u32 = 0x7fff_ffff;

/// A coin, or a place where none is.
type Found = Option<(TxOut, u32)>;

/// What was found, at one tip.
struct Answer {
    height: u32,
    tip: BlockHash,
    coins: Vec<Found>,
}

pub(super) async fn get_utxos(State(context): State<Arc<Context>>, Path(path): Path<String>) -> Response {
    blocking(move || {
        let (names, format) = split_file(&path)?;
        let (check_mempool, outpoints) = parse(names)?;
        let answer = look_up(&context, outpoints, check_mempool)
            .map_err(|message| (StatusCode::INTERNAL_SERVER_ERROR, message))?;
        Ok(match format {
            Format::Bin => binary(answer.to_bytes()),
            Format::Hex => text(&answer.to_bytes()),
            Format::Json => json(Ok(answer.to_json(&context))),
        })
    })
    .await
}

/// `[checkmempool/]<txid>-<n>/<txid>-<n>/…`.
fn parse(names: &str) -> Result<(bool, Vec<OutPoint>), Refusal> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let (check_mempool, names) = match names.strip_prefix("checkmempool") {
        Some(rest) => (true, rest.trim_start_matches('/')),
        None => (false, names),
    };
    let names: Vec<&str> = names.split('/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(bad("Error: empty request".to_owned()));
    }
    if names.len() > MAX_OUTPOINTS {
        let message = format!("Error: max outpoints exceeded (max: {MAX_OUTPOINTS}, tried: {})", names.len());
        return Err(bad(message));
    }
    let outpoint = |name: &&str| {
        let (txid, vout) = name.rsplit_once('-')?;
        Some(OutPoint { txid: txid.parse().ok()?, vout: vout.parse().ok()? })
    };
    let outpoints: Option<Vec<OutPoint>> = names.iter().map(outpoint).collect();
    Ok((check_mempool, outpoints.ok_or_else(|| bad("Parse error".to_owned()))?))
}

/// One question to the node's thread, so that coins, tip and mempool belong together.
fn look_up(context: &Context, outpoints: Vec<OutPoint>, check_mempool: bool) -> Result<Answer, String> {
    let found = context.node.with_blocking(move |node, _| -> Result<Answer, StoreError> {
        let find = |outpoint: &OutPoint| -> Result<Found, StoreError> {
            if check_mempool {
                if node.mempool().spender_of(outpoint).is_some() {
                    return Ok(None);
                }
                if let Some(entry) = node.mempool().get(&outpoint.txid) {
                    let output = entry.tx.outputs.get(outpoint.vout as usize);
                    return Ok(output.map(|output| (*output, MEMPOOL_HEIGHT)));
                }
            }
            Ok(node.chain().coin(outpoint)?.map(|coin| (coin.output, coin.height)))
        };
        let coins = outpoints.iter().map(find).collect::<Result<_, _>>()?;
        let tip = node.chain().tip();
        Ok(Answer { height: tip.height, tip: tip.hash, coins })
    });
    found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

impl Answer {
    /// Height i32 ‖ tip 32 ‖ count, bitmap, one bit for each question, the first in the lowest ‖ count, coins: version
    /// u32 (0) ‖ height u32 ‖ output 40 (BIP 64, with our outputs).
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.height.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.tip.0);
        let mut bitmap = vec![0u8; self.coins.len().div_ceil(8)];
        for (place, coin) in self.coins.iter().enumerate() {
            bitmap[place / 8] |= u8::from(coin.is_some()) << (place % 8);
        }
        write_compact_size(bitmap.len() as u64, &mut bytes);
        bytes.extend_from_slice(&bitmap);
        write_compact_size(self.coins.iter().flatten().count() as u64, &mut bytes);
        for (output, height) in self.coins.iter().flatten() {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&height.to_le_bytes());
            output.encode(&mut bytes);
        }
        bytes
    }

    fn to_json(&self, context: &Context) -> impl Serialize {
        #[derive(Serialize)]
        struct Utxo {
            height: u32,
            value: Coins,
            #[serde(rename = "scriptPubKey")]
            script_pub_key: ScriptPubKey,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Utxos {
            chain_height: u32,
            chaintip_hash: BlockHash,
            bitmap: String,
            utxos: Vec<Utxo>,
        }
        let utxo = |(output, height): &(TxOut, u32)| Utxo {
            height: *height,
            value: output.value.into(),
            script_pub_key: ScriptPubKey::new(context, &output.lock),
        };
        Utxos {
            chain_height: self.height,
            chaintip_hash: self.tip,
            bitmap: self.coins.iter().map(|coin| if coin.is_some() { '1' } else { '0' }).collect(),
            utxos: self.coins.iter().flatten().map(utxo).collect(),
        }
    }
}
