#![allow(clippy::unwrap_used)]
use super::*;
use crate::bpf::{Counted, Record, State};

impl Event<'static> {
    /// What tests fill in.
    pub(crate) const NOTHING_KNOWN: Self = Self {
        time_ns: 0,
        monotonic_ns: None,
        packet_id: None,
        device: None,
        queue: None,
        egress: None,
        cpu: None,
        function: None,
        program_id: None,
        program_name: None,
        verdict: None,
        outcome: None,
        latency_ns: None,
        before: None,
        after: None,
        moved: None,
        changed: None,
        metadata: &[],
    };
}

const ORIGIN: Origin<'_> = Origin { function: "prog", program_id: 12, program_name: "prog", has_queue: true };

fn told(record: Record, tells: &[Tells]) -> Told<'static> {
    let told = tells.iter().fold(0, |told, tells| told | tells.0 as u16);
    Told { cpu: 1, record: Record { told, ..record }, bytes: b"left", arrived: b"arrived", metadata: b"" }
}

fn event(told: &Told<'static>) -> Event<'static> {
    Event::new(told, ORIGIN, |_, ifindex| (ifindex == 2).then_some("eth0"), 1, 1000)
}

#[test]
fn verdicts_have_the_kernels_names() {
    let shown: Vec<String> = (0..6).map(|value| Verdict(value).to_string()).collect();
    assert_eq!(shown, ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT", "5"]);
    assert_eq!(Verdict(u32::MAX).to_string(), "4294967295");
}

#[test]
fn an_unpaired_exit_claims_nothing_of_the_entry() {
    let record = Record { verdict: 1, latency_ns: 99, ifindex: 2, moved: 4, ..Record::default() };
    let event = event(&told(record, &[Tells::TOLD_EXIT, Tells::TOLD_VERDICT]));
    assert_eq!((event.verdict, event.latency_ns, event.before), (Some(Verdict(1)), None, None));
    assert_eq!((event.moved, event.changed), (None, None));
    assert_eq!(event.packet(), event.after);
    assert_eq!(event.device.unwrap().name, Some("eth0"));
}

#[test]
fn an_unpaired_entry_knows_neither_device_nor_verdict() {
    let event = event(&told(Record { length_before: 98, ..Record::default() }, &[Tells::TOLD_ENTRY]));
    assert_eq!((event.device, event.queue, event.verdict, event.after), (None, None, None, None));
    assert_eq!(event.before.unwrap(), Frame { length: Some(98), metadata: 0, bytes: b"left" });
}

#[test]
fn both_halves_differ_only_where_they_do() {
    let both = [Tells::TOLD_ENTRY, Tells::TOLD_EXIT];
    let record = Record { length_before: 98, length_after: 98, time_ns: 5, ..Record::default() };
    let changed = event(&told(record, &both));
    assert_eq!((changed.changed, changed.time_ns), (Some(true), 1005));
    assert_eq!((changed.before.unwrap().bytes, changed.after.unwrap().bytes), (&b"arrived"[..], &b"left"[..]));
    let same = event(&told(record, &[both[0], both[1], Tells::TOLD_SAME]));
    assert_eq!((same.changed, same.before), (Some(false), same.after));
    let unread = event(&told(record, &[both[0], both[1], Tells::TOLD_SAME, Tells::TOLD_UNREAD]));
    assert_eq!((unread.changed, unread.before.unwrap().bytes), (None, &b""[..]));
    assert_eq!(unread.packet(), unread.after);
    let unmeasured = event(&told(record, &[both[0], both[1], Tells::TOLD_FRAGMENTS]));
    assert_eq!((unmeasured.before.unwrap().length, unmeasured.changed), (None, Some(true)));
    let as_far_as_known = event(&told(record, &[both[0], both[1], Tells::TOLD_SAME, Tells::TOLD_FRAGMENTS]));
    assert_eq!(as_far_as_known.changed, None);
}

#[test]
fn a_packet_that_was_changed_is_cut_like_any_other() {
    let both = [Tells::TOLD_ENTRY, Tells::TOLD_EXIT];
    let record = Record { length_before: 98, length_after: 98, ..Record::default() };
    let cut = event(&told(record, &both)).cut_to(5);
    assert_eq!((cut.before.unwrap().bytes, cut.after.unwrap().bytes), (&b"arriv"[..], &b"left"[..]));
    assert_eq!((cut.before.unwrap().length, cut.changed), (Some(98), Some(true)));
}

#[test]
fn counts_say_what_is_not_known() {
    let mut counts = Counts { seen: 15, filtered: 2, skipped: 1, traced: 10, lost: 2, ..Counts::none() };
    assert_eq!(counts.to_string(), "15 seen = 2 filtered + 1 skipped + 10 traced + 2 lost");
    counts.add(&Counts { unpaired: 1, recursion_misses: Some(3), ..Counts::none() });
    assert!(counts.to_string().ends_with("2 lost; 1 unpaired; 3 recursion misses"));
    counts.add(&Counts::default());
    assert!(counts.to_string().ends_with("; recursion misses: ?"));
}

#[test]
fn what_is_neither_decided_against_nor_delivered_is_under_way_until_it_is_lost() {
    let counts = Counted { kept: 10, filtered: 2, skipped: 1, lost: 3, unpaired: 0 };
    let states = [State { counts, ..State::default() }];
    let delivered = Delivered { traced: 6, cut: 1 };
    let mut so_far = Counts::so_far(&states, delivered, Some(0));
    assert_eq!(so_far.to_string(), "16 seen = 2 filtered + 2 skipped + 6 traced + 3 lost + 3 under way");
    so_far.lose(2);
    assert_eq!(so_far.to_string(), "16 seen = 2 filtered + 2 skipped + 6 traced + 5 lost + 1 under way");
    so_far.lose(9);
    assert_eq!((so_far.lost, so_far.under_way), (6, 0));
    assert_eq!(Counts::new(&states, delivered, Some(0)), so_far);
}

#[test]
fn the_last_words_tell_what_is_late_and_what_could_not_be_written() {
    let counts = Counts { seen: 9, traced: 7, lost: 2, ..Counts::none() };
    let devices = vec!["eth0".into(), "eth1".into()];
    let subject = Subject { program_id: 12, program_name: "xdp_lb".into(), function: "xdp_lb".into(), devices };
    let account = Account { subject, counts: counts.clone() };
    assert!(account.to_string().starts_with("xdp_lb#12 on eth0, eth1: 9 seen = "), "{account}");
    let overflow = Overflow { outcomes: 4, forwards: 5 };
    let losses = Losses { unwritten: 2, overflow, ..Losses::default() };
    let summary = Summary {
        programs: vec![account],
        total: counts,
        verdicts: [(Verdict(1), 7)].into(),
        others: 0,
        losses,
        late: 3,
        forwards: None,
    };
    assert_eq!(
        summary.to_string(),
        "9 seen = 0 filtered + 0 skipped + 7 traced + 2 lost; 2 lost because they could not be written; 4 lost \
         outcomes for want of room in their table; 5 lost packets sent on for want of room in their table; 3 late in the file; XDP_DROP 100.0 %"
    );
}
