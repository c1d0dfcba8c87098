//! From the arguments to the clients of all targets.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemetry_client::{ControlClient, ControlError, ControlSettings};
use telemetry_process::report;
use thiserror::Error;

use crate::cli::{LoginArgs, TargetArgs};
use crate::failure::Failure;
use crate::fan_out::{Answers, Limits, Target};
use crate::target::TargetSpec;

/// Settings that are wrong: one line each.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct InvalidSettings(pub(crate) Vec<String>);

/// The targets, and the limits of asking them.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) targets: Vec<Target>,
    pub(crate) limits: Limits,
}

/// TLS and login, read from their files.
struct Login {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    token_file: Option<PathBuf>,
}

impl Session {
    /// Reads every file that is named, resolves names, and makes a client for each target. Nothing is connected yet.
    pub(crate) async fn open(args: &TargetArgs) -> Result<Self, InvalidSettings> {
        let mut specs = args.given();
        if let Some(file) = &args.targets_file {
            specs.extend(targets_in(file)?);
        }
        if specs.is_empty() {
            return Err(invalid("--targets-file: it holds no target"));
        }
        let login = Login::read(&args.login)?;
        let mut session =
            Self { targets: Vec::new(), limits: Limits { parallel: args.parallel.into(), timeout: args.timeout } };
        let mut problems = Vec::new();
        for spec in specs {
            match resolved(&spec, args.timeout).await {
                Ok(addresses) => session.add(&addresses, spec.server_name(), &login, &mut problems),
                Err(failure) => session.push(Target { name: spec.to_string(), client: Err(failure), is_local: false }),
            }
        }
        if problems.is_empty() { Ok(session) } else { Err(InvalidSettings(problems)) }
    }

    /// Asks every target.
    pub(crate) async fn ask<T, F>(&self, call: impl Fn(ControlClient) -> F) -> Answers<T>
    where
        F: Future<Output = Result<T, ControlError>>,
    {
        Answers::of(&self.targets, self.limits, call).await
    }

    /// Adds targets whose certificates are for `name`, if it is given.
    fn add(&mut self, specs: &[TargetSpec], name: Option<&str>, login: &Login, problems: &mut Vec<String>) {
        for spec in specs {
            match ControlClient::connect_lazily(login.settings(spec, name, self.limits.timeout)) {
                Ok(client) => {
                    let target = Target { name: spec.to_string(), client: Ok(client), is_local: spec.is_local() };
                    self.push(target);
                }
                Err(error) => problems.push(format!("{spec}: {}", report(&error))),
            }
        }
    }

    /// A target that is named twice is asked once.
    fn push(&mut self, target: Target) {
        if self.targets.iter().all(|known| known.name != target.name) {
            self.targets.push(target);
        }
    }
}

impl Login {
    fn read(args: &LoginArgs) -> Result<Self, InvalidSettings> {
        let certificate = |option, file: &Option<PathBuf>| pem(option, file.as_deref(), "CERTIFICATE");
        let key = pem("--tls-key", args.tls_key.as_deref(), "PRIVATE KEY")?;
        let identity = match (certificate("--tls-cert", &args.tls_cert)?, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(invalid("--tls-cert: it needs --tls-key, too")),
            (None, Some(_)) => return Err(invalid("--tls-key: it needs --tls-cert, too")),
        };
        let ca = certificate("--tls-ca", &args.tls_ca)?;
        check_tls(args, ca.as_deref(), identity.as_ref())?;
        if let Some(file) = &args.token_file {
            check_token(file)?;
        }
        Ok(Self { ca, identity, token_file: args.token_file.clone() })
    }

    fn settings(&self, spec: &TargetSpec, name: Option<&str>, timeout: Duration) -> ControlSettings {
        // A client certificate means TLS, and nobody who gives a CA wants less.
        let address = spec.address(self.ca.is_some() || self.identity.is_some());
        let is_tls = address.starts_with("https://");
        let mut settings = ControlSettings::new(address).timeouts(timeout, timeout);
        if let Some(ca) = self.ca.as_ref().filter(|_| is_tls) {
            settings = settings.ca_certificate(ca.clone());
        }
        if let Some(name) = name.filter(|_| is_tls) {
            settings = settings.server_name(name);
        }
        if let Some((certificate, key)) = self.identity.as_ref().filter(|_| is_tls) {
            settings = settings.client_certificate(certificate.clone(), key.clone());
        }
        if let Some(file) = &self.token_file {
            settings = settings.bearer_token_file(file);
        }
        settings
    }
}

