//! What it takes from a tracer's start until it listens, on a machine whose clock counts instructions.

use anyhow::{Context, Result};

use crate::nic::Target;
use crate::rows::{PASS, Tool};
use crate::table::{Bar, Line};
use crate::tracer::Tracer;

const UNIT: &str = "million guest instructions from the start to 'Listening events...', the kernel's among them";

/// What is measured, the first one by the other.
const TOOLS: [(&str, Tool); 3] = [
    ("a program that only loads and attaches the same", Tool::Bare),
    ("xdptrace -i DEV", Tool::Xdptrace(&[])),
    ("xdpdump -i DEV -w FILE --rx-capture entry,exit", Tool::XdpDump(&["--rx-capture", "entry,exit"])),
];
/// What checking, finding targets and the summary may add.
const MOST: f64 = 1.5;

/// Measures them; `bars`: with the bar.
pub fn run(bars: bool) -> Result<()> {
    let mut bare = None;
    for (name, tool) in TOOLS {
        let figure = measure(tool);
        let mut line = Line::new(name, UNIT, figure);
        match (&line.figure, tool) {
            (Ok(figure), Tool::Bare) => bare = Some(*figure),
            (_, Tool::Xdptrace(_)) => {
                line.peer = bare;
                line.bar = bare.filter(|_| bars).map(|bare| Bar::AtMost(MOST * bare));
            }
            _ => {}
        }
        line.emit()?;
    }
    Ok(())
}

/// The least of some: what is read for the first time comes from the host.
fn measure(tool: Tool) -> Result<f64> {
    let _target = Target::attach(PASS)?;
    let least = (0..3).map(|_| start(tool)).collect::<Result<Vec<_>>>()?.into_iter().min();
    Ok(least.context("nothing was measured")? as f64 / 1e6)
}

fn start(tool: Tool) -> Result<u64> {
    let tracer = Tracer::start(&tool.words("/tmp"), "/tmp/stdout")?;
    let ran = tracer.ran_ns()?;
    tracer.end()?;
    Ok(ran)
}
