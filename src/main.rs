//! Parse, run, exit status.

use std::env;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xdptrace::failure::{self, Status};
use xdptrace::plan::{Plan, Tracing};
use xdptrace::{passthrough, session, sink};

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
        Plan::RestoreFeatures { device, features } => passthrough::restore_features(io::stdin(), &device, features),
        // A closed pipe, as in `xdptrace --help | head -1`, is nobody's error.
        Plan::Print(text) => {
            let _ = write!(io::stdout(), "{text}");
            Ok(())
        }
    }
}

fn trace(tracing: &Tracing) -> Result<()> {
    let stop = stop_on_signals()?;
    let stdout = io::stdout();
    let mut sink = sink::open(tracing.output, stdout.lock());
    let counts = session::trace(tracing, sink.as_mut(), Some(stdout.as_fd()), &stop)?;
    let _ = writeln!(io::stderr(), "{counts}");
    Ok(())
}

/// Ctrl-C, SIGTERM and SIGHUP set the flag; another one later ends the process at once, and the kernel cleans up.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    /// `timeout` and `sudo` send a signal to the process and to its group: the second copy is no second wish.
    const SAME_WISH: Duration = Duration::from_millis(500);
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || {
        flag.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > SAME_WISH {
            process::exit(130);
        }
    })
    .context("failed to set the signal handler")?;
    Ok(stop)
}
