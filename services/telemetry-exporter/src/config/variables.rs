//! The one description of every variable: help, reference and checks are made from it.

use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_process::logs;
use telemetry_redis::environment;
use telemetry_settings::{Program, Variable};

pub(super) const LISTEN: &Variable = &Variable {
    name: "TELEMETRY_EXPORTER__LISTEN",
    default: "127.0.0.1:9464",
    allowed: "an IP address and a port, such as 127.0.0.1:9464 or [::]:9464; port 0 = any free one",
    meaning: "Where /metrics and /healthz are served (HTTP).",
    secret: false,
};

pub(super) const HOST_EXPIRY: &Variable = &Variable {
    name: "TELEMETRY_EXPORTER__HOST_EXPIRY",
    default: "5m",
    allowed: "a duration from 1s to 7days, such as 90s or 5m",
    meaning: "A host is no longer served when its latest sample is older than this, or than three of its intervals if that is longer.",
    secret: false,
};

pub(super) const HOST_EXPIRY_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// Every variable, in the order in which people meet them.
pub(super) const VARIABLES: &[&Variable] = &[
    environment::URL,
    environment::TLS_CA,
    environment::TLS_CERT,
    environment::TLS_KEY,
    environment::KEY,
    environment::MODE,
    environment::SHARDS,
    LISTEN,
    HOST_EXPIRY,
    logs::FORMAT,
    logs::FILTER,
];

/// The exporter, its variables, and those of others that are in the same environment.
pub(super) const EXPORTER: &Program = &Program {
    name: "telemetry-exporter",
    prefix: "TELEMETRY_",
    variables: VARIABLES,
    // The collector's own sections, and its own variables in the section of Redis.
    other_programs: &[
        "TELEMETRY_COLLECTION__",
        "TELEMETRY_REDIS__ENCODING",
        "TELEMETRY_REDIS__MAX_LENGTH",
        "TELEMETRY_REDIS__DELIVERY",
        "TELEMETRY_REDIS__HIGH_WATER",
        "TELEMETRY_REDIS__WAIT_REPLICAS",
        "TELEMETRY_REDIS__CONNECT_TIMEOUT",
        "TELEMETRY_REDIS__RESPONSE_TIMEOUT",
        "TELEMETRY_RETRY__",
        "TELEMETRY_OUTBOX__",
        "TELEMETRY_SPOOL__",
        "TELEMETRY_CONTROL__",
        "TELEMETRY_HTTP__",
        "TELEMETRY_SHUTDOWN__",
        "TELEMETRY_PYTHON",
        "TELEMETRY_BAZEL_ROUTE",
    ],
    standards: &[],
};
