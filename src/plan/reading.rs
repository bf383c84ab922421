//! Which file is read, and what of it.

use std::path::PathBuf;

use anyhow::Result;

use super::{Output, Selection, refuse_letters};
use crate::cli::Shown;
use crate::failure::Failure;

/// What to read, and how to show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The file; `-`: the standard input.
    pub file: PathBuf,
    /// Which runs.
    pub selection: Selection,
    /// Stop after so many.
    pub count: Option<u64>,
    /// How events are shown in lines.
    pub output: Output,
}

impl Reading {
    /// What the command line says of it.
    ///
    /// # Errors
    /// A value means nothing.
    pub fn new(file: PathBuf, shown: &Shown) -> Result<Self> {
        refuse_letters(&shown.packets)?;
        if file.as_os_str().is_empty() {
            return Err(Failure::usage("reading wants the name of a file, or -"));
        }
        let (selection, output) = (Selection::of(shown)?, Output::of(shown));
        Ok(Self { file, selection, count: shown.count, output })
    }
}
