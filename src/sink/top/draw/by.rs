//! What the packets of the selected row have in common.

use std::collections::HashMap;

use ratatui::text::{Line, Span};

use super::super::model::{Model, State};
use super::super::words;
use super::{Page, bold, style};
use crate::numbers::{Keys, Program, Returned, Row, Tally};
use crate::plan::Part;

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
        if let Some(keys) = &program.keys {
            draw_keys(page, model, keys, Before::of(model.state(), program).as_ref());
        }
    }
}

/// What there was at the reading before.
struct Before<'model> {
    /// So long ago.
    seconds: f64,
    tallies: HashMap<(&'model [Option<String>], Returned), Tally>,
    other: Tally,
}

impl<'model> Before<'model> {
    fn of(state: &'model State, program: &Program) -> Option<Self> {
        let before = state.before.as_ref()?;
        let seconds = state.now.time_ns.checked_sub(before.time_ns).filter(|ns| *ns > 0)? as f64 / 1e9;
        let keys = before.programs.iter().find(|then| then.subject == program.subject)?.keys.as_ref()?;
        let tallies = keys.rows.iter().map(|row| ((&row.key[..], row.verdict), row.tally)).collect();
        Some(Self { seconds, tallies, other: keys.other })
    }

    /// Packets and bits a second of a key. One that was not in the table has come since.
    fn of_row(&self, row: &Row) -> (f64, f64) {
        self.rates(row.tally, self.tallies.get(&(&row.key[..], row.verdict)).copied().unwrap_or_default())
    }

    fn rates(&self, now: Tally, then: Tally) -> (f64, f64) {
        let came = now.since(then);
        (came.packets as f64 / self.seconds, came.bytes as f64 * 8.0 / self.seconds)
    }
}

fn draw_keys(page: &mut Page<'_>, model: &Model, keys: &Keys, before: Option<&Before<'_>>) {
    let widths: Vec<usize> = (0..model.parts.len()).map(|part| width(&model.parts, keys, part)).collect();
    page.line(Span::styled(header(&model.parts, &widths), bold()));
    for row in &keys.rows {
        let rates = before.map(|before| before.of_row(row));
        page.line(Line::from(vec![
            " ".into(),
            cells(row, &widths).into(),
            Span::styled(format!("{:12}", words::returned(row.verdict)), style(row.verdict, model.palette)),
            numbers(rates, row.tally).into(),
        ]));
    }
    if keys.other.packets > 0 {
        let all: usize = widths.iter().map(|width| width + 1).sum();
        let words = format!("other ({} left the table)", keys.evicted);
        let rates = before.map(|before| before.rates(keys.other, before.other));
        page.line(format!(" {:all$}{}", words, numbers(rates, keys.other), all = all + 12));
    }
}

fn numbers(rates: Option<(f64, f64)>, tally: Tally) -> String {
    let [packets, bits] = match rates {
        Some((packets, bits)) => [packets, bits].map(words::rate),
        None => ["?"; 2].map(str::to_owned),
    };
    format!(" {packets:>9} {bits:>6} {:>12}", tally.packets)
}

fn header(parts: &[Part], widths: &[usize]) -> String {
    let titles = parts.iter().zip(widths).map(|(part, width)| format!("{:width$} ", title(*part)));
    let titles: String = titles.collect();
    format!(" {titles}{:12} {:>9} {:>6} {:>12}", "VERDICT", "PACKETS/S", "BITS/S", "PACKETS")
}

fn width(parts: &[Part], keys: &Keys, part: usize) -> usize {
    let title = parts.get(part).map_or(0, |part| title(*part).len());
    keys.rows.iter().map(|row| cell(row, part).len()).chain([title]).max().unwrap_or(0)
}

fn cells(row: &Row, widths: &[usize]) -> String {
    widths.iter().enumerate().map(|(part, width)| format!("{:width$} ", cell(row, part))).collect()
}

/// `-` where the packet has none.
fn cell(row: &Row, part: usize) -> String {
    let value = row.key.get(part).and_then(Option::as_ref);
    value.map_or_else(|| "-".into(), |value| value.escape_default().to_string())
}

fn title(part: Part) -> String {
    part.name().to_uppercase()
}
