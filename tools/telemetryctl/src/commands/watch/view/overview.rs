//! Every target on a line.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table, TableState};
use telemetry_proto::v1::CpuMetrics;

use super::super::model::Link;
use super::panels::whole;
use super::{Host, SIDE_BY_SIDE, View, link};
use crate::output::{clean, number, percent};

/// Columns of the usage's course.
const COURSE_WIDTH: u16 = 20;
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A column of the overview.
struct Column {
    heading: &'static str,
    width: Constraint,
    /// Whether it is left out of a narrow screen.
    is_extra: bool,
    cell: fn(&View<'_>, &Host) -> Line<'static>,
}

const COLUMNS: [Column; 7] = [
    Column {
        heading: "TARGET",
        width: Constraint::Fill(1),
        is_extra: false,
        cell: |_, host| Line::raw(clean(&host.target)),
    },
    Column {
        heading: "   CPU",
        width: Constraint::Length(6),
        is_extra: false,
        cell: |view, host| {
            let usage = cpu(host).and_then(|cpu| cpu.usage_percent);
            Line::styled(percent(usage), view.heat(usage.unwrap_or_default())).right_aligned()
        },
    },
    Column {
        heading: "",
        width: Constraint::Length(COURSE_WIDTH),
        is_extra: true,
        cell: |view, host| Line::styled(course(host), view.color(Color::Cyan)),
    },
    Column {
        heading: "  LOAD",
        width: Constraint::Length(6),
        is_extra: true,
        cell: |_, host| {
            let load = cpu(host).and_then(|cpu| cpu.load_averages.as_ref()).map(|load| load.one);
            Line::raw(number(load)).right_aligned()
        },
    },
    Column {
        heading: " PENDING",
        width: Constraint::Length(8),
        is_extra: true,
        cell: |_, host| Line::raw(host.delivery.pending().to_string()).right_aligned(),
    },
    Column {
        heading: "  LOST",
        width: Constraint::Length(6),
        is_extra: true,
        cell: |_, host| Line::raw(host.delivery.lost().to_string()).right_aligned(),
    },
    Column { heading: "STATUS", width: Constraint::Length(11), is_extra: false, cell: status },
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let columns: Vec<_> = COLUMNS.iter().filter(|column| !column.is_extra || area.width >= SIDE_BY_SIDE).collect();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let row = |host: &Host| Row::new(columns.iter().map(|column| (column.cell)(view, host)));
    let table = Table::new(view.hosts.iter().map(row), columns.iter().map(|column| column.width))
        .header(Row::new(columns.iter().map(|column| column.heading)).style(bold))
        .row_highlight_style(bold)
        .highlight_symbol("▸")
        .block(Block::bordered().title(format!(" {} targets ", view.hosts.len())));
    let mut state = TableState::new().with_selected(view.selected);
    frame.render_stateful_widget(table, area, &mut state);
}

/// The status in a word. Why a target is down stands in the panel of its health.
fn status(view: &View<'_>, host: &Host) -> Line<'static> {
    match host.link {
        Link::Down(_) => Line::styled("down", view.alarm()),
        _ => link(view, host).into(),
    }
}

fn cpu(host: &Host) -> Option<&CpuMetrics> {
    host.latest.as_ref().map(|(_, cpu)| cpu)
}

/// The course of the usage on one line, the newest sample at the right.
fn course(host: &Host) -> String {
    let newest = host.history.iter().take(COURSE_WIDTH.into());
    let sign = |usage: &Option<f64>| usage.map_or(' ', |usage| HEIGHTS[(whole(usage) * 7 / 100) as usize]);
    let signs: String = newest.rev().map(sign).collect();
    format!("{signs:>width$}", width = usize::from(COURSE_WIDTH))
}
