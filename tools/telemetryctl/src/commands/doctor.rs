//! `telemetryctl doctor`: looks at everything that a collector needs, and says what to do. It changes nothing.

mod check;
mod clock;
mod collector;
mod disk;
mod permissions;
mod redis;
mod sensors;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use telemetry_client::ControlClient;

use self::check::{Check, Verdict};
use self::collector::Facts;
use super::CommandError;
use crate::cli::QueueArgs;
use crate::exit::Exit;
use crate::fan_out::Target;
use crate::output::{self, Cell, Output, Table};
use crate::queue::QueueVariables;
use crate::session::Session;

/// What was found of a target.
struct Report {
    target: String,
    checks: Vec<Check>,
}

pub(crate) async fn run(session: &Session, output: &Output, args: &QueueArgs) -> Result<Exit, CommandError> {
    let here = QueueVariables::here(args);
    // A mistake in the environment is one of the caller, not of a collector.
    here.clone().read()?;
    let examine = |target: &Target| {
        let (target, here) = (target.clone(), here.clone());
        async move { examine(session, target, here).await }
    };
    let examined: Vec<_> = session.targets.iter().map(examine).collect();
    let reports: Vec<_> = stream::iter(examined).buffered(session.limits.parallel).collect().await;
    if output.is_json() {
        write_json(&reports)?
    } else {
        write_text(&reports, output)?
    }
    Ok(match worst(&reports) {
        Verdict::Ok => Exit::Ok,
        Verdict::Warn => Exit::Degraded,
        Verdict::Fail => Exit::NotServing,
    })
}

async fn examine(session: &Session, target: Target, here: QueueVariables) -> Report {
    let Target { name, client, is_local } = target;
    let (mut checks, facts) = match client {
        Ok(client) => about_collector(session, client, is_local).await,
        Err(failure) => (vec![Check::failure("collector", &failure)], None),
    };
    checks.extend(redis::checks(facts.as_ref(), here, session.limits.timeout).await);
    Report { target: name, checks }
}

async fn about_collector(session: &Session, client: ControlClient, is_local: bool) -> (Vec<Check>, Option<Facts>) {
    let facts = match Facts::gather(&client, session.limits.timeout).await {
        Ok(facts) => facts,
        Err(failure) => return (vec![Check::failure("collector", &failure)], None),
    };
    let mut checks = collector::checks(&facts);
    checks.extend(disk::checks(&facts, is_local));
    checks.extend(clock::check(&facts));
    checks.extend(sensors::checks(&facts));
    (checks, Some(facts))
}

fn worst(reports: &[Report]) -> Verdict {
    let verdicts = reports.iter().flat_map(|report| &report.checks).map(|check| check.verdict);
    verdicts.max().unwrap_or(Verdict::Ok)
}

fn write_json(reports: &[Report]) -> std::io::Result<()> {
    let results: Vec<_> =
        reports.iter().map(|report| json!({"target": report.target, "ok": {"checks": report.checks}})).collect();
    let mut summary = BTreeMap::from([("targets", reports.len()), ("ok", 0), ("warn", 0), ("fail", 0)]);
    for check in reports.iter().flat_map(|report| &report.checks) {
        *summary.entry(check.verdict.name()).or_default() += 1;
    }
    output::write_json(&json!({"results": results, "summary": summary}))
}

fn write_text(reports: &[Report], output: &Output) -> std::io::Result<()> {
    let mut text = String::new();
    for report in reports {
        if reports.len() > 1 {
            text.push_str(&format!("{}\n", output::clean(&report.target)));
        }
        let mut table = Table::new([""; 0]);
        for Check { name, verdict, message, remedy } in &report.checks {
            let what = remedy.as_ref().map_or_else(|| message.clone(), |remedy| format!("{message}; {remedy}"));
            table.row([Cell::new(verdict.name(), verdict.style()), Cell::from(name), Cell::from(what)]);
        }
        text.push_str(table.render(output.paint()).trim_start_matches('\n'));
    }
    output::write(&text)
}
