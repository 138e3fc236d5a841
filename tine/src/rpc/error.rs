//! Errors as JSON-RPC says them, with Bitcoin Core's numbers.

use serde::{Deserialize, Serialize};
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;

/// Bitcoin Core's error numbers (`rpc/protocol.h`), by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// `RPC_MISC_ERROR`: also a call with too few or too many arguments.
    Misc = -1,
    /// `RPC_TYPE_ERROR`.
    Type = -3,
    /// `RPC_WALLET_ERROR`.
    Wallet = -4,
    /// `RPC_INVALID_ADDRESS_OR_KEY`: an address, block or transaction that is wrong or not known.
    NotFound = -5,
    /// `RPC_WALLET_INSUFFICIENT_FUNDS`.
    InsufficientFunds = -6,
    /// `RPC_OUT_OF_MEMORY`: here, an answer that would be too large.
    OutOfMemory = -7,
    /// `RPC_INVALID_PARAMETER`.
    InvalidParameter = -8,
    /// `RPC_CLIENT_NOT_CONNECTED`.
    NotConnected = -9,
    /// `RPC_CLIENT_IN_INITIAL_DOWNLOAD`.
    InitialDownload = -10,
    /// `RPC_WALLET_INVALID_LABEL_NAME`.
    InvalidLabel = -11,
    /// `RPC_WALLET_UNLOCK_NEEDED`.
    WalletLocked = -13,
    /// `RPC_WALLET_PASSPHRASE_INCORRECT`.
    WrongPassphrase = -14,
    /// `RPC_WALLET_NOT_FOUND`.
    WalletNotFound = -18,
    /// `RPC_WALLET_NOT_SPECIFIED`.
    WalletNotSpecified = -19,
    /// `RPC_WALLET_ALREADY_LOADED`.
    WalletAlreadyLoaded = -35,
    /// `RPC_DATABASE_ERROR`.
    Database = -20,
    /// `RPC_DESERIALIZATION_ERROR`.
    Deserialization = -22,
    /// `RPC_CLIENT_NODE_ALREADY_ADDED`.
    NodeAlreadyAdded = -23,
    /// `RPC_CLIENT_NODE_NOT_ADDED`.
    NodeNotAdded = -24,
    /// `RPC_VERIFY_ERROR`.
    Verify = -25,
    /// `RPC_VERIFY_REJECTED`: a rule refused it; the message names the rule.
    Rejected = -26,
    /// `RPC_VERIFY_ALREADY_IN_UTXO_SET`.
    AlreadyInUtxoSet = -27,
    /// `RPC_IN_WARMUP`: the node is starting, or stopping.
    InWarmup = -28,
    /// `RPC_CLIENT_NODE_NOT_CONNECTED`.
    NodeNotConnected = -29,
    /// `RPC_CLIENT_INVALID_IP_OR_SUBNET`.
    ClientInvalidIpOrSubnet = -30,
    /// `RPC_INVALID_REQUEST`.
    InvalidRequest = -32600,
    /// `RPC_METHOD_NOT_FOUND`.
    MethodNotFound = -32601,
    /// `RPC_INTERNAL_ERROR`.
    Internal = -32603,
    /// `RPC_PARSE_ERROR`.
    Parse = -32700,
}

impl Code {
    /// The code of a number, if it is one of ours.
    pub(crate) fn of(number: i32) -> Option<Self> {
        ALL.into_iter().find(|code| *code as i32 == number)
    }
}

/// Every code.
const ALL: [Code; 29] = [
    Code::Misc,
    Code::Type,
    Code::Wallet,
    Code::NotFound,
    Code::InsufficientFunds,
    Code::OutOfMemory,
    Code::InvalidParameter,
    Code::NotConnected,
    Code::InitialDownload,
    Code::InvalidLabel,
    Code::WalletLocked,
    Code::WrongPassphrase,
    Code::WalletNotFound,
    Code::WalletNotSpecified,
    Code::WalletAlreadyLoaded,
    Code::Database,
    Code::Deserialization,
    Code::NodeAlreadyAdded,
    Code::NodeNotAdded,
    Code::Verify,
    Code::Rejected,
    Code::AlreadyInUtxoSet,
    Code::InWarmup,
    Code::NodeNotConnected,
    Code::ClientInvalidIpOrSubnet,
    Code::InvalidRequest,
    Code::MethodNotFound,
    Code::Internal,
    Code::Parse,
];

/// The `error` member of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// One of [`Code`], as a number.
    pub code: i32,
    /// For people, and by Core's custom for programs that compare texts.
    pub message: String,
}

impl RpcError {
    /// An error of this kind that says `message`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as i32, message: message.into() }
    }

    /// Whether a rule refused what was submitted.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        [Code::Verify, Code::Rejected, Code::AlreadyInUtxoSet].iter().any(|code| self.code == *code as i32)
    }

    /// A parameter that is of the right type and makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, message)
    }

    /// A block, transaction or address that is not known.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// What the node's thread is gone or going says.
    pub(crate) fn stopping() -> Self {
        Self::new(Code::InWarmup, "the node is stopping")
    }
}

/// "-26 rejected (name the reason and the values)".
impl From<Reject> for RpcError {
    fn from(reject: Reject) -> Self {
        Self::new(Code::Rejected, reject.reason())
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Database, error.to_string())
    }
}
