//! `telemetryctl capabilities`: what each host provides, and why it does not provide the rest.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use telemetry_client::control::{Capabilities, GroupCapabilities};
use telemetry_proto::v1::{self as proto, GetCapabilitiesResponse, UnavailableField, UnavailableReason};

use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::messages::unavailable;
use crate::output::{Cell, Output, Paint, Style, Table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output) -> io::Result<Exit> {
    let answers = session.ask(|client| async move { client.capabilities().await }).await;
    output.answers(&answers, json, text)?;
    Ok(answers.exit())
}

fn json(capabilities: &Capabilities) -> serde_json::Result<Value> {
    let group = |group: &GroupCapabilities| {
        let unavailable = group.unavailable.iter();
        proto::GroupCapabilities {
            group: group.group.clone(),
            available: group.available.clone(),
            unavailable: unavailable.map(|field| UnavailableField::new(&field.field, field.reason)).collect(),
            error: group.error.clone(),
        }
    };
    serde_json::to_value(GetCapabilitiesResponse { groups: capabilities.groups.iter().map(group).collect() })
}

/// A field and whether it has a value, with the targets of which that is so.
fn text(answers: &Answers<Capabilities>, paint: Paint) -> String {
    let mut rows: BTreeMap<(&str, &str, Option<UnavailableReason>), Vec<&str>> = BTreeMap::new();
    let mut errors = Vec::new();
    for (target, capabilities) in answers.ok() {
        for group in &capabilities.groups {
            let available = group.available.iter().map(|field| (field.as_str(), None));
            let unavailable = group.unavailable.iter().map(|field| (field.field.as_str(), Some(field.reason)));
            for (field, state) in available.chain(unavailable) {
                rows.entry((&group.group, field, state)).or_default().push(target);
            }
            errors.extend(group.error.as_ref().map(|error| format!("{target}: {}: {error}\n", group.group)));
        }
    }
    let mut table = Table::new(["GROUP", "FIELD", "AVAILABLE", "TARGETS"]);
    if !answers.is_many() {
        table = Table::new(["GROUP", "FIELD", "AVAILABLE"]);
    }
    for ((group, field, state), targets) in rows {
        let mut row = vec![Cell::from(group), Cell::from(field), state_cell(state)];
        if answers.is_many() {
            let is_all = targets.len() == answers.ok().count();
            row.push(Cell::from(if is_all { "all".to_owned() } else { targets.join(" ") }));
        }
        table.row(row);
    }
    table.render(paint)
        + &errors.into_iter().map(|error| crate::output::clean(error.trim_end()) + "\n").collect::<String>()
}

fn state_cell(state: Option<UnavailableReason>) -> Cell {
    match state {
        None => Cell::new("yes", Style::Good),
        Some(reason @ (UnavailableReason::NoPermission | UnavailableReason::ReadFailed)) => {
            Cell::new(&format!("no: {}", unavailable(reason)), Style::Warning)
        }
        Some(reason) => Cell::new(&format!("no: {}", unavailable(reason)), Style::Dim),
    }
}
