//! The thread that tells wallets what happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tine_node::event::{Notice, Removal, Submission};
use tine_wallet::{Removed, WalletError};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::{Open, Shared, WalletService, lock};
use crate::driver::{self, Stamped};

/// What changed is written at most this often; a crash before it costs a look at some blocks at the next start.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the thread sleeps after it has told what there was to tell. Nobody waits for it, because whoever asks a
/// wallet brings it up to date first; and what comes in a burst wakes it once.
const REST: Duration = Duration::from_millis(5);
/// Payments that are in no block and no mempool are submitted again this often.
const RESEND_INTERVAL: Duration = Duration::from_secs(60);

enum Heard {
    Notice(Arc<Stamped>),
    /// Notices were lost: the thread was too slow.
    Gap,
    Nothing,
    Stopped,
}

/// Runs until the node stops.
pub(super) fn run(service: &WalletService, mut notices: Receiver<Arc<Stamped>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "wallets see no changes"),
    };
    let mut saved = Instant::now();
    // at once: what was in no mempool when the program stopped
    let mut resent = None::<Instant>;
    loop {
        match runtime.block_on(hear(service, &mut notices)) {
            Heard::Notice(stamped) => {
                each(service, |open| tell(service, open, &stamped));
                tell_rest(service, &mut notices);
                runtime.block_on(async { tokio::time::sleep(REST).await });
            }
            Heard::Gap => each(service, |open| service.settle(open)),
            Heard::Nothing => {}
            Heard::Stopped => break,
        }
        if saved.elapsed() >= SAVE_INTERVAL {
            saved = Instant::now();
            each(service, |open| save(service, open));
        }
        if resent.is_none_or(|time| time.elapsed() >= RESEND_INTERVAL) && !service.node.view().syncing {
            resent = Some(Instant::now());
            resend(service);
        }
    }
    each(service, |open| save(service, open));
}

async fn hear(service: &WalletService, notices: &mut Receiver<Arc<Stamped>>) -> Heard {
    tokio::select! {
        heard = notices.recv() => match heard {
            Ok(stamped) => Heard::Notice(stamped),
            Err(RecvError::Lagged(_)) => Heard::Gap,
            Err(RecvError::Closed) => Heard::Stopped,
        },
        () = service.node.stopped() => Heard::Stopped,
        () = tokio::time::sleep(SAVE_INTERVAL) => Heard::Nothing,
    }
}

/// Tells all that has come meanwhile.
fn tell_rest(service: &WalletService, notices: &mut Receiver<Arc<Stamped>>) {
    loop {
        match notices.try_recv() {
            Ok(stamped) => each(service, |open| tell(service, open, &stamped)),
            Err(TryRecvError::Lagged(_)) => each(service, |open| service.settle(open)),
            // that it is closed is heard next
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn wallets(service: &WalletService) -> Vec<(String, Shared)> {
    lock(&service.wallets).iter().map(|(name, wallet)| (name.clone(), Arc::clone(wallet))).collect()
}

fn each(service: &WalletService, work: impl Fn(&mut Open) -> Result<(), WalletError>) {
    for (name, wallet) in wallets(service) {
        if let Err(error) = work(&mut lock(&wallet)) {
            tracing::warn!(wallet = name, %error, "a wallet is behind");
        }
    }
}

fn save(service: &WalletService, open: &mut Open) -> Result<(), WalletError> {
    open.wallet.lock_when_due(service.node.clock().now());
    if std::mem::take(&mut open.dirty) { open.wallet.save() } else { Ok(()) }
}

fn tell(service: &WalletService, open: &mut Open, stamped: &Stamped) -> Result<(), WalletError> {
    match &stamped.notice {
        Notice::Chain(change) => match open.wallet.apply(change) {
            Ok(touched) => open.dirty |= !touched.is_empty(),
            // a question came first and has brought the wallet further than this notice, or it has missed some
            Err(WalletError::NotContiguous { .. }) => service.settle(open)?,
            Err(error) => return Err(error),
        },
        Notice::TransactionAdded(tx) => open.dirty |= open.wallet.mempool_added(tx, stamped.time),
        Notice::TransactionRemoved(txid, removal) => {
            let removed = match removal {
                Removal::Confirmed { .. } => Removed::Confirmed,
                Removal::Conflicted { coin, by } => Removed::Conflicted { coin: *coin, by: *by },
                Removal::Evicted | Removal::Expired | Removal::Replaced { .. } | Removal::Invalid { .. } => {
                    Removed::Dropped
                }
            };
            open.dirty |= open.wallet.mempool_removed(txid, removed);
        }
        Notice::HeaderSeen(..)
        | Notice::BlockInvalid(..)
        | Notice::DoubleSpendAttempt { .. }
        | Notice::Syncing { .. }
        | Notice::Wanted(_) => {}
    }
    Ok(())
}

/// Submits again what is in no block and no mempool.
fn resend(service: &WalletService) {
    for (name, wallet) in wallets(service) {
        let waiting = {
            let mut open = lock(&wallet);
            match service.settle(&mut open) {
                Ok(()) => open.wallet.to_resend(),
                Err(_) => continue,
            }
        };
        for tx in waiting {
            let txid = tx.txid();
            match service.node.submit_blocking(Submission::Transaction(tx)) {
                Ok(Ok(_)) => tracing::info!(wallet = name, %txid, "payment submitted again"),
                Ok(Err(reject)) => {
                    tracing::debug!(wallet = name, %txid, reason = reject.reason(), "not again")
                }
                Err(driver::Stopped) => return,
            }
        }
    }
}
