//! `GetConfig`: the settings in force, where each comes from, secrets masked.

use std::sync::Arc;

use telemetry_proto::v1::{GetConfigResponse, Setting, SettingOrigin};
use telemetry_settings::{InForce, Origin};

use crate::steering::{self, Origin as IntervalOrigin};

/// The setting that calls of the control API change.
const INTERVAL: &str = "TELEMETRY_COLLECTION__INTERVAL";

/// The settings that the process was started with, for whoever asks.
#[derive(Debug, Clone)]
pub struct Settings(Arc<InForce>);

impl Settings {
    /// The settings `in_force`.
    #[must_use]
    pub fn new(in_force: InForce) -> Self {
        Self(Arc::new(in_force))
    }

    /// What is in force while the interval is as the steering says.
    pub(super) fn with_interval(&self, interval: steering::InForce) -> GetConfigResponse {
        let settings = self.0.entries().map(|entry| {
            let origin = match entry.origin {
                Origin::Default => SettingOrigin::Default,
                Origin::Environment => SettingOrigin::Environment,
                Origin::File => SettingOrigin::File,
            };
            let is_changed = entry.name == INTERVAL && interval.origin == IntervalOrigin::Control;
            let name = entry.name.to_owned();
            if is_changed {
                let value = interval.interval.to_string();
                let reverts_at = interval.reverts_at.map(Into::into);
                return Setting { name, value, origin: SettingOrigin::Control.into(), reverts_at };
            }
            Setting { name, value: entry.value, origin: origin.into(), reverts_at: None }
        });
        GetConfigResponse { settings: settings.collect() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use telemetry_settings::{Program, Reader, Variable, parse};

    use super::*;

    const VARIABLE: &Variable =
        &Variable { name: INTERVAL, default: "1s", allowed: "a duration", meaning: "Time between two.", secret: false };
    const PROGRAM: &Program =
        &Program { name: "program", prefix: "TELEMETRY_", variables: &[VARIABLE], other_programs: &[], standards: &[] };

    fn setting(interval: &str, origin: IntervalOrigin) -> (String, SettingOrigin) {
        let mut reader = Reader::new(PROGRAM, [(INTERVAL.into(), "1000ms".into())]);
        reader.read(VARIABLE, parse::text);
        let settings = Settings::new(reader.finish().unwrap());
        let interval = steering::InForce {
            interval: interval.parse().unwrap(),
            default: "1s".parse().unwrap(),
            origin,
            since: SystemTime::UNIX_EPOCH,
            reverts_at: Some(SystemTime::UNIX_EPOCH),
        };
        let setting = settings.with_interval(interval).settings.remove(0);
        assert_eq!(setting.reverts_at.is_some(), setting.origin() == SettingOrigin::Control);
        (setting.value.clone(), setting.origin())
    }

    #[test]
    fn shows_the_interval_that_a_call_has_set() {
        assert_eq!(setting("1s", IntervalOrigin::Settings), ("1000ms".to_owned(), SettingOrigin::Environment));
        assert_eq!(setting("200ms", IntervalOrigin::Control), ("200ms".to_owned(), SettingOrigin::Control));
        assert_eq!(setting("1s", IntervalOrigin::Control), ("1s".to_owned(), SettingOrigin::Control));
    }
}
