//! `telemetryctl config`: the settings in force and where each comes from. Of many collectors, those that differ come first.

use std::io;

use serde_json::Value;
use telemetry_client::control::{Config, ConfigSetting};
use telemetry_proto::v1::{GetConfigResponse, Setting, SettingOrigin};

use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::output::{Cell, Output, Paint, Style, Table, time};
use crate::session::Session;

pub(crate) async fn run(session: &Session, output: &Output) -> io::Result<Exit> {
    let answers = session.ask(|client| async move { client.config().await }).await;
    output.answers(&answers, json, text)?;
    Ok(answers.exit())
}

fn json(config: &Config) -> serde_json::Result<Value> {
    let setting = |setting: &ConfigSetting| Setting {
        name: setting.name.clone(),
        value: setting.value.clone(),
        origin: setting.origin.into(),
        reverts_at: setting.reverts_at.map(Into::into),
    };
    serde_json::to_value(GetConfigResponse { settings: config.settings.iter().map(setting).collect() })
}

fn text(answers: &Answers<Config>, paint: Paint) -> String {
    let configs: Vec<_> = answers.ok().collect();
    let (mut same, mut different) = (Table::new(["SETTING", "VALUE", "ORIGIN"]), None);
    for name in names(&configs) {
        let values = values(&configs, name);
        match values.as_slice() {
            [(setting, targets)] if targets.len() == configs.len() => {
                same.row([Cell::from(name), Cell::from(&setting.value), origin(setting)]);
            }
            values => {
                let table = different.get_or_insert_with(|| Table::new(["DIFFERS", "VALUE", "ORIGIN", "TARGETS"]));
                for (index, (setting, targets)) in values.iter().enumerate() {
                    let name = if index == 0 { name } else { "" };
                    table.row([
                        Cell::new(name, Style::Warning),
                        Cell::from(&setting.value),
                        origin(setting),
                        Cell::from(targets.join(" ")),
                    ]);
                }
            }
        }
    }
    let different = different.map(|table| table.render(paint) + "\n").unwrap_or_default();
    different + &same.render(paint)
}

/// Every name, in the order of the first collector that has it.
fn names<'a>(configs: &[(&str, &'a Config)]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for setting in configs.iter().flat_map(|(_, config)| &config.settings) {
        if !names.contains(&setting.name.as_str()) {
            names.push(&setting.name);
        }
    }
    names
}

/// The values of a setting, each with the collectors that have it.
fn values<'a>(configs: &[(&'a str, &'a Config)], name: &str) -> Vec<(&'a ConfigSetting, Vec<&'a str>)> {
    let mut values: Vec<(&ConfigSetting, Vec<&str>)> = Vec::new();
    for (target, config) in configs {
        let Some(setting) = config.setting(name) else { continue };
        match values.iter_mut().find(|(known, _)| *known == setting) {
            Some((_, targets)) => targets.push(target),
            None => values.push((setting, vec![target])),
        }
    }
    values
}

/// Where a value comes from, and until when.
fn origin(setting: &ConfigSetting) -> Cell {
    match setting.origin {
        SettingOrigin::Unspecified => Cell::new("unknown", Style::Dim),
        SettingOrigin::Default => Cell::new("default", Style::Dim),
        SettingOrigin::Environment => Cell::from("environment"),
        SettingOrigin::File => Cell::from("file"),
        SettingOrigin::Control => {
            let until = setting.reverts_at.map(|at| format!(" until {}", time(Some(at)))).unwrap_or_default();
            Cell::new(&format!("control{until}"), Style::Warning)
        }
    }
}
