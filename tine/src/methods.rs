//! Our own JSON-RPC methods, `tine_*`: their names, and what goes in and comes out, shared by the server and by the
//! command line. Parameters are by name (an object); each method's answer is the type named beside it.
//!
//! Amounts are text with 8 decimals (`"5.00000000"`), so that no floating point touches money; fee rates are base
//! units for 1,000 bytes.

use serde::{Deserialize, Serialize};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::transaction::OutPoint;

use crate::hashrate::HashRate;

/// `tine_netinfo {}` → [`NetInfo`]: who this node is, whom it knows, whom it refuses.
pub const NET_INFO: &str = "tine_netinfo";
/// `tine_netsplit` [`NetSplit`] → [`NetInfo`]: cuts the links to these identities, and refuses them.
pub const NET_SPLIT: &str = "tine_netsplit";
/// `tine_netheal {}` → [`NetInfo`]: refuses nobody any more, and dials who was cut.
pub const NET_HEAL: &str = "tine_netheal";
/// `tine_netfault` [`NetFault`] → [`NetInfo`]: makes the node's line bad, or good again.
pub const NET_FAULT: &str = "tine_netfault";
/// `tine_netstop` [`NetMember`] → [`NetInfo`] of the node asked: stops another node of its process.
pub const NET_STOP: &str = "tine_netstop";
/// `tine_netstart` [`NetMember`] → [`NetInfo`] of the node asked: starts a node of its process again.
pub const NET_START: &str = "tine_netstart";
/// `tine_mine` [`Mine`] → [`Mined`]: mines blocks now, at full speed.
pub const MINE: &str = "tine_mine";
/// `tine_miner` [`MinerControl`] → [`MinerStatus`]: asks or changes the node's own miner.
pub const MINER: &str = "tine_miner";
/// `tine_send` [`Send`] → [`Sent`]: builds, signs and submits a payment from a wallet of this node.
pub const SEND: &str = "tine_send";
/// `tine_walletnew` [`WalletNew`] → [`WalletMade`].
pub const WALLET_NEW: &str = "tine_walletnew";
/// `tine_walletrestore` [`WalletRestore`] → [`WalletMade`] (without the phrase).
pub const WALLET_RESTORE: &str = "tine_walletrestore";
/// `tine_walletlist {}` → list of [`WalletSummary`].
pub const WALLET_LIST: &str = "tine_walletlist";
/// `tine_walletaddress` [`WalletAddress`] → text: an address to be paid to.
pub const WALLET_ADDRESS: &str = "tine_walletaddress";
/// `tine_walletbalance` [`WalletName`] → [`WalletBalance`].
pub const WALLET_BALANCE: &str = "tine_walletbalance";
/// `tine_walletcoins` [`WalletName`] → list of [`WalletCoin`].
pub const WALLET_COINS: &str = "tine_walletcoins";
/// `tine_wallethistory` [`WalletName`] → list of [`HistoryEntry`], oldest first.
pub const WALLET_HISTORY: &str = "tine_wallethistory";
/// `tine_walletbackup` [`WalletBackup`] → text: the path written.
pub const WALLET_BACKUP: &str = "tine_walletbackup";
/// `tine_walletunlock` [`WalletUnlock`] → null: keeps a wallet's keys in memory until `tine_walletlock`.
pub const WALLET_UNLOCK: &str = "tine_walletunlock";
/// `tine_walletlock` [`WalletName`] → null.
pub const WALLET_LOCK: &str = "tine_walletlock";
/// `tine_reorgs {}` → list of `node::explain::ReorgReport`, oldest first.
pub const REORGS: &str = "tine_reorgs";
/// `tine_explainreorg {"number": n or null for the last}` → `node::explain::ReorgReport`.
pub const EXPLAIN_REORG: &str = "tine_explainreorg";
/// `tine_owners {"addresses": […]}` → object of address to the name of the wallet of this node that has it.
pub const OWNERS: &str = "tine_owners";
/// `tine_explaintx {"txid"}` → [`TxStory`].
pub const EXPLAIN_TX: &str = "tine_explaintx";

