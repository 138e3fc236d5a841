//! The service `Chain`: the same as JSON-RPC tells.

use serde_json::{Value, json};
use tine::rpc::grpc::v1::get_block_request::Block as Wanted;
use tine::rpc::grpc::v1::get_headers_request::First;
use tine::rpc::grpc::v1::transaction_fate::Fate;
use tine::rpc::grpc::v1::{
    ExplainReorgRequest, ExplainTransactionRequest, GetBlockRequest, GetBlockResponse, GetCoinRequest,
    GetHeadersRequest, GetInfoRequest, GetTransactionRequest, ListForksRequest, ListReorgsRequest, OutPoint,
    SubmitBlockRequest, SubmitTransactionRequest,
};
use tonic::{Code, Status};

use crate::client::Grpc;
use crate::support::chain::{fork, generate};
use crate::support::{SECRET, TestNode, address_of};

fn rpc(grpc: &Grpc, method: &str, params: Value) -> Value {
    grpc.node.client.call(method, params).unwrap()
}

/// The trailer with JSON-RPC's number.
fn number(status: &Status) -> i32 {
    status.metadata().get("tine-rpc-code").unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn it_tells_the_same_blocks_as_json_rpc() {
    let grpc = Grpc::start();
    let blocks = generate(&grpc.node, 5, &SECRET);
    grpc.run(async {
        let mut chain = grpc.chain().await;
        let info = chain.get_info(GetInfoRequest {}).await.unwrap().into_inner();
        assert_eq!((info.height, info.tip), (5, blocks[4].to_string()));
        let json = rpc(&grpc, "getblockchaininfo", json!([]));
        assert_eq!(
            (json!(info.work), json!(info.median_time_seconds)),
            (json["chainwork"].clone(), json["mediantime"].clone())
        );

        let wanted =
            |block| GetBlockRequest { block: Some(block), include_raw: true, include_transactions: true };
        let by_height = chain.get_block(wanted(Wanted::Height(3))).await.unwrap().into_inner();
        let by_hash =
            chain.get_block(wanted(Wanted::Hash(blocks[2].to_string()))).await.unwrap().into_inner();
        assert_eq!(by_height, by_hash);
        let GetBlockResponse { header, txids, raw, transactions, size_bytes } = by_hash;
        let header = header.unwrap();
        assert_eq!(json!(hex::encode(&raw)), rpc(&grpc, "getblock", json!([blocks[2], 0])));
        let json = rpc(&grpc, "getblock", json!([blocks[2], 2]));
        assert_eq!(
            (json!(header.confirmations), json!(header.merkle_root)),
            (json["confirmations"].clone(), json["merkleroot"].clone())
        );
        assert_eq!((json!(size_bytes), &json!(txids[0])), (json["size"].clone(), &json["tx"][0]["txid"]));
        assert_eq!(raw[..80], header.raw);
        let coinbase = &transactions[0];
        assert!(coinbase.inputs[0].coin.is_none());
        assert_eq!(
            (coinbase.outputs[0].value, &coinbase.outputs[0].address),
            (5_000_000_000, &address_of(&SECRET))
        );

        let headers = GetHeadersRequest { first: Some(First::Height(1)), count: 0 };
        let headers = chain.get_headers(headers).await.unwrap().into_inner().headers;
        let hashes: Vec<String> = headers.iter().map(|header| header.hash.clone()).collect();
        assert_eq!(hashes, blocks.iter().map(ToString::to_string).collect::<Vec<_>>());
        let two = GetHeadersRequest { first: Some(First::Hash(hashes[1].clone())), count: 2 };
        assert_eq!(chain.get_headers(two).await.unwrap().into_inner().headers[..], headers[1..3]);
    });
}

#[test]
fn errors_are_those_of_json_rpc() {
    let grpc = Grpc::start();
    generate(&grpc.node, 1, &SECRET);
    grpc.run(async {
        let mut chain = grpc.chain().await;
        let unknown = "11".repeat(32);
        let block = |block| GetBlockRequest { block, ..GetBlockRequest::default() };
        let mut refused = async |wanted, code, number_wanted, message: &str| {
            let status = chain.get_block(block(wanted)).await.unwrap_err();
            assert_eq!((status.code(), number(&status)), (code, number_wanted), "{status}");
            assert!(status.message().contains(message), "{status}");
        };
        refused(Some(Wanted::Hash(unknown.clone())), Code::NotFound, -5, "Block not found").await;
        refused(Some(Wanted::Hash("abc".into())), Code::InvalidArgument, -8, "must be of length 64 (not 3")
            .await;
        refused(Some(Wanted::Height(2)), Code::InvalidArgument, -8, "Block height out of range").await;
        refused(None, Code::InvalidArgument, -8, "give hash or height").await;
        let headers = GetHeadersRequest { first: Some(First::Height(0)), count: 2_001 };
        let status = chain.get_headers(headers).await.unwrap_err();
        assert!(status.message().contains("from 1 to 2000, not 2001"), "{status}");
        let status = chain.get_coin(GetCoinRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let status = chain.submit_block(SubmitBlockRequest { raw: vec![1; 81] }).await.unwrap_err();
        assert_eq!((status.code(), number(&status)), (Code::InvalidArgument, -22));
        let garbage = SubmitTransactionRequest { raw: vec![1; 81], max_fee_rate: None };
        let status = chain.submit_transaction(garbage).await.unwrap_err();
        assert_eq!((status.code(), number(&status)), (Code::InvalidArgument, -22));
        let story = ExplainTransactionRequest { txid: unknown };
        assert_eq!(chain.explain_transaction(story).await.unwrap_err().code(), Code::NotFound);
        let none = chain.explain_reorg(ExplainReorgRequest::default()).await.unwrap_err();
        assert_eq!((none.code(), none.message()), (Code::NotFound, "there was no reorganisation so far"));
    });
}

#[test]
fn it_explains_forks_and_reorganisations() {
    let grpc = Grpc::start();
    let (base, old, new) = fork(&grpc.node);
    grpc.run(async {
        let mut chain = grpc.chain().await;
        let forks = chain.list_forks(ListForksRequest {}).await.unwrap().into_inner().forks;
        assert_eq!((forks[0].tip.clone(), forks[0].status.as_str()), (new[1].to_string(), "active"));
        assert_eq!((&forks[1].tip, forks[1].branch_length), (&old[0].to_string(), 1));
        assert_eq!((forks[1].fork.clone(), forks[1].fork_height), (base.to_string(), 2));
        let reorgs = chain.list_reorgs(ListReorgsRequest {}).await.unwrap().into_inner().reorgs;
        let last = chain.explain_reorg(ExplainReorgRequest { number: None }).await.unwrap().into_inner();
        assert_eq!((reorgs.len(), Some(&reorgs[0])), (1, last.reorg.as_ref()));
        let reorg = &reorgs[0];
        assert_eq!((reorg.depth, &reorg.disconnected[0].hash), (1, &old[0].to_string()));
        assert_eq!(reorg.connected[1].hash, new[1].to_string());
        assert_eq!((reorg.transactions.len(), reorg.transactions[0].fate()), (1, Fate::Orphaned));
        assert!(reorg.old_work < reorg.new_work && reorg.reason.contains("most work"));
        let txid = reorg.transactions[0].txid.clone();
        let story = chain.explain_transaction(ExplainTransactionRequest { txid }).await.unwrap().into_inner();
        assert_eq!((story.stale_blocks, story.block.as_str()), (vec![old[0].to_string()], ""));
        let stale = GetBlockRequest { block: Some(Wanted::Hash(old[0].to_string())), ..Default::default() };
        let stale = chain.get_block(stale).await.unwrap().into_inner().header.unwrap();
        assert_eq!((stale.confirmations, stale.height), (-1, 3));
        let first = GetHeadersRequest { first: Some(First::Hash(old[0].to_string())), count: 1 };
        assert_eq!(chain.get_headers(first).await.unwrap_err().code(), Code::NotFound);
    });
}

#[test]
fn it_takes_transactions_and_blocks() {
    let grpc = Grpc::of(TestNode::with_wallets(&["alice", "bob"]), |config| config);
    let own = rpc(&grpc, "tine_walletaddress", json!({ "wallet": "alice" }));
    rpc(&grpc, "generatetoaddress", json!([101, own]));
    let payment = json!({ "wallet": "alice", "to": "bob", "amount": "5", "dry_run": true });
    let built = rpc(&grpc, "tine_send", payment);
    let raw = hex::decode(built["hex"].as_str().unwrap()).unwrap();
    grpc.run(async {
        let mut chain = grpc.chain().await;
        let offer = |max_fee_rate| SubmitTransactionRequest { raw: raw.clone(), max_fee_rate };
        let status = chain.submit_transaction(offer(Some(1))).await.unwrap_err();
        assert_eq!((status.code(), number(&status)), (Code::FailedPrecondition, -25), "{status}");
        let txid = chain.submit_transaction(offer(None)).await.unwrap().into_inner().txid;
        assert_eq!(json!(txid), built["txid"]);
        let find = GetTransactionRequest { txid: txid.clone() };
        let found = chain.get_transaction(find.clone()).await.unwrap().into_inner();
        assert_eq!((found.block.as_str(), found.confirmations), ("", 0));
        assert_eq!(found.transaction.unwrap().raw, raw);
        let coin = OutPoint { txid: txid.clone(), index: 0 };
        let coin = GetCoinRequest { coin: Some(coin), without_mempool: false };
        let waiting = chain.get_coin(coin.clone()).await.unwrap().into_inner().coin.unwrap();
        assert_eq!((waiting.confirmations, waiting.coinbase), (0, false));
        let chain_alone = GetCoinRequest { without_mempool: true, ..coin.clone() };
        assert!(chain.get_coin(chain_alone).await.unwrap().into_inner().coin.is_none());

        let block = rpc(&grpc, "generatetoaddress", json!([1, own]))[0].as_str().unwrap().to_owned();
        let found = chain.get_transaction(find).await.unwrap().into_inner();
        assert_eq!((found.block, found.confirmations), (block.clone(), 1));
        let mined = chain.get_coin(coin).await.unwrap().into_inner();
        assert_eq!((mined.tip, mined.coin.unwrap().confirmations), (block.clone(), 1));

        let wanted = GetBlockRequest {
            block: Some(Wanted::Hash(block.clone())),
            include_raw: true,
            ..Default::default()
        };
        let mut raw = chain.get_block(wanted).await.unwrap().into_inner().raw;
        let again = chain.submit_block(SubmitBlockRequest { raw: raw.clone() }).await.unwrap().into_inner();
        assert_eq!((again.hash, again.reason.as_str()), (block, "duplicate"));
        // another root, which the work was not done for
        raw[40] ^= 1;
        let wrong = chain.submit_block(SubmitBlockRequest { raw }).await.unwrap().into_inner();
        assert!(["high-hash", "bad-txnmrklroot"].contains(&wrong.reason.as_str()), "{}", wrong.reason);
    });
}
