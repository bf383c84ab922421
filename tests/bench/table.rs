//! The lines of the table, from the guests that measure them to the terminal.

use std::io::{self, Write};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// What the figure is of.
    pub case: String,
    /// The figure in words that fit its unit; what went wrong where there is none.
    pub figure: Result<f64, String>,
    /// Its unit's name, and the section of the table.
    pub unit: String,
    /// What it must not pass.
    pub bar: Option<Bar>,
    /// The figure of the best of those that do the same.
    pub peer: Option<f64>,
    /// The figure of a minimal program that does only what the line is about.
    pub minimal: Option<f64>,
    /// What else there is to say.
    pub note: String,
}

/// A limit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Bar {
    /// The figure may not be above.
    AtMost(f64),
    /// The figure may not be below.
    AtLeast(f64),
}

impl Bar {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bar) => figure <= bar,
            Self::AtLeast(bar) => figure >= bar,
        }
    }
}

impl Line {
    /// A figure without a bar.
    pub fn new(case: impl Into<String>, unit: &str, figure: Result<f64>) -> Self {
        let figure = figure.map_err(|error| format!("{error:#}").replace('\n', " "));
        Self {
            case: case.into(),
            figure,
            unit: unit.to_owned(),
            bar: None,
            peer: None,
            minimal: None,
            note: String::new(),
        }
    }

    /// The same with a bar.
    pub fn with_bar(mut self, bar: Option<Bar>) -> Self {
        self.bar = bar;
        self
    }

    /// The same with a remark.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Writes it for [`print`].
    pub fn emit(&self) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", serde_json::to_string(self)?)?;
        Ok(stdout.flush()?)
    }

    /// Whether the bar holds; a figure above it is excused by a minimal program's that is above it as well.
    pub fn verdict(&self) -> Verdict {
        match (&self.figure, self.bar) {
            (Err(_), _) => Verdict::Failed,
            (Ok(_), None) => Verdict::Fine,
            (Ok(figure), Some(bar)) if bar.holds(*figure) => Verdict::Fine,
            (Ok(_), Some(bar)) if self.minimal.is_some_and(|minimal| !bar.holds(minimal)) => Verdict::Excused,
            _ => Verdict::Missed,
        }
    }

    fn cells(&self) -> [String; 5] {
        let (figure, ratio) = match &self.figure {
            Ok(figure) => (number(*figure), self.peer.map_or(String::new(), |peer| format!("{:.2}", figure / peer))),
            Err(_) => ("error".into(), String::new()),
        };
        let bar = match self.bar {
            None => String::new(),
            Some(Bar::AtMost(bar)) => format!("<= {}", number(bar)),
            Some(Bar::AtLeast(bar)) => format!(">= {}", number(bar)),
        };
        [self.case.clone(), figure, bar, ratio, self.remark()]
    }

    fn remark(&self) -> String {
        let minimal = self.minimal.map(|minimal| format!("minimal program {}", number(minimal)));
        let verdict = match self.verdict() {
            Verdict::Fine => None,
            Verdict::Missed => Some("MISSED".to_owned()),
            Verdict::Excused => Some("missed, as by the minimal program".to_owned()),
            Verdict::Failed => self.figure.clone().err(),
        };
        let note = (!self.note.is_empty()).then(|| self.note.clone());
        [verdict, minimal, note].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn number(figure: f64) -> String {
    if figure.fract() == 0.0 { format!("{figure}") } else { format!("{figure:.2}") }
}

/// What a line's bar says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, or there is none.
    Fine,
    /// It doesn't.
    Missed,
    /// It doesn't, and can't.
    Excused,
    /// There is no figure.
    Failed,
}

/// Prints what [`Line::emit`] wrote, between whatever else a guest says, as one table; whether everything is as it must be.
pub fn print(lines: &str) -> Result<bool> {
    let mut section = String::new();
    let mut fine = true;
    for json in lines.lines().filter(|line| line.starts_with('{')) {
        let line: Line = serde_json::from_str(json)?;
        if line.unit != section {
            section.clone_from(&line.unit);
            println!("\n{:<66} {:>9} {:>9} {:>6}", section, "measured", "bar", "ratio");
        }
        let [case, figure, bar, ratio, remark] = line.cells();
        println!("{}", format!("{case:<66} {figure:>9} {bar:>9} {ratio:>6}  {remark}").trim_end());
        fine &= matches!(line.verdict(), Verdict::Fine | Verdict::Excused);
    }
    Ok(fine)
}
