//! The one description of every variable: help, reference and checks are made from it.

use telemetry_process::logs;
use telemetry_redis::environment;
use telemetry_settings::{Program, Standard, Variable};

use super::{control, http, steering};

pub(super) const COLLECTION_INTERVAL: &Variable = &Variable {
    name: "TELEMETRY_COLLECTION__INTERVAL",
    default: "1s",
    allowed: "a duration from 100ms to 1h, such as 500ms, 1s or 1m",
    meaning: "Time from one sample to the next. SetInterval of the control API changes it while the process runs.",
    secret: false,
};

pub(super) const COLLECTION_LABELS: &Variable = &Variable {
    name: "TELEMETRY_COLLECTION__LABELS",
    default: "",
    allowed: "name=value pairs separated by commas, such as rack=a1,role=db",
    meaning: "Labels that every sample of this host carries.",
    secret: false,
};

pub(super) const REDIS_ENCODING: &Variable = &Variable {
    name: "TELEMETRY_REDIS__ENCODING",
    default: "json",
    allowed: "json or protobuf",
    meaning: "Encoding of messages: canonical ProtoJSON, or protobuf, which takes about a third of the bytes. A consumer tells \
              them apart by the first byte: JSON begins with a brace, protobuf never does.",
    secret: false,
};

pub(super) const REDIS_MAX_LENGTH: &Variable = &Variable {
    name: "TELEMETRY_REDIS__MAX_LENGTH",
    default: "100000",
    allowed: "a whole number from 0; 0 = no cap",
    meaning: "Messages that the queue may hold. Older ones are trimmed, and counted; a stream may hold a few more.",
    secret: false,
};

pub(super) const REDIS_DELIVERY: &Variable = &Variable {
    name: "TELEMETRY_REDIS__DELIVERY",
    default: "at_least_once",
    allowed: "at_least_once or exactly_once",
    meaning: "What happens after a push that Redis did not answer. at_least_once: it is repeated, and a message can be in the queue \
              twice. exactly_once: a script on the server remembers the last number of each collector and takes no message twice.",
    secret: false,
};

pub(super) const REDIS_HIGH_WATER: &Variable = &Variable {
    name: "TELEMETRY_REDIS__HIGH_WATER",
    default: "0",
    allowed: "a whole number from 0; 0 = off",
    meaning: "Length of the queue at which the sink is reported as degraded, because consumers are too slow.",
    secret: false,
};

pub(super) const REDIS_WAIT_REPLICAS: &Variable = &Variable {
    name: "TELEMETRY_REDIS__WAIT_REPLICAS",
    default: "0",
    allowed: "a whole number from 0 to 100",
    meaning: "Replicas that must have a message before it counts as delivered (WAIT, for half of the response timeout). Needs exactly_once.",
    secret: false,
};

pub(super) const REDIS_CONNECT_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_REDIS__CONNECT_TIMEOUT",
    default: "2s",
    allowed: "a duration from 10ms to 1m, such as 500ms or 2s",
    meaning: "Timeout for finding Redis, connecting and logging in.",
    secret: false,
};

pub(super) const REDIS_RESPONSE_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_REDIS__RESPONSE_TIMEOUT",
    default: "2s",
    allowed: "a duration from 10ms to 1m, such as 500ms or 2s",
    meaning: "Timeout for an answer of Redis. What was sent is then sent again.",
    secret: false,
};

pub(super) const RETRY_INITIAL: &Variable = &Variable {
    name: "TELEMETRY_RETRY__INITIAL",
    default: "100ms",
    allowed: "a duration from 10ms to 1h, such as 500ms or 5s",
    meaning: "Shortest backoff before a retry. The longest is twice that after the first failure, and doubles with each further one.",
    secret: false,
};

pub(super) const RETRY_MAX: &Variable = &Variable {
    name: "TELEMETRY_RETRY__MAX",
    default: "5s",
    allowed: "a duration from 10ms to 1h, such as 500ms or 5s",
    meaning: "Longest backoff before a retry.",
    secret: false,
};

