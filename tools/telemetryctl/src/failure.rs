//! Why a target failed, in one line, and what to do.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use telemetry_client::ControlError;
use telemetry_process::report;

/// Why a target failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// The class of the failure, for scripts.
    pub(crate) kind: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<&'static str>,
}

impl Failure {
    /// A name that has no address.
    pub(crate) fn unresolved(name: &str, problem: impl fmt::Display) -> Self {
        Self {
            kind: "unresolved",
            message: format!("cannot resolve {name}: {problem}"),
            remedy: Some("check the name, or give addresses with --target"),
        }
    }

    /// No answer within `--timeout`.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self {
            kind: "timed_out",
            message: format!("no answer within {}", humantime::format_duration(limit)),
            remedy: Some("check address and firewall, or raise --timeout"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        self.remedy.map_or(Ok(()), |remedy| write!(formatter, "; {remedy}"))
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let (kind, remedy) = match &error {
            ControlError::Settings { .. } => ("settings", None),
            ControlError::TimedOut { .. } => ("timed_out", Some("check address and firewall, or raise --timeout")),
            ControlError::Unavailable { .. } if is_of_the_network(&error) => {
                ("unavailable", Some(network_remedy(&error.to_string())))
            }
            ControlError::Unavailable { .. } => ("unavailable", Some("try again in a moment")),
            ControlError::Limited { .. } => ("limited", None),
            ControlError::Unauthenticated { .. } => {
                ("unauthenticated", Some("use --token-file, or --tls-cert with --tls-key"))
            }
            ControlError::PermissionDenied { .. } => {
                ("permission_denied", Some("use a token or certificate with the role \"control\""))
            }
            ControlError::Older { .. } => ("older", None),
            ControlError::TtlIgnored { .. } => ("ttl_ignored", None),
            ControlError::Refused { .. } => ("refused", None),
            ControlError::WrongAnswer { .. } => ("wrong_answer", Some("compare the versions of both with --version")),
            _ => ("other", None),
        };
        Self { kind, message: message(&error), remedy }
    }
}

/// The error on one line. Its text has everything that the status says; other causes are added.
fn message(error: &ControlError) -> String {
    match error {
        ControlError::Settings { .. } | ControlError::WrongAnswer { .. } => report(error),
        _ => error.to_string(),
    }
}

/// What to do about a connection that could not be made, by what rustls and the system say.
fn network_remedy(message: &str) -> &'static str {
    let remedies: [(&[&str], &str); 7] = [
        (&["InvalidContentType", "corrupt message"], "the port does not speak TLS; use http:// or omit --tls-ca"),
        (
            &["UnknownIssuer", "BadSignature"],
            "the certificate is not from a CA that is trusted here; give its CA with --tls-ca",
        ),
        (&["not valid for name"], "use one of these names as the target"),
        (&["certificate"], "check --tls-ca, and that the target is a name in the collector's certificate"),
        (&["tls handshake eof"], "it may want a client certificate: --tls-cert with --tls-key"),
        (&["Permission denied"], "you may not write to the socket; join its group (TELEMETRY_CONTROL__SOCKET_GROUP)"),
        (
            &["invalid size", "roken pipe", "onnection reset", "connection closed"],
            "if the collector uses TLS, give --tls-ca or https://; if it wants a client certificate, --tls-cert with --tls-key",
        ),
    ];
    let says = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
    let found = remedies.iter().find(|(signs, _)| says(signs)).map(|(_, remedy)| *remedy);
    found.unwrap_or("check that the collector runs, and that --target is its TELEMETRY_CONTROL__LISTEN")
}

/// Whether the status comes from the network rather than from the collector: only then it has a cause.
fn is_of_the_network(error: &ControlError) -> bool {
    error.source().is_some_and(|status| status.source().is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_with_its_remedy() {
        let failure = Failure::timed_out(Duration::from_secs(10));
        assert_eq!(failure.to_string(), "no answer within 10s; check address and firewall, or raise --timeout");
    }

    #[test]
    fn says_what_to_do_about_a_connection() {
        for (message, remedy) in [
            ("tcp connect error: Permission denied (os error 13)", "TELEMETRY_CONTROL__SOCKET_GROUP"),
            ("connection error: tls handshake eof", "--tls-cert with --tls-key"),
            ("h2 protocol error: frame with invalid size", "give --tls-ca or https://"),
            ("stream closed because of a broken pipe", "give --tls-ca or https://"),
            ("invalid peer certificate: UnknownIssuer", "give its CA with --tls-ca"),
            ("tcp connect error: Connection refused (os error 111)", "check that the collector runs"),
        ] {
            assert!(network_remedy(message).contains(remedy), "{message}");
        }
    }

    #[test]
    fn leaves_out_a_remedy_that_it_does_not_have() {
        let failure = Failure { kind: "refused", message: "no".to_owned(), remedy: None };
        assert_eq!(failure.to_string(), "no");
        assert_eq!(serde_json::to_string(&failure).unwrap(), r#"{"kind":"refused","message":"no"}"#);
    }
}
