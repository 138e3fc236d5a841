//! Core's `Wallet` methods: of the wallet that `/wallet/<name>` names, else of the node's own.
//!
//! Our own, `tine_wallet…`, are in `wallets.rs`.

use serde::Serialize;
use tine_chain::amount::Amount;
use tine_chain::hash::BlockHash;
use tine_wallet::{CoinState, Wallet, WalletError};

use super::amount::Coins;
use super::context::Context;
use super::envelope::null;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use crate::methods::Send;
use crate::wallets::{WalletService, WalletsError};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getbalance",
        category: Category::Wallet,
        params: &[
            optional("dummy", Kind::Text, "\"*\", for compatibility."),
            optional(
                "minconf",
                Kind::Number,
                "Confirmations, at least. Default 0, which counts as 1: see getbalances.",
            ),
        ],
        help: "What the wallet can spend now.",
        handler: Handler::Now(get_balance),
    },
    Method {
        name: "getbalances",
        category: Category::Wallet,
        params: &[],
        help: "What the wallet has: confirmed (trusted), in the mempool (untrusted_pending, its own change among it), \
               rewards of blocks that are not ripe (immature).",
        handler: Handler::Now(get_balances),
    },
    Method {
        name: "getnewaddress",
        category: Category::Wallet,
        params: &[
            optional("label", Kind::Text, "What to call it."),
            optional("address_type", Kind::Text, "Accepted and of no effect: there is one type."),
        ],
        help: "A new address to be paid to.",
        handler: Handler::Now(get_new_address),
    },
    Method {
        name: "getwalletinfo",
        category: Category::Wallet,
        params: &[],
        help: "The state of the wallet.",
        handler: Handler::Now(get_wallet_info),
    },
    Method {
        name: "listwallets",
        category: Category::Wallet,
        params: &[],
        help: "The names of the wallets.",
        handler: Handler::Now(|call| {
            answer(&call.context.wallets.as_ref().map_or_else(Vec::new, |wallets| wallets.names()))
        }),
    },
    Method {
        name: "sendtoaddress",
        category: Category::Wallet,
        params: &[
            required("address", Kind::Text, "Whom to pay."),
            required("amount", Kind::Amount, "How much."),
            optional("comment", Kind::Text, "Accepted and of no effect."),
            optional("comment_to", Kind::Text, "Accepted and of no effect."),
            optional("subtractfeefromamount", Kind::Flag, "Must be false."),
            optional("replaceable", Kind::Flag, "Accepted and of no effect."),
            optional("conf_target", Kind::Number, "Accepted and of no effect."),
            optional("estimate_mode", Kind::Text, "Accepted and of no effect."),
            optional("avoid_reuse", Kind::Flag, "Accepted and of no effect."),
            optional("fee_rate", Kind::Amount, "Base units for one byte."),
        ],
        help: "Pays; gives the transaction's id.",
        handler: Handler::Now(send_to_address),
    },
    Method {
        name: "walletlock",
        category: Category::Wallet,
        params: &[],
        help: "Forgets the wallet's keys until walletpassphrase.",
        handler: Handler::Now(|call| {
            wallets(call)?.lock(named(call))?;
            Ok(null())
        }),
    },
    Method {
        name: "walletpassphrase",
        category: Category::Wallet,
        params: &[
            required("passphrase", Kind::Text, "It."),
            required("timeout", Kind::Number, "Seconds after which the keys are forgotten."),
        ],
        help: "Keeps the wallet's keys in memory.",
        handler: Handler::Now(wallet_passphrase),
    },
];

