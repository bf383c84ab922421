//! `bench cost`: guest instructions per packet beyond the untraced ones.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use crate::frame::Kind;
use crate::measure;
use crate::nic::Target;
use crate::rows::{Case, ROWS, Tool};
use crate::table::{Bar, Line};
use crate::tracer::{Summary, Tracer};

const UNIT: &str = "guest instructions per packet beyond the untraced ones";

/// Measures all rows that this kernel can have; `bars`: with their bars.
pub fn run(bars: bool) -> Result<()> {
    measure::check_processor()?;
    let sessions = crate::kernel()? >= (7, 0);
    let mut bench = Bench::default();
    for case in ROWS.iter().filter(|case| sessions || !matches!(case.tool, Tool::Session(_))) {
        bench.line(case, bars).emit()?;
    }
    Ok(())
}

#[derive(Default)]
struct Bench {
    untraced: HashMap<(&'static str, usize), u32>,
    figures: HashMap<&'static str, f64>,
}

impl Bench {
    fn line(&mut self, case: &Case, bars: bool) -> Line {
        eprintln!("{}", case.name);
        let figure = self.measure(case).map(f64::from);
        if let Ok(figure) = figure {
            self.figures.insert(case.name, figure);
        }
        let mut line = Line::new(case.name, UNIT, figure);
        line.peer = case.peers.iter().filter_map(|peer| self.figures.get(peer)).copied().min_by(f64::total_cmp);
        if bars {
            line.bar = case.bar.map(|bar| Bar::AtMost(f64::from(bar)));
            line.minimal = case.minimal.and_then(|minimal| self.figures.get(minimal)).copied();
        }
        line
    }

    fn measure(&mut self, case: &Case) -> Result<u32> {
        let target = Target::attach(case.target)?;
        let untraced = self.untraced(&target, case.frame)?;
        let frame = case.frame.frame();
        let tracer = Tracer::start(&case.tool.words("/tmp"), "/tmp/stdout")?;
        // xdpdump says that it listens before it has a ring to listen at.
        tracer.rest()?;
        // The first round is not like the others.
        measure::instructions(&target, &frame)?;
        tracer.rest()?;
        let traced = measure::steady(&target, &frame, || tracer.rest());
        let summary = tracer.end()?;
        case.check(&summary, u64::from(frame.repeat))?;
        traced?.checked_sub(untraced).context("less than untraced")
    }

    fn untraced(&mut self, target: &Target, kind: Kind) -> Result<u32> {
        let frame = kind.frame();
        let key = (target.name(), frame.bytes.len());
        if let Some(known) = self.untraced.get(&key) {
            return Ok(*known);
        }
        let figure = measure::steady(target, &frame, || Ok(()))?;
        self.untraced.insert(key, figure);
        Ok(figure)
    }
}

impl Case {
    /// Whether the tracer saw all runs and lost none, in its own words.
    fn check(&self, summary: &Summary, round: u64) -> Result<()> {
        let runs = round * (1 + measure::ROUNDS as u64);
        let (seen, expected, lost) = match self.tool {
            Tool::Probes(_) | Tool::Session(_) | Tool::Bare => return Ok(()),
            Tool::XdpDump(words) => {
                let captured = summary.count("packets captured")?;
                (captured, runs * points(words), summary.count("packets dropped by perf ring")?)
            }
            Tool::Article => {
                let expected = if self.frame == Kind::Udp { 0 } else { 2 * runs };
                (summary.count(" traced")?, expected, summary.count(" lost")?)
            }
            Tool::Xdptrace(_) | Tool::Stats(_) => (summary.count(" seen")?, runs, summary.count(" lost")?),
        };
        ensure!(lost == 0, "{lost} lost: {:?}", summary.0);
        ensure!(seen == expected, "{seen} seen of {expected}: {:?}", summary.0);
        Ok(())
    }
}

/// How many events xdpdump makes of a packet.
fn points(words: &[&str]) -> u64 {
    if words.contains(&"entry,exit") { 2 } else { 1 }
}
