//! What a program says about its settings.

use std::io::{self, Write};

use tracing::warn;

/// Prints `settings` on standard output. This is what `--print-config` does with
/// [`InForce::print`](telemetry_settings::InForce::print).
///
/// # Errors
/// When standard output cannot be written to.
pub fn print_settings(settings: &str) -> io::Result<()> {
    io::stdout().write_all(settings.as_bytes())
}

/// Logs one warning that lists `names`, those that were [ignored](telemetry_settings::InForce::ignored), if there are any.
pub fn warn_of_ignored(names: &[String]) {
    if !names.is_empty() {
        let names = names.join(", ");
        warn!(names, "environment variables begin with TELEMETRY_ but are not settings; they are ignored");
    }
}
