//! A node that answers gRPC, and a way to call it.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tine::rpc::grpc::v1::chain_client::ChainClient;
use tine::rpc::grpc::v1::events_client::EventsClient;
use tine::rpc::grpc::v1::wallet_client::WalletClient;
use tine::rpc::grpc::{GrpcConfig, GrpcServer};
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::support::TestNode;

/// Adds the password to each call.
#[derive(Clone)]
pub(crate) struct Login(Option<AsciiMetadataValue>);

impl Login {
    pub(crate) fn of(login: &str) -> Self {
        let header = format!("Basic {}", BASE64_STANDARD.encode(login));
        Self(Some(header.parse().expect("plain text")))
    }

    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl tonic::service::Interceptor for Login {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

pub(crate) type Line = InterceptedService<Channel, Login>;

/// A node, and its gRPC server.
pub(crate) struct Grpc {
    pub(crate) node: TestNode,
    pub(crate) server: GrpcServer,
}

impl Grpc {
    pub(crate) fn start() -> Self {
        Self::of(TestNode::start(), |config| config)
    }

    pub(crate) fn of(node: TestNode, configure: impl FnOnce(GrpcConfig) -> GrpcConfig) -> Self {
        let server = node.grpc(configure);
        Self { node, server }
    }

    /// Runs what talks to the node.
    pub(crate) fn run<T>(&self, talk: impl Future<Output = T>) -> T {
        self.node.block_on(talk)
    }

    pub(crate) async fn line(&self, login: Login) -> Line {
        let endpoint =
            Endpoint::from_shared(format!("http://{}", self.server.address())).expect("an address");
        InterceptedService::new(endpoint.connect().await.expect("it listens"), login)
    }

    pub(crate) async fn chain(&self) -> ChainClient<Line> {
        ChainClient::new(self.line(Login::of("alice:secret")).await)
    }

    pub(crate) async fn wallet(&self) -> WalletClient<Line> {
        WalletClient::new(self.line(Login::of("alice:secret")).await)
    }

    pub(crate) async fn events(&self) -> EventsClient<Line> {
        EventsClient::new(self.line(Login::of("alice:secret")).await)
    }

    pub(crate) fn cookie(&self) -> PathBuf {
        self.node.dir.path().join(".cookie")
    }
}
