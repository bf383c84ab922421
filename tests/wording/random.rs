//! No bytes of any kind make the printer or the walk panic, run on, or say what a terminal would obey.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::{WAYS, corpus};
use xdptrace::packet::{Layers, Printer, describe, dump};

/// No words are longer than this for each byte of the packet, and this for none.
const LONGEST: (usize, usize) = (64, 4096);

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

fn told(bytes: &[u8], length: u32) -> Result<(), TestCaseError> {
    for way in WAYS {
        let mut out = Vec::new();
        let header = Printer::new(way.style).print(&mut out, bytes, length);
        if let Some((form, _)) = way.dump {
            dump(&mut out, bytes, header, form);
        }
        describe(&mut out, bytes, 0, usize::MAX);
        let plain = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
        prop_assert!(out.iter().all(plain), "{:?}", String::from_utf8_lossy(&out));
        prop_assert!(out.len() <= bytes.len() * LONGEST.0 + LONGEST.1, "{} bytes", out.len());
    }
    Ok(())
}

fn walked(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut end = 0;
    for layer in Layers::new(bytes) {
        prop_assert_eq!(layer.offset, end);
        end += layer.header.len();
        prop_assert_eq!(bytes.get(layer.offset..end), Some(layer.header));
        prop_assert!(!layer.header.is_empty());
        layer.fields(&mut |field| assert!(!field.name.is_empty()));
    }
    Ok(())
}

fn holds(bytes: &[u8], length: u32) -> Result<(), TestCaseError> {
    walked(bytes)?;
    told(bytes, length)
}

#[test]
fn bytes_of_any_kind() {
    let strategy = (prop::collection::vec(any::<u8>(), 0..200), any::<u32>());
    runner(500).run(&strategy, |(bytes, length)| holds(&bytes, length)).unwrap();
}

#[test]
fn packets_with_bytes_changed_and_ends_missing() {
    let packets = corpus::packets();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 0..6),
        any::<prop::sample::Index>(),
        prop::option::of(any::<u32>()),
    );
    let run = runner(3000).run(&strategy, |(which, changes, end, length)| {
        let packet = &packets[which.index(packets.len())];
        let mut bytes = packet.bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len() + 20) + 1);
        holds(&bytes, length.unwrap_or(packet.length))
    });
    run.unwrap();
}
