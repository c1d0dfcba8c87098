//! The table of results that is printed after all cases.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::meanwhile::Answers;

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

/// The results of all cases. Clones share the same table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Arc<Mutex<BTreeMap<String, Option<Row>>>>,
}

impl Table {
    /// Adds a case. It counts as failed until it has [passed](Self::passed).
    pub fn started(&self, case: &str) {
        self.set(case, None);
    }

    pub fn passed(&self, case: &str, row: Row) {
        self.set(case, Some(row));
    }

    fn set(&self, case: &str, row: Option<Row>) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(case.to_owned(), row);
    }

    /// Formats the table, between a heading and an empty line, by which scripts/test.sh finds it.
    pub fn render(&self) -> String {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("Hostile cases:\n");
        line(&mut text, ["case", "answered", "slowest", "memory", "ticks", "latest", "attack"].map(str::to_owned));
        for (case, row) in rows.iter() {
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
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn line(text: &mut String, [case, answered, slowest, memory, ticks, latest, attack]: [String; 7]) {
    let row = format!("{case:<48} {answered:>8} {slowest:>8} {memory:>10} {ticks:>5} {latest:>7}  {attack}");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", row.trim_end());
}
