//! Screens of several widths beside their goldens. `UPDATE_GOLDENS=1` writes them anew: look at them then.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};
use std::{env, fs};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use telemetry_client::WatchEvent;
use telemetry_proto::v1::{
    CoreMetrics, CpuFrequencies, CpuMetrics, DeliveryState, GapReason, HealthStatus, LoadAverages, TelemetryData,
    TelemetryMessage, TelemetryMetadata,
};

use super::super::feed::Update;
use super::super::model::{Component, Condition};
use super::*;

/// The screen as text, without the space at the ends of lines.
fn screen(width: u16, height: u16, hosts: &[Host]) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let view = View { hosts, selected: 0, is_colored: false, now: now() };
    terminal.draw(|frame| draw(frame, &view)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

#[track_caller]
fn assert_golden(name: &str, golden: &str, shown: &str) {
    if env::var_os("UPDATE_GOLDENS").is_some() {
        let path = format!("{}/src/commands/watch/view/goldens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        fs::write(path, shown).unwrap();
        return;
    }
    assert_eq!(shown, golden, "{name}:\n{shown}");
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn message(sequence: u64, cores: u32) -> TelemetryMessage {
    let metadata = TelemetryMetadata {
        hostname: "web-7".to_owned(),
        kernel: "6.18.44".to_owned(),
        arch: "x86_64".to_owned(),
        collector_version: "0.1.0".to_owned(),
        interval: Some(Duration::from_secs(1).into()),
        ..TelemetryMetadata::default()
    };
    let core =
        |number: u32| CoreMetrics { usage_percent: Some(f64::from((number * 37) % 101)), ..CoreMetrics::new(number) };
    let cpu = CpuMetrics {
        usage_percent: (sequence > 1).then(|| (sequence * 7 % 100) as f64),
        load_averages: Some(LoadAverages { one: 4.37, five: 5.34, fifteen: 5.33 }),
        frequencies: Some(CpuFrequencies { current_mhz: Some(2596.12), ..CpuFrequencies::default() }),
        temperature_celsius: Some(55.25),
        ..CpuMetrics::new((0..cores).map(core).collect())
    };
    let data = TelemetryData::new(metadata, cpu);
    TelemetryMessage {
        instance_id: "i".to_owned(),
        sequence,
        payload: Some(data.into()),
        ..TelemetryMessage::default()
    }
}

fn component(name: &str, status: HealthStatus, last_error: Option<&str>) -> Component {
    let since = Some(now() - Duration::from_secs(3605));
    Component { name: name.to_owned(), status, since, last_error: last_error.map(str::to_owned) }
}

/// A host whose Redis is away: most messages are delivered, three are lost, four wait.
fn host(target: &str, cores: u32) -> Host {
    let mut host = Host::new(target);
    let delivered =
        |numbers, state, reason| Update::Event(WatchEvent::Delivery { numbers: vec![numbers], state, reason });
    host.apply(Update::Begun);
    for sequence in 1..=60 {
        host.apply(Update::Event(WatchEvent::Message(Box::new(message(sequence, cores)))));
    }
    host.apply(delivered(1..=53, DeliveryState::Acknowledged, None));
    host.apply(delivered(54..=56, DeliveryState::Lost, Some(GapReason::OutboxFull)));
    host.health = Some(Condition {
        status: HealthStatus::Degraded,
        components: vec![
            component("sampler", HealthStatus::Serving, Some("an old error")),
            component("sink", HealthStatus::Degraded, Some("not reachable: Connection refused")),
            component("control", HealthStatus::Serving, None),
        ],
    });
    host
}

fn fleet() -> Vec<Host> {
    let mut down = Host::new("web-8:50051");
    down.link = Link::Down("cannot watch the collector: not available".to_owned());
    vec![host("web-7:50051", 8), down, Host::new("web-9:50051")]
}

#[test]
fn shows_one_host_on_a_narrow_screen() {
    let shown = screen(40, 28, &[host("web-7:50051", 4)]);
    assert_golden("one-40", include_str!("goldens/one-40.txt"), &shown);
}

#[test]
fn shows_one_host_on_a_usual_screen() {
    let shown = screen(80, 24, &[host("web-7:50051", 8)]);
    assert_golden("one-80", include_str!("goldens/one-80.txt"), &shown);
}

#[test]
fn shows_256_cores_as_bars_on_a_wide_screen() {
    let shown = screen(200, 50, &[host("web-7:50051", 256)]);
    assert_golden("one-200", include_str!("goldens/one-200.txt"), &shown);
}

#[test]
fn shows_256_cores_as_blocks_where_there_is_no_room_for_bars() {
    let shown = screen(80, 24, &[host("web-7:50051", 256)]);
    assert_golden("blocks-80", include_str!("goldens/blocks-80.txt"), &shown);
}

#[test]
fn shows_several_targets_above_the_selected_one() {
    let shown = screen(100, 36, &fleet());
    assert_golden("fleet-100", include_str!("goldens/fleet-100.txt"), &shown);
}

#[test]
fn shows_several_targets_on_a_narrow_screen() {
    let shown = screen(40, 36, &fleet());
    assert_golden("fleet-40", include_str!("goldens/fleet-40.txt"), &shown);
}

#[test]
fn shows_a_screen_before_the_first_answer() {
    let shown = screen(80, 24, &[Host::new("web-9:50051")]);
    assert_golden("empty-80", include_str!("goldens/empty-80.txt"), &shown);
}

#[test]
fn fits_every_screen() {
    let hosts = fleet();
    for cores in [0, 1, 2, 255, 256] {
        for (width, height) in [(1, 1), (2, 2), (5, 50), (10, 3), (40, 10), (300, 4), (300, 100)] {
            screen(width, height, &[host("web-7:50051", cores)]);
            screen(width, height, &hosts);
        }
    }
}

#[test]
fn paints_only_when_asked() {
    for is_colored in [false, true] {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let hosts = [host("web-7:50051", 8)];
        terminal.draw(|frame| draw(frame, &View { hosts: &hosts, selected: 0, is_colored, now: now() })).unwrap();
        let is_painted = terminal.backend().buffer().content.iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(is_painted, is_colored);
    }
}
