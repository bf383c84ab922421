//! A row for each of those with the most packets, and one for all others.

use std::cmp::Ordering;
use std::time::Duration;

use super::table::Table;
use super::{Change, identity, rate, share, sum, verdict_name};
use crate::numbers::{Numbers, Program, Returned, Row, Tally, first};
use crate::plan::By;

/// Packets of one program that have one key and verdict.
struct Counted<'numbers> {
    program: &'numbers Program,
    row: &'numbers Row,
    tally: Tally,
}

/// The interval's rows below the time of day; none where nothing was traced.
pub(super) fn table(by: &By, change: &Change<'_>, time: &str) -> String {
    if change.programs().next().is_none() {
        return String::new();
    }
    let took = change.took;
    let rates = ["packets/s", "bits/s", "share"];
    let rate = |Tally { packets, bytes }| vec![rate(packets, took), rate(bytes * 8, took)];
    Shown { by, rates, rate: &rate }.lines(come(change), all(change.now).since(all(change.before)), time)
}

/// What all came to, exactly.
pub(super) fn totals(by: &By, numbers: &Numbers) -> String {
    let change = Change { before: &Numbers::default(), now: numbers, took: Duration::ZERO };
    let exact = |Tally { packets, bytes }| vec![packets.to_string(), bytes.to_string()];
    let shown = Shown { by, rates: ["packets", "bytes", "share"], rate: &exact };
    let rows = numbers.programs.iter().flat_map(|program| {
        let rows = program.keys.iter().flat_map(|keys| &*keys.rows);
        rows.map(move |row| Counted { program, row, tally: row.tally })
    });
    let evicted: u64 =
        numbers.programs.iter().filter_map(|program| program.keys.as_ref()).map(|keys| keys.evicted).sum();
    let words = shown.lines(rows.collect(), all(change.now), "");
    if evicted > 0 { words + &format!("{evicted} keys left the table for others\n") } else { words }
}

/// All packets.
fn all(numbers: &Numbers) -> Tally {
    let mut total = Tally::default();
    numbers.programs.iter().flat_map(|program| &program.traffic).for_each(|traffic| total.add(sum(traffic)));
    total
}

/// What has come since the reading before.
fn come<'numbers>(change: &Change<'numbers>) -> Vec<Counted<'numbers>> {
    let rows = |program: &'numbers Program| {
        let rows = program.keys.iter().flat_map(|keys| &*keys.rows).filter(|row| row.came.packets > 0);
        rows.map(move |row| Counted { program, row, tally: row.came })
    };
    change.programs().flat_map(|(program, _)| rows(program)).collect()
}

fn most_packets_first(by: &By, one: &Counted<'_>, two: &Counted<'_>) -> Ordering {
    let rank = |tally: Tally| (tally.packets, tally.bytes);
    let names = || identity(&one.program.subject).cmp(&identity(&two.program.subject));
    rank(two.tally).cmp(&rank(one.tally)).then_with(names).then_with(|| one.row.compare(two.row, by))
}

/// Which rows, and what their amounts are called and look like.
struct Shown<'a> {
    by: &'a By,
    rates: [&'a str; 3],
    rate: &'a dyn Fn(Tally) -> Vec<String>,
}

impl Shown<'_> {
    fn lines(&self, rows: Vec<Counted<'_>>, total: Tally, time: &str) -> String {
        let mut table = Table::new(self.titles(time), self.by.parts.len() + 2);
        let mut rest = total;
        let shown = first(rows, self.by.rows, |one, two| most_packets_first(self.by, one, two));
        for Counted { program, row, tally } in shown {
            let key = row.key.words(self.by).into_iter().map(|part| part.unwrap_or_else(|| "-".into()));
            table.add(self.row(key, &program.subject.shown(), row.verdict, tally, total));
            rest = rest.since(tally);
        }
        let blanks = std::iter::repeat_n(String::new(), self.by.parts.len() + 1);
        let amounts = (self.rate)(rest).into_iter().chain([share(rest.packets, total.packets)]);
        table.add(["other".to_owned()].into_iter().chain(blanks).chain(amounts).collect());
        table.lines()
    }

    fn titles(&self, time: &str) -> Vec<String> {
        let mut titles: Vec<String> = self.by.parts.iter().map(|part| part.name().to_owned()).collect();
        if let Some(first) = titles.first_mut().filter(|_| !time.is_empty()) {
            *first = format!("{time} {first}");
        }
        titles.extend(["program", "verdict"].iter().chain(&self.rates).map(|title| (*title).to_owned()));
        titles
    }

    fn row(
        &self,
        key: impl Iterator<Item = String>,
        program: &str,
        verdict: Returned,
        tally: Tally,
        total: Tally,
    ) -> Vec<String> {
        let amounts = (self.rate)(tally).into_iter().chain([share(tally.packets, total.packets)]);
        key.chain([program.to_owned(), verdict_name(verdict)]).chain(amounts).collect()
    }
}
