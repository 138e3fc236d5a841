//! Gossip: gossipsub with every setting chosen, its topics, message ids and scores, and the verdicts that are due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use libp2p::PeerId as Identity;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity,
    MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter,
};
use tine_chain::codec::Decode;
use tine_chain::hash::sha256d;
use tine_node::event::GossipId;
use tine_node::wire::{Gossip, MAX_GOSSIP_SIZE};

use crate::network::Error;

/// Bytes that gossipsub's own framing may add to a message.
const FRAMING: usize = 1_024;
/// Half of this is how long a mesh takes to form at worst.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long a message's id is remembered, so that it is not taken up again.
const DUPLICATE_CACHE: Duration = Duration::from_secs(60);
/// Messages that may await the node's verdict; beyond, new ones are ignored.
const MAX_PENDING_VERDICTS: usize = 1_024;
/// Bytes of the content hash that name a message.
const MESSAGE_ID_SIZE: usize = 20;

pub(crate) type Filter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
pub(crate) type Behaviour = gossipsub::Behaviour<IdentityTransform, Filter>;

/// The two topics of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    blocks: IdentTopic,
    transactions: IdentTopic,
}

impl Topics {
    pub(crate) fn of(chain: &str) -> Self {
        Self {
            blocks: IdentTopic::new(format!("/tine/{chain}/blocks/1")),
            transactions: IdentTopic::new(format!("/tine/{chain}/transactions/1")),
        }
    }

    /// The topic that a message belongs to.
    pub(crate) fn topic(&self, gossip: &Gossip) -> TopicHash {
        self.hash_of(matches!(gossip, Gossip::Block(_)))
    }

    /// The topic of blocks, or that of transactions.
    pub(crate) fn hash_of(&self, blocks: bool) -> TopicHash {
        if blocks { self.blocks.hash() } else { self.transactions.hash() }
    }

    pub(crate) fn is_blocks(&self, topic: &TopicHash) -> bool {
        self.blocks.hash() == *topic
    }

    /// The message in these bytes, if they are one, and one that belongs to this topic.
    pub(crate) fn decode(&self, topic: &TopicHash, data: &[u8]) -> Option<Gossip> {
        Gossip::from_bytes(data).ok().filter(|gossip| self.topic(gossip) == *topic)
    }
}

/// A content hash: whoever publishes a message again, under whatever name, publishes the same message.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut bytes = message.topic.as_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(&message.data);
    MessageId::new(&sha256d(&bytes)[..MESSAGE_ID_SIZE])
}

/// The behaviour, subscribed to both topics.
pub(crate) fn behaviour(chain: &str, topics: &Topics) -> Result<Behaviour, Error> {
    let setup = |reason: String| Error::Setup { part: "gossip", reason };
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([
            topics.blocks.hash(),
            topics.transactions.hash(),
        ])),
        max_subscribed_topics: 2,
        max_subscriptions_per_request: 4,
    };
    let mut behaviour = Behaviour::new_with_subscription_filter(
        // No author and no sequence number: a transaction can't be linked to the node that it came from.
        MessageAuthenticity::Anonymous,
        config(chain, topics).map_err(|error| setup(error.to_string()))?,
        filter,
    )
    .map_err(|error| setup(error.to_owned()))?;
    behaviour.with_peer_score(score(topics), thresholds()).map_err(setup)?;
    for topic in [&topics.blocks, &topics.transactions] {
        behaviour.subscribe(topic).map_err(|error| setup(error.to_string()))?;
    }
    Ok(behaviour)
}

fn config(chain: &str, topics: &Topics) -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    let mut config = ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/tine/{chain}/meshsub"))
        // Nothing is forwarded before the node has judged it.
        .validate_messages()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(message_id)
        .max_transmit_size(MAX_GOSSIP_SIZE + FRAMING)
        .max_transmit_size_for_topic(MAX_GOSSIP_SIZE + FRAMING, topics.blocks.hash())
        .max_transmit_size_for_topic(MAX_GOSSIP_SIZE + FRAMING, topics.transactions.hash())
        .duplicate_cache_time(DUPLICATE_CACHE)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(HEARTBEAT)
        // A verdict that comes within 5 s finds its message: 12 heartbeats of 0.5 s.
        .history_length(12)
        .history_gossip(3)
        // With two to five peers, everybody is in everybody's mesh.
        .mesh_n_low(4)
        .mesh_n(6)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .gossip_lazy(6)
        .gossip_factor(0.25)
        .gossip_retransimission(3)
        // What starts here goes to all peers at once: blocks are in a hurry, and no mesh can hide them.
        .flood_publish(true)
        .prune_backoff(Duration::from_secs(10))
        .unsubscribe_backoff(Duration::from_secs(5))
        .backoff_slack(1)
        .graft_flood_threshold(Duration::from_secs(5))
        .prune_peers(0)
        .retain_scores(4)
        .opportunistic_graft_ticks(60)
        .opportunistic_graft_peers(2)
        .fanout_ttl(Duration::from_secs(60))
        .max_publish_messages(500)
        .max_control_messages_sent(1_000)
        .max_control_message_size(64 * 1024)
        .max_ihave_messages_heartbeat(10)
        .iwant_followup_time(Duration::from_secs(3))
        .connection_handler_queue_len(1_000)
        .publish_queue_duration(Duration::from_secs(5))
        .forward_queue_duration(Duration::from_secs(2))
        .idontwant_message_size_threshold(1_000)
        .idontwant_on_publish(false)
        .allow_self_origin(false)
        .build()
}

