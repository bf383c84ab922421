//! What the packets of the selected row have in common.

use ratatui::text::{Line, Span};

use super::super::model::{Model, State};
use super::super::words;
use super::{Page, bold, style};
use crate::numbers::{Keys, Program, Row, Tally};
use crate::plan::{By, Part};

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
            draw_keys(page, model, by, keys, Before::of(model.state(), program).as_ref());
        }
    }
}

/// What there was at the reading before.
struct Before<'model> {
    /// So long ago.
    seconds: f64,
    keys: &'model Keys,
}

impl<'model> Before<'model> {
    fn of(state: &'model State, program: &Program) -> Option<Self> {
        let before = state.before.as_ref()?;
        let seconds = state.now.time_ns.checked_sub(before.time_ns).filter(|ns| *ns > 0)? as f64 / 1e9;
        let keys = before.programs.iter().find(|then| then.subject == program.subject)?.keys.as_ref()?;
        Some(Self { seconds, keys })
    }

    /// Packets and bits a second of a key. One that was not in the table has come since.
    fn of_row(&self, row: &Row) -> (f64, f64) {
        self.rates(row.since(self.keys.tally(row)))
    }

    fn of_others(&self, now: Tally) -> (f64, f64) {
        self.rates(now.since(self.keys.other))
    }

    fn rates(&self, came: Tally) -> (f64, f64) {
        (came.packets as f64 / self.seconds, came.bytes as f64 * 8.0 / self.seconds)
    }
}

fn draw_keys(page: &mut Page<'_>, model: &Model, by: &By, keys: &Keys, before: Option<&Before<'_>>) {
    let rows = keys.most(by, page.room());
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, by)).collect();
    let widths: Vec<usize> = (0..by.parts.len()).map(|part| width(&by.parts, &cells, part)).collect();
    page.line(Span::styled(header(&by.parts, &widths), bold()));
    for (row, cells) in rows.into_iter().zip(&cells) {
        let rates = before.map(|before| before.of_row(row));
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
        let rates = before.map(|before| before.of_others(keys.other));
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
