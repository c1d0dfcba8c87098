//! Events of the control API.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use prost::Message;
use prost_types::FileDescriptorSet;
use telemetry_proto::v1::FILE_DESCRIPTOR_SET;
use tonic::Code;

use crate::instruments::instruments;

/// The method of a call to something that the server does not have, by OpenTelemetry's conventions.
const UNKNOWN_METHOD: &str = "_OTHER";

/// Every method that the server has ("telemetry.v1.ControlService/GetSnapshot").
static METHODS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().filter_map(|set| FileDescriptorSet::decode(set).ok()).flat_map(|set| set.file);
    files
        .flat_map(|file| {
            file.service.clone().into_iter().flat_map(move |service| {
                let service_name = format!("{}.{}", file.package(), service.name());
                service.method.into_iter().map(move |method| format!("{service_name}/{}", method.name()))
            })
        })
        .collect()
});

/// A call has ended.
pub(crate) fn called(method: &'static str, code: Code, took: Duration) {
    instruments().rpc_duration.record(took.as_secs_f64(), &["grpc", method, code_name(code)]);
}

/// The method that `path` calls, as OpenTelemetry names it. Callers choose the path, so everything that the server does not have
/// is one method.
pub(crate) fn method_of(path: &str) -> &'static str {
    METHODS.get(path.trim_start_matches('/')).map_or(UNKNOWN_METHOD, String::as_str)
}

/// Name of a status code in the gRPC specification.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
