//! One row, with all that is known of it: verdicts, failures, latency, and what was dropped last.

use std::time::Duration;

use ratatui::text::{Line, Span};

use super::super::drops::Dropped;
use super::super::model::Model;
use super::super::tree::{Branch, Totals};
use super::super::words;
use super::histogram::{self, Bar};
use super::{Page, alarm, bold, style};
use crate::event::Verdict;
use crate::numbers::{Failures, Latency, Returned, Tally};
use crate::plan::Palette;
use crate::sink::amount;

/// Failures that are shown at most.
const FAILURES: usize = 3;

/// Draws the selected row.
pub fn draw(page: &mut Page<'_>, model: &Model) {
    let rows = model.rows();
    let Some((_, row)) = rows.get(model.position(&rows)) else {
        page.line(" nothing counted yet");
        return;
    };
    page.line(Span::styled(heading(row), bold()));
    let none = Totals::default();
    let totals = row.totals.as_ref().unwrap_or(&none);
    verdicts(page, row, totals, model.palette);
    failures(page, model, row);
    let drops = model.state().drops(row);
    // Half of what is left, unless the other needs less.
    let room = page.room();
    let wanted = 2 + drops.len().max(1);
    latency(page, totals, room.saturating_sub(wanted.min(room / 2)), model.palette);
    dropped(page, &drops, model.state().now.time_ns, model.palette);
}

/// ` eth0: component 0 xdp_lb#12`
fn heading(row: &Branch) -> String {
    let role = if row.role.is_empty() { String::new() } else { format!("{} ", row.role) };
    match row.id.program {
        Some(_) => format!(" {}: {role}{}", row.id.device, row.name),
        None => format!(" {}", row.name),
    }
}

fn verdicts(page: &mut Page<'_>, row: &Branch, totals: &Totals, palette: Palette) {
    page.line(format!(
        " {:12} {:>9} {:>6} {:>7} {:>14} {:>16}",
        "", "PACKETS/S", "BITS/S", "SHARE", "PACKETS", "BYTES"
    ));
    let all = totals.sum();
    for (returned, tally) in &totals.verdicts {
        let rates = rates(row, Some(*returned));
        page.line(Line::from(vec![
            Span::styled(format!(" {:12}", words::returned(*returned)), style(*returned, palette)),
            verdict(rates, *tally, all.packets).into(),
        ]));
    }
    page.line(format!(" {:12}{}", "all", verdict(rates(row, None), all, all.packets)));
}

/// Packets and bits a second of a verdict, or of all; None: not known yet.
fn rates(row: &Branch, returned: Option<Returned>) -> Option<(f64, f64)> {
    let live = row.live.as_ref()?;
    let came = returned
        .map_or_else(|| live.came.sum(), |returned| live.came.verdicts.get(&returned).copied().unwrap_or_default());
    Some((live.a_second(came.packets), live.a_second(came.bytes) * 8.0))
}

fn verdict(rates: Option<(f64, f64)>, tally: Tally, all: u64) -> String {
    let (packets, bits) = rates.map_or_else(
        || ("?".to_owned(), "?".to_owned()),
        |(packets, bits)| (amount::rate(packets), amount::rate(bits)),
    );
    let share = words::share(tally.packets, all);
    format!(" {packets:>9} {bits:>6} {share:>7} {:>14} {:>16}", tally.packets, tally.bytes)
}

fn failures(page: &mut Page<'_>, model: &Model, row: &Branch) {
    let programs = model.state().programs(row);
    let all = programs.iter().flat_map(|program| &program.failures);
    let mut all: Vec<&Failures> = all.filter(|failures| words::is_called(&failures.device, &row.id.device)).collect();
    all.sort_by_key(|failures| std::cmp::Reverse(failures.count));
    for failures in all.into_iter().take(FAILURES) {
        page.line(Span::styled(failure(failures), alarm(model.palette)));
    }
}

/// ` XDP_REDIRECT failed: ENETDOWN, 12 times`
fn failure(failures: &Failures) -> String {
    let verdict = words::returned(failures.verdict);
    let error = failures.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.escape_default()));
    let aborted = failures.verdict == Returned::Action(Verdict(0)) && error.is_empty();
    let failed = if aborted { "" } else { " failed" };
    format!(" {verdict}{failed}{error}, {} times", failures.count)
}

/// The histogram in so many lines, with its title and an empty one before it.
fn latency(page: &mut Page<'_>, totals: &Totals, lines: usize, palette: Palette) {
    if lines < 2 {
        return;
    }
    page.line("");
    let Some(latency) = totals.latency.as_ref().filter(|latency| latency.count() > 0) else {
        let why = if totals.sum().packets == 0 { "no packets yet" } else { "not measured" };
        page.line(Span::styled(format!(" latency: {why}"), bold()));
        return;
    };
    page.line(Span::styled(quantiles(latency), bold()));
    let bars = if lines > 2 { histogram::bars(latency, lines - 2) } else { Vec::new() };
    draw_bars(page, &bars, palette);
}

fn draw_bars(page: &mut Page<'_>, bars: &[Bar], palette: Palette) {
    let most_runs = histogram::most_runs(bars);
    for bar in bars {
        page.line(histogram::line(*bar, most_runs, page.width.into(), palette.unicode));
    }
}

/// ` latency since the start: p50 412ns, p90 …`
fn quantiles(latency: &Latency) -> String {
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    let words = quantiles.iter().filter_map(|(name, share)| {
        latency.quantile(*share).map(|quantile| format!("{name} {}, ", amount::time(quantile)))
    });
    let words: String = words.collect();
    format!(" latency so far: {words}max {}", amount::time(Duration::from_nanos(latency.max_ns)))
}

fn dropped(page: &mut Page<'_>, drops: &[&Dropped], now_ns: u64, palette: Palette) {
    page.line("");
    page.line(Span::styled(" dropped last", bold()));
    if drops.is_empty() {
        page.line(" none seen");
    }
    for dropped in drops {
        let ago = now_ns.saturating_sub(dropped.time_ns) / 1_000_000_000;
        let mut spans: Vec<Span<'_>> = vec![format!(" {ago:>4}s ago ").into()];
        // That they were dropped is said above.
        if let Some(verdict) = dropped.verdict.filter(|verdict| *verdict != Verdict(1)) {
            spans.push(Span::styled(format!("{verdict} "), style(Returned::Action(verdict), palette)));
        }
        spans.push(dropped.words.as_str().into());
        page.line(Line::from(spans));
    }
}