/// What gossip makes of peers. The node has its own, stricter, account of blocks and transactions; this one is
/// about the traffic.
fn score(topics: &Topics) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 50.0,
        // Blocks are too rare for a rate that a peer would have to keep up.
        mesh_message_deliveries_weight: 0.0,
        mesh_message_deliveries_decay: 0.5,
        mesh_message_deliveries_cap: 1.0,
        mesh_message_deliveries_threshold: 1.0,
        mesh_message_deliveries_window: Duration::from_millis(10),
        mesh_message_deliveries_activation: Duration::from_secs(5),
        mesh_failure_penalty_weight: 0.0,
        mesh_failure_penalty_decay: 0.5,
        // Squared: the third invalid message in short time puts a peer below the graylist.
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.95,
    };
    PeerScoreParams {
        topics: HashMap::from([(topics.blocks.hash(), topic.clone()), (topics.transactions.hash(), topic)]),
        topic_score_cap: 20.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: -5.0,
        ip_colocation_factor_threshold: 8.0,
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 1.0,
        behaviour_penalty_decay: 0.9,
        decay_interval: Duration::from_secs(1),
        decay_to_zero: 0.1,
        retain_score: Duration::from_secs(3_600),
        slow_peer_weight: -0.2,
        slow_peer_threshold: 5.0,
        slow_peer_decay: 0.5,
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -40.0,
        // What the node bans for is over this, whatever good a peer has done.
        graylist_threshold: -70.0,
        accept_px_threshold: 10.0,
        opportunistic_graft_threshold: 2.0,
    }
}

/// A message that waits for the node's verdict.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) message: MessageId,
    pub(crate) source: Identity,
    since: Instant,
}

/// The verdicts that are due, by number, which is also by age.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pending: BTreeMap<u64, Pending>,
    next: u64,
}

impl Verdicts {
    /// Takes a message in; `None` when too many wait already.
    pub(crate) fn await_verdict(&mut self, message: MessageId, source: Identity) -> Option<GossipId> {
        if self.pending.len() >= MAX_PENDING_VERDICTS {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { message, source, since: Instant::now() });
        Some(GossipId(id))
    }

    pub(crate) fn take(&mut self, id: GossipId) -> Option<Pending> {
        self.pending.remove(&id.0)
    }

    /// Takes out a message that has waited for longer than `timeout`.
    pub(crate) fn take_overdue(&mut self, timeout: Duration) -> Option<Pending> {
        let first = self.pending.first_entry()?;
        (first.get().since.elapsed() > timeout).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p2p_27_the_id_is_that_of_the_content() {
        let topics = Topics::of("0011223344556677");
        let message = |topic: &IdentTopic, data: &[u8], source, sequence_number| gossipsub::Message {
            source,
            data: data.to_vec(),
            sequence_number,
            topic: topic.hash(),
        };
        let first = message_id(&message(&topics.blocks, b"block", None, None));
        assert_eq!(first, message_id(&message(&topics.blocks, b"block", Some(Identity::random()), Some(7))));
        assert_ne!(first, message_id(&message(&topics.blocks, b"blocK", None, None)));
        assert_ne!(first, message_id(&message(&topics.transactions, b"block", None, None)));
    }

    #[test]
    fn the_settings_are_valid() {
        let topics = Topics::of("0011223344556677");
        let behaviour = behaviour("0011223344556677", &topics).expect("valid settings");
        assert_eq!(behaviour.topics().count(), 2);
    }

    #[test]
    fn verdicts_that_wait_are_bounded_and_end() {
        let mut verdicts = Verdicts::default();
        let mut ask = || verdicts.await_verdict(MessageId::new(b"id"), Identity::random());
        let ids: Vec<_> = (0..MAX_PENDING_VERDICTS).map(|_| ask().expect("room")).collect();
        assert_eq!(ask(), None);
        assert!(verdicts.take(ids[5]).is_some());
        assert!(verdicts.take(ids[5]).is_none());
        assert!(verdicts.take_overdue(Duration::from_secs(3_600)).is_none());
        let overdue = std::iter::from_fn(|| verdicts.take_overdue(Duration::ZERO)).count();
        assert_eq!(overdue, MAX_PENDING_VERDICTS - 1);
    }
}