pub(super) const RETRY_REJECTED: &Variable = &Variable {
    name: "TELEMETRY_RETRY__REJECTED",
    default: "30s",
    allowed: "a duration from 10ms to 1h, such as 500ms or 5s",
    meaning: "Longest backoff after a failure that somebody has to fix: a login, a permission, a certificate, a key of another type.",
    secret: false,
};

pub(super) const OUTBOX_MAX_BYTES: &Variable = &Variable {
    name: "TELEMETRY_OUTBOX__MAX_BYTES",
    default: "64MiB",
    allowed: "a size from 1MiB to 1TiB, such as 16MiB",
    meaning: "Memory for messages that Redis has not acknowledged. When it is full, messages are dropped as \
              TELEMETRY_OUTBOX__ON_FULL says, and a gap record names them.",
    secret: false,
};

pub(super) const OUTBOX_ON_FULL: &Variable = &Variable {
    name: "TELEMETRY_OUTBOX__ON_FULL",
    default: "drop_oldest",
    allowed: "drop_oldest or decimate",
    meaning: "What is dropped when memory or the spool is full: the oldest messages, or every second one of the older samples, so \
              that the rest spans the whole outage. A gap record names what was dropped.",
    secret: false,
};

pub(super) const SPOOL_DIR: &Variable = &Variable {
    name: "TELEMETRY_SPOOL__DIR",
    default: "",
    allowed: "an absolute path, such as /var/lib/telemetry/spool",
    meaning: "Directory in which messages are kept until Redis has them, across restarts and crashes. Unset = in memory only.",
    secret: false,
};

pub(super) const SPOOL_MAX_BYTES: &Variable = &Variable {
    name: "TELEMETRY_SPOOL__MAX_BYTES",
    default: "1GiB",
    allowed: "a size from 4MiB to 1TiB, such as 256MiB",
    meaning: "Disk space that the spool may take. When it is full, messages are dropped as TELEMETRY_OUTBOX__ON_FULL says.",
    secret: false,
};

pub(super) const SPOOL_SYNC: &Variable = &Variable {
    name: "TELEMETRY_SPOOL__SYNC",
    default: "1s",
    allowed: "always, never or a duration from 10ms to 1m, such as 1s",
    meaning: "When the spool is synced to the disk, and so what a power failure can cost. always: before each push, so nothing \
              that was sent to Redis. A duration: at most the messages of that time. never: what the operating system had \
              not written yet. A crash of the process alone costs nothing that is in the spool.",
    secret: false,
};

pub(super) const SPOOL_RETAIN: &Variable = &Variable {
    name: "TELEMETRY_SPOOL__RETAIN",
    default: "1m",
    allowed: "a duration up to 1h, such as 1m",
    meaning: "How long messages stay in the spool after Redis acknowledged them, when delivery is exactly_once. A server that loses \
              them again, by a failover or a restart, gets them again.",
    secret: false,
};

pub(super) const SHUTDOWN_GRACE: &Variable = &Variable {
    name: "TELEMETRY_SHUTDOWN__GRACE",
    default: "5s",
    allowed: "a duration up to 10m, such as 5s",
    meaning: "Time that waiting messages have to reach Redis after SIGTERM, SIGINT or SIGHUP. A second signal ends at once.",
    secret: false,
};

