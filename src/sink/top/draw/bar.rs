//! Shares of verdicts, and the last minute, in one line.

use std::collections::BTreeMap;

use ratatui::text::Span;

use super::super::words::letter;
use super::style;
use crate::numbers::{Returned, Tally};
use crate::plan::Palette;

/// Levels of a minute's parts, from nothing on.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_LEVELS: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '#', '@'];

/// `PPPPPPPPPPDD`: a part of the width for each verdict, in proportion; one column at least, as long as there are enough.
pub fn shares(verdicts: &BTreeMap<Returned, Tally>, width: usize, palette: Palette) -> Vec<Span<'static>> {
    let verdicts = ordered(verdicts);
    let counts: Vec<u64> = verdicts.iter().map(|(_, packets)| *packets).collect();
    let columns = columns(&counts, width);
    let spans = verdicts.iter().zip(&columns).map(|((returned, _), columns)| {
        let filled = if palette.colored && palette.unicode { '█' } else { letter(*returned) };
        Span::styled(filled.to_string().repeat(*columns), style(*returned, palette))
    });
    let rest = width - columns.iter().sum::<usize>();
    spans.chain([" ".repeat(rest).into()]).collect()
}

/// What goes on first, what is dropped last.
fn ordered(verdicts: &BTreeMap<Returned, Tally>) -> Vec<(Returned, u64)> {
    let place = |returned: &Returned| "PTRO-DA".find(letter(*returned));
    let mut verdicts: Vec<(Returned, u64)> = verdicts
        .iter()
        .filter(|(_, tally)| tally.packets > 0)
        .map(|(returned, tally)| (*returned, tally.packets))
        .collect();
    verdicts.sort_unstable_by_key(|(returned, _)| (place(returned), *returned));
    verdicts
}

/// The width, divided in proportion to `counts`, of which none is 0.
fn columns(counts: &[u64], width: usize) -> Vec<usize> {
    let sum: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    let part = |count: u64| ((u128::from(count) * width as u128).checked_div(sum).unwrap_or(0) as usize).max(1);
    let mut columns: Vec<usize> = counts.iter().map(|count| part(*count)).collect();
    let greatest = counts.iter().enumerate().max_by_key(|(_, count)| **count).map(|(at, _)| at);
    let Some(greatest) = greatest else { return columns };
    let others: usize = columns.iter().sum::<usize>() - columns[greatest];
    columns[greatest] = width.saturating_sub(others).max(1);
    let mut left = width;
    for columns in &mut columns {
        *columns = left.min(*columns);
        left -= *columns;
    }
    columns
}

/// The last minute, as high as its greatest part.
pub fn minute(parts: &[Option<f64>], width: usize, palette: Palette) -> String {
    let levels = if palette.unicode { LEVELS } else { ASCII_LEVELS };
    let greatest = parts.iter().flatten().copied().fold(0.0, f64::max);
    let level = |rate: f64| if greatest > 0.0 { (rate / greatest * 8.0).ceil() as usize } else { 0 };
    let drawn: String = parts.iter().map(|part| levels[part.map_or(0, level).min(8)]).collect();
    format!("{drawn:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_in_proportion_and_small_shares_are_seen() {
        let table: [(&[u64], usize, &[usize]); 6] = [
            (&[3, 1], 12, &[9, 3]),
            (&[999_999, 1], 12, &[11, 1]),
            (&[1, 1, 1], 10, &[3, 3, 4]),
            (&[5, 1, 1], 2, &[1, 1, 0]),
            (&[u64::MAX, u64::MAX], 4, &[2, 2]),
            (&[], 4, &[]),
        ];
        for (counts, width, expected) in table {
            assert_eq!(columns(counts, width), expected, "{counts:?}");
        }
    }

    #[test]
    fn a_minute_is_as_high_as_its_greatest_part() {
        let palette = Palette { colored: false, unicode: true };
        assert_eq!(minute(&[None, Some(0.0), Some(1.0), Some(4.0), Some(8.0)], 6, palette), "   ▁▄█");
        let palette = Palette { colored: false, unicode: false };
        assert_eq!(minute(&[Some(1.0), Some(8.0)], 2, palette), ".@");
        assert_eq!(minute(&[Some(0.0)], 1, palette), " ");
    }
}
