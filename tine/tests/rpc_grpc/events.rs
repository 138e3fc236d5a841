//! The service `Events`.

use std::time::Duration;

use tine::rpc::grpc::GrpcConfig;
use tine::rpc::grpc::v1::event::Detail;
use tine::rpc::grpc::v1::follow_response::Message;
use tine::rpc::grpc::v1::{Event, FollowRequest, FollowResponse, Started};
use tonic::{Code, Status, Streaming};

use crate::client::Grpc;
use crate::support::chain::{fork, generate};
use crate::support::{SECRET, TestNode};

/// The next message, which must come.
async fn next(stream: &mut Streaming<FollowResponse>) -> Result<Message, Status> {
    let message = tokio::time::timeout(Duration::from_secs(30), stream.message()).await.expect("in time")?;
    Ok(message.expect("the stream goes on").message.expect("one of the two"))
}

async fn follow(grpc: &Grpc, after: Option<u64>, run: &str) -> (Started, Streaming<FollowResponse>) {
    let request = FollowRequest { after, run: run.to_owned() };
    let mut stream = grpc.events().await.follow(request).await.expect("let in").into_inner();
    let Message::Started(started) = next(&mut stream).await.expect("it starts") else {
        panic!("Started comes first")
    };
    (started, stream)
}

/// Reads until `wanted`.
async fn until(stream: &mut Streaming<FollowResponse>, wanted: impl Fn(&Detail) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let Message::Event(event) = next(stream).await.expect("an event") else { panic!("a second start") };
        let done = event.detail.as_ref().is_some_and(&wanted);
        events.push(event);
        if done {
            return events;
        }
    }
}

#[test]
fn whoever_follows_hears_everything_and_goes_on_where_it_stopped() {
    let grpc = Grpc::start();
    grpc.run(async {
        let (started, mut stream) = follow(&grpc, None, "").await;
        assert_eq!(started.last, 0);
        let (_, old, new) = tokio::task::block_in_place(|| fork(&grpc.node));
        let events = until(&mut stream, |detail| matches!(detail, Detail::Reorg(_))).await;
        let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        let Some(Detail::Reorg(reorg)) = &events.last().expect("it").detail else {
            unreachable!("waited for")
        };
        let reorg = reorg.reorg.as_ref().expect("explained");
        assert_eq!(
            (&reorg.disconnected[0].hash, &reorg.connected[1].hash),
            (&old[0].to_string(), &new[1].to_string())
        );
        let seen = |event: &&Event| matches!(event.detail, Some(Detail::Block(_)));
        assert_eq!(events.iter().filter(seen).count(), 5);
        assert!(events.iter().all(|event| event.node == "test" && event.json.starts_with('{')));
        drop(stream);

        // the same from the start, and from the middle
        let (_, mut again) = follow(&grpc, Some(0), &started.run).await;
        assert_eq!(until(&mut again, |detail| matches!(detail, Detail::Reorg(_))).await, events);
        let (_, mut rest) = follow(&grpc, Some(3), "").await;
        assert_eq!(until(&mut rest, |detail| matches!(detail, Detail::Reorg(_))).await, events[3..]);
        let next_block = tokio::task::block_in_place(|| generate(&grpc.node, 1, &SECRET))[0];
        let is_tip =
            |detail: &Detail| matches!(detail, Detail::Tip(tip) if tip.hash == next_block.to_string());
        assert_eq!(until(&mut rest, is_tip).await.first().expect("it").sequence, numbers.len() as u64 + 1);
    });
}

#[test]
fn who_asks_for_what_is_not_there_is_told_so() {
    let grpc = Grpc::start();
    grpc.run(async {
        let refused = async |after, run: &str| {
            let request = FollowRequest { after, run: run.to_owned() };
            grpc.events().await.follow(request).await.expect_err("refused").code()
        };
        assert_eq!(refused(Some(7), "").await, Code::OutOfRange);
        assert_eq!(refused(None, "yesterday").await, Code::FailedPrecondition);
    });
}

#[test]
fn streams_are_counted_and_end_with_the_server() {
    let grpc = Grpc::of(TestNode::start(), |config| GrpcConfig { followers: 1, ..config });
    let mut stream = grpc.run(async {
        let (_, stream) = follow(&grpc, None, "").await;
        let status = grpc.events().await.follow(FollowRequest::default()).await.expect_err("no place");
        assert_eq!(status.code(), Code::ResourceExhausted);
        stream
    });
    let Grpc { node, server } = grpc;
    node.block_on(async {
        server.stop().await;
        let status = next(&mut stream).await.expect_err("it ended");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    });
}
