#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

/// A perf sample of these records, each with what stands behind it, and a tail.
fn sample(records: &[(Record, &[u8])], tail: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (record, behind) in records {
        // SAFETY: there is no padding (asserted in record.h).
        bytes.extend_from_slice(unsafe { plain::as_bytes(record) });
        bytes.extend_from_slice(behind);
    }
    let head = Sample { cpu: 3, used: bytes.len() as u32, ..Sample::default() };
    // SAFETY: as above.
    [unsafe { plain::as_bytes(&head) }, &bytes, tail].concat()
}

#[test]
fn a_short_sample_has_no_records() {
    assert!(Records::new(&[0; 15]).is_none());
    let one = sample(&[(Record::default(), &[])], &[]);
    assert!(Records::new(&one[..one.len() - 1]).is_none());
}

#[test]
fn a_sample_of_a_cpu_that_cannot_be_has_no_records() {
    let mut one = sample(&[(Record::default(), &[])], &[]);
    assert!(Records::new(&one).is_some());
    let cpu = std::mem::offset_of!(Sample, cpu);
    one[cpu..cpu + 4].copy_from_slice(&MOST_CPUS.to_ne_bytes());
    assert!(Records::new(&one).is_none());
}

#[test]
fn each_part_is_padded_to_eight_bytes() {
    let first = Record { time_ns: 7, captured: 9, arrived: 1, ..Record::default() };
    let second = Record { time_ns: 8, metadata: 4, ..Record::default() };
    let sample = sample(&[(first, b"packet, 9.......as seen."), (second, b"meta....")], b"padding");
    let told: Vec<Told<'_>> = Records::new(&sample).unwrap().collect();
    let [first, second] = &told[..] else { panic!("{told:?}") };
    assert_eq!((first.cpu, first.record.time_ns), (3, 7));
    assert_eq!((first.bytes, first.arrived, first.metadata), (&b"packet, 9"[..], &b"a"[..], &b""[..]));
    assert_eq!((second.record.time_ns, second.bytes, second.metadata), (8, &b""[..], &b"meta"[..]));
}

#[test]
fn a_packet_at_the_end_stands_behind_all_else() {
    let told = Tells::TOLD_TAIL.0 as u16;
    let record = Record { told, captured: 5, arrived: 2, ..Record::default() };
    let sample = sample(&[(record, b"as......")], b"wholepadding");
    let told = Records::new(&sample).unwrap().next().unwrap();
    assert_eq!((told.bytes, told.arrived), (&b"whole"[..], &b"as"[..]));
}

#[test]
fn lengths_beyond_the_sample_end_it() {
    for record in [
        Record { captured: 1, ..Record::default() },
        Record { arrived: u16::MAX, ..Record::default() },
        Record { captured: 9, told: Tells::TOLD_TAIL.0 as u16, ..Record::default() },
    ] {
        assert!(Records::new(&sample(&[(record, &[])], &[0; 8])).unwrap().next().is_none());
    }
}
