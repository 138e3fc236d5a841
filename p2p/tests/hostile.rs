//! A peer that speaks libp2p and means harm.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and lets the others pass")]

mod common;

use std::io;
use std::time::Duration;

use common::{A_WHILE, Node, PATIENCE, block, config, meshed, start, start_connected};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, ConfigBuilder, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::request_response::{self, OutboundFailure, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use tine_chain::codec::Encode;
use tine_node::event::{Action, Event, RequestId};
use tine_node::wire::{MAX_REQUEST_SIZE, MAX_RESPONSE_SIZE, Request};

/// Sends the bytes that it is given, whatever they are, and answers any request with the same few bytes.
#[derive(Debug, Clone, Default)]
struct Raw;

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read_all(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read_all(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.flush().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.flush().await
    }
}

async fn read_all<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(8 << 20).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[derive(NetworkBehaviour)]
struct Hostile {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: gossipsub::Behaviour,
    sync: request_response::Behaviour<Raw>,
}

fn chain() -> String {
    config(0).chain_name()
}

fn hostile() -> Swarm<Hostile> {
    let chain = chain();
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)
        .expect("noise")
        .with_behaviour(|key| {
            let gossip = ConfigBuilder::default()
                .protocol_id_prefix(format!("/tine/{chain}/meshsub"))
                .validation_mode(ValidationMode::Anonymous)
                .message_id_fn(|message| gossipsub::MessageId::new(&message.data))
                .max_transmit_size(4 << 20)
                .heartbeat_initial_delay(Duration::from_millis(50))
                .heartbeat_interval(Duration::from_millis(200))
                .build()
                .expect("valid settings");
            let sync = StreamProtocol::try_from_owned(format!("/tine/{chain}/sync/1")).expect("a name");
            Hostile {
                identify: identify::Behaviour::new(identify::Config::new(
                    format!("/tine/{chain}/1"),
                    key.public(),
                )),
                ping: ping::Behaviour::default(),
                gossip: gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, gossip).expect("valid"),
                sync: request_response::Behaviour::new(
                    [(sync, ProtocolSupport::Full)],
                    request_response::Config::default(),
                ),
            }
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build()
}

/// Connects a hostile peer to a node.
async fn attach(node: &mut Node) -> (Swarm<Hostile>, tine_node::event::PeerId, libp2p::PeerId) {
    let mut swarm = hostile();
    let address: Multiaddr = node.address().parse().expect("a multiaddress");
    swarm.dial(address).expect("dialling");
    let identity = swarm.local_peer_id().to_string();
    let connected = node.wait("connection", |event| match event {
        Event::Connected(peer, info) if info.identity == identity => Some(peer),
        _ => None,
    });
    let peer = tokio::select! {
        peer = connected => peer,
        () = drive(&mut swarm) => unreachable!("it goes on for ever"),
    };
    let victim = node.identity().parse().expect("an identity");
    (swarm, peer, victim)
}

async fn drive(swarm: &mut Swarm<Hostile>) {
    loop {
        swarm.next().await;
    }
}

/// Lets the hostile peer run until `pick` makes something of what happens to it.
async fn until<T>(
    swarm: &mut Swarm<Hostile>,
    what: &str,
    mut pick: impl FnMut(&mut Swarm<Hostile>, SwarmEvent<HostileEvent>) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            let event = swarm.select_next_some().await;
            if let Some(found) = pick(swarm, event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {what}"))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

async fn expect_malformed(node: &mut Node, peer: tine_node::event::PeerId) {
    node.wait("malformed message", |event| match event {
        Event::Malformed(who) => {
            assert_eq!(who, peer);
            Some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_02_an_oversize_request_is_cut_off_at_its_prefix() {
    for length in [MAX_REQUEST_SIZE as u32 + 1, u32::MAX] {
        let mut node = start(config(1)).await;
        let (mut swarm, peer, victim) = attach(&mut node).await;
        swarm.behaviour_mut().sync.send_request(&victim, length.to_le_bytes().to_vec());
        let closed = until(&mut swarm, "disconnection", |_, event| {
            matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
        });
        tokio::join!(closed, expect_malformed(&mut node, peer));
        assert_eq!(node.disconnected().await, peer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_04_undecodable_requests_are_told_to_the_node_and_others_still_heard() {
    let mut node = start(config(1)).await;
    let (mut swarm, peer, victim) = attach(&mut node).await;
    for bytes in [&[0xff; 20][..], &[], &[&Request::Mempool.to_bytes()[..], b"more"].concat()] {
        swarm.behaviour_mut().sync.send_request(&victim, framed(bytes));
        tokio::select! {
            () = expect_malformed(&mut node, peer) => {}
            () = drive(&mut swarm) => {}
        }
    }
    swarm.behaviour_mut().sync.send_request(&victim, framed(&Request::Mempool.to_bytes()));
    let request = node.wait("request", |event| match event {
        Event::Request(who, _, request) => Some((who, request)),
        _ => None,
    });
    tokio::select! {
        request = request => assert_eq!(request, (peer, Request::Mempool)),
        () = drive(&mut swarm) => {}
    }
    node.until("counted", |status| status.counters.malformed == 3).await;
}

/// Answers the node's question with these bytes; says what the node is told.
async fn answer(bytes: Vec<u8>) -> Vec<Event> {
    let mut node = start(config(1)).await;
    let (mut swarm, peer, _) = attach(&mut node).await;
    node.act(Action::Request(peer, RequestId(5), Request::Mempool)).await;
    let answering = async {
        let mut bytes = Some(bytes);
        loop {
            if let SwarmEvent::Behaviour(HostileEvent::Sync(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            })) = swarm.select_next_some().await
                && let Some(bytes) = bytes.take()
            {
                swarm.behaviour_mut().sync.send_response(channel, bytes).expect("the node waits");
            }
        }
    };
    let mut told = Vec::new();
    let telling = node.wait("failure", |event| {
        let is_last = matches!(event, Event::RequestFailed(_, RequestId(5)));
        told.push(event);
        is_last.then_some(())
    });
    tokio::select! {
        () = telling => {}
        () = answering => {}
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_32_answers_that_are_no_answers_fail_and_are_blamed() {
    let too_long = (MAX_RESPONSE_SIZE as u32 + 1).to_le_bytes().to_vec();
    for bytes in [too_long, framed(&[0xee; 50])] {
        let told = answer(bytes).await;
        assert!(told.iter().any(|event| matches!(event, Event::Malformed(_))), "{told:?}");
        let failures = told.iter().filter(|event| matches!(event, Event::RequestFailed(..))).count();
        assert_eq!(failures, 1);
    }
    // Cut short is nobody's fault.
    let told = answer(vec![9, 0, 0, 0, 1]).await;
    assert!(!told.iter().any(|event| matches!(event, Event::Malformed(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_that_is_no_message_is_rejected_at_once_and_goes_no_further() {
    let mut node = start(config(1)).await;
    let mut other = start_connected(2, &[&node]).await;
    node.connected(&other).await;
    meshed(&node, &mut other).await;
    let (mut swarm, peer, _) = attach(&mut node).await;
    let blocks = IdentTopic::new(format!("/tine/{}/blocks/1", chain()));
    let transactions = IdentTopic::new(format!("/tine/{}/transactions/1", chain()));
    swarm.behaviour_mut().gossip.subscribe(&blocks).expect("a topic");
    swarm.behaviour_mut().gossip.subscribe(&transactions).expect("a topic");
    let publishing = async {
        // A block where transactions belong is no transaction.
        let mut outgoing =
            vec![(transactions.clone(), block(1).to_bytes()), (blocks.clone(), b"no block".to_vec())];
        while let Some((topic, bytes)) = outgoing.pop() {
            while swarm.behaviour_mut().gossip.publish(topic.clone(), bytes.clone()).is_err() {
                let _ = tokio::time::timeout(Duration::from_millis(50), swarm.next()).await;
            }
        }
        drive(&mut swarm).await;
    };
    let telling = async {
        expect_malformed(&mut node, peer).await;
        expect_malformed(&mut node, peer).await;
    };
    tokio::select! {
        () = telling => {}
        () = publishing => {}
    }
    node.until("counted", |status| status.counters.gossip_rejected == 2).await;
    other.never_gossip(&block(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_31_a_peer_that_asks_and_does_not_read_gets_a_bounded_share() {
    use tine_chain::hash::Wtxid;
    use tine_node::wire::Response;
    let mut settings = config(1);
    settings.limits.response_bytes_per_peer = 3 << 20;
    settings.limits.request_timeout = Duration::from_secs(3);
    let mut node = start(settings).await;
    let mut honest = start_connected(2, &[&node]).await;
    let of_honest_at_node = node.connected(&honest).await;
    let of_node = honest.connected(&node).await;
    let (mut swarm, peer, victim) = attach(&mut node).await;
    for _ in 0..8 {
        swarm.behaviour_mut().sync.send_request(&victim, framed(&Request::Mempool.to_bytes()));
    }
    let mut asked = Vec::new();
    let requests = node.wait("requests", |event| {
        if let Event::Request(who, id, _) = event {
            assert_eq!(who, peer);
            asked.push(id);
        }
        (asked.len() == 8).then_some(())
    });
    tokio::select! {
        () = requests => {}
        () = drive(&mut swarm) => {}
    }
    // From here on the hostile peer's swarm is not polled. Its connection's task goes on reading until its own
    // buffers are full, so each answer is large: 1.6 MB.
    let large = Response::Mempool(vec![Wtxid([7; 32]); 50_000]);
    for id in asked {
        node.act(Action::Respond(peer, id, large.clone())).await;
    }
    node.until("dropping", |status| status.counters.responses_dropped >= 6).await;
    // Others are served all the while.
    honest.act(Action::Request(of_node, RequestId(1), Request::Mempool)).await;
    let (who, id) = node
        .wait("request", |event| match event {
            Event::Request(who, id, _) => Some((who, id)),
            _ => None,
        })
        .await;
    assert_eq!(who, of_honest_at_node);
    node.act(Action::Respond(who, id, large.clone())).await;
    honest
        .wait("response", |event| match event {
            Event::Response(_, RequestId(1), response) => {
                assert_eq!(response, large);
                Some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_13_a_socket_that_never_shakes_hands_is_closed_and_gives_its_place_back() {
    use tokio::io::AsyncReadExt as _;
    let node = start(config(1)).await;
    let socket = format!("127.0.0.1:{}", common::port_of(&node));
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(tokio::net::TcpStream::connect(&socket).await.expect("it listens"));
    }
    tokio::time::sleep(A_WHILE).await;
    assert!(node.network.counters().pending <= 32, "{:?}", node.network.counters());
    // Ten seconds later they are closed, each after what a handshake begins with.
    let closing = async {
        for stream in &mut silent {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    };
    tokio::time::timeout(PATIENCE, closing).await.expect("closed");
    let other = start_connected(2, &[&node]).await;
    other.until_peers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_understands_is_refused() {
    let mut node = start(config(1)).await;
    let (mut swarm, _, victim) = attach(&mut node).await;
    // More than fit one connection at once: those over the limit fail, the connection stays.
    for _ in 0..60 {
        swarm.behaviour_mut().sync.send_request(&victim, framed(&Request::Mempool.to_bytes()));
    }
    let mut failures = 0;
    until(&mut swarm, "refusals", |_, event| {
        if let SwarmEvent::Behaviour(HostileEvent::Sync(request_response::Event::OutboundFailure {
            error,
            ..
        })) = event
        {
            assert!(!matches!(error, OutboundFailure::ConnectionClosed), "{error:?}");
            failures += 1;
        }
        (failures >= 30).then_some(())
    })
    .await;
    assert!(node.network.counters().requests_received <= 16);
    assert_eq!(node.network.peers().len(), 1);
}
