//! Who is let in, and what the socket bears.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tine::rpc::ServerConfig;
use tine::rpc::grpc::v1::chain_client::ChainClient;
use tine::rpc::grpc::v1::{GetInfoRequest, SubmitBlockRequest};
use tine::rpc::grpc::{GrpcConfig, GrpcServer};
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::client::{Grpc, Login};
use crate::support::TestNode;

/// What `GetInfo` answers to somebody.
async fn ask(grpc: &Grpc, login: Login) -> Result<String, tonic::Status> {
    let answer = ChainClient::new(grpc.line(login).await).get_info(GetInfoRequest {}).await;
    answer.map(|answer| answer.into_inner().network)
}

#[test]
fn rpc_01_no_call_without_a_password_and_the_cookie_is_one() {
    let grpc = Grpc::start();
    let cookie = std::fs::read_to_string(grpc.cookie()).expect("the server wrote it");
    grpc.run(async {
        for login in [Login::none(), Login::of("alice:wrong"), Login::of("nobody:secret"), Login::of("")] {
            let status = ask(&grpc, login).await.expect_err("not let in");
            assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        }
        for login in ["alice:secret", &cookie] {
            assert_eq!(ask(&grpc, Login::of(login)).await.expect("let in"), "regtest");
        }
    });
}

#[test]
fn a_whitelist_of_methods_holds_for_the_calls_that_stand_for_them() {
    let node = TestNode::with(|config| ServerConfig {
        users: vec!["alice:secret".to_owned(), "bob:b".to_owned()],
        whitelists: vec!["bob:getblockchaininfo".to_owned()],
        ..config
    });
    let grpc = Grpc::of(node, |config| config);
    grpc.run(async {
        assert!(ask(&grpc, Login::of("bob:b")).await.is_ok());
        let mut bob = ChainClient::new(grpc.line(Login::of("bob:b")).await);
        let status = bob.submit_block(SubmitBlockRequest::default()).await.expect_err("not on the list");
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.message(), "RPC User bob not allowed to call method submitblock");
    });
}

#[test]
fn rpc_03_a_name_that_was_made_to_point_here_is_refused() {
    let grpc = Grpc::start();
    let address = format!("http://{}", grpc.server.address());
    grpc.run(async {
        let ask = |origin: &'static str| {
            let endpoint = Endpoint::from_shared(address.clone()).expect("an address");
            let endpoint = endpoint.origin(origin.parse().expect("an authority"));
            async move {
                let channel = endpoint.connect().await.expect("it listens");
                ChainClient::with_interceptor(channel, Login::of("alice:secret"))
                    .get_info(GetInfoRequest {})
                    .await
            }
        };
        assert!(ask("http://localhost:1").await.is_ok());
        let status = ask("http://evil.example:1").await.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    });
}

async fn reflect(
    grpc: &Grpc,
    login: Login,
    question: MessageRequest,
) -> Result<MessageResponse, tonic::Status> {
    let mut client = ServerReflectionClient::new(grpc.line(login).await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let answers = client.server_reflection_info(futures::stream::iter([request])).await?;
    let answer: Option<ServerReflectionResponse> = answers.into_inner().message().await?;
    Ok(answer.and_then(|answer| answer.message_response).expect("an answer"))
}

#[test]
fn whoever_may_call_can_ask_what_there_is() {
    let grpc = Grpc::start();
    grpc.run(async {
        let list = || MessageRequest::ListServices(String::new());
        let status = reflect(&grpc, Login::none(), list()).await.expect_err("not let in");
        assert_eq!(status.code(), Code::Unauthenticated);
        let answer = reflect(&grpc, Login::of("alice:secret"), list()).await.expect("let in");
        let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
        let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
        for name in ["tine.v1.Chain", "tine.v1.Events", "tine.v1.Wallet"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let symbol = MessageRequest::FileContainingSymbol("tine.v1.Wallet.Send".to_owned());
        let answer = reflect(&grpc, Login::of("alice:secret"), symbol).await.expect("let in");
        let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
        let text = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
        assert!(text.contains("tine/v1/wallet.proto") && text.contains("SendRequest"));
    });
}

#[test]
fn rpc_05_messages_are_bounded() {
    let grpc = Grpc::start();
    grpc.run(async {
        let raw = vec![0; tine::rpc::grpc::MAX_MESSAGE_SIZE];
        let status =
            grpc.chain().await.submit_block(SubmitBlockRequest { raw }).await.expect_err("too large");
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
        let raw = vec![0; 4_000_000];
        let status = grpc.chain().await.submit_block(SubmitBlockRequest { raw }).await.expect_err("no block");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    });
}

#[test]
fn calls_that_have_no_place_are_told_so() {
    let grpc = Grpc::of(TestNode::start(), |config| GrpcConfig { work_queue: 0, ..config });
    grpc.run(async {
        let status = ask(&grpc, Login::of("alice:secret")).await.expect_err("no place");
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "Work queue depth exceeded"));
    });
}

#[test]
fn a_connection_on_which_nobody_with_a_password_calls_is_closed() {
    let grpc = Grpc::of(TestNode::start(), |mut config| {
        config.limits.header_timeout = Duration::from_millis(300);
        config
    });
    let silent = TcpStream::connect(grpc.server.address()).expect("it listens");
    let mut polite = TcpStream::connect(grpc.server.address()).expect("it listens");
    // the preface of HTTP/2, and an empty SETTINGS frame
    polite.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it reads");
    for mut stream in [silent, polite] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        let mut rest = Vec::new();
        let start = Instant::now();
        // closed, or reset: not the time-out
        let _ = stream.read_to_end(&mut rest);
        assert!(start.elapsed() < Duration::from_secs(19));
    }
    // who has called stays
    grpc.run(async {
        let mut chain = grpc.chain().await;
        for _ in 0..2 {
            chain.get_info(GetInfoRequest {}).await.expect("let in");
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    });
}

#[test]
fn another_machines_address_must_be_asked_for() {
    let grpc = Grpc::start();
    let bind = "0.0.0.0:0".parse().expect("an address");
    let started = grpc.node.block_on(GrpcServer::start(
        GrpcConfig::new(bind),
        grpc.node.server(),
        grpc.node.context.clone(),
    ));
    assert!(started.expect_err("refused").to_string().contains("gRPC"));
}
