//! The service `Wallet`.

use serde_json::json;
use tine::rpc::grpc::v1::history_entry::State;
use tine::rpc::grpc::v1::{
    GetBalanceRequest, GetHistoryRequest, ListCoinsRequest, ListWalletsRequest, NewAddressRequest,
    SendRequest,
};
use tonic::Code;

use crate::client::Grpc;
use crate::support::TestNode;

const COIN: u64 = 100_000_000;

#[test]
fn a_payment_from_wallet_to_wallet() {
    let grpc = Grpc::of(TestNode::with_wallets(&["alice", "bob"]), |config| config);
    let call = |method: &str, params| grpc.node.client.call(method, params).unwrap();
    grpc.run(async {
        let mut wallet = grpc.wallet().await;
        let new = NewAddressRequest { wallet: "alice".into(), label: "rewards".into() };
        let own = wallet.new_address(new).await.unwrap().into_inner().address;
        assert_eq!(call("getaddressinfo", json!([own]))["labels"], json!(["rewards"]));
        call("generatetoaddress", json!([101, own]));

        let wallets = wallet.list_wallets(ListWalletsRequest {}).await.unwrap().into_inner().wallets;
        let names: Vec<&str> = wallets.iter().map(|wallet| wallet.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);
        let held = wallets[0].balance.unwrap();
        assert_eq!((held.confirmed, held.immature), (2 * 50 * COIN, 99 * 50 * COIN));
        assert!(wallets[0].public_keys && !wallets[0].locked);

        let coins = wallet.list_coins(ListCoinsRequest::default()).await.unwrap().into_inner().coins;
        assert_eq!(coins.len(), 101);
        let ripe = coins.iter().find(|coin| !coin.immature).unwrap();
        assert_eq!((ripe.value, &ripe.address), (50 * COIN, &own));

        let payment = SendRequest {
            to: "bob".into(),
            amount: 7 * COIN + 1,
            coins: vec![ripe.coin.clone().unwrap()],
            ..SendRequest::default()
        };
        let rehearsal = SendRequest { dry_run: true, ..payment.clone() };
        let built = wallet.send(rehearsal).await.unwrap().into_inner();
        assert_eq!(call("getrawmempool", json!([])), json!([]), "nothing was sent");
        let sent = wallet.send(payment.clone()).await.unwrap().into_inner();
        assert_eq!((sent.wallet.as_str(), &sent.inputs, sent.fee), ("alice", &payment.coins, built.fee));
        assert_eq!(call("getrawmempool", json!([])), json!([sent.txid]));

        let of_bob = || GetBalanceRequest { wallet: "bob".into() };
        let waiting = wallet.get_balance(of_bob()).await.unwrap().into_inner().balance.unwrap();
        assert_eq!((waiting.pending, waiting.confirmed), (7 * COIN + 1, 0));
        let block = call("generatetoaddress", json!([1, own]))[0].clone();
        let paid = wallet.get_balance(of_bob()).await.unwrap().into_inner();
        assert_eq!((paid.wallet.as_str(), paid.balance.unwrap().confirmed), ("bob", 7 * COIN + 1));
        let history = GetHistoryRequest { wallet: "bob".into() };
        let history = wallet.get_history(history).await.unwrap().into_inner().entries;
        let [entry] = &history[..] else { panic!("{history:?}") };
        assert_eq!((&entry.txid, json!(entry.block)), (&sent.txid, block));
        assert_eq!((entry.amount, entry.state(), entry.confirmations), (700_000_001, State::Confirmed, 1));
        let history = wallet.get_history(GetHistoryRequest::default()).await.unwrap().into_inner().entries;
        let out = history.iter().find(|entry| entry.txid == sent.txid).unwrap();
        assert_eq!(out.amount, -700_000_001 - i64::try_from(sent.fee).unwrap());
    });
}

#[test]
fn what_a_wallet_refuses_is_said_with_its_number() {
    let grpc = Grpc::of(TestNode::with_wallets(&["alice", "bob"]), |config| config);
    grpc.run(async {
        let mut wallet = grpc.wallet().await;
        let pay = |wallet: &str, to: &str, amount| SendRequest {
            wallet: wallet.into(),
            to: to.into(),
            amount,
            ..SendRequest::default()
        };
        for (payment, code, number) in [
            (pay("", "bob", COIN), Code::FailedPrecondition, "-6"),
            (pay("eve", "bob", COIN), Code::NotFound, "-18"),
            (pay("", "nobody", COIN), Code::NotFound, "-5"),
            (pay("", "bob", 0), Code::InvalidArgument, "-8"),
            (pay("", "bob", u64::MAX), Code::InvalidArgument, "-3"),
        ] {
            let status = wallet.send(payment.clone()).await.expect_err("refused");
            let found = status.metadata().get("tine-rpc-code").unwrap().to_str().unwrap();
            assert_eq!((status.code(), found), (code, number), "{payment:?}: {status}");
        }
    });
    let none = Grpc::start();
    none.run(async {
        let status = none.wallet().await.list_wallets(ListWalletsRequest {}).await.expect_err("no wallets");
        assert_eq!(status.code(), Code::NotFound, "{status}");
    });
}
