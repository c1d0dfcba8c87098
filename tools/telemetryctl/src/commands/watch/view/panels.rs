//! The panels of the selected target, besides its cores.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, RenderDirection, Sparkline, Wrap};
use telemetry_proto::v1::{CpuMetrics, DeliveryState, HealthStatus};

use super::super::model::{Component, Link};
use super::{Host, View, rows};
use crate::messages::reason;
use crate::output::{celsius, clean, elapsed, health_name, percent};

/// Lines of an error; the rest of it is cut off.
const LONGEST_ERROR: usize = 3;

/// The course of the usage, the newest sample at the right.
pub(super) fn course(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, host: &Host) {
    let cpu = host.latest.as_ref().map(|(_, cpu)| cpu);
    let usage = cpu.and_then(|cpu| cpu.usage_percent);
    let block = Block::bordered().title(format!(" CPU {} ", percent(usage))).title_bottom(facts(cpu));
    let values = host.history.iter().map(|usage| usage.map(whole)).collect::<Vec<_>>();
    let sparkline = Sparkline::default()
        .data(values)
        .max(100)
        .direction(RenderDirection::RightToLeft)
        .style(view.color(Color::Cyan))
        .absent_value_symbol(" ")
        .block(block);
    frame.render_widget(sparkline, area);
}

/// Load, frequency and temperature, as far as they are known.
fn facts(cpu: Option<&CpuMetrics>) -> String {
    let Some(cpu) = cpu else { return String::new() };
    let mut facts = Vec::new();
    if let Some(load) = &cpu.load_averages {
        facts.push(format!("load {:.2} {:.2} {:.2}", load.one, load.five, load.fifteen));
    }
    if let Some(mhz) = cpu.frequencies.as_ref().and_then(|frequencies| frequencies.current_mhz) {
        facts.push(format!("{mhz:.0} MHz"));
    }
    if cpu.temperature_celsius.is_some() {
        facts.push(celsius(cpu.temperature_celsius));
    }
    if facts.is_empty() { String::new() } else { format!(" {} ", facts.join("  ")) }
}

/// What becomes of the messages.
pub(super) fn delivery(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, host: &Host) {
    let delivery = &host.delivery;
    let lost = delivery.lost();
    let lost_style = if lost > 0 { view.alarm() } else { Style::new() };
    let mut counts = Line::raw(format!("pending {}  acknowledged {}  ", delivery.pending(), delivery.acknowledged));
    counts.push_span(Span::styled(format!("lost {lost}"), lost_style));
    let mut notes: Vec<_> = delivery.lost.iter().map(|(why, count)| format!("{}: {count}", reason(*why))).collect();
    if delivery.missed > 0 {
        notes.push(format!("{} events missed here", delivery.missed));
    }
    let width = usize::from(area.width.saturating_sub(2));
    let lines = vec![counts, recent(view, host, width), Line::styled(notes.join(", "), lost_style)];
    let block = Block::bordered().title(" Delivery ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The newest messages, one sign each, the newest at the right.
fn recent<'a>(view: &View<'_>, host: &Host, width: usize) -> Line<'a> {
    let sign = |(_, state): &(u64, DeliveryState)| match state {
        DeliveryState::Acknowledged => Span::styled("●", view.status(HealthStatus::Serving)),
        DeliveryState::Lost => Span::styled("✗", view.alarm()),
        _ => Span::styled("○", view.status(HealthStatus::Degraded)),
    };
    let newest = host.delivery.recent.iter().take(width);
    Line::from(newest.rev().map(sign).collect::<Vec<_>>())
}

/// Lines that the health takes in a panel of this inner width: a component each, then what is wrong with them.
pub(super) fn health_lines(host: &Host, width: u16) -> u16 {
    let components = components(host);
    let lines_of = |error: String| error.chars().count().div_ceil(usize::from(width.max(1))).min(LONGEST_ERROR);
    rows(components.len().max(1) + components.iter().filter_map(error).map(lines_of).sum::<usize>())
}

/// The components, and what is wrong with them.
pub(super) fn health(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, host: &Host) {
    let components = components(host);
    let width = components.iter().map(|component| component.name.chars().count()).max().unwrap_or_default();
    let line = |component: &Component| {
        Line::from(vec![
            Span::raw(format!("{:width$}  ", clean(&component.name))),
            Span::styled(format!("{:11}", health_name(component.status)), view.status(component.status)),
            Span::styled(format!("  for {}", elapsed(component.since, view.now)), view.dim()),
        ])
    };
    let mut lines: Vec<_> = components.iter().map(line).collect();
    match &host.link {
        Link::Down(why) => lines.push(Line::styled(clean(why), view.alarm())),
        _ if components.is_empty() => lines.push(Line::styled("not known", view.dim())),
        _ => {}
    }
    lines.extend(components.iter().filter_map(error).map(Line::raw));
    let block = Block::bordered().title(" Health ");
    frame.render_widget(Paragraph::new(lines).block(block).wrap(Wrap { trim: false }), area);
}

fn components(host: &Host) -> &[Component] {
    host.health.as_ref().map_or(&[], |health| &health.components)
}

/// What is wrong with a component. An error that is over is not.
fn error(component: &Component) -> Option<String> {
    let error = component.last_error.as_ref().filter(|_| component.status != HealthStatus::Serving)?;
    Some(clean(&format!("{}: {error}", component.name)))
}

/// A share as a whole number of percent.
pub(super) fn whole(percent: f64) -> u64 {
    percent.clamp(0.0, 100.0).round() as u64
}
