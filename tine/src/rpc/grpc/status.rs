//! Errors of JSON-RPC as gRPC says them: the same message, the number in a trailer, and the status that fits.

use tonic::{Code as Grpc, Status};

use crate::rpc::error::{Code, RpcError};

/// The trailer that holds JSON-RPC's number.
const NUMBER: &str = "tine-rpc-code";

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        let code = Code::of(error.code).map_or(Grpc::Unknown, status_of);
        let mut status = Self::new(code, error.message);
        status.metadata_mut().insert(NUMBER, error.code.into());
        status
    }
}

/// The status of an error's number (docs/grpc.md has the table).
fn status_of(code: Code) -> Grpc {
    match code {
        Code::Type
        | Code::InvalidParameter
        | Code::InvalidLabel
        | Code::WalletNotSpecified
        | Code::Deserialization
        | Code::ClientInvalidIpOrSubnet
        | Code::InvalidRequest
        | Code::Parse => Grpc::InvalidArgument,
        Code::NotFound | Code::WalletNotFound | Code::NodeNotAdded | Code::NodeNotConnected => Grpc::NotFound,
        Code::WalletAlreadyLoaded | Code::NodeAlreadyAdded | Code::AlreadyInUtxoSet => Grpc::AlreadyExists,
        Code::Misc
        | Code::Wallet
        | Code::InsufficientFunds
        | Code::WalletLocked
        | Code::Verify
        | Code::Rejected => Grpc::FailedPrecondition,
        Code::WrongPassphrase => Grpc::PermissionDenied,
        Code::OutOfMemory => Grpc::ResourceExhausted,
        Code::NotConnected | Code::InitialDownload | Code::InWarmup => Grpc::Unavailable,
        Code::MethodNotFound => Grpc::Unimplemented,
        Code::Database | Code::Internal => Grpc::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_message_and_its_number() {
        let status = Status::from(RpcError::not_found("Block not found"));
        assert_eq!((status.code(), status.message()), (Grpc::NotFound, "Block not found"));
        assert_eq!(status.metadata().get(NUMBER).unwrap().to_str().unwrap(), "-5");
        let strange = Status::from(RpcError { code: 7, message: "what".to_owned() });
        assert_eq!(
            (strange.code(), strange.metadata().get(NUMBER).unwrap().as_bytes()),
            (Grpc::Unknown, &b"7"[..])
        );
    }
}
