//! REST in all three forms.

use serde_json::json;
use tine_chain::codec::{Decode, Encode};
use tine_chain::transaction::Transaction;

use crate::support::chain::{STRANGER, block_at, generate, hexed, rich, spend};
use crate::support::{SECRET, TestNode};

#[test]
fn blocks_and_headers_are_fetched_without_a_password() {
    let node = TestNode::start();
    let blocks = generate(&node, 7, &SECRET);
    let block = block_at(&node, &blocks[2]);
    assert_eq!(node.raw_get(&format!("/rest/block/{}.bin", blocks[2])), block.to_bytes());
    let text = node.get(&format!("/rest/block/{}.hex", blocks[2])).body;
    assert_eq!(text.trim(), hex::encode(block.to_bytes()));
    let full = node.get(&format!("/rest/block/{}.json", blocks[2])).json();
    assert!(full["tx"][0]["txid"].is_string());
    let short = node.get(&format!("/rest/block/notxdetails/{}.json", blocks[2])).json();
    assert_eq!(short["tx"], json!([block.transactions[0].txid()]));
    let headers = node.raw_get(&format!("/rest/headers/2000/{}.bin", blocks[3]));
    assert_eq!(headers.len(), 4 * 80, "as many as there are");
    assert_eq!(node.raw_get(&format!("/rest/headers/{}.bin?count=3", blocks[3])), headers[..240]);
    assert_eq!(node.raw_get(&format!("/rest/headers/{}.bin", blocks[0])).len(), 5 * 80, "Core's default");
    let by_height = node.get("/rest/blockhashbyheight/3.json").json();
    assert_eq!(by_height["blockhash"], json!(blocks[2]));
    assert_eq!(node.raw_get("/rest/blockhashbyheight/3.bin"), blocks[2].0);
    assert_eq!(node.get("/rest/blockhashbyheight/3.hex").body.trim(), blocks[2].to_string());
    assert_eq!(node.get("/rest/chaininfo.json").json()["blocks"], 7);
    assert_eq!(node.get("/rest/deploymentinfo.json").json()["height"], 7);
    for (path, status) in [
        ("/rest/blockhashbyheight/8.json", 404),
        ("/rest/blockhashbyheight/x.json", 400),
        ("/rest/blockhashbyheight/3.xml", 404),
        ("/rest/block/xyz.bin", 400),
        (&format!("/rest/block/{}.bin", "00".repeat(32)), 404),
        (&format!("/rest/headers/0/{}.bin", blocks[0]), 400),
        (&format!("/rest/headers/2001/{}.bin", blocks[0]), 400),
        (&format!("/rest/headers/{}.bin?count=x", blocks[0]), 400),
        ("/rest/nothing", 404),
    ] {
        assert_eq!(node.get(path).status, status, "{path}");
    }
    let unknown = node.raw_get(&format!("/rest/headers/5/{}.bin", "00".repeat(32)));
    assert!(unknown.is_empty(), "Core gives none for a header that it does not know");
}

#[test]
fn transactions_coins_and_the_mempool() {
    let (node, coin) = rich();
    let tx = spend(&node, &[coin], &STRANGER, 20_000);
    let txid = tx.txid();
    assert_eq!(node.get(&format!("/rest/tx/{txid}.json")).status, 404);
    node.client.call("sendrawtransaction", [hexed(&tx)]).unwrap();
    let bytes = node.raw_get(&format!("/rest/tx/{txid}.bin"));
    assert_eq!(Transaction::from_bytes(&bytes).unwrap().txid(), txid);
    assert_eq!(node.get(&format!("/rest/tx/{txid}.hex")).body.trim(), hexed(&tx));
    assert_eq!(node.get(&format!("/rest/tx/{txid}.json")).json()["txid"], json!(txid));
    assert_eq!(node.get("/rest/mempool/info.json").json()["size"], 1);
    let contents = node.get("/rest/mempool/contents.json").json();
    assert_eq!(contents[txid.to_string()]["vsize"], json!(tx.size()));
    assert_eq!(node.get("/rest/mempool/contents.json?verbose=false").json(), json!([txid]));
    let with = node.get("/rest/mempool/contents.json?verbose=false&mempool_sequence=true").json();
    assert_eq!(with["txids"], json!([txid]));
    assert_eq!(node.get("/rest/mempool/contents.json?verbose=1").status, 400);
    assert_eq!(node.get("/rest/mempool/contents.json?mempool_sequence=true").status, 400);

    let spent = format!("{}-{}", coin.0.txid, coin.0.vout);
    let both = node.get(&format!("/rest/getutxos/{spent}/{txid}-0.json")).json();
    assert_eq!((&both["bitmap"], &both["chainHeight"]), (&json!("10"), &json!(101)), "without the mempool");
    assert_eq!(both["utxos"][0]["height"], 1);
    let pool = node.get(&format!("/rest/getutxos/checkmempool/{spent}/{txid}-0.json")).json();
    assert_eq!((&pool["bitmap"], &pool["utxos"][0]["height"]), (&json!("01"), &json!(0x7fff_ffff)));
    let raw = node.raw_get(&format!("/rest/getutxos/{spent}/{txid}-0.bin"));
    assert_eq!(raw.len(), 4 + 32 + 2 + 1 + 8 + 40);
    assert_eq!((&raw[..4], &raw[36..39]), (&101u32.to_le_bytes()[..], &[1, 1, 1][..]));
    assert_eq!(raw[47..], coin.1.to_bytes(), "version, height, then the output");
    let hexed = node.get(&format!("/rest/getutxos/{spent}/{txid}-0.hex")).body;
    assert_eq!(hexed.trim(), hex::encode(raw));
    let many = vec![spent.as_str(); 16].join("/");
    for path in
        [format!("{many}.json"), "checkmempool.json".to_owned(), "x-0.json".to_owned(), "x.json".to_owned()]
    {
        assert_eq!(node.get(&format!("/rest/getutxos/{path}")).status, 400, "{path}");
    }
}
