//! The keys, and what bars mean.

use ratatui::text::{Line, Span};

use super::super::model::Model;
use super::super::words::{letter, returned};
use super::{Page, style};
use crate::event::Verdict;
use crate::numbers::Returned;

const KEYS: [(&str, &str); 9] = [
    ("j k, arrows", "the next row, the one before; also g G, PgUp PgDn"),
    ("s < >", "sort by name, packets, bits, drops, p99, errors"),
    ("r", "the other way round"),
    ("p, space", "pause: what is shown stands still, counting goes on"),
    ("Enter, d", "all of a row: verdicts, latency, the last few drops"),
    ("b, Tab", "what its packets have in common (--by)"),
    ("Ctrl-Z Ctrl-L", "suspend; draw anew"),
    ("Esc", "back; quit"),
    ("q, Ctrl-C", "quit"),
];

/// Draws it.
pub fn draw(page: &mut Page<'_>, model: &Model) {
    for (key, meaning) in KEYS {
        page.line(format!(" {key:14} {meaning}"));
    }
    page.line("");
    let mut spans: Vec<Span<'_>> = vec![" verdicts: ".into()];
    let actions = (0..Verdict::ACTIONS.len() as u32).map(|action| Returned::Action(Verdict(action)));
    for verdict in actions.chain([Returned::Other, Returned::Nothing]) {
        let words = format!("{} {}  ", letter(verdict), returned(verdict).trim_start_matches("XDP_").to_lowercase());
        spans.push(Span::styled(words, style(verdict, model.palette)));
    }
    page.line(Line::from(spans));
    page.line(" a device's row is its own program's; all but totals is of the last interval");
    page.line(" ? is what isn't known, - of what there was none");
}
