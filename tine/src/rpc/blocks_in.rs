//! Core's methods that bring blocks in by hand: `submitheader`, `getblockfrompeer`.

use serde_json::json;
use tine_chain::block::Header;
use tine_chain::codec::Decode;
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_node::event::PeerId;

use super::envelope::null;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, required};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getblockfrompeer",
        category: Category::Blockchain,
        params: &[
            required("blockhash", Kind::Hex, "The block's id; its header must be known."),
            required("peer_id", Kind::Number, "As getpeerinfo shows it."),
        ],
        help: "Asks one peer for a block's body. Gives an empty object when it was asked, not when it has answered.",
        handler: Handler::Now(get_block_from_peer),
    },
    Method {
        name: "submitheader",
        category: Category::Mining,
        params: &[required("hexdata", Kind::Hex, "The 80 bytes.")],
        help: "Takes in a header whose parent is known. Gives null, or the rule that it breaks.",
        handler: Handler::Now(submit_header),
    },
];

fn get_block_from_peer(call: &Call) -> Outcome {
    let hash: BlockHash = call.params.hash(0)?;
    let peer = call.params.integer_in(1, 0..=i64::MAX)?.unwrap_or(0).unsigned_abs();
    let asked = call.context.node.control_blocking(move |node, now| {
        Ok(match node.fetch_block(PeerId(peer), &hash, now) {
            Ok(actions) => (actions, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        })
    })?;
    asked.map_err(|error| RpcError::new(Code::Misc, error.to_string()))?;
    answer(&json!({}))
}

fn submit_header(call: &Call) -> Outcome {
    let refuse = || RpcError::new(Code::Deserialization, "Block header decode failed");
    let bytes = hex::decode(call.params.text(0)?).map_err(|_| refuse())?;
    let header = Header::from_bytes(&bytes).map_err(|_| refuse())?;
    let verdict = call.context.node.control_blocking(move |node, now| node.submit_header(header, now))?;
    match verdict {
        Ok(()) => Ok(null()),
        Err(Reject::PrevBlockNotFound) => {
            let message = format!("Must submit previous header ({}) first", header.prev_block);
            Err(RpcError::new(Code::Verify, message))
        }
        Err(reject) => Err(RpcError::new(Code::Verify, reject.reason())),
    }
}
