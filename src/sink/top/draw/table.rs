//! The tree, a row for each device and program.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::model::{Model, Sort, State};
use super::super::tree::{Branch, Live};
use super::super::words;
use super::{Page, alarm, bar, bold};
use crate::numbers::Latency;
use crate::plan::Palette;
use crate::sink::amount;

/// A column, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Name,
    Packets,
    Bits,
    Verdicts,
    Minute,
    P50,
    P99,
    Errors,
}

/// Those beside the name, with their least widths: what is left out first where there is no room stands last.
const COLUMNS: [(Column, usize); 7] = [
    (Column::Packets, 9),
    (Column::Bits, 6),
    (Column::Verdicts, 12),
    (Column::P99, 6),
    (Column::Errors, 8),
    (Column::Minute, 12),
    (Column::P50, 6),
];
/// The least width of the name.
const NAME: usize = 16;
/// A minute has so many seconds, and a bar wants no more.
const WIDEST: usize = 60;

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Name => " PROGRAM",
            Self::Packets => "PACKETS/S",
            Self::Bits => "BITS/S",
            Self::Verdicts => "VERDICTS",
            Self::Minute => "LAST MINUTE",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::Errors => "ERRORS/S",
        }
    }

    fn is_sorted_by(self, sort: Sort) -> bool {
        matches!(
            (self, sort),
            (Self::Name, Sort::Name)
                | (Self::Packets, Sort::Packets)
                | (Self::Bits, Sort::Bits)
                | (Self::Verdicts, Sort::Drops)
                | (Self::P99, Sort::P99)
                | (Self::Errors, Sort::Errors)
        )
    }

    /// Numbers stand to the right.
    fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::Verdicts | Self::Minute)
    }
}

/// Draws it, as far as the rows around the selected one fit.
pub fn draw(page: &mut Page<'_>, model: &Model) {
    let rows = model.rows();
    let widest = rows.iter().map(|(depth, row)| 1 + name(row, *depth)[0].len()).max().unwrap_or(0);
    let columns = columns(page.width.into(), widest);
    page.line(header(&columns, model.sort));
    if rows.is_empty() {
        page.line(" nothing counted yet");
        return;
    }
    let selected = model.position(&rows);
    let above = (selected + 1).saturating_sub(page.room());
    for (number, (depth, row)) in rows.iter().enumerate().skip(above) {
        page.line(line(&columns, row, *depth, number == selected, model));
    }
}

/// Those that there is room for, and how wide they are.
fn columns(width: usize, widest_name: usize) -> Vec<(Column, usize)> {
    let mut left = width.saturating_sub(NAME);
    let mut columns = vec![(Column::Name, NAME)];
    for (column, width) in COLUMNS {
        if left <= width {
            break;
        }
        left -= width + 1;
        columns.push((column, width));
    }
    columns.sort_unstable();
    let name = left.min(widest_name.saturating_sub(NAME));
    columns[0].1 += name;
    widen(&mut columns, left - name);
    columns
}

/// Room that is left over is for the bars.
fn widen(columns: &mut [(Column, usize)], mut left: usize) {
    for (bar, parts) in [(Column::Verdicts, 2), (Column::Minute, 1)] {
        if let Some((_, width)) = columns.iter_mut().find(|(column, _)| *column == bar) {
            let more = (left / parts).min(WIDEST.saturating_sub(*width));
            *width += more;
            left -= more;
        }
    }
}

fn header(columns: &[(Column, usize)], sort: Sort) -> Line<'static> {
    let mut spans = Vec::new();
    for (column, width) in columns {
        let (title, width) = (column.title(), *width);
        let title = if column.is_number() { format!("{title:>width$}") } else { format!("{title:width$}") };
        let style = if column.is_sorted_by(sort) { bold().add_modifier(Modifier::UNDERLINED) } else { bold() };
        spans.extend([Span::styled(title, style), " ".into()]);
    }
    Line::from(spans)
}

fn line(columns: &[(Column, usize)], row: &Branch, depth: usize, is_selected: bool, model: &Model) -> Line<'static> {
    let mut spans = Vec::new();
    for (column, width) in columns {
        match column {
            Column::Name => spans.push(name_cell(row, depth, *width, is_selected)),
            Column::Verdicts => spans.extend(shares(row, *width, model.palette)),
            Column::Minute => spans.push(minute(model.state(), row, *width, model.palette)),
            number => spans.push(number_cell(*number, row.live.as_ref(), *width, model.palette)),
        }
        spans.push(" ".into());
    }
    Line::from(spans)
}

/// What a row is called, from the longest on.
fn name(row: &Branch, depth: usize) -> [String; 2] {
    let indent = "  ".repeat(depth);
    let short = format!("{indent}{}", row.name);
    let long = if row.role.is_empty() { short.clone() } else { format!("{indent}{} {}", row.role, row.name) };
    [long, short]
}

fn name_cell(row: &Branch, depth: usize, width: usize, is_selected: bool) -> Span<'static> {
    let (marker, style) = match is_selected {
        true => ('>', Style::new().add_modifier(Modifier::REVERSED)),
        false => (' ', Style::new()),
    };
    let inner = width.saturating_sub(1);
    Span::styled(format!("{marker}{:inner$}", words::fitting(&name(row, depth), inner)), style)
}

fn shares(row: &Branch, width: usize, palette: Palette) -> Vec<Span<'static>> {
    match &row.live {
        Some(live) => bar::shares(&live.came.verdicts, width, palette),
        None => vec![" ".repeat(width).into()],
    }
}

fn minute(state: &State, row: &Branch, width: usize, palette: Palette) -> Span<'static> {
    bar::minute(&state.minute(&row.id, width), width, palette).into()
}

/// A number, or `?` where it isn't known: nothing is to compare with yet, or it isn't measured.
fn number_cell(column: Column, live: Option<&Live>, width: usize, palette: Palette) -> Span<'static> {
    let words = live.and_then(|live| number(column, live)).unwrap_or_else(|| "?".into());
    let is_alarming = column == Column::Errors && live.is_some_and(|live| live.came.failures > 0);
    let style = if is_alarming { alarm(palette) } else { Style::new() };
    Span::styled(format!("{words:>width$}"), style)
}

fn number(column: Column, live: &Live) -> Option<String> {
    let quantile = |share| {
        let latency: &Latency = live.came.latency.as_ref()?;
        Some(latency.quantile(share).map_or_else(|| "-".into(), amount::time))
    };
    match column {
        Column::Packets => Some(amount::rate(live.packets())),
        Column::Bits => Some(amount::rate(live.bits())),
        Column::P50 => quantile(0.5),
        Column::P99 => quantile(0.99),
        Column::Errors => Some(amount::rate(live.errors())),
        Column::Name | Column::Verdicts | Column::Minute => None,
    }
}
