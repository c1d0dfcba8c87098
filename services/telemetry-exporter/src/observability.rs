//! Log lines on standard error.

use std::io::{self, IsTerminal};

use telemetry_settings::InvalidSetting;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::errors::ExporterError;

/// Puts logs in place for the whole process.
///
/// # Errors
/// [`ExporterError::Configuration`] when the filter is wrong, [`ExporterError::System`] when logs are in place already.
pub fn init(log: &LogConfig) -> Result<(), ExporterError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| {
        ExporterError::Configuration(InvalidSetting::new("TELEMETRY_LOG__FILTER", error.to_string()).into())
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let on_terminal = io::stderr().is_terminal();
    let placed = match log.format {
        LogFormat::Pretty => lines.with_target(false).with_ansi(on_terminal).try_init(),
        LogFormat::Auto if on_terminal => lines.with_target(false).try_init(),
        LogFormat::Auto | LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    placed.map_err(|error| ExporterError::system("set up logs", io::Error::other(error)))
}
