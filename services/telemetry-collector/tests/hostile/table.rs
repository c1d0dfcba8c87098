//! The table of results that is printed after all cases.

use std::fmt::Write;
use std::time::Duration;

use super::meanwhile::Answers;
use crate::support::cases::Rows;

/// Result of a case.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done, with counts.
    pub attack: String,
    /// How a client was answered that means well.
    pub answers: Answers,
    /// Growth of the collector's memory, at its peak.
    pub grown_kib: u64,
    /// Messages meanwhile.
    pub ticks: usize,
    /// The greatest delay of a tick.
    pub latest: Duration,
}

/// Formats the table, between a heading and an empty line, by which scripts/test.sh finds it.
pub fn render(rows: &Rows<Row>) -> String {
    let mut text = String::from("Hostile cases:\n");
    line(&mut text, ["case", "answered", "slowest", "memory", "ticks", "latest", "attack"].map(str::to_owned));
    for (case, row) in rows {
        let case = case.replace('_', " ");
        let cells = match row {
            Some(Row { attack, answers, grown_kib, ticks, latest }) => [
                case,
                answers.calls.to_string(),
                milliseconds(answers.slowest),
                format!("+{:.1} MiB", *grown_kib as f64 / 1024.0),
                ticks.to_string(),
                milliseconds(*latest),
                attack.clone(),
            ],
            None => [case, "FAILED".into(), "".into(), "".into(), "".into(), "".into(), "".into()],
        };
        line(&mut text, cells);
    }
    text.push('\n');
    text
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn line(text: &mut String, [case, answered, slowest, memory, ticks, latest, attack]: [String; 7]) {
    let row = format!("{case:<48} {answered:>8} {slowest:>8} {memory:>10} {ticks:>5} {latest:>7}  {attack}");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", row.trim_end());
}
