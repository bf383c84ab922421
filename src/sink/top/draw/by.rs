//! What the packets of the selected row have in common.

use ratatui::text::{Line, Span};

use super::super::model::{Model, State};
use super::super::words;
use super::{Page, bold, style};
use crate::numbers::{Keys, Row, Tally};
use crate::plan::{By, Part};
use crate::sink::amount;

/// Draws the keys of the selected row's programs, one after the other.
pub fn draw(page: &mut Page<'_>, model: &Model) {
    let rows = model.rows();
    let Some((_, row)) = rows.get(model.position(&rows)) else {
        page.line(" nothing counted yet");
        return;
    };
    let programs = model.state().programs(row);
    if programs.is_empty() {
        page.line(format!(" {}: go on to a program (j)", row.name));
    }
    for program in programs {
        page.line(Span::styled(format!(" {}", program.subject), bold()));
        if let Some((by, keys)) = model.by.as_ref().zip(program.keys.as_ref()) {
            draw_keys(page, model, by, keys, interval(model.state()));
        }
    }
}

/// How many seconds there are between the last two readings; None: there was but one.
fn interval(state: &State) -> Option<f64> {
    let before = state.before.as_ref()?;
    let ns = state.now.time_ns.checked_sub(before.time_ns).filter(|ns| *ns > 0)?;
    Some(ns as f64 / 1e9)
}

/// Packets and bits a second.
fn rates(came: Tally, seconds: f64) -> (f64, f64) {
    (came.packets as f64 / seconds, came.bytes as f64 * 8.0 / seconds)
}

fn draw_keys(page: &mut Page<'_>, model: &Model, by: &By, keys: &Keys, seconds: Option<f64>) {
    let rows = keys.most(by, page.room());
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, by)).collect();
    let widths: Vec<usize> = (0..by.parts.len()).map(|part| width(&by.parts, &cells, part)).collect();
    page.line(Span::styled(header(&by.parts, &widths), bold()));
    for (row, cells) in rows.into_iter().zip(&cells) {
        let rates = seconds.map(|seconds| rates(row.came, seconds));
        page.line(Line::from(vec![
            " ".into(),
            padded(cells, &widths).into(),
            Span::styled(format!("{:12}", words::returned(row.verdict)), style(row.verdict, model.palette)),
            numbers(rates, row.tally).into(),
        ]));
    }
    if keys.other.packets > 0 {
        let all: usize = widths.iter().map(|width| width + 1).sum();
        let words = format!("other ({} left the table)", keys.evicted);
        let rates = seconds.map(|seconds| rates(keys.others_came, seconds));
        page.line(format!(" {:all$}{}", words, numbers(rates, keys.other), all = all + 12));
    }
}

fn numbers(rates: Option<(f64, f64)>, tally: Tally) -> String {
    let [packets, bits] = match rates {
        Some((packets, bits)) => [packets, bits].map(amount::rate),
        None => ["?"; 2].map(str::to_owned),
    };
    format!(" {packets:>9} {bits:>6} {:>12}", tally.packets)
}

fn header(parts: &[Part], widths: &[usize]) -> String {
    let titles = parts.iter().zip(widths).map(|(part, width)| format!("{:width$} ", title(*part)));
    let titles: String = titles.collect();
    format!(" {titles}{:12} {:>9} {:>6} {:>12}", "VERDICT", "PACKETS/S", "BITS/S", "PACKETS")
}

fn width(parts: &[Part], cells: &[Vec<String>], part: usize) -> usize {
    let title = parts.get(part).map_or(0, |part| title(*part).len());
    cells.iter().filter_map(|row| row.get(part)).map(String::len).chain([title]).max().unwrap_or(0)
}

/// `-` where the packet has none.
fn cells(row: &Row, by: &By) -> Vec<String> {
    row.key.words(by).into_iter().map(|word| word.unwrap_or_else(|| "-".into())).collect()
}

fn padded(cells: &[String], widths: &[usize]) -> String {
    cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$} ")).collect()
}

fn title(part: Part) -> String {
    part.name().to_uppercase()
}
