//! What became of verdicts: failures, and what was sent on.

use super::{Change, device_name, failure_name, rate};
use crate::event::Overflow;
use crate::numbers::{Failures, Forward, Numbers, Port};

/// A line for each failure and each way by which packets were sent on in an interval.
pub(super) fn lines(change: &Change<'_>) -> String {
    let Change { before, now, took } = *change;
    let failures = change.programs().flat_map(|(program, before)| {
        let name = program.subject.shown();
        let lines = program.failures.iter().filter(|failures| failures.device.is_one()).filter_map(move |failures| {
            let count = failures.count.saturating_sub(before.map_or(0, |before| count_of(&before.failures, failures)));
            let Failures { device, verdict, error, .. } = failures;
            let failure = failure_name(*verdict, error.as_deref());
            let rate = rate(count, took);
            (count > 0).then(|| format!("  {} {name}: {failure}, {rate}/s\n", device_name(device)))
        });
        lines.collect::<Vec<_>>()
    });
    let of_these = now.forwards.iter().filter(|forward| forward.path.ports().all(Port::is_one));
    let forwards = of_these.filter_map(|forward| {
        let then = before.forwards.iter().find(|one| is_same(one, forward));
        let (sent, dropped) = then.map_or((0, 0), |then| (then.sent, then.dropped));
        let (sent, dropped) = (forward.sent.saturating_sub(sent), forward.dropped.saturating_sub(dropped));
        (sent + dropped > 0).then(|| line(forward, &|count: u64| format!("{}/s", rate(count, took)), sent, dropped))
    });
    failures.chain(forwards).collect()
}

/// Whether both are of one way, whatever its devices are called: one may have been renamed meanwhile.
fn is_same(one: &Forward, other: &Forward) -> bool {
    let nameless = |port: Port| if port.is_one() { Port { name: None, ..port } } else { port };
    let way = |forward: &Forward| (forward.path.clone().map(nameless), forward.error.clone());
    way(one) == way(other)
}

fn count_of(all: &[Failures], failures: &Failures) -> u64 {
    let key = |one: &Failures| (one.device.netns, one.device.ifindex, one.verdict, one.error.clone());
    all.iter().find(|one| key(one) == key(failures)).map_or(0, |one| one.count)
}

/// What was sent on, exactly.
pub(super) fn totals(numbers: &Numbers) -> String {
    let exact = |count: u64| count.to_string();
    numbers.forwards.iter().map(|forward| line(forward, &exact, forward.sent, forward.dropped)).collect()
}

/// What is missing in all of this; nothing where all is there.
pub(super) fn overflow(Overflow { outcomes, forwards }: Overflow) -> String {
    let lost = [(outcomes, "outcomes of verdicts"), (forwards, "packets sent on")];
    let lost = lost.iter().filter(|(count, _)| *count > 0);
    lost.map(|(count, what)| format!("{count} {what} not counted: their table was full\n")).collect()
}

/// `  eth0 -> eth1: 12 sent, 3 dropped (ENXIO)`
fn line(forward: &Forward, shown: &dyn Fn(u64) -> String, sent: u64, dropped: u64) -> String {
    let (path, verb) = (&forward.path, forward.path.verb());
    let error = forward.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
    format!("  {path}: {} {verb}, {} dropped{error}\n", shown(sent), shown(dropped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Path;

    #[test]
    fn a_way_is_the_same_when_its_device_is_renamed() {
        let tx = |name: &str, ifindex| {
            let port = Port { name: Some(name.into()), netns: 7, ifindex, ..Port::default() };
            Forward { path: Path::Tx(port), sent: 1, dropped: 0, error: None }
        };
        assert!(is_same(&tx("eth0", 2), &tx("wan0", 2)));
        assert!(!is_same(&tx("eth0", 2), &tx("eth0", 3)));
    }
}
