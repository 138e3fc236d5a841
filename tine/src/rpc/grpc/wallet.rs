//! The service `Wallet`.

use tine_chain::amount::Amount;
use tonic::{Request, async_trait};

use super::calls::{Answered, Calls};
use super::convert::{named, outpoint, signed_units, text, units};
use super::v1::history_entry::State;
use super::v1::wallet_server::Wallet;
use super::v1::{self};
use crate::methods::{Balance, HistoryEntry, PaymentState, Send, WalletCoin, WalletSummary};
use crate::rpc::context::Context;
use crate::rpc::error::{Code, RpcError};
use crate::rpc::wallet::wallets_of;

/// The node's wallets.
#[derive(Debug)]
pub(super) struct WalletsService(pub(super) Calls);

#[async_trait]
impl Wallet for WalletsService {
    async fn list_wallets(
        &self,
        request: Request<v1::ListWalletsRequest>,
    ) -> Answered<v1::ListWalletsResponse> {
        let list = |context: &Context, _| {
            let wallets = wallets_of(context)?.list()?.into_iter().map(summary).collect::<Result<_, _>>()?;
            Ok(v1::ListWalletsResponse { wallets })
        };
        self.0.run(request, list).await
    }

    async fn new_address(&self, request: Request<v1::NewAddressRequest>) -> Answered<v1::NewAddressResponse> {
        let address = |context: &Context, asked: v1::NewAddressRequest| {
            let address = wallets_of(context)?.new_address(named(&asked.wallet), named(&asked.label))?;
            Ok(v1::NewAddressResponse { address })
        };
        self.0.run(request, address).await
    }

    async fn get_balance(&self, request: Request<v1::GetBalanceRequest>) -> Answered<v1::GetBalanceResponse> {
        let read = |context: &Context, asked: v1::GetBalanceRequest| {
            let wallets = wallets_of(context)?;
            let wallet = named(&asked.wallet);
            let found = balance(&wallets.balance(wallet)?)?;
            Ok(v1::GetBalanceResponse { wallet: wallets.resolve(wallet)?, balance: Some(found) })
        };
        self.0.run(request, read).await
    }

    async fn list_coins(&self, request: Request<v1::ListCoinsRequest>) -> Answered<v1::ListCoinsResponse> {
        let list = |context: &Context, asked: v1::ListCoinsRequest| {
            let coins = wallets_of(context)?.coins(named(&asked.wallet))?;
            Ok(v1::ListCoinsResponse { coins: coins.into_iter().map(coin).collect::<Result<_, _>>()? })
        };
        self.0.run(request, list).await
    }

    async fn send(&self, request: Request<v1::SendRequest>) -> Answered<v1::SendResponse> {
        self.0.run(request, send).await
    }

    async fn get_history(&self, request: Request<v1::GetHistoryRequest>) -> Answered<v1::GetHistoryResponse> {
        let list = |context: &Context, asked: v1::GetHistoryRequest| {
            let history = wallets_of(context)?.history(named(&asked.wallet))?;
            let entries = history.into_iter().map(entry).collect::<Result<_, _>>()?;
            Ok(v1::GetHistoryResponse { entries })
        };
        self.0.run(request, list).await
    }
}

fn balance(balance: &Balance) -> Result<v1::Balance, RpcError> {
    Ok(v1::Balance {
        confirmed: units(&balance.confirmed)?,
        pending: units(&balance.pending)?,
        immature: units(&balance.immature)?,
    })
}

fn summary(wallet: WalletSummary) -> Result<v1::WalletSummary, RpcError> {
    Ok(v1::WalletSummary {
        balance: Some(balance(&wallet.balance)?),
        name: wallet.name,
        address: wallet.address,
        locked: wallet.locked,
        public_keys: wallet.public,
    })
}

fn coin(coin: WalletCoin) -> Result<v1::WalletCoin, RpcError> {
    Ok(v1::WalletCoin {
        coin: Some(coin.coin.into()),
        value: units(&coin.amount)?,
        address: coin.address,
        confirmations: coin.confirmations,
        immature: coin.immature,
    })
}

fn send(context: &Context, asked: v1::SendRequest) -> Result<v1::SendResponse, RpcError> {
    let coins = asked.coins.iter().map(|coin| outpoint(Some(coin))).collect::<Result<_, _>>()?;
    let sent = wallets_of(context)?.send(&Send {
        wallet: named(&asked.wallet).map(str::to_owned),
        to: asked.to,
        amount: Amount(asked.amount).to_string(),
        fee_rate: Some(asked.fee_rate).filter(|rate| *rate > 0),
        coins,
        passphrase: Some(asked.passphrase).filter(|passphrase| !passphrase.is_empty()),
        dry_run: asked.dry_run,
    })?;
    let broken = |error: hex::FromHexError| RpcError::new(Code::Internal, error.to_string());
    Ok(v1::SendResponse {
        txid: sent.txid.to_string(),
        wallet: sent.wallet,
        to: sent.to,
        fee: units(&sent.fee)?,
        raw: hex::decode(&sent.hex).map_err(broken)?,
        inputs: sent.inputs.iter().map(|input| input.coin.into()).collect(),
    })
}

fn entry(entry: HistoryEntry) -> Result<v1::HistoryEntry, RpcError> {
    let state = match entry.state {
        PaymentState::Confirmed => State::Confirmed,
        PaymentState::Pending => State::Pending,
        PaymentState::Conflicted => State::Conflicted,
        PaymentState::Inactive => State::Inactive,
        PaymentState::Abandoned => State::Abandoned,
    };
    Ok(v1::HistoryEntry {
        txid: entry.txid.to_string(),
        amount: signed_units(&entry.amount)?,
        state: state.into(),
        coinbase: entry.coinbase,
        block: text(entry.block),
        height: entry.height.unwrap_or(0),
        confirmations: entry.confirmations,
        time_seconds: entry.time,
        conflicts_with: text(entry.conflicts_with),
    })
}
