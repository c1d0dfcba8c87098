//! The settings of the HTTP server.

use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_server::{Address, Limits, ListenerSettings, TlsFiles};
use telemetry_settings::parse::{NotAllowed, Parsed, absolute_path, duration, from_str, number};
use telemetry_settings::{Reader, Variable};

use crate::health::Component;

pub(super) const LISTEN: &Variable = &Variable {
    name: "TELEMETRY_HTTP__LISTEN",
    default: "",
    allowed: "host:port, such as 127.0.0.1:8080 or [::1]:8080; port 0 = any free one",
    meaning: "Where HTTP is served: /, /livez, /readyz and /metrics. Unset = nowhere. An address that other hosts can reach needs TLS \
              and a login, as TELEMETRY_CONTROL__LISTEN does.",
    secret: false,
};

pub(super) const TLS_CERT: &Variable = &Variable {
    name: "TELEMETRY_HTTP__TLS_CERT",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "Certificate of HTTP, followed by those between it and its CA. It turns TLS on. Changed files are in force within \
              seconds, for new connections.",
    secret: false,
};

pub(super) const TLS_KEY: &Variable = &Variable {
    name: "TELEMETRY_HTTP__TLS_KEY",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "Private key of TELEMETRY_HTTP__TLS_CERT.",
    secret: false,
};

pub(super) const TLS_CLIENT_CA: &Variable = &Variable {
    name: "TELEMETRY_HTTP__TLS_CLIENT_CA",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "CA certificates for clients. Every connection then needs a client certificate that one of them has issued.",
    secret: false,
};

pub(super) const TOKENS_FILE: &Variable = &Variable {
    name: "TELEMETRY_HTTP__TOKENS_FILE",
    default: "",
    allowed: "an absolute path",
    meaning: "File with tokens, as TELEMETRY_CONTROL__TOKENS_FILE, which may be the same file. A client sends one as a bearer token, or \
              as the password of a login by HTTP Basic. Probes need none.",
    secret: false,
};

pub(super) const INSECURE: &Variable = &Variable {
    name: "TELEMETRY_HTTP__INSECURE",
    default: "false",
    allowed: "true or false",
    meaning: "Whether TELEMETRY_HTTP__LISTEN may be an address that other hosts can reach without TLS or without a login.",
    secret: false,
};

pub(super) const MAX_CONNECTIONS: &Variable = &Variable {
    name: "TELEMETRY_HTTP__MAX_CONNECTIONS",
    default: "256",
    allowed: "a whole number from 1 to 100000",
    meaning: "HTTP connections at a time. A further one is closed at once.",
    secret: false,
};

pub(super) const HEADER_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_HTTP__HEADER_TIMEOUT",
    default: "30s",
    allowed: "a duration from 100ms to 1h, such as 30s",
    meaning: "Time until the headers of a request are complete, time that a connection may stay without a request, and time that a client \
              may take nothing of an answer.",
    secret: false,
};

pub(super) const HANDSHAKE_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_HTTP__HANDSHAKE_TIMEOUT",
    default: "5s",
    allowed: "a duration from 100ms to 1m, such as 5s",
    meaning: "Time of a TLS handshake, and time until a connection has sent its first byte.",
    secret: false,
};

pub(super) const READY: &Variable = &Variable {
    name: "TELEMETRY_HTTP__READY",
    default: "sampler,control",
    allowed: "components separated by commas, of sampler, sink, control, spool and state_file",
    meaning: "Components that must be serving for /readyz to answer 200. Without sink, a Redis outage does not make the collector \
              unready: it keeps the messages.",
    secret: false,
};

const CONNECTIONS: RangeInclusive<usize> = 1..=100_000;
const HEADERS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// Where HTTP is served, and what it answers.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens, and who may connect; `None` = no HTTP.
    pub listener: Option<ListenerSettings>,
    /// Time until the headers of a request are complete.
    pub header_timeout: Duration,
    /// Components that must be serving for the collector to be ready.
    pub ready: Vec<Component>,
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let address = reader.read(LISTEN, address);
        let tls = TlsFiles {
            cert: reader.read(TLS_CERT, absolute_path),
            key: reader.read(TLS_KEY, absolute_path),
            client_ca: reader.read(TLS_CLIENT_CA, absolute_path),
        };
        let tokens = reader.read(TOKENS_FILE, absolute_path);
        let insecure = reader.read(INSECURE, from_str);
        let header_timeout = reader.read(HEADER_TIMEOUT, duration(HEADERS));
        let limits = Limits {
            connections: reader.read(MAX_CONNECTIONS, number(CONNECTIONS)),
            // The time for headers begins at the end of the request before.
            idle_timeout: None,
            handshake_timeout: reader.read(HANDSHAKE_TIMEOUT, duration(HANDSHAKE)),
            write_timeout: header_timeout,
        };
        let listener = address.map(|address| {
            let protocols = &["http/1.1"];
            ListenerSettings { tls, tokens, insecure, limits, protocols, ..ListenerSettings::new(address) }
        });
        Self { listener, header_timeout, ready: reader.read(READY, components) }
    }
}

fn address(text: &str) -> Parsed<Option<Address>> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse().ok().filter(|address| matches!(address, Address::Tcp { .. }));
    address.map(Some).ok_or(NotAllowed)
}

fn components(text: &str) -> Parsed<Vec<Component>> {
    let mut components = Vec::new();
    for name in text.split(',').map(str::trim) {
        let component = Component::ALL.into_iter().find(|component| component.name() == name).ok_or(NotAllowed)?;
        if components.contains(&component) {
            return Err(NotAllowed);
        }
        components.push(component);
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_components_by_name() {
        assert_eq!(components("sampler"), Ok(vec![Component::Sampler]));
        assert_eq!(components("sink, spool"), Ok(vec![Component::Sink, Component::Spool]));
        for text in ["", "redis", "sink,", "sink,sink", "Sampler"] {
            assert_eq!(components(text), Err(NotAllowed), "{text}");
        }
    }
}
