//! Log lines on standard error.

use std::io::{self, IsTerminal};

use telemetry_settings::parse::{NotAllowed, Parsed, one_of};
use telemetry_settings::{Reader, Variable};
use tracing_subscriber::layer::{Identity, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// The variable for the form of a line.
pub const FORMAT: &Variable = &Variable {
    name: "TELEMETRY_LOG__FORMAT",
    default: "auto",
    allowed: "auto, json or pretty",
    meaning: "Format of log lines on standard error. auto is pretty on a terminal and json elsewhere.",
    secret: false,
};

/// The variable for what is logged.
pub const FILTER: &Variable = &Variable {
    name: "TELEMETRY_LOG__FILTER",
    // At the level warn, h2 tells of each client that it throws out: whoever connects could fill the log.
    default: "info,h2=error",
    allowed: "levels and targets separated by commas, such as info or warn,hyper=debug",
    meaning: "Which events are logged, in the syntax of tracing_subscriber's EnvFilter.",
    secret: false,
};

const FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    format: LogFormat,
    filter: String,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl LogSettings {
    /// Reads [`FORMAT`] and [`FILTER`], which are to be among the variables of the reader's program.
    pub fn read(reader: &mut Reader) -> Self {
        Self { format: reader.read(FORMAT, one_of(FORMATS)), filter: reader.read(FILTER, filter) }
    }
}

/// Puts log lines in place for the whole process. Call it once.
///
/// # Errors
/// When logs are in place already.
pub fn init(settings: &LogSettings) -> io::Result<()> {
    init_with(settings, Identity::new())
}

/// Puts log lines in place for the whole process, and `more` beside them, such as the export of spans. Call it once.
///
/// # Errors
/// When logs are in place already.
pub fn init_with(settings: &LogSettings, more: impl Layer<Registry> + Send + Sync) -> io::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(io::Error::other)?;
    let on_terminal = io::stderr().is_terminal();
    let pretty = match settings.format {
        LogFormat::Auto => on_terminal,
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if pretty {
        lines.with_target(false).with_ansi(on_terminal).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(more).with(lines.with_filter(filter)).try_init().map_err(io::Error::other)
}

fn filter(text: &str) -> Parsed<String> {
    EnvFilter::try_new(text).map_err(|_| NotAllowed)?;
    Ok(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use telemetry_settings::Program;

    use super::*;

    const PROGRAM: &Program = &Program {
        name: "program",
        prefix: "TELEMETRY_",
        variables: &[FORMAT, FILTER],
        other_programs: &[],
        standards: &[],
    };

    fn read(vars: &[(&str, &str)]) -> Result<LogSettings, String> {
        let mut reader = Reader::new(PROGRAM, vars.iter().map(|(name, value)| (name.into(), value.into())));
        let settings = LogSettings::read(&mut reader);
        reader.finish().map(|_| settings).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn reads_both_variables() {
        let settings = |format, filter: &str| LogSettings { format, filter: filter.to_owned() };
        assert_eq!(read(&[]).unwrap(), settings(LogFormat::Auto, "info,h2=error"));
        let vars = [("TELEMETRY_LOG__FORMAT", "pretty"), ("TELEMETRY_LOG__FILTER", "warn,a::b=debug")];
        assert_eq!(read(&vars).unwrap(), settings(LogFormat::Pretty, "warn,a::b=debug"));
    }

    #[test]
    fn refuses_what_cannot_be_a_filter() {
        let mistakes = read(&[("TELEMETRY_LOG__FORMAT", "xml"), ("TELEMETRY_LOG__FILTER", "a=b=c")]).unwrap_err();
        let lines: Vec<_> = mistakes.lines().collect();
        assert_eq!(lines[0], "TELEMETRY_LOG__FORMAT: \"xml\" is not auto, json or pretty");
        assert!(lines[1].starts_with("TELEMETRY_LOG__FILTER: \"a=b=c\" is not levels and targets"), "{mistakes}");
    }

    #[test]
    fn refuses_to_be_put_in_place_twice() {
        let settings = read(&[]).unwrap();
        init(&settings).unwrap();
        assert!(init(&settings).is_err());
    }
}