/// The target itself, or every address of a name.
async fn resolved(spec: &TargetSpec, timeout: Duration) -> Result<Vec<TargetSpec>, Failure> {
    let TargetSpec::Dns { name, port } = spec else { return Ok(vec![spec.clone()]) };
    let lookup = tokio::net::lookup_host((name.trim_matches(['[', ']']), *port));
    let addresses = match tokio::time::timeout(timeout, lookup).await {
        Ok(addresses) => addresses.map_err(|error| Failure::unresolved(name, error))?,
        Err(_) => return Err(Failure::unresolved(name, "no answer of the name server in time")),
    };
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses.into_iter().map(TargetSpec::of_address).collect())
}

fn targets_in(file: &Path) -> Result<Vec<TargetSpec>, InvalidSettings> {
    let bytes = read("--targets-file", file)?;
    TargetSpec::all_in(&String::from_utf8_lossy(&bytes)).map_err(|(line, problem)| {
        invalid(format!("--targets-file: line {line} of {} is not a target: {problem}", file.display()))
    })
}

/// A file that holds something of this kind. TLS would take one without it, and trust nobody.
fn pem(option: &str, file: Option<&Path>, kind: &str) -> Result<Option<Vec<u8>>, InvalidSettings> {
    let Some(file) = file else { return Ok(None) };
    let bytes = read(option, file)?;
    if String::from_utf8_lossy(&bytes).contains(&format!("{kind}-----")) {
        return Ok(Some(bytes));
    }
    Err(invalid(format!("{option}: {} holds no {} (PEM)", file.display(), kind.to_lowercase())))
}

/// Tries the files by themselves, to name the one that is wrong.
fn check_tls(
    args: &LoginArgs,
    ca: Option<&[u8]>,
    identity: Option<&(Vec<u8>, Vec<u8>)>,
) -> Result<(), InvalidSettings> {
    let shown = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let tls = |ca: &[u8]| ControlSettings::new("https://localhost").ca_certificate(ca);
    if let Some(ca) = ca
        && let Some(problem) = problem_of(tls(ca))
    {
        return Err(invalid(format!("--tls-ca: {}: {problem}", shown(&args.tls_ca))));
    }
    let Some((certificate, key)) = identity else { return Ok(()) };
    // The certificate as a CA: every mistake but those of the pair.
    let problem = problem_of(tls(certificate).client_certificate(certificate.clone(), key.clone()));
    let Some(problem) = problem else { return Ok(()) };
    let (certificate, key) = (shown(&args.tls_cert), shown(&args.tls_key));
    Err(invalid(if problem.contains("keys may not be consistent") || problem.contains("KeyMismatch") {
        format!("--tls-key: {key} is not the key of {certificate}")
    } else if problem.contains("private key") {
        format!("--tls-key: {key}: {problem}")
    } else {
        format!("--tls-cert: {certificate}: {problem}")
    }))
}

/// Why a client with these settings cannot be made.
fn problem_of(settings: ControlSettings) -> Option<String> {
    let error = ControlClient::connect_lazily(settings).err()?;
    Some(error.source().map_or_else(|| error.to_string(), report))
}

fn check_token(file: &Path) -> Result<(), InvalidSettings> {
    let bytes = read("--token-file", file)?;
    let problem = match String::from_utf8_lossy(&bytes).split_whitespace().count() {
        0 => "is empty",
        1 => return Ok(()),
        _ => "has more than one word; give the file with the token, not the collector's tokens file",
    };
    Err(invalid(format!("--token-file: {} {problem}", file.display())))
}

fn read(option: &str, file: &Path) -> Result<Vec<u8>, InvalidSettings> {
    fs::read(file).map_err(|error| invalid(format!("{option}: cannot read {}: {error}", file.display())))
}

fn invalid(problem: impl Into<String>) -> InvalidSettings {
    InvalidSettings(vec![problem.into()])
}
