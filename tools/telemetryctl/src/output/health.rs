//! The status of a component as people read it.

use telemetry_proto::v1::HealthStatus;

use super::style::Style;

/// The status in words.
pub(crate) fn health_name(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Unspecified => "unknown",
        HealthStatus::Starting => "starting",
        HealthStatus::Serving => "serving",
        HealthStatus::Degraded => "degraded",
        HealthStatus::NotServing => "not serving",
    }
}

/// What the status means.
pub(crate) fn health_style(status: HealthStatus) -> Style {
    match status {
        HealthStatus::Serving => Style::Good,
        HealthStatus::Starting | HealthStatus::Degraded => Style::Warning,
        HealthStatus::NotServing | HealthStatus::Unspecified => Style::Bad,
    }
}
