//! The settings of the control API.

use std::ops::RangeInclusive;
use std::time::Duration;

use telemetry_server::{CertificateRoles, Limits, ListenerSettings, SocketPermissions, TlsFiles};
use telemetry_settings::parse::{NotAllowed, Parsed, absolute_path, duration, from_str, number, size};
use telemetry_settings::{Reader, Variable};

use super::steering;
use crate::control::{CallLimits, Serving, WithoutLogin};
use crate::steering::SteeringSettings;

pub(super) const LISTEN: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__LISTEN",
    default: "127.0.0.1:50051",
    allowed: "host:port, such as 127.0.0.1:50051 or [::1]:50051, port 0 = any free one; or a Unix socket, such as \
              unix:///run/telemetry/control.sock",
    meaning: "Where the control API (gRPC) listens. An address that other hosts can reach needs TLS and a login: \
              TELEMETRY_CONTROL__TLS_CERT, TELEMETRY_CONTROL__TLS_KEY and either TELEMETRY_CONTROL__TOKENS_FILE or \
              TELEMETRY_CONTROL__TLS_CLIENT_CA.",
    secret: false,
};

pub(super) const SOCKET_MODE: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__SOCKET_MODE",
    default: "660",
    allowed: "three octal digits, such as 660 or 600",
    meaning: "Permissions of the Unix socket. Whoever may write to it may connect and, without a tokens file, do everything.",
    secret: false,
};

pub(super) const SOCKET_GROUP: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__SOCKET_GROUP",
    default: "",
    allowed: "the name or the number of a group",
    meaning: "Group of the Unix socket. Unset = the group of the process.",
    secret: false,
};

pub(super) const TLS_CERT: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__TLS_CERT",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "Certificate of the control API, followed by those between it and its CA. It turns TLS on. Changed files are in force \
              within seconds, for new connections.",
    secret: false,
};

pub(super) const TLS_KEY: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__TLS_KEY",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "Private key of TELEMETRY_CONTROL__TLS_CERT.",
    secret: false,
};

pub(super) const TLS_CLIENT_CA: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__TLS_CLIENT_CA",
    default: "",
    allowed: "an absolute path of a PEM file",
    meaning: "CA certificates for clients. Every connection then needs a client certificate that one of them has issued.",
    secret: false,
};

pub(super) const TOKENS_FILE: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__TOKENS_FILE",
    default: "",
    allowed: "an absolute path",
    meaning: "File with the bearer tokens that callers log in with: one a line, with a name, the role read or control, and the SHA-256 \
              hash of the token (docs/security.md). Changes are in force within seconds.",
    secret: false,
};

pub(super) const CERTIFICATE_ROLES: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__CERTIFICATE_ROLES",
    default: "*=read",
    allowed: "name=role pairs separated by commas, such as ops=control,*=read; the roles are read and control",
    meaning: "Role of a client certificate, by the common name (CN) of its subject. * stands for all that are not named.",
    secret: false,
};

pub(super) const WITHOUT_LOGIN: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__WITHOUT_LOGIN",
    default: "health",
    allowed: "none, or some of health, health_details and reflection, separated by commas",
    meaning: "Calls that need no login: Check of grpc.health.v1, which tells statuses only; Health of the control API, which \
              tells the last errors, too; reflection, which tells the schema.",
    secret: false,
};

pub(super) const INSECURE: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__INSECURE",
    default: "false",
    allowed: "true or false",
    meaning: "Whether TELEMETRY_CONTROL__LISTEN may be an address that other hosts can reach without TLS or without a login. \
              Everybody who can reach it can then read along or change the collector.",
    secret: false,
};

pub(super) const MAX_CONNECTIONS: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_CONNECTIONS",
    default: "256",
    allowed: "a whole number from 1 to 100000",
    meaning: "Connections to the control API at a time. A further one is closed at once.",
    secret: false,
};

pub(super) const MAX_CALLS_PER_CONNECTION: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_CALLS_PER_CONNECTION",
    default: "64",
    allowed: "a whole number from 1 to 10000",
    meaning: "Calls at a time on one connection. Clients wait with a further one.",
    secret: false,
};

pub(super) const MAX_MESSAGE_BYTES: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_MESSAGE_BYTES",
    default: "4KiB",
    allowed: "a size from 1KiB to 4MiB, such as 64KiB",
    meaning: "Size of a request. A larger one is answered with OUT_OF_RANGE.",
    secret: false,
};

pub(super) const MAX_HEADER_BYTES: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_HEADER_BYTES",
    default: "8KiB",
    allowed: "a size from 1KiB to 1MiB, such as 16KiB",
    meaning: "Size of the headers of a call.",
    secret: false,
};

pub(super) const CALL_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__CALL_TIMEOUT",
    default: "5s",
    allowed: "a duration from 100ms to 10m, such as 5s",
    meaning: "Time until a call is answered; it then ends with CANCELLED. A watch may last as long as it likes.",
    secret: false,
};

pub(super) const IDLE_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__IDLE_TIMEOUT",
    default: "5m",
    allowed: "a duration from 100ms to 24h, such as 5m",
    meaning: "Time that a connection may stay without a call, and that a client may take nothing of what it is sent. It is then closed.",
    secret: false,
};

