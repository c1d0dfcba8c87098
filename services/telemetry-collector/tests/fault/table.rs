//! The table of results that is printed after all cases.

use std::fmt::Write;

use super::ledger::Totals;
use crate::support::cases::Rows;

/// Result of a case.
#[derive(Debug, Clone)]
pub struct Row {
    /// The injected faults, with counts.
    pub faults: String,
    pub totals: Totals,
    /// Additional lines.
    pub notes: Vec<String>,
}

/// Formats the table, between a heading and an empty line, by which scripts/test.sh finds it.
pub fn render(rows: &Rows<Row>) -> String {
    let mut text = String::from("Fault cases:\n");
    let heading = ["case", "sampled", "delivered", "in gap records", "duplicates", "faults injected"];
    line(&mut text, heading.map(str::to_owned));
    for (case, row) in rows {
        let case = case.replace('_', " ");
        match row {
            Some(Row { faults, totals, notes }) => {
                let Totals { sampled, delivered, named, duplicates } = totals;
                let [sampled, delivered, named, duplicates] =
                    [sampled.to_string(), delivered.to_string(), named.to_string(), duplicates.to_string()];
                line(&mut text, [case, sampled, delivered, named, duplicates, faults.clone()]);
                notes.iter().for_each(|note| {
                    line(&mut text, ["".into(), "".into(), "".into(), "".into(), "".into(), note.clone()])
                });
            }
            None => {
                line(&mut text, [case, "FAILED".to_owned(), String::new(), String::new(), String::new(), String::new()])
            }
        }
    }
    text.push('\n');
    text
}

fn line(text: &mut String, [case, sampled, delivered, named, duplicates, faults]: [String; 6]) {
    let row = format!("{case:<44} {sampled:>8} {delivered:>10} {named:>15} {duplicates:>11}  {faults}");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", row.trim_end());
}
