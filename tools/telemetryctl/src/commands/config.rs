//! `telemetryctl config`: the settings in force and where each comes from. Of many collectors, those that differ come first.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use telemetry_client::control::{Config, ConfigSetting};
use telemetry_proto::v1::{GetConfigResponse, Setting, SettingOrigin};

use crate::exit::Exit;
use crate::fan_out::Answers;
use crate::output::{Cell, Output, Paint, Style, Table};
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
        ..Setting::default()
    };
    serde_json::to_value(GetConfigResponse { settings: config.settings.iter().map(setting).collect() })
}

fn text(answers: &Answers<Config>, paint: Paint) -> String {
    let configs: Vec<_> = answers.ok().collect();
    let (mut same, mut different) = (Table::new(["SETTING", "VALUE", "ORIGIN"]), None);
    for name in names(&configs) {
        let values = values(&configs, name);
        match values.as_slice() {
            [((value, origin), targets)] if targets.len() == configs.len() => {
                same.row([Cell::from(name), Cell::from(value), origin_cell(*origin)]);
            }
            values => {
                let table = different.get_or_insert_with(|| Table::new(["DIFFERS", "VALUE", "ORIGIN", "TARGETS"]));
                for (index, ((value, origin), targets)) in values.iter().enumerate() {
                    let name = if index == 0 { name } else { "" };
                    table.row([
                        Cell::new(name, Style::Warning),
                        Cell::from(value),
                        origin_cell(*origin),
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

type Valued<'a> = ((&'a str, SettingOrigin), Vec<&'a str>);

/// The values of a setting, each with the collectors that have it.
fn values<'a>(configs: &[(&'a str, &'a Config)], name: &str) -> Vec<Valued<'a>> {
    let mut values: BTreeMap<(&str, i32), Valued<'a>> = BTreeMap::new();
    for (target, config) in configs {
        if let Some(ConfigSetting { value, origin, .. }) = config.setting(name) {
            let entry = values.entry((value, (*origin).into())).or_insert_with(|| ((value, *origin), Vec::new()));
            entry.1.push(target);
        }
    }
    values.into_values().collect()
}

fn origin_cell(origin: SettingOrigin) -> Cell {
    match origin {
        SettingOrigin::Unspecified => Cell::new("unknown", Style::Dim),
        SettingOrigin::Default => Cell::new("default", Style::Dim),
        SettingOrigin::Environment => Cell::from("environment"),
        SettingOrigin::File => Cell::from("file"),
        SettingOrigin::Control => Cell::new("control", Style::Warning),
    }
}
