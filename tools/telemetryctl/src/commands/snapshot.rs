//! `telemetryctl snapshot`: the latest sample of each collector.

use std::io;

use serde_json::{Map, Value, json};
use telemetry_client::control::{GroupSnapshot, Snapshot};
use telemetry_proto::v1::{CpuStates, TelemetryMessage};
use telemetry_proto::well_known;

use crate::cli::SnapshotArgs;
use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::messages::{interval, message_json, sample};
use crate::output::{Cell, Output, Paint, Table, celsius, clean, number, percent, span};
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output, args: &SnapshotArgs) -> io::Result<Exit> {
    let max_age = args.max_age;
    let answers = session
        .ask(|client| async move {
            match max_age {
                Some(max_age) => client.snapshot_within(max_age).await,
                None => client.snapshot().await,
            }
        })
        .await;
    output.answers(&answers, json, text)?;
    Ok(answers.exit())
}

/// `GetSnapshotResponse` in the schema's JSON.
fn json(snapshot: &Snapshot) -> serde_json::Result<Value> {
    let groups: serde_json::Result<Vec<_>> = snapshot.groups.iter().map(group_json).collect();
    let mut document = Map::new();
    document.insert("message".to_owned(), message_json(&snapshot.message)?);
    document.insert("age".to_owned(), serde_json::to_value(well_known::Duration::from(snapshot.age))?);
    document.insert("snapshots".to_owned(), groups?.into());
    Ok(document.into())
}

fn group_json(snapshot: &GroupSnapshot) -> serde_json::Result<Value> {
    let age = serde_json::to_value(well_known::Duration::from(snapshot.age))?;
    Ok(json!({"group": snapshot.group, "message": message_json(&snapshot.message)?, "age": age}))
}

fn text(answers: &Answers<Snapshot>, paint: Paint) -> String {
    let mut table = Table::new(["TARGET", "HOST", "CPU", "LOAD 1M", "TEMP", "CORES", "INTERVAL", "AGE", "MESSAGE"]);
    for (target, snapshot) in answers.ok() {
        for group in &snapshot.groups {
            let Some((metadata, cpu)) = sample(&group.message) else { continue };
            table.row([
                Cell::from(target),
                Cell::from(&metadata.hostname),
                Cell::from(percent(cpu.usage_percent)),
                Cell::from(number(cpu.load_averages.as_ref().map(|load| load.one))),
                Cell::from(celsius(cpu.temperature_celsius)),
                Cell::from(cpu.logical_count.to_string()),
                Cell::from(interval(metadata).map_or_else(|| "-".to_owned(), span)),
                Cell::from(span(group.age)),
                Cell::from(group.message.sequence.to_string()),
            ]);
        }
    }
    let mut text = table.render(paint);
    if let (false, Some((_, snapshot))) = (answers.is_many(), answers.ok().next()) {
        text.extend(snapshot.groups.iter().filter_map(|group| details(&group.message, paint)));
    }
    text
}

/// Everything else about a single host.
fn details(message: &TelemetryMessage, paint: Paint) -> Option<String> {
    let (metadata, cpu) = sample(message)?;
    let system = [metadata.os.as_str(), &metadata.kernel, &metadata.arch, &cpu.model];
    let system: Vec<_> = system.into_iter().filter(|text| !text.is_empty()).collect();
    let mut cores = Table::new(["CORE", "CPU", "USER", "SYSTEM", "IOWAIT", "STEAL", "MHZ", "TEMP"]);
    for core in &cpu.cores {
        let state = |share: fn(&CpuStates) -> f64| percent(core.states.as_ref().map(share));
        cores.row([
            Cell::from(core.core_id.to_string()),
            Cell::from(percent(core.usage_percent)),
            Cell::from(state(|states| states.user_percent)),
            Cell::from(state(|states| states.system_percent)),
            Cell::from(state(|states| states.iowait_percent)),
            Cell::from(state(|states| states.steal_percent)),
            Cell::from(core.frequency_mhz.map_or_else(|| "-".to_owned(), |mhz| format!("{mhz:.0}"))),
            Cell::from(celsius(core.temperature_celsius)),
        ]);
    }
    Some(format!("\n{}\n\n{}", clean(&system.join(", ")), cores.render(paint)))
}
