//! The corepc-client crate, for Core 31.

#![expect(deprecated, reason = "its successor has another name and only just begun; the calls are the same")]

use corepc_client::bitcoin::{BlockHash, Network};
use corepc_client::client_sync::Auth;
use corepc_client::client_sync::v31::Client;
use serde_json::json;

use super::node::{Regtest, text};

fn client(node: &Regtest) -> Client {
    Client::new_with_auth(&node.url(), Auth::CookieFile(node.cookie.clone())).expect("a cookie")
}

#[test]
fn its_types_take_our_answers() {
    let node = Regtest::start();
    let blocks = node.generate(5);
    let client = client(&node);
    client.check_expected_server_version().expect("we have the shapes of Core 31");
    let info = client.get_blockchain_info().expect("answers").into_model().expect("fits");
    assert_eq!((info.chain, info.blocks, info.initial_block_download), (Network::Regtest, 5, false));
    assert_eq!(client.get_block_count().expect("answers").0, 5);
    let hash = client.get_block_hash(3).expect("answers").into_model().expect("fits").0;
    assert_eq!(hash.to_string(), blocks[2]);
    let best = client.get_best_block_hash().expect("answers").into_model().expect("fits").0;
    assert_eq!(best.to_string(), blocks[4]);
    let header = client.get_block_header(&hash).expect("answers").into_model().expect("fits").0;
    assert_eq!(header.block_hash(), hash, "their code hashes our header");
    let verbose = client.get_block_header_verbose(&hash).expect("answers").into_model().expect("fits");
    assert_eq!((verbose.height, verbose.confirmations), (3, 3));
    let network = client.get_network_info().expect("answers").into_model().expect("fits");
    assert!(network.subversion.starts_with("/tine:"), "{}", network.subversion);
    let tips = client.get_chain_tips().expect("answers").into_model().expect("fits").0;
    assert_eq!((tips.len(), tips[0].height, tips[0].branch_length), (1, 5, 0));
    let mempool = client.get_mempool_info().expect("answers").into_model().expect("fits");
    assert_eq!(mempool.size, 0);
    assert!(client.get_raw_mempool().expect("answers").into_model().expect("fits").0.is_empty());
    let mining = client.get_mining_info().expect("answers").into_model().expect("fits");
    assert_eq!((mining.blocks, mining.next.map(|next| next.height)), (5, Some(6)));
    let totals = client.get_net_totals().expect("answers");
    assert!(totals.time_millis > 1_700_000_000_000);
    assert!(client.get_peer_info().expect("answers").0.is_empty());
    assert!(client.list_banned().expect("answers").0.is_empty());
    let stats = client.get_chain_tx_stats().expect("answers").into_model().expect("fits");
    assert_eq!(stats.window_final_block_height, Some(5));
    assert!(client.uptime().expect("answers") < 600);
    let waited = client.call::<serde_json::Value>("waitfornewblock", &[json!(50)]).expect("answers");
    assert_eq!(text(&waited["hash"]), blocks[4]);
}

#[test]
fn our_errors_are_errors_to_it() {
    let node = Regtest::start();
    let client = client(&node);
    let unknown: BlockHash = "11".repeat(32).parse().expect("a hash");
    let error = client.get_block_header(&unknown).expect_err("there is none").to_string();
    assert!(error.contains("-5") && error.contains("Block not found"), "{error}");
    let nobody = Auth::UserPass("nobody".to_owned(), "nothing".to_owned());
    let stranger = Client::new_with_auth(&node.url(), nobody).expect("a login");
    assert!(stranger.get_block_count().is_err());
}
