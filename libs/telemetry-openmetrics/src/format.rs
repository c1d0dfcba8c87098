//! The two text formats.

use std::collections::HashSet;

/// A text format that a scraper can request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Version 0.0.4 of the Prometheus text format, which every scraper supports.
    Text,
}

impl Format {
    /// Selects the format for a request with these `Accept` headers.
    #[must_use]
    pub fn accepted_by<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let accepts = |header: &[u8]| String::from_utf8_lossy(header).contains("application/openmetrics-text");
        if accept.into_iter().any(accepts) { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of the response.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts OpenMetrics to the older format, in which the metadata of a counter has the suffix `_total` too, and which
/// has neither `UNIT` nor `EOF` lines.
pub(crate) fn to_older_text(open_metrics: &str) -> String {
    let is_counter = |line: &str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(ToOwned::to_owned);
    let counters: HashSet<_> = open_metrics.lines().filter_map(is_counter).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_the_format_by_the_accept_header() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let accepted_by = |headers: &[&str]| Format::accepted_by(headers.iter().map(|header| header.as_bytes()));
        assert_eq!(accepted_by(&[prometheus]), Format::OpenMetrics);
        assert_eq!(accepted_by(&["text/html,*/*", prometheus]), Format::OpenMetrics);
        assert_eq!(accepted_by(&["text/html,*/*"]), Format::Text);
        assert_eq!(accepted_by(&[]), Format::Text);
    }

    #[test]
    fn older_format_has_total_suffix_in_counter_metadata() {
        let open_metrics =
            "# HELP a Some a.\n# TYPE a counter\n# UNIT a seconds\na_total 1\n# TYPE b gauge\nb 2.0\n# EOF\n";
        let older = "# HELP a_total Some a.\n# TYPE a_total counter\na_total 1\n# TYPE b gauge\nb 2.0\n";
        assert_eq!(to_older_text(open_metrics), older);
    }
}
