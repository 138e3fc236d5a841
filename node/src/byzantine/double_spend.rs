//! Paying twice with one coin.
//!
//! The attacker is given two payments of the same coin by submission: first the merchant's, then its own. What it does
//! with them is its [`Plan`]: Hal Finney's (2011), the combination that Bitcointalk's `vector76` described (2011), or
//! the race of the Bitcoin paper's §11.

use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::Block;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use super::hidden::{Hidden, News, news};
use super::{Adversary, Turn};
use crate::event::{Accepted, Action, Event, Submission};
use crate::template::Template;
use crate::wire::Gossip;

/// How long the merchant of a Finney attack takes to hand the goods over.
const DELIVERY: Duration = Duration::from_secs(2);
/// Confirmations after which the merchant of a secret branch delivers.
const CONFIRMATIONS: u32 = 2;
/// Blocks behind at which a secret branch is given up.
const GIVE_UP: u32 = 20;

/// What to do with two payments of one coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Hide a block with one's own payment, pay the merchant, who takes unconfirmed payments, and show the block.
    Finney,
    /// Hide a block with the deposit; when others find one, show it to whoever hears it first, and pay oneself in the
    /// other branch.
    Vector76,
    /// Let the deposit be mined, and a secret branch without it grow until it has been delivered for.
    Majority,
}

/// The branch that nobody knows of.
#[derive(Debug, Clone, Copy)]
struct Branch {
    tip: BlockHash,
    height: u32,
    /// Whether the payment is in it.
    paid: bool,
}

/// An attacker with one coin and two payments.
#[derive(Debug)]
pub(super) struct DoubleSpend {
    plan: Plan,
    hidden: Hidden,
    /// The merchant's payment.
    deposit: Option<Arc<Transaction>>,
    /// One's own.
    refund: Option<Arc<Transaction>>,
    branch: Option<Branch>,
    /// When the merchant of a Finney attack has delivered.
    due: Option<Time>,
    /// The height of the longest public branch.
    public: u32,
    /// The height at which the attack began. The deposit is taken to be mined in the block after it.
    began: u32,
    /// The attack is over, one way or the other.
    over: bool,
}

impl DoubleSpend {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        Self {
            plan,
            hidden: Hidden::new(seed),
            deposit: None,
            refund: None,
            branch: None,
            due: None,
            public: 0,
            began: 0,
            over: false,
        }
    }

    fn armed(&self) -> bool {
        self.deposit.is_some() && self.refund.is_some() && !self.over
    }

    /// The payment that the secret branch holds.
    fn secret_payment(&self) -> Option<&Arc<Transaction>> {
        match self.plan {
            Plan::Finney | Plan::Majority => self.refund.as_ref(),
            Plan::Vector76 => self.deposit.as_ref(),
        }
    }

    /// Keeps a payment that was submitted; with the second the attack begins.
    fn take(&mut self, payment: Arc<Transaction>, turn: &mut Turn<'_>) {
        if self.deposit.is_none() {
            self.deposit = Some(payment);
            return;
        }
        self.refund = Some(payment);
        let tip = turn.node.chain().tip();
        (self.public, self.began) = (tip.height, tip.height);
        if self.plan == Plan::Majority {
            self.branch = Some(Branch { tip: tip.hash, height: tip.height, paid: false });
            self.publish(self.deposit.clone(), turn);
        }
    }

    fn publish(&self, payment: Option<Arc<Transaction>>, turn: &mut Turn<'_>) {
        turn.actions.extend(payment.map(|payment| Action::Publish(Gossip::Transaction(payment))));
    }

    /// A block of our own is there, hidden.
    fn found(&mut self, hash: BlockHash, height: u32, block: &Block, turn: &mut Turn<'_>) {
        let wanted = self.secret_payment().map(|payment| payment.txid());
        let paid = wanted.is_some_and(|wanted| holds(block, &wanted));
        if self.over || (!paid && self.branch.is_none()) {
            // an honest block: before the payments were there, or after all was done
            self.hidden.show_up_to(height, turn);
            return;
        }
        let paid = paid || self.branch.is_some_and(|branch| branch.paid);
        self.branch = Some(Branch { tip: hash, height, paid });
        if self.plan == Plan::Finney {
            self.publish(self.deposit.clone(), turn);
            self.due = Some(turn.now + DELIVERY);
        }
        self.consider(turn);
    }

    /// Others have a block.
    fn heard(&mut self, height: u32, turn: &mut Turn<'_>) {
        self.public = self.public.max(height);
        let Some(branch) = self.branch.filter(|_| !self.over) else { return };
        match self.plan {
            // as long as ours: now or never
            Plan::Finney | Plan::Vector76 if height >= branch.height => {
                self.show(branch, turn);
                if self.plan == Plan::Vector76 {
                    self.publish(self.refund.clone(), turn);
                }
            }
            Plan::Majority if height > branch.height + GIVE_UP => self.end(),
            Plan::Finney | Plan::Vector76 | Plan::Majority => self.consider(turn),
        }
    }

    /// Shows the secret branch of the race when the merchant has delivered and it is longer.
    fn consider(&mut self, turn: &mut Turn<'_>) {
        let Some(branch) = self.branch.filter(|branch| branch.paid) else { return };
        let confirmations = self.public.saturating_sub(self.began);
        let delivered = self.plan == Plan::Majority && confirmations >= CONFIRMATIONS;
        if delivered && branch.height > self.public {
            self.show(branch, turn);
        }
    }

    fn show(&mut self, branch: Branch, turn: &mut Turn<'_>) {
        self.hidden.show_up_to(branch.height, turn);
        self.end();
    }

    fn end(&mut self) {
        self.hidden.abandon();
        self.branch = None;
        self.due = None;
        self.over = true;
    }
}

impl Adversary for DoubleSpend {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        if let Some(branch) = self.branch
            && self.due.is_some_and(|due| due <= turn.now)
        {
            self.show(branch, turn);
        }
        self.hidden.note(&event, turn);
        match event {
            Event::Submit(id, Submission::Transaction(payment)) if self.refund.is_none() => {
                turn.actions.push(Action::Answer(id, Ok(Accepted::Transaction(payment.txid()))));
                self.take(payment, turn);
            }
            event @ (Event::Submit(..)
            | Event::Connected(..)
            | Event::Disconnected(_)
            | Event::Request(..)
            | Event::Response(..)
            | Event::RequestFailed(..)
            | Event::Gossip(..)
            | Event::Malformed(_)
            | Event::Tick) => turn.events.push(event),
        }
    }

    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        match news(&action) {
            News::Stored(blocks) => {
                for (hash, block) in blocks {
                    if let Some(height) = self.hidden.height(&hash) {
                        self.found(hash, height, &block, turn);
                    }
                }
            }
            News::Header(hash, height) if !self.hidden.contains(&hash) => self.heard(height, turn),
            News::Header(..) | News::Nothing => {}
        }
        turn.actions.extend(self.hidden.without_secrets(action));
    }

    fn parent(&self) -> Option<BlockHash> {
        self.branch.map(|branch| branch.tip)
    }

    /// The first block of the branch holds the payment, and nothing else: what is in the mempool may depend on the other.
    fn alter(&mut self, template: &mut Template, _turn: &Turn<'_>) {
        if !self.armed() || self.branch.is_some_and(|branch| branch.paid) {
            return;
        }
        if let Some(payment) = self.secret_payment() {
            template.set_transactions(vec![Arc::clone(payment)]);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.due
    }
}

fn holds(block: &Block, txid: &Txid) -> bool {
    block.transactions.iter().any(|tx| tx.txid() == *txid)
}
