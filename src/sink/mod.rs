//! Events → lines. A sink knows [`Event`] and `Write`, and nothing of BPF.

mod classic;
mod localtime;
mod text;

use std::io::{self, Write};

use crate::event::{Counts, Event};
use crate::plan::Output;

/// What happens to the tracer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A pass-through program was attached to this device.
    AttachedXdp(String),
    /// fentry was attached.
    AttachedFentry,
    /// fexit was attached.
    AttachedFexit,
    /// Everything is attached: from here on no packet is missed unseen.
    Listening,
    /// Nothing is attached any more, and this is where every run of the program went.
    Ended(Counts),
}

/// Where events go.
pub trait Sink {
    /// One run of the program.
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// Something happened to the tracer. Data goes to the standard output, so by default this is said on stderr.
    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        tell(notice);
        Ok(())
    }
}

/// Says on stderr what a user whose standard output holds data must know.
fn tell(notice: &Notice) {
    // Whoever closed stderr doesn't want to know.
    let _ = match notice {
        Notice::Listening => writeln!(io::stderr(), "Listening events..."),
        Notice::Ended(counts) => writeln!(io::stderr(), "{counts}"),
        Notice::AttachedXdp(_) | Notice::AttachedFentry | Notice::AttachedFexit => Ok(()),
    };
}

/// The sink for `output`, writing to `out`.
pub fn open<'out>(output: Output, out: impl Write + 'out) -> Box<dyn Sink + 'out> {
    match output {
        Output::Text => Box::new(text::Text::new(out)),
        Output::Classic => Box::new(classic::Classic::new(out)),
    }
}
