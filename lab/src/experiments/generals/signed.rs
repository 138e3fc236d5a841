//! SM(m), the signed message algorithm (Lamport, Shostak and Pease 1982, section 4), with ed25519 signatures judged by
//! the one rule of the chain: who can't forge a signature can't pretend what another has said.

use std::collections::{BTreeMap, BTreeSet};

use tine_chain::hash::sha256;
use tine_chain::signature::{SignatureCheck, public_key, sign, verify_one};

use super::Order;

/// The secret and the public key of each general: known to everybody here, so good for nothing else.
pub struct Keys {
    secret: Vec<[u8; 32]>,
    public: Vec<[u8; 32]>,
    /// Verdicts by key, message and signature: everything that a verdict depends on.
    verdicts: BTreeMap<Judged, bool>,
    signatures: BTreeMap<([u8; 32], usize), [u8; 64]>,
}

/// A key, a message and a signature.
type Judged = ([u8; 32], [u8; 32], [u8; 64]);

/// An order with the signatures of those through whose hands it went, the commander's first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// The order.
    pub order: Order,
    /// Who signed, and how.
    pub chain: Vec<(usize, [u8; 64])>,
}

impl Keys {
    /// Keys for `n` generals.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let secret: Vec<_> = (0..n).map(|general| sha256(format!("general {general}").as_bytes())).collect();
        let public = secret.iter().map(|secret| public_key(secret).0).collect();
        Self { secret, public, verdicts: BTreeMap::new(), signatures: BTreeMap::new() }
    }

    /// `message` with the signature of `general` under it: over a tag, the order, and all signatures so far.
    pub fn signed(&mut self, message: &Message, general: usize) -> Message {
        let digest = digest(message.order, &message.chain);
        let secret = &self.secret[general];
        let signature = *self.signatures.entry((digest, general)).or_insert_with(|| sign(secret, &digest));
        let mut chain = message.chain.clone();
        chain.push((general, signature));
        Message { order: message.order, chain }
    }

    /// Whether the commander's is the first signature, nobody's comes twice, and all hold.
    pub fn is_valid(&mut self, message: &Message) -> bool {
        let signers: BTreeSet<_> = message.chain.iter().map(|(general, _)| *general).collect();
        let commander_first = message.chain.first().is_some_and(|(general, _)| *general == 0);
        commander_first
            && signers.len() == message.chain.len()
            && (0..message.chain.len()).all(|place| {
                let (general, signature) = message.chain[place];
                let Some(key) = self.public.get(general).copied() else { return false };
                let message = digest(message.order, &message.chain[..place]);
                let verdict = || verify_one(&SignatureCheck { key, message, signature });
                *self.verdicts.entry((key, message, signature)).or_insert_with(verdict)
            })
    }
}

/// What is signed: a tag, the order's byte, and for each signature so far the general's number and 64 bytes.
fn digest(order: Order, chain: &[(usize, [u8; 64])]) -> [u8; 32] {
    let mut bytes = b"tine/SM".to_vec();
    bytes.push(order as u8);
    for (general, signature) in chain {
        bytes.extend((*general as u64).to_le_bytes());
        bytes.extend(signature);
    }
    sha256(&bytes)
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// What each lieutenant does; a traitor's is of no interest. The first is general 1.
    pub orders: Vec<Order>,
    /// Messages that loyal generals sent.
    pub messages: u64,
    /// Messages that a loyal lieutenant threw away because a signature did not hold.
    pub refused: u64,
}

/// Runs SM(`m`). All traitors act as one: in round r they may hand each loyal lieutenant each order for which they can
/// show r signatures, their own and those that loyal generals sent to one of them; `deliver` says whether they do. With
/// `forge` they also hand out the opposite order over a loyal commander's name, with a signature that they made up.
pub fn run(
    m: u32,
    order: Order,
    traitors: &[bool],
    forge: bool,
    keys: &mut Keys,
    deliver: &mut dyn FnMut() -> bool,
) -> Decisions {
    let mut war = War::new(traitors, keys);
    if !traitors[0] {
        // "The commander signs and sends his value to every lieutenant."
        let signed = war.keys.signed(&Message { order, chain: Vec::new() }, 0);
        let all = 1..traitors.len();
        war.send(&signed, all);
    }
    for round in 1..=m as usize + 1 {
        if forge && round == 1 {
            war.forge(order);
        }
        war.betray(round, deliver);
        war.hear(round, m as usize);
    }
    let orders = war.seen.iter().skip(1).map(choice).collect();
    Decisions { orders, messages: war.messages, refused: war.refused }
}