pub(super) const HANDSHAKE_TIMEOUT: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__HANDSHAKE_TIMEOUT",
    default: "5s",
    allowed: "a duration from 100ms to 1m, such as 5s",
    meaning: "Time of a TLS handshake, and time until a connection has sent its first byte.",
    secret: false,
};

pub(super) const MAX_WATCHES: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_WATCHES",
    default: "1000",
    allowed: "a whole number from 0 to 100000",
    meaning: "Watches (WatchSnapshots) that may be open at a time. A further one is answered with RESOURCE_EXHAUSTED.",
    secret: false,
};

const CONNECTIONS: RangeInclusive<usize> = 1..=100_000;
const CALLS: RangeInclusive<u32> = 1..=10_000;
const MESSAGE_BYTES: RangeInclusive<u64> = 1 << 10..=4 << 20;
const HEADER_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 20;
const CALL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
const IDLE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const WATCHES: RangeInclusive<usize> = 0..=100_000;

/// Where the control API is served, to whom, and how it may change the collector.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Where it listens, and who may connect.
    pub listener: ListenerSettings,
    /// What callers may take, and do without a login.
    pub serving: Serving,
    /// Watches that may be open at a time.
    pub max_watches: usize,
    /// How it may change the collector.
    pub steering: SteeringSettings,
}

impl ControlConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let address = reader.read(LISTEN, from_str);
        let idle_timeout = reader.read(IDLE_TIMEOUT, duration(IDLE));
        let listener = ListenerSettings {
            socket: SocketPermissions { mode: reader.read(SOCKET_MODE, mode), group: reader.read(SOCKET_GROUP, group) },
            tls: TlsFiles {
                cert: reader.read(TLS_CERT, absolute_path),
                key: reader.read(TLS_KEY, absolute_path),
                client_ca: reader.read(TLS_CLIENT_CA, absolute_path),
            },
            tokens: reader.read(TOKENS_FILE, absolute_path),
            certificate_roles: reader.read(CERTIFICATE_ROLES, from_str::<CertificateRoles>),
            insecure: reader.read(INSECURE, from_str),
            limits: Limits {
                connections: reader.read(MAX_CONNECTIONS, number(CONNECTIONS)),
                idle_timeout: Some(idle_timeout),
                write_timeout: idle_timeout,
                handshake_timeout: reader.read(HANDSHAKE_TIMEOUT, duration(HANDSHAKE)),
            },
            ..ListenerSettings::new(address)
        };
        let serving = Serving {
            without_login: reader.read(WITHOUT_LOGIN, without_login),
            limits: CallLimits {
                calls_per_connection: reader.read(MAX_CALLS_PER_CONNECTION, number(CALLS)),
                message_bytes: reader.read(MAX_MESSAGE_BYTES, bytes(MESSAGE_BYTES)),
                header_bytes: reader.read(MAX_HEADER_BYTES, bytes(HEADER_BYTES)),
                timeout: reader.read(CALL_TIMEOUT, duration(CALL)),
            },
        };
        let max_watches = reader.read(MAX_WATCHES, number(WATCHES));
        Self { listener, serving, max_watches, steering: steering::read(reader) }
    }
}

fn mode(text: &str) -> Parsed<u32> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(text, 8).map_err(|_| NotAllowed)?;
    if is_octal && mode <= 0o777 { Ok(mode) } else { Err(NotAllowed) }
}

fn group(text: &str) -> Parsed<Option<String>> {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_name { Ok((!text.is_empty()).then(|| text.to_owned())) } else { Err(NotAllowed) }
}

fn bytes(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<u32> {
    move |text| u32::try_from(size(range.clone())(text)?).map_err(|_| NotAllowed)
}

fn without_login(text: &str) -> Parsed<WithoutLogin> {
    let mut open = WithoutLogin::default();
    if text == "none" {
        return Ok(open);
    }
    for name in text.split(',').map(str::trim) {
        let of_name = match name {
            "health" => &mut open.health,
            "health_details" => &mut open.health_details,
            "reflection" => &mut open.reflection,
            _ => return Err(NotAllowed),
        };
        if std::mem::replace(of_name, true) {
            return Err(NotAllowed);
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_modes_in_octal() {
        assert_eq!((mode("660"), mode("0600")), (Ok(0o660), Ok(0o600)));
        for text in ["", "66", "888", "1777", "+66", "0o660", "rw-"] {
            assert_eq!(mode(text), Err(NotAllowed), "{text}");
        }
    }

    #[test]
    fn reads_what_is_open_without_a_login() {
        let open = |health, health_details, reflection| Ok(WithoutLogin { health, health_details, reflection });
        assert_eq!(without_login("none"), open(false, false, false));
        assert_eq!(without_login("health, reflection"), open(true, false, true));
        assert_eq!(without_login("health_details"), open(false, true, false));
        for text in ["", "all", "health,", "health,health", "none,health"] {
            assert_eq!(without_login(text), Err(NotAllowed), "{text}");
        }
    }
}
