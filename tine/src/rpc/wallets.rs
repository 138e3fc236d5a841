//! `tine_*` methods of wallets, in the shapes of [`crate::methods`].

use std::collections::BTreeMap;

use super::envelope::null;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required};
use super::wallet::{named, wallets};
use crate::methods::{
    OWNERS, SEND, Send, WALLET_ADDRESS, WALLET_BACKUP, WALLET_BALANCE, WALLET_COINS, WALLET_HISTORY,
    WALLET_LIST, WALLET_LOCK, WALLET_NEW, WALLET_RESTORE, WALLET_UNLOCK, WalletAddress, WalletBackup,
    WalletBalance, WalletName, WalletNew, WalletRestore, WalletUnlock,
};

const WALLET: Param =
    optional("wallet", Kind::Text, "Its name. Default the one of the path, or the node's own.");
const NAME: Param = required("name", Kind::Text, "Its name.");
const PASSPHRASE: Param = required("passphrase", Kind::Text, "What encrypts its keystore; never empty.");

const fn method(
    name: &'static str,
    params: &'static [Param],
    help: &'static str,
    run: fn(&Call) -> Outcome,
) -> Method {
    Method { name, category: Category::Tine, params, help, handler: Handler::Now(run) }
}

pub(crate) const METHODS: &[Method] = &[
    method(
        OWNERS,
        &[required("addresses", Kind::Array, "Addresses.")],
        "Which of these addresses belong to a wallet of this node, and to which.",
        owners,
    ),
    method(
        SEND,
        &[
            WALLET,
            required("to", Kind::Text, "An address, or the name of a wallet of this node."),
            required("amount", Kind::Text, "Coins."),
            optional(
                "fee_rate",
                Kind::Number,
                "Base units for 1,000 bytes. Default the least that is relayed.",
            ),
            optional("coins", Kind::Array, "Coins that must be spent, as <txid>:<index>."),
            optional("passphrase", Kind::Text, "Of a locked wallet."),
            optional("dry_run", Kind::Flag, "Build and sign, do not submit."),
        ],
        "Builds, signs and submits a payment; gives every step of it.",
        send,
    ),
    method(
        WALLET_ADDRESS,
        &[WALLET, optional("new", Kind::Flag, "A new one; otherwise the first.")],
        "An address to be paid to.",
        |call| {
            let asked: WalletAddress = call.params.object()?;
            answer(&wallets(call)?.address(of(call, &asked.wallet), asked.new)?)
        },
    ),
    method(
        WALLET_BACKUP,
        &[WALLET, required("path", Kind::Text, "A file that does not exist yet.")],
        "Copies a wallet's sealed keystore to a file on the node's machine.",
        |call| {
            let asked: WalletBackup = call.params.object()?;
            wallets(call)?.backup(of(call, &asked.wallet), asked.path.as_ref())?;
            answer(&asked.path)
        },
    ),
    method(WALLET_BALANCE, &[WALLET], "What a wallet holds.", |call| {
        let asked = name(call)?;
        let wallet = of(call, &asked.wallet);
        let balance = wallets(call)?.balance(wallet)?;
        answer(&WalletBalance { wallet: wallets(call)?.resolve(wallet)?, balance })
    }),
    method(WALLET_COINS, &[WALLET], "A wallet's coins.", |call| {
        answer(&wallets(call)?.coins(of(call, &name(call)?.wallet))?)
    }),
    method(
        WALLET_HISTORY,
        &[WALLET],
        "A wallet's payments, and what became of them, oldest first.",
        |call| answer(&wallets(call)?.history(of(call, &name(call)?.wallet))?),
    ),
    method(WALLET_LIST, &[], "The node's wallets.", |call| answer(&wallets(call)?.list()?)),
    method(WALLET_LOCK, &[WALLET], "Forgets a wallet's keys until it is unlocked again.", |call| {
        wallets(call)?.lock(of(call, &name(call)?.wallet))?;
        Ok(null())
    }),
    method(WALLET_NEW, &[NAME, PASSPHRASE], "Makes a wallet; shows its phrase, once.", |call| {
        let asked: WalletNew = call.params.object()?;
        answer(&wallets(call)?.create(&asked)?)
    }),
    method(
        WALLET_RESTORE,
        &[
            NAME,
            optional("phrase", Kind::Text, "Its words (BIP 39)."),
            required("passphrase", Kind::Text, "What encrypts its keystore, and encrypted the backup."),
            optional("path", Kind::Text, "A file that tine_walletbackup wrote, instead of the words."),
        ],
        "Makes a wallet again from its phrase or from a backup, and finds its coins.",
        |call| {
            let asked: WalletRestore = call.params.object()?;
            answer(&wallets(call)?.restore(&asked)?)
        },
    ),
    method(
        WALLET_UNLOCK,
        &[WALLET, required("passphrase", Kind::Text, "It.")],
        "Keeps a wallet's keys in the node's memory, so that it can sign.",
        |call| {
            let asked: WalletUnlock = call.params.object()?;
            wallets(call)?.unlock(of(call, &asked.wallet), &asked.passphrase, None)?;
            Ok(null())
        },
    ),
];

/// The wallet that the parameters or else the path name.
fn of<'a>(call: &'a Call, parameter: &'a Option<String>) -> Option<&'a str> {
    parameter.as_deref().or_else(|| named(call))
}

fn name(call: &Call) -> Result<WalletName, super::error::RpcError> {
    call.params.object()
}

fn send(call: &Call) -> Outcome {
    let mut asked: Send = call.params.object()?;
    asked.wallet = asked.wallet.or_else(|| named(call).map(str::to_owned));
    answer(&wallets(call)?.send(&asked)?)
}

fn owners(call: &Call) -> Outcome {
    let addresses: Vec<String> = call.params.required(0)?;
    let Some(wallets) = &call.context.wallets else { return answer(&BTreeMap::<String, String>::new()) };
    let mut owners = BTreeMap::new();
    for text in addresses {
        let address = call.context.parse_address(&text)?;
        if let Some(owner) = wallets.owner_of(&address.lock) {
            owners.insert(text, owner);
        }
    }
    answer(&owners)
}
