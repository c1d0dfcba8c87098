//! The settings that a collector runs with.

use telemetry_proto::v1::{self as proto, GetConfigResponse, SettingOrigin};

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
}

impl Config {
    /// The setting of the environment variable `name`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&ConfigSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

impl From<GetConfigResponse> for Config {
    fn from(answer: GetConfigResponse) -> Self {
        Self { settings: answer.settings.into_iter().map(Into::into).collect() }
    }
}

impl From<proto::Setting> for ConfigSetting {
    fn from(setting: proto::Setting) -> Self {
        Self { origin: setting.origin(), name: setting.name, value: setting.value }
    }
}
