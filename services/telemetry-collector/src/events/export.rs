//! Events of the export of the collector's own spans and metrics.

use std::error::Error;
use std::fmt::Display;

use tracing::{info, warn};

use crate::errors::report;

pub(crate) fn export_failed(what: &'static str, protocol: impl Display, failure: &dyn Error) {
    warn!(
        what,
        %protocol,
        error = report(failure),
        "the collector's own spans or metrics cannot be exported; check that the receiver of OTEL_EXPORTER_OTLP_ENDPOINT runs and \
         speaks this protocol (OTEL_EXPORTER_OTLP_PROTOCOL)"
    );
}

pub(crate) fn exported_again(what: &'static str) {
    info!(what, "the collector's own spans or metrics are exported again");
}
