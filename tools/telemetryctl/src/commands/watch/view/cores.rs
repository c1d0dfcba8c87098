//! A bar a core; a block a core where there is no room for bars.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};
use telemetry_proto::v1::CoreMetrics;

use super::{Host, View};

/// The shortest bar that is worth its place.
const SHORTEST_BAR: usize = 6;
/// Width of " 100%".
const PERCENT: usize = 5;
/// Space between two columns of bars.
const GAP: usize = 2;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const REST: &str = "░";

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, host: &Host) {
    let cores = host.latest.as_ref().map_or(&[][..], |(_, cpu)| &cpu.cores);
    let block = Block::bordered().title(format!(" {} cores ", cores.len()));
    let inner = block.inner(area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let lines = match columns(cores, width, height) {
        Some(columns) => bars(view, cores, columns, width),
        None => blocks(view, cores, width, height),
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Into how many columns the bars go; `None` if there is no room for bars.
fn columns(cores: &[CoreMetrics], width: usize, height: usize) -> Option<usize> {
    if cores.is_empty() || height == 0 {
        return None;
    }
    let columns = cores.len().div_ceil(height);
    let needed = label_width(cores) + 1 + SHORTEST_BAR + PERCENT;
    (columns * needed + (columns - 1) * GAP <= width).then_some(columns)
}

/// The bars, numbered from top to bottom.
fn bars<'a>(view: &View<'_>, cores: &[CoreMetrics], columns: usize, width: usize) -> Vec<Line<'a>> {
    let rows = cores.len().div_ceil(columns);
    let column = (width - (columns - 1) * GAP) / columns;
    let label = label_width(cores);
    let bar = column - label - 1 - PERCENT;
    let line = |row: usize| {
        let in_row = (0..columns).filter_map(|column| cores.get(column * rows + row));
        let mut line = Line::default();
        for (index, core) in in_row.enumerate() {
            let gap = if index == 0 { 0 } else { GAP };
            line.push_span(Span::raw(format!("{:gap$}{:>label$} ", "", core.core_id)));
            let usage = core.usage_percent.unwrap_or_default().clamp(0.0, 100.0);
            let (full, rest) = bar_of(usage, bar);
            line.push_span(Span::styled(full, view.heat(usage)));
            line.push_span(Span::styled(rest, view.dim()));
            line.push_span(Span::raw(match core.usage_percent {
                Some(usage) => format!("{usage:>4.0}%"),
                None => format!("{:>PERCENT$}", "-"),
            }));
        }
        line
    };
    (0..rows).map(line).collect()
}

/// The filled part of a bar and the rest.
fn bar_of(percent: f64, width: usize) -> (String, String) {
    // Both are small and not negative.
    let eighths = (percent / 100.0 * width as f64 * 8.0).round() as usize;
    let (full, part) = ((eighths / 8).min(width), EIGHTHS[eighths % 8]);
    let filled = format!("{}{part}", "█".repeat(full));
    let rest = width.saturating_sub(full + usize::from(!part.is_empty()));
    (filled, REST.repeat(rest))
}

/// A block a core, whose height is its usage. What finds no place is counted.
fn blocks<'a>(view: &View<'_>, cores: &[CoreMetrics], width: usize, height: usize) -> Vec<Line<'a>> {
    if width == 0 || height == 0 {
        return Vec::new();
    }
    let is_all = cores.len() <= width * height;
    let shown = if is_all { cores.len() } else { width * (height - 1) };
    let block = |core: &CoreMetrics| match core.usage_percent {
        Some(usage) => {
            let usage = usage.clamp(0.0, 100.0);
            Span::styled(HEIGHTS[((usage / 100.0 * 7.0).round() as usize).min(7)], view.heat(usage))
        }
        None => Span::raw(" "),
    };
    let mut lines: Vec<_> =
        cores[..shown].chunks(width).map(|row| Line::from(row.iter().map(block).collect::<Vec<_>>())).collect();
    if !is_all {
        lines.push(Line::raw(format!("and {} more", cores.len() - shown)));
    }
    lines
}

fn label_width(cores: &[CoreMetrics]) -> usize {
    cores.iter().map(|core| core.core_id.to_string().len()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        for (percent, expected) in [(0.0, "░░░░"), (50.0, "██░░"), (56.25, "██▎░"), (99.0, "████"), (100.0, "████")]
        {
            let (full, rest) = bar_of(percent, 4);
            assert_eq!(full + &rest, expected, "{percent}");
        }
    }

    #[test]
    fn takes_as_few_columns_as_the_height_allows() {
        let cores: Vec<_> = (0..256).map(CoreMetrics::new).collect();
        assert_eq!(columns(&cores[..8], 78, 10), Some(1));
        assert_eq!(columns(&cores[..8], 78, 4), Some(2));
        assert_eq!(columns(&cores, 198, 30), Some(9));
        assert_eq!(columns(&cores, 78, 10), None);
        assert_eq!(columns(&[], 78, 10), None);
    }
}
