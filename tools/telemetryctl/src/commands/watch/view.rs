//! What the screen shows: an overview of all targets if there are several, and everything about the selected one.

mod cores;
mod overview;
mod panels;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use telemetry_proto::v1::HealthStatus;

use super::model::{Host, Link};
use crate::messages::interval;
use crate::output::{clean, health_name, span};

/// The narrowest screen on which delivery and health stand side by side.
const SIDE_BY_SIDE: u16 = 70;
/// The lowest screen on which the course of the usage always has three lines.
const TALL: u16 = 20;
/// Lines of a border.
const BORDER: u16 = 2;
/// Lines of the panel of the delivery, with its border.
const DELIVERY_LINES: u16 = 5;

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) hosts: &'a [Host],
    pub(super) selected: usize,
    pub(super) is_colored: bool,
    pub(super) now: SystemTime,
}

impl View<'_> {
    fn color(&self, color: Color) -> Style {
        if self.is_colored { Style::new().fg(color) } else { Style::new() }
    }

    fn dim(&self) -> Style {
        self.color(Color::DarkGray)
    }

    /// The colour of a share in percent.
    fn heat(&self, percent: f64) -> Style {
        self.color(match percent {
            ..50.0 => Color::Green,
            50.0..80.0 => Color::Yellow,
            _ => Color::Red,
        })
    }

    fn status(&self, status: HealthStatus) -> Style {
        match status {
            HealthStatus::Serving => self.color(Color::Green),
            HealthStatus::Starting | HealthStatus::Degraded => self.color(Color::Yellow),
            HealthStatus::NotServing | HealthStatus::Unspecified => self.alarm(),
        }
    }

    /// Stands out without colours, too.
    fn alarm(&self) -> Style {
        self.color(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let area = frame.area();
    let many = view.hosts.len() > 1;
    let overview = if many { rows(view.hosts.len() + 3).min((area.height / 3).max(4)) } else { 0 };
    let [top, overview, detail, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(overview),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    let Some(host) = view.hosts.get(view.selected) else { return };
    frame.render_widget(title(view, host), top);
    if many {
        overview::draw(frame, overview, view);
    }
    draw_host(frame, detail, view, host);
    let keys = if many { " q quit   ↑ ↓ select" } else { " q quit" };
    frame.render_widget(Line::styled(keys, view.dim()), bottom);
}

fn draw_host(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, host: &Host) {
    let is_wide = area.width >= SIDE_BY_SIDE;
    let panel = if is_wide { area.width / 2 } else { area.width };
    let health = panels::health_lines(host, panel.saturating_sub(BORDER)) + BORDER;
    let bottom = if is_wide { health.max(DELIVERY_LINES) } else { health + DELIVERY_LINES };
    let cores = host.latest.as_ref().map_or(1, |(_, cpu)| rows(cpu.cores.len()).max(1)).saturating_add(BORDER);
    let least = if area.height >= TALL { 5 } else { 3 };
    // The cores get a line each if there is room; the course of the usage gets the rest.
    let cores = cores.min(area.height.saturating_sub(bottom + least)).max(3);
    let [course, cores, bottom] =
        Layout::vertical([Constraint::Min(least), Constraint::Length(cores), Constraint::Length(bottom)]).areas(area);
    panels::course(frame, course, view, host);
    cores::draw(frame, cores, view, host);
    let [delivery, health] = if is_wide {
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(bottom)
    } else {
        Layout::vertical([Constraint::Length(DELIVERY_LINES), Constraint::Min(0)]).areas(bottom)
    };
    panels::delivery(frame, delivery, view, host);
    panels::health(frame, health, view, host);
}

/// Target, host and interval, or why nothing is heard.
fn title<'a>(view: &View<'_>, host: &'a Host) -> Line<'a> {
    let mut line = Line::from(vec![
        Span::styled(format!(" {}", clean(&host.target)), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        link(view, host),
    ]);
    if let Some((metadata, _)) = &host.latest {
        line.push_span(Span::raw(format!("  {}", clean(&metadata.hostname))));
        if let Some(interval) = interval(metadata) {
            line.push_span(Span::raw(format!("  every {}", span(interval))));
        }
        let about = format!("  {} {} collector {}", metadata.kernel, metadata.arch, metadata.collector_version);
        line.push_span(Span::styled(clean(&about), view.dim()));
    }
    line
}

fn link<'a>(view: &View<'_>, host: &Host) -> Span<'a> {
    match (&host.link, &host.health) {
        (Link::Connecting, _) => Span::styled("connecting", view.color(Color::Yellow)),
        (Link::Down(why), _) => Span::styled(clean(why), view.alarm()),
        (Link::Live, None) => Span::styled("live", view.color(Color::Green)),
        (Link::Live, Some(health)) => Span::styled(health_name(health.status), view.status(health.status)),
    }
}

/// A number of lines of the screen.
fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
