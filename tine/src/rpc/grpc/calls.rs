//! What every call goes through on its way to the function that it shares with JSON-RPC.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};

use super::gate::StandsFor;
use crate::rpc::context::{Context, Running};
use crate::rpc::error::{Code, RpcError};

/// What a call gives.
pub(super) type Answered<T> = Result<Response<T>, Status>;

/// What the services share.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) context: Arc<Context>,
    /// Calls that may run at once.
    pub(super) workers: Arc<Semaphore>,
    /// Streams of events that may be open at once.
    pub(super) followers: Arc<Semaphore>,
    /// True when the server stops.
    pub(super) stopped: watch::Receiver<bool>,
}

impl Calls {
    /// Runs a function that may read files and wait for the node's thread, on a worker's thread.
    pub(super) async fn run<Q: Send + 'static, T: Send + 'static>(
        &self,
        request: Request<Q>,
        function: fn(&Context, Q) -> Result<T, RpcError>,
    ) -> Answered<T> {
        let running = self.begin(&request)?;
        let _worker =
            self.workers.acquire().await.map_err(|_| Status::unavailable("the node is stopping"))?;
        let context = Arc::clone(&self.context);
        let work = move || {
            let _running = running;
            function(&context, request.into_inner())
        };
        self.answer(spawn_blocking(work).await.unwrap_or_else(|panic| {
            let message = format!("a method failed to handle its input: {panic}");
            tracing::error!(message);
            Err(RpcError::new(Code::Internal, message))
        }))
    }

    /// Counts a call as one of the method that it stands for.
    pub(super) fn begin<Q>(&self, request: &Request<Q>) -> Result<Running, Status> {
        let StandsFor(method) =
            request.extensions().get().ok_or_else(|| Status::internal("the call came in past the gate"))?;
        Ok(self.context.begin(method))
    }

    /// The answer, or the error, counted.
    pub(super) fn answer<T>(&self, outcome: Result<T, RpcError>) -> Answered<T> {
        match outcome {
            Ok(value) => Ok(Response::new(value)),
            Err(error) => {
                self.context.call_metrics().failed(error.code);
                Err(error.into())
            }
        }
    }
}
