//! Parse, run, exit status.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use xdptrace::failure::{self, Failure, Status};
use xdptrace::filter::{self, Notation};
use xdptrace::outlet::{self, Outlet};
use xdptrace::plan::{Listing, Output, Plan, Reading, Tracing};
use xdptrace::{check, list, passthrough, probe, recorded, session, sink, stop};

fn main() -> ExitCode {
    let status = match Plan::new(env::args_os()).and_then(run) {
        Ok(()) => Status::Done,
        Err(error) => {
            // Whoever closed stderr still gets the exit status.
            let _ = writeln!(io::stderr(), "xdptrace: {error:#}");
            failure::status(&error)
        }
    };
    ExitCode::from(status as u8)
}

fn run(plan: Plan) -> Result<()> {
    match plan {
        Plan::Trace(tracing) => trace(&tracing),
        Plan::Read(reading) => read(&reading),
        Plan::List(listing) => list::run(&listing, &mut io::stdout()),
        Plan::Check { scope, json } => check::run(&scope, json, &mut io::stdout()),
        Plan::Bare => {
            // Who may not list programs still learns how to go on.
            let _ = list::run(&Listing::default(), &mut io::stdout());
            Err(Failure::usage("nothing to do: xdptrace -i DEV traces, xdptrace --help tells more"))
        }
        Plan::RestoreFeatures { ifindex, features } => passthrough::restore_features(io::stdin(), ifindex, features),
        Plan::Dump { filter, form } => print(&dump(&filter, form)?),
        Plan::Print(text) => print(&text),
    }
}

fn print(text: &str) -> Result<()> {
    outlet::written(write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()))
}

fn dump(expression: &str, form: u8) -> Result<String> {
    let program = filter::compile(expression)?;
    let notation = match form {
        1 => Notation::Assembly,
        2 => Notation::C,
        _ => Notation::Decimal,
    };
    let code = filter::translate(program.instructions(), &probe::layout())?;
    Ok(filter::dump(program.instructions(), notation) + &filter::dump_code(&code, notation)?)
}

fn trace(tracing: &Tracing) -> Result<()> {
    let stop = stop::on_signals()?;
    let outlet = open_outlet(&tracing.output)?;
    let mut sink = sink::open(&tracing.output, tracing.selection.snap_len, &outlet);
    session::trace(tracing, sink.as_mut(), Some(&outlet), &stop)
}

fn read(reading: &Reading) -> Result<()> {
    /// Written at once, where nobody watches the lines come.
    const GATHERED: usize = 256 << 10;
    let stop = stop::on_signals()?;
    let stdout = io::stdout();
    let file = File::from(stdout.as_fd().try_clone_to_owned().context("failed to open the standard output")?);
    let out: Box<dyn Write> = match stdout.is_terminal() {
        true => Box::new(stdout),
        false => Box::new(BufWriter::with_capacity(GATHERED, file)),
    };
    let mut sink = sink::open(&reading.output, reading.selection.snap_len, out);
    recorded::show(reading, sink.as_mut(), &stop)
}

fn open_outlet(output: &Output) -> Result<Outlet> {
    match output {
        Output::Pcapng(path) if path.as_os_str() != "-" => {
            let file = create(path)
                .with_context(|| format!("failed to create {}", path.to_string_lossy().escape_default()))?;
            Outlet::new(file.as_fd())
                .with_context(|| format!("failed to open {}", path.to_string_lossy().escape_default()))
        }
        Output::Pcapng(_) if io::stdout().is_terminal() => {
            Err(Failure::usage("-w - would write binary to the terminal: redirect it or name a file"))
        }
        _ => Outlet::new(io::stdout().as_fd()).context("failed to open the standard output"),
    }
}

/// What went by on a network is for its owner's eyes.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
