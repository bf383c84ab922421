//! Parse, run, exit status.

use std::env;
use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context, Result};
use xdptrace::export::Listener;
use xdptrace::failure::{self, Failure, Status};
use xdptrace::filter::{self, Notation};
use xdptrace::outlet::{self, Files, Outlet};
use xdptrace::plan::{Export, Filter, Listing, Plan, Reading, Stats, Top, Tracing};
use xdptrace::privileges::{self, Needs};
use xdptrace::recorded::{Outward, Recording};
use xdptrace::sink::Prometheus;
use xdptrace::{check, completion, list, passthrough, probe, session, sink, stop};

fn main() -> ExitCode {
    completion::answer();
    let status = match Plan::new(env::args_os()).and_then(run) {
        Ok(()) => Status::Done,
        Err(error) => {
            // Whoever closed stderr still gets the exit status.
            let _ = writeln!(io::stderr(), "xdptrace: {}", failure::shown(&error));
            failure::status(&error)
        }
    };
    ExitCode::from(status as u8)
}

fn run(plan: Plan) -> Result<()> {
    match plan {
        Plan::Trace(tracing) => trace(&tracing),
        Plan::Top(plan) => top(&plan),
        Plan::Read(reading) => read(&reading),
        Plan::Stats(stats) => show_numbers(&stats),
        Plan::Export(plan) => export(&plan),
        Plan::List(listing) => list::run(&listing, &mut io::stdout()),
        Plan::Check(checking) => check::run(&checking, &mut io::stdout()),
        Plan::Bare => {
            // Who may not list programs still learns how to go on.
            let _ = list::run(&Listing::default(), &mut io::stdout());
            Err(Failure::usage("nothing to do: xdptrace -i DEV traces, xdptrace --help tells more"))
        }
        Plan::RestoreFeatures { ifindex, features } => passthrough::restore_features(io::stdin(), ifindex, features),
        Plan::Dump { filter, form } => print(&dump(&filter, form)?),
        Plan::Schema => print(sink::SCHEMA),
        Plan::Print(text) => print(&text),
    }
}

fn print(text: &str) -> Result<()> {
    outlet::written(write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()))
}

fn dump(filter: &Filter, form: u8) -> Result<String> {
    let program = filter::compile_with(&filter.words, !filter.unoptimised)?;
    let notation = match form {
        1 => Notation::Assembly,
        2 => Notation::C,
        _ => Notation::Decimal,
    };
    let code = filter::translate(program.instructions(), &probe::layout())?;
    Ok(filter::dump(program.instructions(), notation) + &filter::dump_code(&code, notation)?)
}

fn trace(tracing: &Tracing) -> Result<()> {
    privileges::become_user(tracing.user.as_deref())?;
    let signals = stop::on_signals(tracing.capture.as_ref().is_some_and(|capture| capture.reopens))?;
    let filtered_at = tracing.selection.filtered_at();
    let Some(capture) = &tracing.capture else {
        let outlet = stdout()?;
        let mut sink = sink::open(&tracing.output, filtered_at, &outlet);
        return session::trace(tracing, sink.as_mut(), &[&outlet], &signals);
    };
    let outlet = privileges::as_user(tracing.user.as_deref(), || outlet::open(capture, &signals))?;
    let printed = capture.prints.then(stdout).transpose()?;
    let lines = printed.as_ref().map(|outlet| sink::open(&tracing.output, filtered_at, outlet));
    let files = Files::new(&outlet, capture);
    let mut sink = sink::open_files(capture, tracing.selection.snap_len, files, lines);
    let outputs: Vec<&Outlet> = [&outlet].into_iter().chain(&printed).collect();
    session::trace(tracing, sink.as_mut(), &outputs, &signals)
}

fn show_numbers(stats: &Stats) -> Result<()> {
    privileges::become_user(stats.tracing.user.as_deref())?;
    let signals = stop::on_signals(false)?;
    let outlet = stdout()?;
    let mut sink = sink::open_stats(stats, &outlet);
    session::trace(&stats.tracing, sink.as_mut(), &[&outlet], &signals)
}

fn export(export: &Export) -> Result<()> {
    // A port below 1024 takes a privilege, which later there isn't any more.
    let listener = Listener::bind(export.listen)?;
    privileges::become_user(export.tracing.user.as_deref())?;
    let signals = stop::on_signals(false)?;
    let mut sink = Prometheus::new(listener, export.interval, export.per_queue);
    session::trace(&export.tracing, &mut sink, &[], &signals)
}

fn top(Top { tracing, palette }: &Top) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage(
            "top takes a terminal as its standard input and output: xdptrace stats prints the same numbers in lines",
        ));
    }
    privileges::become_user(tracing.user.as_deref())?;
    let signals = stop::on_signals(false)?;
    let outlet = sink::terminal(io::stdout().as_fd()).context("failed to open the terminal")?;
    let by = tracing.counting.as_ref().and_then(|counting| counting.by.clone());
    let mut sink = sink::open_top(*palette, by, &outlet, &signals).context("failed to set the signal handlers")?;
    // What a terminal is too slow for is left out, and nothing waits for it.
    session::trace(tracing, sink.as_mut(), &[], &signals)
}

fn read(reading: &Reading) -> Result<()> {
    /// Written at once, where nobody watches the lines come.
    const GATHERED: usize = 256 << 10;
    // Until there are handlers, a signal ends the process: also while it waits for who writes to a named pipe.
    let recording = Recording::open(reading)?;
    let signals = stop::on_signals(false)?;
    let stdout = io::stdout();
    let outward = Outward::new(stdout.as_fd(), &signals).context("failed to open the standard output")?;
    // Who reads a stranger's file as root need not read it with root's powers.
    privileges::give_up(&Needs::default())?;
    let out: Box<dyn Write> = match stdout.is_terminal() {
        true => Box::new(LineWriter::new(outward)),
        false => Box::new(BufWriter::with_capacity(GATHERED, outward)),
    };
    let mut sink = sink::open(&reading.output, reading.selection.filtered_at(), out);
    recording.show(sink.as_mut(), &signals)
}

fn stdout() -> Result<Outlet> {
    Outlet::new(io::stdout().as_fd()).context("failed to open the standard output")
}
