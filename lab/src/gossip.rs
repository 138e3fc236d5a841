//! What is told to all: one copy for the whole world, and who has had it.

use std::collections::VecDeque;

use foldhash::HashMap;
use tine_chain::codec::Encode;
use tine_chain::hash::sha256;
use tine_node::wire::Gossip;

/// How long it is remembered who has had a message, in milliseconds: one hour, longer than any message travels.
const REMEMBERED_MS: u64 = 60 * 60 * 1_000;

/// A message that was published.
#[derive(Debug)]
struct Rumour {
    gossip: Gossip,
    id: [u8; 32],
    bytes: usize,
    /// One bit for each host that has had it.
    heard: Vec<u64>,
    at: u64,
}

/// Every message of the last hour, by number.
#[derive(Debug)]
pub(crate) struct Rumours {
    told: VecDeque<Rumour>,
    /// The number of the first that is remembered.
    base: u64,
    by_id: HashMap<[u8; 32], u64>,
    hosts: usize,
}

impl Rumours {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { told: VecDeque::new(), base: 0, by_id: HashMap::default(), hosts }
    }

    /// The number of a message; two with the same content are the same.
    pub(crate) fn number(&mut self, gossip: Gossip, now: u64) -> u64 {
        self.forget(now);
        let bytes = gossip.to_bytes();
        let id = sha256(&bytes);
        if let Some(&number) = self.by_id.get(&id) {
            return number;
        }
        let number = self.base + self.told.len() as u64;
        let heard = vec![0; self.hosts.div_ceil(64)];
        self.told.push_back(Rumour { gossip, id, bytes: bytes.len(), heard, at: now });
        self.by_id.insert(id, number);
        number
    }

    fn forget(&mut self, now: u64) {
        while let Some(oldest) = self.told.front()
            && oldest.at + REMEMBERED_MS < now
        {
            self.by_id.remove(&oldest.id);
            self.told.pop_front();
            self.base += 1;
        }
    }

    fn get(&self, number: u64) -> Option<&Rumour> {
        self.told.get(number.checked_sub(self.base)? as usize)
    }

    /// The message, if it is not forgotten.
    pub(crate) fn gossip(&self, number: u64) -> Option<&Gossip> {
        self.get(number).map(|rumour| &rumour.gossip)
    }

    /// Its encoded length.
    pub(crate) fn bytes(&self, number: u64) -> usize {
        self.get(number).map_or(0, |rumour| rumour.bytes)
    }

    /// Whether `host` has had it; what is forgotten counts as old.
    pub(crate) fn has_heard(&self, number: u64, host: usize) -> bool {
        self.get(number).is_none_or(|rumour| rumour.heard[host / 64] & 1 << (host % 64) != 0)
    }

    /// Notes that `host` has it. Returns whether that is news.
    pub(crate) fn hear(&mut self, number: u64, host: usize) -> bool {
        let place = number.checked_sub(self.base).map(|place| place as usize);
        let Some(rumour) = place.and_then(|place| self.told.get_mut(place)) else { return false };
        let (word, bit) = (&mut rumour.heard[host / 64], 1 << (host % 64));
        let news = *word & bit == 0;
        *word |= bit;
        news
    }

    /// A host has forgotten everything: it was restarted.
    pub(crate) fn restarted(&mut self, host: usize) {
        for rumour in &mut self.told {
            rumour.heard[host / 64] &= !(1 << (host % 64));
        }
    }
}
