//! `SetInterval` and `ResetInterval`: between the wire and the steering.

use std::time::Duration;

use telemetry_proto::v1::{Caller, CallerLogin, ResetIntervalResponse, SetIntervalRequest, SetIntervalResponse};
use telemetry_server::Login;
use tonic::Request;

use crate::errors::{TelemetryError, TelemetryResult};
use crate::interval::Interval;
use crate::steering::{Change, Changed, ttl_refused};

/// Who calls.
pub(super) fn caller_of<T>(request: &Request<T>) -> Caller {
    let Some(caller) = request.extensions().get::<telemetry_server::Caller>() else { return Caller::default() };
    let login = match caller.login {
        Login::None => CallerLogin::None,
        Login::Token => CallerLogin::Token,
        Login::Certificate => CallerLogin::Certificate,
        Login::Unix => CallerLogin::Unix,
    };
    Caller { name: caller.name.clone(), login: login.into(), address: caller.address.clone() }
}

/// The change that `request` asks for.
pub(super) fn change(request: SetIntervalRequest) -> TelemetryResult<Change> {
    let wanted = request.interval.ok_or_else(|| {
        let problem = format!("is missing; give a duration from {} to {}", Interval::MIN, Interval::MAX);
        TelemetryError::setting("interval", problem)
    })?;
    let ttl = request.ttl.map(|ttl| Duration::try_from(ttl).map_err(|_| ttl_refused(ttl)));
    Ok(Change { interval: Interval::try_from(wanted)?, ttl: ttl.transpose()?, reason: request.reason })
}

impl From<Changed> for SetIntervalResponse {
    fn from(Changed { previous, in_force }: Changed) -> Self {
        Self {
            previous_interval: Some(previous.as_duration().into()),
            interval: Some(in_force.interval.as_duration().into()),
            effective_since: Some(in_force.since.into()),
            reverts_at: in_force.reverts_at.map(Into::into),
        }
    }
}

impl From<Changed> for ResetIntervalResponse {
    fn from(Changed { previous, in_force }: Changed) -> Self {
        Self {
            previous_interval: Some(previous.as_duration().into()),
            interval: Some(in_force.interval.as_duration().into()),
            effective_since: Some(in_force.since.into()),
        }
    }
}
