//! Keys and coins of the hosts, so that they can pay each other with real signatures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, Lock, TaggedHash};
use tine_chain::policy::Policy;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{public_key, sign};
use tine_chain::store::StoreError;
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction, TxData, TxIn, TxOut, Witness};
use tine_node::Node;

/// Coins that are looked at for one payment.
const MAX_LOOKED_AT: usize = 256;

/// A host's key, and coins that may be its own.
#[derive(Debug)]
struct Purse {
    secret: [u8; 32],
    lock: Lock,
    /// In the order in which they were made. Some are spent or not there on the chain that one looks at.
    coins: VecDeque<OutPoint>,
}

impl Purse {
    fn new(host: usize) -> Self {
        let secret = TaggedHash::new("tine/lab/host").chain((host as u64).to_le_bytes()).finish();
        Self { secret, lock: Policy::key(public_key(&secret)).lock(), coins: VecDeque::new() }
    }
}

/// The purses of all hosts; one is made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Purses {
    by_host: BTreeMap<usize, Purse>,
    hosts: BTreeMap<Lock, usize>,
}

impl Purses {
    /// What a host's coins are locked to.
    pub(crate) fn lock(&mut self, host: usize) -> Lock {
        self.purse(host).lock
    }

    fn purse(&mut self, host: usize) -> &mut Purse {
        let purse = self.by_host.entry(host).or_insert_with(|| Purse::new(host));
        self.hosts.insert(purse.lock, host);
        purse
    }

    /// A block was made: its outputs may be somebody's.
    pub(crate) fn learn_block(&mut self, block: &Block) {
        block.transactions.iter().for_each(|transaction| self.learn(transaction));
    }

    /// A transaction was made.
    pub(crate) fn learn(&mut self, transaction: &Transaction) {
        for (vout, output) in (0..).zip(&transaction.data().outputs) {
            let owner = self.hosts.get(&output.lock).and_then(|host| self.by_host.get_mut(host));
            if let Some(purse) = owner {
                purse.coins.push_back(transaction.outpoint(vout));
            }
        }
    }

    /// Coins of `host` that its node would let it spend now and that are worth at least `amount` together, if there are
    /// such; those that have waited longest first.
    pub(crate) fn choose(
        &mut self,
        host: usize,
        node: &Node,
        amount: Amount,
    ) -> Result<Option<Vec<(OutPoint, Coin)>>, StoreError> {
        let coins = &mut self.purse(host).coins;
        let mut chosen = Vec::new();
        let mut sum = Amount::ZERO;
        for _ in 0..coins.len().min(MAX_LOOKED_AT) {
            let Some(outpoint) = coins.pop_front() else { break };
            // whoever is passed over has its turn again after all others
            coins.push_back(outpoint);
            let Some(coin) = spendable(node, &outpoint)? else { continue };
            sum.0 += coin.output.value.0;
            chosen.push((outpoint, coin));
            if sum >= amount {
                return Ok(Some(chosen));
            }
        }
        Ok(None)
    }

    /// Signs a transaction that spends coins of `host`.
    pub(crate) fn pay(
        &mut self,
        host: usize,
        genesis: &BlockHash,
        coins: &[(OutPoint, Coin)],
        outputs: Vec<TxOut>,
    ) -> Arc<Transaction> {
        let input = |(prevout, _): &(OutPoint, Coin)| TxIn { prevout: *prevout, sequence: SEQUENCE_FINAL };
        let spent: Vec<TxOut> = coins.iter().map(|(_, coin)| coin.output).collect();
        let mut data = TxData {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs,
            lock_time: 0,
            witnesses: vec![Witness::default(); coins.len()],
        };
        let secret = self.purse(host).secret;
        let sighash = SighashCache::new(genesis, &data, &spent).expect("one coin for each input");
        for (place, witness) in data.witnesses.iter_mut().enumerate() {
            *witness = Witness::key(public_key(&secret), sign(&secret, &sighash.sighash(place)));
        }
        let transaction = Arc::new(Transaction::new(data));
        self.learn(&transaction);
        transaction
    }
}

/// The coin, if the next block could spend it and the mempool does not.
fn spendable(node: &Node, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
    if node.mempool().spender_of(outpoint).is_some() {
        return Ok(None);
    }
    let chain = node.chain();
    let maturity = chain.params().coinbase_maturity;
    let ripe = |coin: &Coin| !coin.coinbase || coin.height + maturity <= chain.tip().height + 1;
    Ok(chain.coin(outpoint)?.filter(ripe))
}
