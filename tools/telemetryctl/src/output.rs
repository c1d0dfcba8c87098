//! Results as text for people or JSON for programs.

mod health;
mod style;
mod table;
mod value;

use std::env;
use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

pub(crate) use self::health::{health_name, health_style};
pub(crate) use self::style::{Paint, Style};
pub(crate) use self::table::{Cell, Table};
pub(crate) use self::value::{celsius, clean, elapsed, number, percent, span, time};
use crate::cli::{Format, OutputArgs, When};
use crate::fan_out::Answers;

/// Where results go, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    paint: Paint,
}

impl Output {
    /// As the arguments, `NO_COLOR` and the terminal say.
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = match args.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && !no_color && env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        Self { format: args.output, paint: Paint::new(colored && args.output == Format::Text) }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// The colours of text.
    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether text is coloured.
    pub(crate) fn is_colored(&self) -> bool {
        self.paint.is_on()
    }
    /// Writes every answer: as JSON, or as `text` with a line for each failure on standard error.
    pub(crate) fn answers<T>(
        &self,
        answers: &Answers<T>,
        json: impl Fn(&T) -> serde_json::Result<Value>,
        text: impl FnOnce(&Answers<T>, Paint) -> String,
    ) -> io::Result<()> {
        if self.is_json() {
            return write_json(&document(answers, json)?);
        }
        let mut shown = if answers.ok().next().is_some() { text(answers, self.paint) } else { String::new() };
        if answers.is_many() {
            shown.push_str(&summary(answers));
        }
        write(&shown)?;
        for (target, failure) in answers.failures() {
            warn(&format!("{target}: {failure}"));
        }
        Ok(())
    }
}

/// `{"results": [{"target", "ok" | "error"}], "summary": {…}}`
fn document<T>(answers: &Answers<T>, json: impl Fn(&T) -> serde_json::Result<Value>) -> serde_json::Result<Value> {
    let result = |answer: &crate::fan_out::Answer<T>| {
        Ok(match &answer.result {
            Ok(ok) => json!({"target": answer.target, "ok": json(ok)?}),
            Err(error) => json!({"target": answer.target, "error": error}),
        })
    };
    let results: serde_json::Result<Vec<_>> = answers.0.iter().map(result).collect();
    let (ok, failed) = (answers.ok().count(), answers.failures().count());
    Ok(json!({"results": results?, "summary": {"targets": answers.0.len(), "ok": ok, "failed": failed}}))
}

fn summary<T>(answers: &Answers<T>) -> String {
    let failed = answers.failures().count();
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("{} targets: {} answered{failed}\n", answers.0.len(), answers.ok().count())
}

/// Writes text to standard output.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a document to standard output.
pub(crate) fn write_json(document: &Value) -> io::Result<()> {
    write(&format!("{document:#}\n"))
}

/// Writes a line to standard error.
pub(crate) fn warn(line: &str) {
    let line = clean(line);
    // There is nobody to tell that standard error is closed.
    let _ = writeln!(io::stderr(), "telemetryctl: {line}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Failure;
    use crate::fan_out::Answer;

    fn answers() -> Answers<u32> {
        let failure = Failure::timed_out(Duration::from_secs(1));
        Answers(vec![
            Answer { target: "a".to_owned(), result: Ok(7) },
            Answer { target: "b".to_owned(), result: Err(failure) },
        ])
    }

    #[test]
    fn writes_results_with_a_summary_as_json() {
        let document = document(&answers(), |number| Ok(json!(number))).unwrap();
        assert_eq!(document["results"][0], json!({"target": "a", "ok": 7}));
        assert_eq!(document["results"][1]["target"], "b");
        assert_eq!(document["results"][1]["error"]["kind"], "timed_out");
        assert_eq!(document["summary"], json!({"targets": 2, "ok": 1, "failed": 1}));
    }

    #[test]
    fn sums_up_many_targets() {
        assert_eq!(summary(&answers()), "2 targets: 1 answered, 1 failed\n");
    }
}
