//! Changes of the sampling interval.

use std::path::Path;
use std::time::SystemTime;

use telemetry_proto::v1::{CallerLogin, ControlAction, ControlEvent};
use tracing::{debug, info, warn};

use crate::errors::{TelemetryError, report};
use crate::instruments::instruments;
use crate::interval::Interval;

pub(super) fn begin_counters() {
    let actions = [
        ControlAction::IntervalSet,
        ControlAction::IntervalReset,
        ControlAction::IntervalExpired,
        ControlAction::IntervalRestored,
    ];
    instruments().control_changes.begin(actions.map(action));
}

/// The texts of callers are recorded as strings, not by their `Display`: the log then escapes control characters.
pub(crate) fn interval_changed(event: &ControlEvent) {
    let action = action(event.action());
    instruments().control_changes.add(1, &[action]);
    let caller = event.caller.as_ref();
    let reverts_at = event.reverts_at.and_then(|at| SystemTime::try_from(at).ok());
    info!(
        action,
        previous = event.previous_interval.map(shown),
        interval = event.interval.map(shown),
        reverts_at = reverts_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        caller = caller.map(|caller| caller.name.as_str()),
        login = caller.map(|caller| login(caller.login())),
        from = caller.map(|caller| caller.address.as_str()),
        reason = event.reason.as_str(),
        "sampling interval changed"
    );
}

pub(crate) fn saved_change_has_ended(interval: Interval) {
    info!(%interval, "the interval in the state file has ended; the interval of the settings is in force");
}

pub(crate) fn state_file_ignored(path: &Path, failure: &dyn std::error::Error) {
    warn!(
        path = %path.display(),
        error = report(failure),
        "the state file is ignored, and the interval of the settings is in force; the next change replaces the file"
    );
}

pub(crate) fn state_file_failed(failure: &TelemetryError, is_first: bool) {
    instruments().state_file_errors.add(1, &[]);
    if is_first {
        warn!(
            error = report(failure),
            "the change is in force, but a restart would undo it; retrying until the state file can be written"
        );
    } else {
        debug!(error = report(failure), "the state file still cannot be written");
    }
}

pub(crate) fn state_file_recovered(path: &Path) {
    info!(path = %path.display(), "the state file is written again");
}

fn shown(interval: telemetry_proto::well_known::Duration) -> String {
    Interval::try_from(interval).map_or_else(|_| interval.to_string(), |interval| interval.to_string())
}

/// Name of the action in log lines and metric attributes.
fn action(action: ControlAction) -> &'static str {
    match action {
        ControlAction::Unspecified => "unspecified",
        ControlAction::IntervalSet => "set",
        ControlAction::IntervalReset => "reset",
        ControlAction::IntervalExpired => "expired",
        ControlAction::IntervalRestored => "restored",
    }
}

fn login(login: CallerLogin) -> &'static str {
    match login {
        CallerLogin::Unspecified => "unspecified",
        CallerLogin::None => "none",
        CallerLogin::Token => "token",
        CallerLogin::Certificate => "certificate",
        CallerLogin::Unix => "unix",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reason_cannot_forge_a_line_of_the_log() {
        let event =
            ControlEvent { reason: "x\n2026-01-01 forged \u{1b}[31m\u{202e}".to_owned(), ..ControlEvent::default() };
        let lines = Lines::default();
        let writer = lines.clone();
        let pretty = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(pretty, || interval_changed(&event));
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 1, "{log:?}");
        assert!(log.contains(r#"reason="x\n2026-01-01 forged \u{1b}[31m\u{202e}""#), "{log:?}");
    }
}
