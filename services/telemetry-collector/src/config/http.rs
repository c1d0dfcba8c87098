//! The settings of the HTTP server.

use std::net::SocketAddr;

use telemetry_settings::parse::{NotAllowed, Parsed, from_str};
use telemetry_settings::{Reader, Variable};

use crate::health::Component;

pub(super) const LISTEN: &Variable = &Variable {
    name: "TELEMETRY_HTTP__LISTEN",
    default: "",
    allowed: "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080; port 0 = any free one",
    meaning: "Where HTTP is served: /livez, /readyz and /metrics. Unset = nowhere.",
    secret: false,
};

pub(super) const INSECURE: &Variable = &Variable {
    name: "TELEMETRY_HTTP__INSECURE",
    default: "false",
    allowed: "true or false",
    meaning: "Whether TELEMETRY_HTTP__LISTEN may be an address that other hosts can reach. HTTP has no TLS and no login.",
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

/// Where HTTP is served, and what it answers.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Address and port; `None` = no HTTP.
    pub listen: Option<SocketAddr>,
    /// Whether other hosts may reach it.
    pub insecure: bool,
    /// Components that must be serving for the collector to be ready.
    pub ready: Vec<Component>,
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.read(LISTEN, address),
            insecure: reader.read(INSECURE, from_str),
            ready: reader.read(READY, components),
        }
    }

    /// The address, if other hosts can reach it.
    #[must_use]
    pub fn beyond_loopback(&self) -> Option<SocketAddr> {
        self.listen.filter(|address| !address.ip().to_canonical().is_loopback())
    }
}

fn address(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| NotAllowed) }
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