/// What a node says about its place in the network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetInfo {
    /// The node's name.
    pub name: String,
    /// Its libp2p identity.
    pub identity: String,
    /// Addresses it listens on, as multiaddresses.
    pub listen: Vec<String>,
    /// Identities it refuses.
    pub blocked: Vec<String>,
    /// Whom it is connected to.
    pub peers: Vec<NetPeer>,
    /// Its active tip.
    pub tip: BlockHash,
    /// The tip's height.
    pub height: u32,
    /// Cumulative work of the tip, hexadecimal.
    pub work: String,
    /// How many milliseconds longer a message to or from it takes, on purpose.
    #[serde(default)]
    pub delay_ms: u64,
    /// How many of 100 messages to and from it are lost, on purpose.
    #[serde(default)]
    pub drop_percent: u8,
    /// Every node that `tine_netstop` and `tine_netstart` reach through this one; nobody for a node alone in its process.
    #[serde(default)]
    pub company: Vec<String>,
    /// Those of them that are stopped.
    #[serde(default)]
    pub stopped: Vec<String>,
}

/// A node of the same process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetMember {
    /// Its name.
    pub node: String,
}

/// How bad a node's line is to be; what is not given stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetFault {
    /// Milliseconds that every message takes longer, each way, 0 to 10,000.
    #[serde(default)]
    pub delay_ms: Option<u32>,
    /// How many of 100 messages are lost, each way.
    #[serde(default)]
    pub drop_percent: Option<u8>,
}

/// A connected peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetPeer {
    /// Its libp2p identity.
    pub identity: String,
    /// Its address.
    pub address: String,
    /// Whether we dialled it.
    pub outbound: bool,
}

/// Whom to cut off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSplit {
    /// libp2p identities. They replace those cut before.
    pub identities: Vec<String>,
}

/// What to mine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mine {
    /// How many blocks, 1 to 1,000.
    pub count: u32,
    /// The address paid; `None`: the one that the node's miner pays.
    #[serde(default)]
    pub address: Option<String>,
}

/// What was mined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mined {
    /// Ids, lowest first.
    pub blocks: Vec<BlockHash>,
    /// The height of the last; `None`: the node itself does not keep it, as an adversary's may not.
    pub height: Option<u32>,
}

/// A change to the node's own miner; nothing given: only asks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinerControl {
    /// `true`: mine, `false`: pause.
    #[serde(default)]
    pub mining: Option<bool>,
    /// The new budget, such as `"50kH/s"`.
    #[serde(default)]
    pub hashrate: Option<HashRate>,
}

/// What the miner is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MinerStatus {
    /// Whether it mines.
    pub mining: bool,
    /// Its budget in hashes a second; `None`: as much as it can.
    pub budget: Option<u64>,
    /// Hashes a second, measured over the last seconds.
    pub hashrate: f64,
    /// Hashes since the start.
    pub hashes: u64,
    /// Blocks since the start.
    pub blocks: u64,
    /// The address it pays.
    pub address: String,
}

/// A payment to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The wallet that pays; `None`: the node's only or default one.
    #[serde(default)]
    pub wallet: Option<String>,
    /// An address, or the name of a wallet of this devnet.
    pub to: String,
    /// Coins, as text.
    pub amount: String,
    /// Base units for 1,000 bytes; `None`: the least that the mempool takes at once.
    #[serde(default)]
    pub fee_rate: Option<u64>,
    /// Coins that must be spent; empty: the wallet chooses.
    #[serde(default)]
    pub coins: Vec<OutPoint>,
    /// The passphrase of a locked keystore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Build and sign, do not submit.
    #[serde(default)]
    pub dry_run: bool,
}

/// A payment that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub txid: Txid,
    /// The whole transaction, hexadecimal.
    pub hex: String,
    /// The wallet that paid.
    pub wallet: String,
    /// The address paid.
    pub to: String,
    /// What it receives.
    pub amount: String,
    /// The fee.
    pub fee: String,
    /// Bytes.
    pub size: usize,
    /// What is spent.
    pub inputs: Vec<SentInput>,
    /// What is made.
    pub outputs: Vec<SentOutput>,
}

/// An input of a payment, with the steps of its signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentInput {
    /// The coin.
    pub coin: OutPoint,
    /// Its worth.
    pub amount: String,
    /// The address that it was locked to.
    pub address: String,
    /// Confirmations; 0: own change, in the mempool.
    pub confirmations: u32,
    /// Where its key is: `m/44'/…`.
    pub path: String,
    /// What is signed, 64 hexadecimal digits.
    pub sighash: String,
    /// Public key (64 hexadecimal digits) and signature (128), for each that signed.
    pub signatures: Vec<(String, String)>,
}

