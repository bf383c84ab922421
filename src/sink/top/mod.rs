//! Numbers on a terminal, live.
//!
//! ```text
//! tree      two readings → devices and programs, and what came in between
//! history   … and in the last minute
//! drops     the last few packets that were dropped
//! keys      what the terminal sends → keys
//! model     all of that, and what keys make of it
//! draw      model → screen: it depends on nothing else
//! terminal  … the real one: taken, drawn to, given back
//! ```

mod draw;
mod drops;
mod history;
mod keys;
mod model;
mod terminal;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::io;
use std::os::fd::BorrowedFd;

pub use terminal::outlet;

use model::{Model, Wish};
use terminal::{Input, Screen};

use super::notice;
use super::text::Text;
use super::{Notice, Sink, tell};
use crate::event::Event;
use crate::numbers::Numbers;
use crate::outlet::Outlet;
use crate::plan::{self, By, Look};
use crate::stop::Signals;

/// Numbers on a terminal, which has it to itself from the first of them on.
pub struct Top<'out> {
    screen: Screen<'out>,
    model: Model,
    /// For what a line says of a packet.
    text: Text<io::Sink>,
    signals: Signals,
    is_over: bool,
}

impl<'out> Top<'out> {
    /// On the terminal that `out` writes to.
    ///
    /// # Errors
    /// A signal handler cannot be set.
    pub fn new(palette: plan::Palette, by: Option<By>, out: &'out Outlet, signals: &Signals) -> io::Result<Self> {
        Ok(Self {
            screen: Screen::new(out, signals)?,
            model: Model::new(palette, by),
            text: Text::new(io::sink(), Look::default()),
            signals: signals.clone(),
            is_over: false,
        })
    }

    /// What is left to do takes a while, in which Ctrl-C is to be a signal again.
    fn end(&mut self) {
        self.is_over = true;
        self.screen.give_back();
        self.signals.ask_to_stop();
    }

    /// Draws what there is, on a screen that is taken for it, unless the end has begun.
    fn show(&mut self) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        self.screen.take()?;
        self.screen.draw(&self.model)
    }

    fn grant(&mut self, wish: Wish) -> io::Result<()> {
        match wish {
            Wish::Nothing => Ok(()),
            Wish::Quit => {
                self.end();
                Ok(())
            }
            Wish::Suspend => self.screen.suspend(&self.model),
            Wish::Redraw => self.screen.redraw(&self.model),
        }
    }
}

impl Sink for Top<'_> {
    fn packet(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.model.dropped(event, self.text.body(event));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.screen.heed(&self.model)
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn numbers(&mut self, numbers: &Numbers) -> io::Result<()> {
        // Of the last reading, nothing is traced any more, and the screen goes.
        if numbers.is_final {
            return Ok(());
        }
        self.model.read(numbers);
        self.show()
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        (self.screen.is_taken() && !self.is_over).then(|| self.screen.input())
    }

    fn read_input(&mut self) -> io::Result<()> {
        if !self.screen.is_taken() {
            return Ok(());
        }
        match self.screen.read()? {
            Input::Closed => self.end(),
            Input::Keys(keys) if keys.is_empty() => return Ok(()),
            Input::Keys(keys) => {
                for key in keys {
                    let wish = self.model.press(key);
                    self.grant(wish)?;
                    if self.is_over {
                        break;
                    }
                }
            }
        }
        self.show()
    }

    fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        match notice {
            Notice::Progress { .. } => return Ok(()),
            Notice::Ended(_) => self.screen.give_back(),
            Notice::Listening => return self.show(),
            _ => {}
        }
        if self.screen.is_taken() {
            self.model.message = Some(notice::words(notice).replace('\n', "; "))
                .filter(|words| !words.is_empty())
                .or(self.model.message.take());
            return self.screen.draw(&self.model);
        }
        tell(notice);
        Ok(())
    }
}
