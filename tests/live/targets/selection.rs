//! What a selection must show of each datagram, and whether it does.

use crate::lab::Nic;
use crate::loader::{FIRST_PORT, Shown, send, shown};
use crate::tracer::{Ended, Tracer};

/// Datagrams sent to each NIC.
const COUNT: u16 = 3;

/// A tracer's options, and what it must show of each datagram: device, `FUNC#ID` and verdict.
pub struct Selection<'a> {
    words: Vec<&'a str>,
    shows: Vec<(&'a str, String, &'a str)>,
}

pub fn selection<'a>(words: &[&'a str], shows: &[(&'a str, &str, &'a str)]) -> Selection<'a> {
    let shows = shows.iter().map(|(device, program, verdict)| (*device, (*program).to_owned(), *verdict)).collect();
    Selection { words: words.to_vec(), shows }
}

/// Sends COUNT datagrams to each of these NICs, which share a namespace, under one tracer for each selection.
pub fn each_shows(nics: &[&Nic], selections: &[Selection]) -> Vec<Ended> {
    let mut tracers: Vec<Tracer> = selections.iter().map(|one| Tracer::spawn(nics[0], &one.words)).collect();
    tracers.iter_mut().for_each(Tracer::wait_until_it_listens);
    nics.iter().for_each(|nic| send(nic, FIRST_PORT..FIRST_PORT + COUNT));
    let check = |(selection, mut tracer): (&Selection, Tracer)| {
        let mut expected: Vec<Shown> = selection
            .shows
            .iter()
            .flat_map(|(device, program, verdict)| {
                (FIRST_PORT..FIRST_PORT + COUNT).map(move |port| Shown {
                    device: (*device).to_owned(),
                    program: program.clone(),
                    verdict: (*verdict).to_owned(),
                    port,
                })
            })
            .collect();
        expected.sort();
        let words = &selection.words;
        tracer.wait_until(&format!("{} datagrams with {words:?}", expected.len()), |tracer| {
            shown(&tracer.stdout).len() >= expected.len()
        });
        let ended = tracer.end("INT");
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {ended:?}");
        let mut found = shown(&ended.stdout);
        found.sort();
        assert_eq!(found, expected, "{words:?}: {:?}", ended.stderr);
        assert_eq!(ended.counts().lost, 0, "{words:?}: {ended:?}");
        ended
    };
    selections.iter().zip(tracers).map(check).collect()
}

/// The lines `not traced: …` of a tracer.
pub fn not_traced(ended: &Ended) -> Vec<&str> {
    let listening = ended.stderr.iter().position(|line| line == "Listening events...").unwrap();
    let lines = ended.stderr.iter().enumerate().filter(|(_, line)| line.starts_with("not traced: "));
    // All of them before anything is traced.
    lines.inspect(|(at, line)| assert!(*at < listening, "{line}")).map(|(_, line)| line.as_str()).collect()
}