/// An output of a payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentOutput {
    /// The address it is locked to.
    pub address: String,
    /// Its worth.
    pub amount: String,
    /// Whether it goes back to the wallet that pays.
    pub change: bool,
}

/// A wallet to be made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletNew {
    /// Its name.
    pub name: String,
    /// What encrypts its keystore; never empty.
    pub passphrase: String,
}

/// A wallet to be made again, from its phrase or from a backup.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletRestore {
    /// Its name.
    pub name: String,
    /// 12 or 24 words (BIP 39).
    #[serde(default)]
    pub phrase: Option<String>,
    /// A file that `tine_walletbackup` wrote, on the node's machine.
    #[serde(default)]
    pub path: Option<String>,
    /// What encrypts its keystore, and encrypted the backup; never empty.
    pub passphrase: String,
}

/// A wallet that was made.
#[derive(Clone, Serialize, Deserialize)]
pub struct WalletMade {
    /// Its name.
    pub name: String,
    /// Its first address.
    pub address: String,
    /// The phrase, shown once: only for a new wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
}

/// A wallet in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalletSummary {
    /// Its name.
    pub name: String,
    /// Its first address.
    pub address: String,
    /// Whether it must be unlocked before it can sign.
    pub locked: bool,
    /// Whether its keys are well known: a development wallet.
    pub public: bool,
    /// What it holds.
    pub balance: Balance,
}

/// Which wallet; `None`: the node's only or default one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletName {
    /// Its name.
    #[serde(default)]
    pub wallet: Option<String>,
}

/// Which address.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletAddress {
    /// The wallet's name.
    #[serde(default)]
    pub wallet: Option<String>,
    /// A new one; otherwise the first.
    #[serde(default)]
    pub new: bool,
}

/// Where to write a copy of a keystore.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletBackup {
    /// The wallet's name.
    #[serde(default)]
    pub wallet: Option<String>,
    /// A file that does not exist yet.
    pub path: String,
}

/// How to open a keystore.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletUnlock {
    /// The wallet's name.
    #[serde(default)]
    pub wallet: Option<String>,
    /// Its passphrase.
    pub passphrase: String,
}

/// What a wallet holds, in coins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Balance {
    /// In blocks, and spendable.
    pub confirmed: String,
    /// In the mempool: change of its own and payments to it.
    pub pending: String,
    /// Mined, and not spendable yet.
    pub immature: String,
}

/// What a wallet holds, and which one it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalletBalance {
    /// Its name.
    pub wallet: String,
    /// What it holds.
    #[serde(flatten)]
    pub balance: Balance,
}

/// A coin of a wallet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalletCoin {
    /// Which.
    pub coin: OutPoint,
    /// Its worth.
    pub amount: String,
    /// The address it is locked to.
    pub address: String,
    /// Confirmations; 0: in the mempool.
    pub confirmations: u32,
    /// Mined, and not spendable yet.
    pub immature: bool,
}

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentState {
    /// In a block of the active chain.
    Confirmed,
    /// In the mempool.
    Pending,
    /// A transaction in the active chain spends a coin that it spends.
    Conflicted,
    /// In no block and no mempool, and nothing is known against it: it may be sent again.
    Inactive,
    /// Given up by its owner, or the reward of a block that is no longer part of the chain.
    Abandoned,
}

/// A line of a wallet's history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The transaction.
    pub txid: Txid,
    /// What it changed: coins, with a sign.
    pub amount: String,
    /// What became of it.
    pub state: PaymentState,
    /// Whether it is a block reward.
    pub coinbase: bool,
    /// The block it is in.
    pub block: Option<BlockHash>,
    /// That block's height.
    pub height: Option<u32>,
    /// Confirmations.
    pub confirmations: u32,
    /// When it was first seen, seconds since 1970.
    pub time: u64,
    /// The transaction that was confirmed in its stead.
    pub conflicts_with: Option<Txid>,
}

/// Where a transaction is, and where it has been.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TxStory {
    /// The transaction.
    pub txid: Txid,
    /// Whether it waits in the mempool.
    pub in_mempool: bool,
    /// The block of the active chain that has it.
    pub block: Option<BlockHash>,
    /// That block's height.
    pub height: Option<u32>,
    /// Confirmations.
    pub confirmations: u32,
    /// Blocks off the active chain that have it too.
    pub stale_blocks: Vec<BlockHash>,
    /// What each reorganisation did to it, in words, oldest first.
    pub reorgs: Vec<String>,
}
