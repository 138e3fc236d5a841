//! Who is let in: the passwords, whitelists and work queue of JSON-RPC, before a byte of a message is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::rpc::server::FAILURE_DELAY;
use crate::rpc::transport::AllowedHosts;
use crate::rpc::users::{User, Users};

/// Each call by its path, and the method of JSON-RPC that it stands for: whoever may call that may call this.
pub(super) const STANDS_FOR: [(&str, &str); 18] = [
    ("/tine.v1.Chain/ExplainReorg", "tine_explainreorg"),
    ("/tine.v1.Chain/ExplainTransaction", "tine_explaintx"),
    ("/tine.v1.Chain/GetBlock", "getblock"),
    ("/tine.v1.Chain/GetCoin", "gettxout"),
    ("/tine.v1.Chain/GetHeaders", "getblockheader"),
    ("/tine.v1.Chain/GetInfo", "getblockchaininfo"),
    ("/tine.v1.Chain/GetTransaction", "getrawtransaction"),
    ("/tine.v1.Chain/ListForks", "tine_forks"),
    ("/tine.v1.Chain/ListReorgs", "tine_reorgs"),
    ("/tine.v1.Chain/SubmitBlock", "submitblock"),
    ("/tine.v1.Chain/SubmitTransaction", "sendrawtransaction"),
    ("/tine.v1.Events/Follow", "tine_events"),
    ("/tine.v1.Wallet/GetBalance", "tine_walletbalance"),
    ("/tine.v1.Wallet/GetHistory", "tine_wallethistory"),
    ("/tine.v1.Wallet/ListCoins", "tine_walletcoins"),
    ("/tine.v1.Wallet/ListWallets", "tine_walletlist"),
    ("/tine.v1.Wallet/NewAddress", "getnewaddress"),
    ("/tine.v1.Wallet/Send", "tine_send"),
];
/// Reflection: what is called is published, so every user may ask.
const REFLECTION: &str = "/grpc.reflection.";

/// The method that a call stands for, among the call's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandsFor(pub(super) &'static str);

/// Whether somebody with a password has called on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    /// Whether somebody has.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What stands before the services.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) users: Users,
    pub(super) hosts: AllowedHosts,
    /// Calls that may wait or run at once.
    pub(super) queue: Arc<Semaphore>,
    /// Time for a request's message to come and to be answered; for a stream, to begin.
    pub(super) timeout: Duration,
}

impl Gate {
    /// Who is calling, if that is anybody who may.
    async fn caller(&self, header: Option<String>) -> Result<Arc<User>, Status> {
        let Some(header) = header else {
            let message = "the metadata \"authorization: Basic …\" is missing: base64 of user:password, or of the cookie";
            return Err(Status::unauthenticated(message));
        };
        if let Some(user) = self.users.find(&header) {
            return Ok(user);
        }
        tracing::warn!("gRPC call with a wrong password");
        tokio::time::sleep(FAILURE_DELAY).await;
        Err(Status::unauthenticated("wrong user or password; the cookie is a new one after each start"))
    }

    /// Lets a call in, with a place in the queue.
    async fn check(&self, request: &mut Request) -> Result<OwnedSemaphorePermit, Status> {
        // a page in a browser can't speak HTTP/2 without encryption, but something that it talks to might
        if !request.uri().authority().is_some_and(|authority| self.hosts.allow(authority.as_str()))
            || request.headers().contains_key(header::ORIGIN)
        {
            return Err(Status::permission_denied("the authority is not on the allow list (rpc-allow-host)"));
        }
        // a body can't be shared between threads, so nothing of the request may be borrowed across an await
        let header = request.headers().get(header::AUTHORIZATION);
        let user = self.caller(header.map(|value| value.to_str().unwrap_or("").to_owned())).await?;
        if let Some(Known(known)) = request.extensions().get() {
            known.store(true, Ordering::Relaxed);
        }
        let path = request.uri().path();
        match STANDS_FOR.iter().find(|(known, _)| *known == path) {
            Some((_, method)) if user.may_call(method) => {
                request.extensions_mut().insert(StandsFor(method));
            }
            Some((_, method)) => {
                tracing::warn!(user = user.name, method, "gRPC call that is not on the user's whitelist");
                let message = format!("RPC User {} not allowed to call method {method}", user.name);
                return Err(Status::permission_denied(message));
            }
            None if path.starts_with(REFLECTION) => {}
            None => return Err(Status::unimplemented(format!("there is no call {path}"))),
        }
        let full = |_| Status::resource_exhausted("Work queue depth exceeded");
        Arc::clone(&self.queue).try_acquire_owned().map_err(full)
    }
}

/// The gate as a layer. A place in the queue is held until the answer begins, which for all but streams is its end.
pub(super) async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let _place = match gate.check(&mut request).await {
        Ok(place) => place,
        Err(status) => return status.into_http(),
    };
    match tokio::time::timeout(gate.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = gate.timeout.as_secs();
            Status::deadline_exceeded(format!("the call took more than {seconds} s")).into_http()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `/package.Service/Call` of each call of a `.proto` file.
    fn calls(file: &str) -> Vec<String> {
        let mut service = "";
        let mut calls = Vec::new();
        for line in file.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.trim_end_matches(" {");
            } else if let Some((call, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
                calls.push(format!("/tine.v1.{service}/{call}"));
            }
        }
        calls
    }

    #[test]
    fn every_call_of_the_published_files_stands_for_a_method_that_there_is() {
        let files = [
            include_str!("../../../proto/tine/v1/chain.proto"),
            include_str!("../../../proto/tine/v1/events.proto"),
            include_str!("../../../proto/tine/v1/wallet.proto"),
        ];
        let published: BTreeSet<String> = files.into_iter().flat_map(calls).collect();
        let known: BTreeSet<String> = STANDS_FOR.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(published, known);
        for (path, method) in STANDS_FOR {
            let found = crate::rpc::registry::find(method);
            assert!(found.is_some(), "{path} stands for {method}, which is not there");
        }
    }
}
