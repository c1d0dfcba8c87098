//! The settings that a collector runs with.

use std::time::SystemTime;

use telemetry_proto::v1::{self as proto, GetConfigResponse, SettingOrigin};

use super::answer::time;
use super::error::ControlError;

/// The settings that a collector runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Every setting, in the order of the collector's reference.
    pub settings: Vec<ConfigSetting>,
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigSetting {
    /// Name of its environment variable ("TELEMETRY_COLLECTION__INTERVAL").
    pub name: String,
    /// Its value. The collector has replaced passwords in it by `***`. Empty if the setting has none.
    pub value: String,
    /// Where the value comes from.
    pub origin: SettingOrigin,
    /// When the value of the collector's settings returns by itself, by the clock of the collector's host. `None` unless a
    /// call has set the value with a ttl.
    pub reverts_at: Option<SystemTime>,
}

impl Config {
    /// The setting of the environment variable `name`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&ConfigSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    pub(super) fn from_answer(call: &'static str, answer: GetConfigResponse) -> Result<Self, ControlError> {
        let settings = answer.settings.into_iter().map(|setting| ConfigSetting::from_answer(call, setting));
        Ok(Self { settings: settings.collect::<Result<_, _>>()? })
    }
}

impl ConfigSetting {
    fn from_answer(call: &'static str, setting: proto::Setting) -> Result<Self, ControlError> {
        let (origin, reverts_at) = (setting.origin(), time(call, setting.reverts_at)?);
        Ok(Self { name: setting.name, value: setting.value, origin, reverts_at })
    }
}