/// "If V consists of the single element v, then choice(V) = v"; else the order is to retreat.
fn choice(seen: &BTreeSet<Order>) -> Order {
    match seen.first() {
        Some(order) if seen.len() == 1 => *order,
        Some(_) | None => Order::Retreat,
    }
}

struct War<'a> {
    traitors: &'a [bool],
    keys: &'a mut Keys,
    /// V_i: the orders that each general has seen signed.
    seen: Vec<BTreeSet<Order>>,
    /// What arrives at each general in this round.
    arriving: Vec<Vec<Message>>,
    /// What loyal generals have sent to traitors.
    leaked: BTreeSet<Message>,
    messages: u64,
    refused: u64,
}

impl<'a> War<'a> {
    fn new(traitors: &'a [bool], keys: &'a mut Keys) -> Self {
        let n = traitors.len();
        Self {
            traitors,
            keys,
            seen: vec![BTreeSet::new(); n],
            arriving: vec![Vec::new(); n],
            leaked: BTreeSet::new(),
            messages: 0,
            refused: 0,
        }
    }

    fn send(&mut self, message: &Message, to: impl Iterator<Item = usize>) {
        for general in to {
            self.messages += 1;
            if self.traitors[general] {
                self.leaked.insert(message.clone());
            } else {
                self.arriving[general].push(message.clone());
            }
        }
    }

    fn loyal(&self) -> Vec<usize> {
        (1..self.traitors.len()).filter(|general| !self.traitors[*general]).collect()
    }

    fn betray(&mut self, round: usize, deliver: &mut dyn FnMut() -> bool) {
        for general in self.loyal() {
            for order in Order::ALL {
                if let Some(message) = self.show(order, round, general)
                    && deliver()
                {
                    self.arriving[general].push(message);
                }
            }
        }
    }

    /// A chain of `length` signatures under `order`, the last a traitor's and none the receiver's, if the traitors can
    /// make one.
    fn show(&mut self, order: Order, length: usize, receiver: usize) -> Option<Message> {
        let own = self.traitors[0].then(|| Message { order, chain: Vec::new() });
        let leaked = self.leaked.iter().filter(|message| message.order == order).cloned();
        let starts: Vec<Message> = own.into_iter().chain(leaked).collect();
        starts.into_iter().find_map(|mut message| {
            for general in 0..self.traitors.len() {
                let signed = message.chain.iter().any(|(signer, _)| *signer == general);
                if message.chain.len() < length && self.traitors[general] && !signed {
                    message = self.keys.signed(&message, general);
                }
            }
            let by_traitor = message.chain.last().is_some_and(|(signer, _)| self.traitors[*signer]);
            let news = message.chain.iter().all(|(signer, _)| *signer != receiver);
            (message.chain.len() == length && by_traitor && news && self.keys.is_valid(&message))
                .then_some(message)
        })
    }

    fn forge(&mut self, order: Order) {
        let other = if order == Order::Attack { Order::Retreat } else { Order::Attack };
        let Some(forger) = (1..self.traitors.len()).find(|general| self.traitors[*general]) else { return };
        let mut forged = self.keys.signed(&Message { order: other, chain: Vec::new() }, forger);
        forged.chain[0].0 = 0;
        for general in self.loyal() {
            self.arriving[general].push(forged.clone());
        }
    }

    /// "If lieutenant i receives a message v:0:j_1:…:j_k and v is not in the set V_i, then he adds v to V_i; if k < m, he
    /// sends the message v:0:j_1:…:j_k:i to every lieutenant other than j_1, …, j_k."
    fn hear(&mut self, round: usize, m: usize) {
        let arriving = std::mem::replace(&mut self.arriving, vec![Vec::new(); self.traitors.len()]);
        for (general, messages) in arriving.into_iter().enumerate() {
            for message in messages {
                if !self.keys.is_valid(&message) {
                    self.refused += 1;
                } else if self.seen[general].insert(message.order) && round <= m {
                    let signed = self.keys.signed(&message, general);
                    let rest: Vec<usize> = (1..self.traitors.len())
                        .filter(|other| signed.chain.iter().all(|(signer, _)| signer != other))
                        .collect();
                    self.send(&signed, rest.into_iter());
                }
            }
        }
    }
}
