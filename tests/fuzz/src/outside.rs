//! What strangers and callers send: streams of peers, gossip, the bodies of calls.

use std::fmt::Debug;

use serde_json::Value;
use tine::rpc::testing::answer_without_a_node;
use tine_chain::codec::Encode;
use tine_node::wire::{Gossip, MAX_REQUEST_SIZE, MAX_RESPONSE_SIZE};
use tine_p2p::testing::{Read, read_gossip, read_request, read_response};

/// Bytes of a message's length.
const PREFIX: usize = 4;

/// A stream of a peer's, or its gossip. The first byte says which, and the second how many bytes come at a time.
pub fn p2p_codec(bytes: &[u8]) {
    let Some((&[kind, piece], bytes)) = bytes.split_first_chunk() else { return };
    let piece = usize::from(piece) + 1;
    match kind % 4 {
        0 => stream(bytes, MAX_REQUEST_SIZE, |piece| read_request(bytes, piece), piece),
        1 => stream(bytes, MAX_RESPONSE_SIZE, |piece| read_response(bytes, piece), piece),
        of => {
            if let Some(gossip) = read_gossip(bytes, of == 2) {
                assert_eq!(gossip.to_bytes(), bytes, "one encoding for each message");
                assert_eq!(of == 2, matches!(gossip, Gossip::Block(_)), "each on its own topic");
            }
        }
    }
}

/// However the bytes come, the same is read, and no more of them than the message has.
fn stream<T: Encode + PartialEq + Debug>(
    bytes: &[u8],
    limit: usize,
    read: impl Fn(usize) -> (Read<T>, usize),
    piece: usize,
) {
    let (whole, taken) = read(usize::MAX);
    assert_eq!((&whole, taken), (&read(piece).0, read(piece).1), "{piece} bytes at a time");
    let announced = bytes.first_chunk::<PREFIX>().map(|prefix| u32::from_le_bytes(*prefix) as usize);
    match (whole, announced) {
        (Read::Message(message, length), Some(announced)) => {
            assert_eq!((length, taken), (announced, PREFIX + length));
            assert_eq!(message.to_bytes(), bytes[PREFIX..taken], "one encoding for each message");
        }
        (Read::Malformed(_), Some(announced)) if announced > limit => assert_eq!(taken, PREFIX),
        (Read::Malformed(_), Some(announced)) => assert_eq!(taken, PREFIX + announced),
        (Read::Cut, Some(announced)) => assert!(announced <= limit && bytes.len() < PREFIX + announced),
        (Read::Cut, None) => assert!(bytes.len() < PREFIX),
        (read, None) => panic!("{read:?} in {} bytes", bytes.len()),
    }
}

/// The body of a call: whatever it is, the answer is one of the statuses of JSON-RPC over HTTP, and JSON or nothing.
pub fn rpc_envelope(bytes: &[u8]) {
    let (status, body) = answer_without_a_node(bytes);
    if status == 204 {
        return assert_eq!(body, "");
    }
    assert!([200, 400, 404, 500].contains(&status), "{status}");
    let text = body.strip_suffix('\n').expect("one line");
    assert!(!text.contains('\n') || bytes.contains(&b'\n'), "one line, but for what the caller's id holds");
    if bytes.len() > 100_000 || bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 100 {
        return; // an id may be nested deeper than our own reader goes
    }
    let answer: Value = serde_json::from_str(text).expect("JSON");
    match &answer {
        Value::Object(answer) => assert!(answer.contains_key("error") || answer.contains_key("result")),
        Value::Array(_) => assert_eq!(status, 200, "a batch never fails as a whole"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{answer}"),
    }
}
