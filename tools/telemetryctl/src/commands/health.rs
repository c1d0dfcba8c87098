//! `telemetryctl health`: the status of collectors and of their components.

use std::io;
use std::time::SystemTime;

use serde_json::Value;
use telemetry_client::control::{ComponentHealth, Health};
use telemetry_proto::v1::{self as proto, HealthResponse, HealthStatus};

use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::output::{Cell, Output, Paint, Style, Table, elapsed, health_name, health_style};
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output) -> io::Result<Exit> {
    let answers = session.ask(|client| async move { client.health().await }).await;
    output.answers(&answers, json, text)?;
    Ok(exit(answers.exit(), answers.ok().map(|(_, health)| health.status)))
}

/// A target that failed comes before one that answered that it is not well.
fn exit(failed: Exit, statuses: impl IntoIterator<Item = HealthStatus>) -> Exit {
    if failed != Exit::Ok {
        return failed;
    }
    let exit_of = |status| match status {
        HealthStatus::Serving => Exit::Ok,
        HealthStatus::Degraded => Exit::Degraded,
        HealthStatus::Starting | HealthStatus::NotServing | HealthStatus::Unspecified => Exit::NotServing,
    };
    statuses.into_iter().map(exit_of).max_by_key(|exit| exit.code()).unwrap_or(Exit::Ok)
}

fn json(health: &Health) -> serde_json::Result<Value> {
    let component = |component: &ComponentHealth| proto::ComponentHealth {
        name: component.name.clone(),
        status: component.status.into(),
        since: component.since.map(Into::into),
        last_error: component.last_error.clone(),
        counters: component.counters.clone(),
    };
    let components = health.components.iter().map(component).collect();
    serde_json::to_value(HealthResponse { status: health.status.into(), components })
}

fn text(answers: &Answers<Health>, paint: Paint) -> String {
    let now = SystemTime::now();
    let mut table = Table::new(["TARGET", "COMPONENT", "STATUS", "FOR", "LAST ERROR"]);
    for (target, health) in answers.ok() {
        table.row([Cell::from(target), Cell::from("collector"), status(health.status)]);
        for component in &health.components {
            table.row([
                Cell::from(""),
                Cell::from(format!("  {}", component.name)),
                status(component.status),
                Cell::from(elapsed(component.since, now)),
                Cell::new(&last_error(component.last_error.as_deref(), component.status), Style::Dim),
            ]);
        }
    }
    let mut text = table.render(paint);
    if let (false, Some((_, health))) = (answers.is_many(), answers.ok().next()) {
        text.push_str(&counters(health, paint));
    }
    text
}

/// The last error of a component. One that is over is marked.
fn last_error(error: Option<&str>, status: HealthStatus) -> String {
    match (error, status) {
        (None, _) => String::new(),
        (Some(error), HealthStatus::Serving) => format!("(earlier) {error}"),
        (Some(error), _) => error.to_owned(),
    }
}

/// What the components of a single collector have counted since it started.
fn counters(health: &Health, paint: Paint) -> String {
    let mut table = Table::new(["COUNTER", "COMPONENT", "SINCE START"]);
    let mut is_empty = true;
    for component in &health.components {
        for (name, count) in &component.counters {
            table.row([Cell::from(name), Cell::from(&component.name), Cell::from(count.to_string())]);
            is_empty = false;
        }
    }
    if is_empty { String::new() } else { format!("\n{}", table.render(paint)) }
}

fn status(status: HealthStatus) -> Cell {
    Cell::new(health_name(status), health_style(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_status_gives_the_exit_code() {
        use HealthStatus::{Degraded, NotServing, Serving, Starting};
        for (statuses, expected) in [
            (&[Serving, Serving][..], Exit::Ok),
            (&[Serving, Degraded], Exit::Degraded),
            (&[NotServing, Degraded], Exit::NotServing),
            (&[Serving, Starting], Exit::NotServing),
        ] {
            assert_eq!(exit(Exit::Ok, statuses.iter().copied()), expected, "{statuses:?}");
        }
    }

    #[test]
    fn marks_an_error_that_is_over() {
        assert_eq!(last_error(Some("no"), HealthStatus::Serving), "(earlier) no");
        assert_eq!(last_error(Some("no"), HealthStatus::Degraded), "no");
    }

    #[test]
    fn a_target_that_failed_counts_more_than_any_status() {
        assert_eq!(exit(Exit::SomeFailed, [HealthStatus::NotServing]), Exit::SomeFailed);
        assert_eq!(exit(Exit::AllFailed, []), Exit::AllFailed);
    }
}