impl From<WalletError> for RpcError {
    fn from(error: WalletError) -> Self {
        let code = match &error {
            WalletError::Locked => Code::WalletLocked,
            WalletError::WrongPassphrase => Code::WrongPassphrase,
            WalletError::InsufficientFunds { .. } => Code::InsufficientFunds,
            WalletError::NotFound(_) => Code::WalletNotFound,
            WalletError::AddressNetwork { .. } | WalletError::UnknownTransaction(_) => Code::NotFound,
            WalletError::Exists(_)
            | WalletError::NoDevWallet(_)
            | WalletError::MaxFeeExceeded { .. }
            | WalletError::MaxFeeRateExceeded { .. }
            | WalletError::MinFeeRate { .. }
            | WalletError::NotAbandonable(_) => Code::InvalidParameter,
            WalletError::EmptyPassphrase
            | WalletError::Phrase(_)
            | WalletError::NoRecipients
            | WalletError::AmountOutOfRange
            | WalletError::Dust { .. }
            | WalletError::Coin { .. } => Code::InvalidParameter,
            WalletError::Io { .. }
            | WalletError::InUse(_)
            | WalletError::Format { .. }
            | WalletError::Corrupt { .. }
            | WalletError::WrongNetwork { .. }
            | WalletError::Randomness(_)
            | WalletError::PublicOnMain
            | WalletError::IndexExhausted
            | WalletError::TooLarge { .. }
            | WalletError::UnsupportedPolicy(_)
            | WalletError::SelfCheck
            | WalletError::NotContiguous { .. }
            | WalletError::MissingBlock(_) => Code::Wallet,
            WalletError::Store(_) => Code::Database,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WalletsError> for RpcError {
    fn from(error: WalletsError) -> Self {
        let text = error.to_string();
        match error {
            WalletsError::NoWallet(..) => Self::new(Code::WalletNotFound, text),
            WalletsError::NotNamed(_) => Self::new(Code::WalletNotSpecified, text),
            WalletsError::BadName(_) | WalletsError::PhraseOrPath => Self::new(Code::InvalidParameter, text),
            WalletsError::BadRecipient(..) => Self::new(Code::NotFound, text),
            WalletsError::BadAmount(_) => Self::new(Code::Type, text),
            WalletsError::Wallet(error) => error.into(),
            WalletsError::Rejected(_) => Self::new(Code::Rejected, text),
            WalletsError::Stopped(stopped) => stopped.into(),
        }
    }
}

/// The node's wallets.
pub(crate) fn wallets(call: &Call) -> Result<&WalletService, RpcError> {
    wallets_of(&call.context)
}

/// The wallets of this node.
pub(crate) fn wallets_of(context: &Context) -> Result<&WalletService, RpcError> {
    let missing = || RpcError::new(Code::WalletNotFound, "No wallet is loaded: this node has none");
    context.wallets.as_deref().ok_or_else(missing)
}

/// The wallet that the path named.
pub(crate) fn named(call: &Call) -> Option<&str> {
    call.wallet.as_deref().filter(|name| !name.is_empty())
}

pub(crate) fn inspect<R>(call: &Call, look: impl FnOnce(&Wallet) -> R) -> Result<R, RpcError> {
    Ok(wallets(call)?.inspect(named(call), look)?)
}

#[derive(Serialize)]
pub(crate) struct ProcessedBlock {
    hash: BlockHash,
    height: u32,
}

impl ProcessedBlock {
    pub(crate) fn of(wallet: &Wallet) -> Self {
        let tip = wallet.tip();
        Self { hash: tip.hash, height: tip.height }
    }
}

fn get_balance(call: &Call) -> Outcome {
    match call.params.optional::<String>(0)?.as_deref() {
        None | Some("*") => {}
        Some(_) => {
            let message = "dummy first argument must be excluded or set to \"*\".";
            return Err(RpcError::new(Code::Misc, message));
        }
    }
    let least = call.params.integer(1)?.unwrap_or(0);
    let sum = inspect(call, |wallet| {
        let ripe = |state: &CoinState| matches!(state, CoinState::Confirmed);
        let coins = wallet.coins();
        let counted = coins.iter().filter(|coin| ripe(&coin.state) && i64::from(coin.confirmations) >= least);
        Amount(counted.map(|coin| coin.value.0).sum())
    })?;
    answer(&Coins(sum))
}

fn get_balances(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Mine {
        trusted: Coins,
        untrusted_pending: Coins,
        immature: Coins,
    }
    #[derive(Serialize)]
    struct Balances {
        mine: Mine,
        lastprocessedblock: ProcessedBlock,
    }
    let balances = inspect(call, |wallet| {
        let balance = wallet.balance();
        Balances {
            mine: Mine {
                trusted: balance.confirmed.into(),
                untrusted_pending: balance.pending.into(),
                immature: balance.immature.into(),
            },
            lastprocessedblock: ProcessedBlock::of(wallet),
        }
    })?;
    answer(&balances)
}

fn get_new_address(call: &Call) -> Outcome {
    let label: Option<String> = call.params.optional(0)?;
    answer(&wallets(call)?.new_address(named(call), label.as_deref())?)
}

fn get_wallet_info(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Info {
        walletname: String,
        walletversion: u32,
        format: &'static str,
        txcount: usize,
        keypoolsize: u32,
        keypoolsize_hd_internal: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        unlocked_until: Option<u64>,
        paytxfee: Coins,
        private_keys_enabled: bool,
        avoid_reuse: bool,
        scanning: bool,
        descriptors: bool,
        external_signer: bool,
        blank: bool,
        lastprocessedblock: ProcessedBlock,
    }
    let walletname = wallets(call)?.resolve(named(call))?;
    let info = inspect(call, |wallet| Info {
        walletname,
        walletversion: 169_900,
        format: "tine",
        txcount: wallet.history().len(),
        keypoolsize: 0,
        keypoolsize_hd_internal: 0,
        unlocked_until: wallet.is_locked().then_some(0),
        paytxfee: Coins::default(),
        private_keys_enabled: true,
        avoid_reuse: false,
        scanning: false,
        descriptors: false,
        external_signer: false,
        blank: false,
        lastprocessedblock: ProcessedBlock::of(wallet),
    })?;
    answer(&info)
}

fn send_to_address(call: &Call) -> Outcome {
    let address = call.context.parse_address(&call.params.text(0)?)?;
    let amount = call.params.amount(1)?.unwrap_or(Amount::ZERO);
    if amount == Amount::ZERO {
        return Err(RpcError::new(Code::Type, "Invalid amount for send"));
    }
    if call.params.flag(4, false)? {
        return Err(RpcError::invalid("subtractfeefromamount is not supported"));
    }
    // base units for a byte, with decimals, to base units for 1,000 bytes: parsed as coins, 10^-8 of it is lost
    let fee_rate = call.params.amount(9)?.map(|rate| rate.0 / 100_000);
    let sent = wallets(call)?.send(&Send {
        wallet: named(call).map(str::to_owned),
        to: address.to_string(),
        amount: amount.to_string(),
        fee_rate,
        coins: Vec::new(),
        passphrase: None,
        dry_run: false,
    })?;
    answer(&sent.txid)
}

fn wallet_passphrase(call: &Call) -> Outcome {
    let passphrase = call.params.text(0)?;
    let seconds = call.params.integer(1)?.unwrap_or(0);
    let seconds = u64::try_from(seconds).map_err(|_| RpcError::invalid("Timeout cannot be negative."))?;
    wallets(call)?.unlock(named(call), &passphrase, Some(seconds))?;
    Ok(null())
}