/// Every variable, in the order in which people meet them.
pub(super) const VARIABLES: &[&Variable] = &[
    COLLECTION_INTERVAL,
    COLLECTION_LABELS,
    environment::URL,
    environment::TLS_CA,
    environment::TLS_CERT,
    environment::TLS_KEY,
    environment::KEY,
    environment::MODE,
    environment::SHARDS,
    REDIS_ENCODING,
    REDIS_MAX_LENGTH,
    REDIS_DELIVERY,
    REDIS_HIGH_WATER,
    REDIS_WAIT_REPLICAS,
    REDIS_CONNECT_TIMEOUT,
    REDIS_RESPONSE_TIMEOUT,
    RETRY_INITIAL,
    RETRY_MAX,
    RETRY_REJECTED,
    OUTBOX_MAX_BYTES,
    OUTBOX_ON_FULL,
    SPOOL_DIR,
    SPOOL_MAX_BYTES,
    SPOOL_SYNC,
    SPOOL_RETAIN,
    control::LISTEN,
    control::SOCKET_MODE,
    control::SOCKET_GROUP,
    control::TLS_CERT,
    control::TLS_KEY,
    control::TLS_CLIENT_CA,
    control::TOKENS_FILE,
    control::CERTIFICATE_ROLES,
    control::WITHOUT_LOGIN,
    control::INSECURE,
    control::MAX_CONNECTIONS,
    control::MAX_CALLS_PER_CONNECTION,
    control::MAX_MESSAGE_BYTES,
    control::MAX_HEADER_BYTES,
    control::CALL_TIMEOUT,
    control::IDLE_TIMEOUT,
    control::HANDSHAKE_TIMEOUT,
    control::MAX_WATCHES,
    steering::STATE_FILE,
    steering::MAX_CHANGES_PER_SECOND,
    http::LISTEN,
    http::TLS_CERT,
    http::TLS_KEY,
    http::TLS_CLIENT_CA,
    http::TOKENS_FILE,
    http::INSECURE,
    http::MAX_CONNECTIONS,
    http::HEADER_TIMEOUT,
    http::HANDSHAKE_TIMEOUT,
    http::READY,
    logs::FORMAT,
    logs::FILTER,
    SHUTDOWN_GRACE,
];

/// The collector, its variables, and those of others that are in the same environment.
pub(super) const COLLECTOR: &Program = &Program {
    name: "telemetry-collector",
    prefix: "TELEMETRY_",
    variables: VARIABLES,
    other_programs: &["TELEMETRY_EXPORTER__", "TELEMETRY_PYTHON", "TELEMETRY_BAZEL_ROUTE"],
    standards: &[OPEN_TELEMETRY],
};

/// The variables of OpenTelemetry that decide what is exported.
const OPEN_TELEMETRY: Standard = Standard {
    name: "OpenTelemetry",
    prefix: "OTEL_",
    meaning: "Nothing is exported unless an endpoint is set. A protocol or an endpoint that is not offered never stops the \
              collector: a warning for each says so, and it goes on without the export.",
    variables: &[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "Where spans and metrics go, such as http://127.0.0.1:4318. By HTTP, /v1/traces and /v1/metrics are appended; https is not \
             built in. Unset = nowhere.",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same for spans only. By HTTP, nothing is appended."),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "The same for metrics only. By HTTP, nothing is appended."),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf or grpc. Unset = grpc if the port of the endpoint is 4317, which is assigned to it, otherwise \
             http/protobuf.",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "The same for spans only."),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "The same for metrics only."),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Headers of each request, such as api-key=secret; also OTEL_EXPORTER_OTLP_TRACES_HEADERS and OTEL_EXPORTER_OTLP_METRICS_HEADERS.",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "Milliseconds until an export that is not answered has failed; default 10000."),
        ("OTEL_SERVICE_NAME", "Name of the service (service.name); default telemetry-collector."),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "Attributes of the resource, which count before those that the collector finds: name=value pairs separated by commas.",
        ),
        ("OTEL_METRIC_EXPORT_INTERVAL", "Milliseconds between two exports of metrics; default 60000."),
        (
            "OTEL_TRACES_SAMPLER",
            "Which traces are exported, such as parentbased_traceidratio; default parentbased_always_on.",
        ),
        ("OTEL_TRACES_SAMPLER_ARG", "Argument of the sampler, such as 0.1."),
        ("OTEL_TRACES_EXPORTER", "none = export no spans."),
        ("OTEL_METRICS_EXPORTER", "none = export no metrics."),
        ("OTEL_SDK_DISABLED", "true = export nothing."),
    ],
};
