//! The links of one host: who is at the other end, what is up, and what is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tine_chain::time::Time;
use tine_node::event::PeerId;

/// What is wrong with one direction of a link, beside its latency. The default: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkQuality {
    /// So much longer than the latency says.
    pub delay: Duration,
    /// Up to so much longer again, drawn for each message: later ones overtake earlier ones.
    pub reorder: Duration,
    /// The share of messages that never arrive.
    pub loss: f64,
    /// The share of messages that arrive twice.
    pub duplicate: f64,
    /// Nothing passes, and neither end notices.
    pub cut: bool,
}

/// One end of a link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The host at the other end.
    pub(crate) to: u32,
    /// Which of its links this is.
    pub(crate) back: u32,
    /// Counts connections: a peer that comes again has another number.
    pub(crate) epoch: u32,
    /// What belongs to the link for good, in milliseconds.
    pub(crate) delay_ms: u32,
    pub(crate) up: bool,
    /// Whether this end dialled.
    pub(crate) outbound: bool,
    /// Whether this direction has a quality of its own.
    pub(crate) special: bool,
    /// This end does not take the other back before then.
    pub(crate) banned_until: Time,
}

impl Link {
    /// What this end calls the other.
    pub(crate) fn peer(&self, slot: usize) -> PeerId {
        PeerId(u64::from(self.epoch) << 32 | slot as u64)
    }
}

/// Which of a host's links a peer's number means, and in which connection.
pub(crate) fn slot_of(peer: PeerId) -> (usize, u32) {
    ((peer.0 & 0xffff_ffff) as usize, (peer.0 >> 32) as u32)
}

/// Who can reach whom, beside single links.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// Of all links that have none of their own.
    pub(crate) everywhere: LinkQuality,
    /// By direction.
    special: BTreeMap<(usize, usize), LinkQuality>,
    /// While the network is partitioned: the group of each host; those of different groups do not meet.
    groups: Option<Vec<usize>>,
}

impl Conditions {
    pub(crate) fn new(everywhere: LinkQuality) -> Self {
        Self { everywhere, ..Self::default() }
    }

    pub(crate) fn quality(&self, from: usize, to: usize) -> LinkQuality {
        self.special.get(&(from, to)).copied().unwrap_or(self.everywhere)
    }

    /// Gives a direction a quality of its own. Returns whether it differs from that of all others.
    pub(crate) fn set_quality(&mut self, from: usize, to: usize, quality: LinkQuality) -> bool {
        if quality == self.everywhere {
            self.special.remove(&(from, to));
            return false;
        }
        self.special.insert((from, to), quality);
        true
    }

    /// Every direction is as all others again; returns those that were not.
    pub(crate) fn mend(&mut self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.special).into_keys().collect()
    }

    /// Divides the hosts. A host that is in no group is alone with all others that are in none.
    pub(crate) fn divide(&mut self, hosts: usize, groups: &[Vec<usize>]) {
        let mut group_of = vec![groups.len(); hosts];
        for (group, members) in groups.iter().enumerate() {
            for &member in members {
                group_of[member] = group;
            }
        }
        self.groups = Some(group_of);
    }

    pub(crate) fn unite(&mut self) {
        self.groups = None;
    }

    pub(crate) fn may_meet(&self, a: usize, b: usize) -> bool {
        self.groups.as_ref().is_none_or(|groups| groups[a] == groups[b])
    }
}
