//! The one description of every variable: help, reference and checks are made from it.

use telemetry_process::logs;
use telemetry_settings::{Program, Variable};

pub(super) const REDIS_URL: &Variable = &Variable {
    name: "TELEMETRY_REDIS__URL",
    default: "redis://127.0.0.1:6379/0",
    allowed: "a URL such as redis://user:password@host:6379/0 or unix:///run/redis.sock",
    meaning: "Redis server, with login and database, as for the collector. It need not be up when the exporter starts.",
    secret: true,
};

pub(super) const REDIS_KEY: &Variable = &Variable {
    name: "TELEMETRY_REDIS__KEY",
    default: "telemetry:queue",
    allowed: "any string",
    meaning: "Key of the list or stream that messages are taken from, as for the collector.",
    secret: false,
};

pub(super) const REDIS_MODE: &Variable = &Variable {
    name: "TELEMETRY_REDIS__MODE",
    default: "list",
    allowed: "list or stream",
    meaning: "What the key holds, as for the collector. A stream is read as the consumer group telemetry-exporter.",
    secret: false,
};

pub(super) const REDIS_SHARDS: &Variable = &Variable {
    name: "TELEMETRY_REDIS__SHARDS",
    default: "1",
    allowed: "a whole number from 1 to 16384",
    meaning: "Number of keys that hosts are spread over, KEY:{0}, KEY:{1}, …, as for the collector. Each takes two connections.",
    secret: false,
};

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

/// Every variable, in the order in which people meet them.
pub(super) const VARIABLES: &[&Variable] =
    &[REDIS_URL, REDIS_KEY, REDIS_MODE, REDIS_SHARDS, LISTEN, HOST_EXPIRY, logs::FORMAT, logs::FILTER];

/// The exporter, its variables, and those of others that are in the same environment.
pub(super) const EXPORTER: &Program = &Program {
    name: "telemetry-exporter",
    prefix: "TELEMETRY_",
    variables: VARIABLES,
    // Sections of the collector, with those that it shares: it has more variables in them.
    other_programs: &[
        "TELEMETRY_COLLECTION__",
        "TELEMETRY_REDIS__",
        "TELEMETRY_RETRY__",
        "TELEMETRY_OUTBOX__",
        "TELEMETRY_SPOOL__",
        "TELEMETRY_CONTROL__",
        "TELEMETRY_LOG__",
        "TELEMETRY_SHUTDOWN__",
        "TELEMETRY_PYTHON",
        "TELEMETRY_BAZEL_ROUTE",
    ],
    standards: &[],
};
