#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;

use telemetry_redis::{QueueMode, TlsFiles};

use super::variables::VARIABLES;
use super::*;
use crate::health::Component;

fn config(vars: &[(&str, &str)]) -> TelemetryResult<Config> {
    Config::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into())))
}

fn mistakes(vars: &[(&str, &str)]) -> String {
    config(vars).unwrap_err().to_string()
}

#[test]
fn an_empty_environment_gives_the_defaults() {
    let config = config(&[]).unwrap();
    assert_eq!(config.collection.interval.as_duration(), Duration::from_secs(1));
    assert!(config.collection.labels.is_empty());
    assert_eq!(config.redis.queue.url.expose(), "redis://127.0.0.1:6379/0");
    assert_eq!((config.redis.queue.key.as_str(), config.redis.encoding), ("telemetry:queue", Encoding::Json));
    assert_eq!(config.redis.max_length, 100_000);
    assert_eq!(config.redis.queue.tls, TlsFiles::default());
    assert_eq!((config.redis.queue.mode, config.redis.delivery), (QueueMode::List, DeliveryMode::AtLeastOnce));
    assert_eq!((config.redis.high_water, config.redis.wait_replicas, config.redis.queue.shards), (0, 0, 1));
    assert_eq!(config.redis.connect_timeout, Duration::from_secs(2));
    assert_eq!(config.redis.response_timeout, Duration::from_secs(2));
    assert_eq!(config.retry.initial, Duration::from_millis(100));
    assert_eq!((config.retry.max, config.retry.rejected), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!((config.outbox.max_bytes, config.outbox.on_full), (64 << 20, OnFull::DropOldest));
    assert_eq!(config.spool.directory, None);
    assert_eq!((config.spool.max_bytes, config.spool.retain), (1 << 30, Duration::from_secs(60)));
    assert_eq!(config.spool.sync, SyncPolicy::Within(Duration::from_secs(1)));
    assert_eq!(config.control.listener.address.to_string(), "127.0.0.1:50051");
    let steering = &config.control.steering;
    assert_eq!((&steering.state_file, steering.max_changes_per_second), (&None, 5));
    assert_eq!((config.http.listener, config.http.ready), (None, vec![Component::Sampler, Component::Control]));
    assert_eq!(config.otel, OtelConfig { traces: None, metrics: None, service_name: None, problems: Vec::new() });
    assert_eq!(config.shutdown.grace, Duration::from_secs(5));
}

#[test]
fn every_variable_is_read() {
    let config = config(&[
        ("TELEMETRY_COLLECTION__INTERVAL", "250ms"),
        ("TELEMETRY_COLLECTION__LABELS", "rack=a1, role = db,"),
        ("TELEMETRY_REDIS__URL", "rediss+sentinel://one,two:1/main"),
        ("TELEMETRY_REDIS__TLS_CA", "/tls/ca.pem"),
        ("TELEMETRY_REDIS__TLS_CERT", "/tls/cert.pem"),
        ("TELEMETRY_REDIS__TLS_KEY", "/tls/key.pem"),
        ("TELEMETRY_REDIS__MODE", "stream"),
        ("TELEMETRY_REDIS__DELIVERY", "exactly_once"),
        ("TELEMETRY_REDIS__HIGH_WATER", "80000"),
        ("TELEMETRY_REDIS__WAIT_REPLICAS", "2"),
        ("TELEMETRY_REDIS__SHARDS", "16"),
        ("TELEMETRY_REDIS__CONNECT_TIMEOUT", "3s"),
        ("TELEMETRY_REDIS__RESPONSE_TIMEOUT", "4s"),
        ("TELEMETRY_RETRY__INITIAL", "1s"),
        ("TELEMETRY_RETRY__MAX", "2s"),
        ("TELEMETRY_RETRY__REJECTED", "1m"),
        ("TELEMETRY_REDIS__KEY", "Queue Of Ours"),
        ("TELEMETRY_REDIS__ENCODING", "protobuf"),
        ("TELEMETRY_REDIS__MAX_LENGTH", "0"),
        ("TELEMETRY_OUTBOX__MAX_BYTES", "1MiB"),
        ("TELEMETRY_OUTBOX__ON_FULL", "decimate"),
        ("TELEMETRY_SPOOL__DIR", "/var/spool/telemetry"),
        ("TELEMETRY_SPOOL__MAX_BYTES", "4MiB"),
        ("TELEMETRY_SPOOL__SYNC", "250ms"),
        ("TELEMETRY_SPOOL__RETAIN", "0s"),
        ("TELEMETRY_CONTROL__LISTEN", "[::1]:0"),
        ("TELEMETRY_CONTROL__STATE_FILE", "/var/lib/telemetry/control.json"),
        ("TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND", "1000"),
        ("TELEMETRY_HTTP__LISTEN", "127.0.0.1:8080"),
        ("TELEMETRY_HTTP__INSECURE", "true"),
        ("TELEMETRY_HTTP__READY", "sampler,sink"),
        ("TELEMETRY_LOG__FORMAT", "json"),
        ("TELEMETRY_LOG__FILTER", "warn,telemetry_collector=debug"),
        ("TELEMETRY_SHUTDOWN__GRACE", "1m"),
    ])
    .unwrap();
    let printed = config.print();
    assert_eq!(config.collection.interval.to_string(), "250ms");
    assert_eq!(
        config.collection.labels.into_iter().collect::<Vec<_>>(),
        [("rack".to_owned(), "a1".to_owned()), ("role".to_owned(), "db".to_owned())]
    );
    assert_eq!(config.redis.queue.url.expose(), "rediss+sentinel://one,two:1/main");
    assert_eq!(config.redis.queue.tls.ca, Some("/tls/ca.pem".into()));
    assert_eq!(config.redis.queue.tls.cert, Some("/tls/cert.pem".into()));
    assert_eq!(config.redis.queue.tls.key, Some("/tls/key.pem".into()));
    assert_eq!((config.redis.queue.mode, config.redis.delivery), (QueueMode::Stream, DeliveryMode::ExactlyOnce));
    assert_eq!((config.redis.high_water, config.redis.wait_replicas, config.redis.queue.shards), (80_000, 2, 16));
    assert_eq!(config.redis.connect_timeout, Duration::from_secs(3));
    assert_eq!(config.redis.response_timeout, Duration::from_secs(4));
    assert_eq!(config.retry.initial, Duration::from_secs(1));
    assert_eq!((config.retry.max, config.retry.rejected), (Duration::from_secs(2), Duration::from_secs(60)));
    assert_eq!((config.redis.queue.key.as_str(), config.redis.encoding), ("Queue Of Ours", Encoding::Protobuf));
    assert_eq!(config.redis.max_length, 0);
    assert_eq!((config.outbox.max_bytes, config.outbox.on_full), (1 << 20, OnFull::Decimate));
    assert_eq!(config.spool.directory, Some("/var/spool/telemetry".into()));
    assert_eq!((config.spool.max_bytes, config.spool.retain), (4 << 20, Duration::ZERO));
    assert_eq!(config.spool.sync, SyncPolicy::Within(Duration::from_millis(250)));
    assert_eq!(config.control.listener.address.to_string(), "[::1]:0");
    let steering = &config.control.steering;
    assert_eq!(steering.state_file, Some("/var/lib/telemetry/control.json".into()));
    assert_eq!(steering.max_changes_per_second, 1000);
    let http = config.http.listener.unwrap();
    assert_eq!((http.address.to_string().as_str(), http.insecure), ("127.0.0.1:8080", true));
    assert_eq!(config.http.ready, [Component::Sampler, Component::Sink]);
    assert!(printed.contains("\nTELEMETRY_LOG__FORMAT=json "), "{printed}");
    assert!(printed.contains("\nTELEMETRY_LOG__FILTER=warn,telemetry_collector=debug "), "{printed}");
    assert_eq!(config.shutdown.grace, Duration::from_secs(60));
}

#[test]
fn every_variable_refuses_nonsense_and_says_what_is_allowed() {
    let takes_anything = ["any string", "the path of a PEM file"];
    for variable in VARIABLES.iter().filter(|variable| !takes_anything.contains(&variable.allowed)) {
        let line = mistakes(&[(variable.name, "=non sense=")]);
        assert!(line.starts_with(&format!("{}: ", variable.name)), "{line}");
        assert!(line.ends_with(&format!(" is not {}", variable.allowed)), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn values_outside_their_range_are_refused() {
    for (name, value) in [
        ("TELEMETRY_COLLECTION__INTERVAL", "99ms"),
        ("TELEMETRY_COLLECTION__INTERVAL", "61m"),
        ("TELEMETRY_COLLECTION__LABELS", "rack=1,rack=2"),
        ("TELEMETRY_REDIS__MAX_LENGTH", "-1"),
        ("TELEMETRY_REDIS__WAIT_REPLICAS", "101"),
        ("TELEMETRY_REDIS__SHARDS", "0"),
        ("TELEMETRY_REDIS__SHARDS", "16385"),
        ("TELEMETRY_REDIS__CONNECT_TIMEOUT", "9ms"),
        ("TELEMETRY_REDIS__RESPONSE_TIMEOUT", "61s"),
        ("TELEMETRY_RETRY__INITIAL", "0s"),
        ("TELEMETRY_RETRY__MAX", "61m"),
        ("TELEMETRY_OUTBOX__MAX_BYTES", "1023KiB"),
        ("TELEMETRY_SPOOL__DIR", "spool"),
        ("TELEMETRY_SPOOL__MAX_BYTES", "1MiB"),
        ("TELEMETRY_SPOOL__SYNC", "1ms"),
        ("TELEMETRY_SPOOL__RETAIN", "2h"),
        ("TELEMETRY_CONTROL__LISTEN", "127.0.0.1"),
        ("TELEMETRY_CONTROL__LISTEN", "127.0.0.1:65536"),
        ("TELEMETRY_SHUTDOWN__GRACE", "1h"),
    ] {
        assert!(mistakes(&[(name, value)]).contains(value), "{name}={value}");
    }
}

#[test]
fn an_empty_value_counts_as_unset() {
    assert_eq!(config(&[("TELEMETRY_REDIS__KEY", "")]).unwrap().redis.queue.key, "telemetry:queue");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let lines = mistakes(&[
        ("TELEMETRY_COLLECTION__INTERVAL", "fast"),
        ("TELEMETRY_LOG__FORMAT", "xml"),
        ("TELEMETRY_REDIS__KYE", "queue"),
        ("TELEMETRY_REDIS__WHATEVER", "1"),
    ]);
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [
            "TELEMETRY_REDIS__KYE: no such setting; did you mean TELEMETRY_REDIS__KEY?",
            "TELEMETRY_REDIS__WHATEVER: no such setting; --help lists all",
            "TELEMETRY_COLLECTION__INTERVAL: \"fast\" is not a duration from 100ms to 1h, such as 500ms, 1s or 1m",
            "TELEMETRY_LOG__FORMAT: \"xml\" is not auto, json or pretty",
        ]
    );
}

#[test]
fn what_others_put_into_the_environment_does_not_stop_the_start() {
    let of_services = ["TELEMETRY", "TELEMETRY_COLLECTOR", "TELEMETRY_EXPORTER", "TELEMETRY_REDIS", "TELEMETRY_SPOOL"];
    let of_a_port = ["", "_6379_TCP", "_6379_TCP_PROTO", "_6379_TCP_PORT", "_6379_TCP_ADDR"];
    for service in of_services {
        let ports = of_a_port.map(|suffix| format!("{service}_PORT{suffix}"));
        let host = ["HOST", "PORT", "PORT_REDIS"].map(|suffix| format!("{service}_SERVICE_{suffix}"));
        for name in ports.into_iter().chain(host) {
            assert_eq!(config(&[(&name, "tcp://10.0.0.1:6379")]).unwrap().ignored(), [name]);
        }
    }
    assert_eq!(config(&[("TELEMETRY_WHATEVER", "1")]).unwrap().ignored(), ["TELEMETRY_WHATEVER"]);
    let of_other_programs = [
        ("TELEMETRY_EXPORTER__LISTEN", "[::]:9464"),
        ("TELEMETRY_PYTHON", "python3"),
        ("TELEMETRY_BAZEL_ROUTE", "open"),
    ];
    assert!(config(&of_other_programs).unwrap().ignored().is_empty());
}

#[test]
fn a_setting_with_one_underscore_too_few_is_a_mistake() {
    let line = mistakes(&[("TELEMETRY_REDIS_URL", "redis://db")]);
    assert_eq!(line, "TELEMETRY_REDIS_URL: no such setting; did you mean TELEMETRY_REDIS__URL?");
}

#[test]
fn a_secret_never_shows_in_a_mistake() {
    let line = mistakes(&[("TELEMETRY_REDIS__URL", "reddis://user:hunter2@host")]);
    assert!(line.starts_with("TELEMETRY_REDIS__URL: the value is not a URL"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a_secret_never_shows_in_debug_output() {
    let config = config(&[("TELEMETRY_REDIS__URL", "redis://:hunter2@db")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_secret_can_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    std::fs::write(&path, "redis://:hunter2@db:6379/0\n").unwrap();
    let path = path.to_str().unwrap();

    let config = config(&[("TELEMETRY_REDIS__URL_FILE", path)]).unwrap();
    assert_eq!(config.redis.queue.url.expose(), "redis://:hunter2@db:6379/0");
    assert!(config.print().contains("TELEMETRY_REDIS__URL=redis://:***@db:6379/0"), "{}", config.print());
    assert!(config.print().contains("# TELEMETRY_REDIS__URL_FILE"), "{}", config.print());

    let both = mistakes(&[("TELEMETRY_REDIS__URL_FILE", path), ("TELEMETRY_REDIS__URL", "redis://db")]);
    assert_eq!(both, "TELEMETRY_REDIS__URL: is set, and so is TELEMETRY_REDIS__URL_FILE; set one of them");
    let absent = mistakes(&[("TELEMETRY_REDIS__URL_FILE", "/does/not/exist")]);
    assert!(absent.starts_with("TELEMETRY_REDIS__URL_FILE: cannot read \"/does/not/exist\""), "{absent}");
}

fn otel(vars: &[(&str, &str)]) -> (bool, bool, Vec<String>) {
    let OtelConfig { traces, metrics, problems, .. } = config(vars).unwrap().otel;
    (traces.is_some(), metrics.is_some(), problems.iter().map(ToString::to_string).collect())
}

const OTLP: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");

#[test]
fn open_telemetry_is_off_until_an_endpoint_is_set() {
    let none = Vec::new;
    assert_eq!(otel(&[]), (false, false, none()));
    assert_eq!(otel(&[("OTEL_SERVICE_NAME", "mine")]), (false, false, none()));
    assert_eq!(otel(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), (false, false, none()));
    assert_eq!(otel(&[OTLP]), (true, true, none()));
    assert_eq!(otel(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")]), (true, false, none()));
    assert_eq!(otel(&[OTLP, ("OTEL_TRACES_EXPORTER", "none")]), (false, true, none()));
    assert_eq!(otel(&[OTLP, ("OTEL_SDK_DISABLED", "true")]), (false, false, none()));
    assert_eq!(
        otel(&[OTLP, ("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "x")]),
        (false, false, none())
    );
}

#[test]
fn open_telemetry_names_the_service() {
    let name = |value| config(&[("OTEL_SERVICE_NAME", value)]).unwrap().otel.service_name;
    assert_eq!((name("mine").as_deref(), name("")), (Some("mine"), None));
}

#[test]
fn what_open_telemetry_cannot_export_is_left_out_with_its_reason() {
    let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL: \"http/json\" is not built in; use http/protobuf or grpc";
    let everywhere = [OTLP, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    assert_eq!(otel(&everywhere), (false, false, vec![protocol.to_owned()]));
    let printed = config(&everywhere).unwrap().print();
    assert!(printed.ends_with(&format!("# OpenTelemetry: traces off, metrics off\n# {protocol}\n")), "{printed}");

    let of_traces = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: \"GRPC\" is not built in; use http/protobuf or grpc";
    let vars = [OTLP, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "GRPC")];
    assert_eq!(otel(&vars), (false, true, vec![of_traces.to_owned()]));

    let https =
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: https is not built in; send to a receiver on this host by http://";
    let vars = [OTLP, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "HTTPS://otel:4317")];
    assert_eq!(otel(&vars), (true, false, vec![https.to_owned()]));
}

#[test]
fn a_setting_of_one_signal_counts_before_that_of_all() {
    let protocols = [
        OTLP,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ];
    assert_eq!(otel(&protocols), (true, true, Vec::new()));
    let endpoints = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    assert_eq!(otel(&endpoints), (true, false, Vec::new()));
}

#[test]
fn the_protocol_follows_the_port_unless_it_is_set() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let protocols = |vars: &[(&str, &str)]| {
        let OtelConfig { traces, metrics, .. } = config(vars).unwrap().otel;
        [traces, metrics].map(|export| export.unwrap().protocol.to_string())
    };
    for (endpoint, protocol) in [
        ("http://127.0.0.1:4317", "grpc"),
        ("http://[::1]:4317/", "grpc"),
        ("localhost:4317", "grpc"),
        ("http://127.0.0.1:4318", "http/protobuf"),
        ("http://otel", "http/protobuf"),
        ("http://otel/4317", "http/protobuf"),
        ("http://otel:14317/tenant", "http/protobuf"),
    ] {
        assert_eq!(protocols(&[(ENDPOINT, endpoint)]), [protocol, protocol], "{endpoint}");
        for set in ["grpc", "http/protobuf"] {
            let vars = [(ENDPOINT, endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", set)];
            if endpoint.starts_with("http://") {
                assert_eq!(protocols(&vars), [set, set], "{endpoint}");
            }
        }
    }
    let mixed = [OTLP, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9090/api/v1/otlp/v1/metrics")];
    assert_eq!(protocols(&mixed), ["grpc", "http/protobuf"]);
}

#[test]
fn a_value_of_open_telemetry_that_is_not_utf_8_is_left_out() {
    let bytes = OsString::from_vec(vec![0xff]);
    let config = Config::from_vars([("OTEL_EXPORTER_OTLP_ENDPOINT".into(), bytes)]).unwrap();
    assert_eq!((config.otel.traces, config.otel.problems.len()), (None, 1), "{:?}", config.otel);
}

#[test]
fn reads_every_variable_of_its_table() {
    let printed = config(&[]).unwrap().print();
    let assignments = printed.lines().filter(|line| !line.starts_with('#'));
    let read: BTreeSet<_> = assignments.filter_map(|line| line.split('=').next()).collect();
    assert_eq!(read, VARIABLES.iter().map(|variable| variable.name).collect());
}
