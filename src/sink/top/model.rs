//! What the screen shows, and what keys make of it.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::drops::{Dropped, Drops};
use super::history::History;
use super::keys::Key;
use super::tree::{self, Branch, Live, RowId};
use crate::event::Event;
use crate::numbers::{Numbers, Program};
use crate::plan::{By, Palette};

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    Packets,
    Bits,
    Drops,
    P99,
    Errors,
}

/// What is on the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Tree,
    /// One row, with all that is known of it.
    Detail,
    /// What its packets have in common.
    By,
}

/// What a key asks of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Quit,
    Suspend,
    Redraw,
}

/// What has been read.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The last reading, and the one before it.
    pub now: Numbers,
    pub before: Option<Numbers>,
    tree: Vec<Branch>,
    histories: HashMap<RowId, History>,
    drops: Drops,
}

/// All that the screen is made of.
#[derive(Debug)]
pub struct Model {
    pub palette: Palette,
    /// What packets are counted by, if by anything.
    pub by: Option<By>,
    pub sort: Sort,
    pub is_reversed: bool,
    pub view: View,
    /// Whether the keys are explained.
    pub helps: bool,
    /// What was said last of the tracer itself.
    pub message: Option<String>,
    live: State,
    /// What is shown while it is paused.
    frozen: Option<State>,
    selected: Option<RowId>,
}

impl Sort {
    /// All there are, in the order of their columns.
    pub const ALL: [Self; 6] = [Self::Name, Self::Packets, Self::Bits, Self::Drops, Self::P99, Self::Errors];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Packets => "packets",
            Self::Bits => "bits",
            Self::Drops => "drops",
            Self::P99 => "p99",
            Self::Errors => "errors",
        }
    }

    fn next(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        let step = if forward { 1 } else { Self::ALL.len() - 1 };
        Self::ALL[(at + step) % Self::ALL.len()]
    }

    /// Names as they stand in an alphabet, components as they are called; numbers from the greatest on.
    fn compare(self, one: &Branch, two: &Branch) -> Ordering {
        let names = || natural(one).cmp(&natural(two));
        let number = |branch: &Branch| branch.live.as_ref().map_or(-1.0, |live| self.number(live));
        match self {
            Self::Name => names(),
            _ => number(two).total_cmp(&number(one)).then_with(names),
        }
    }

    fn number(self, live: &Live) -> f64 {
        let p99 = || live.came.latency.as_ref().and_then(|latency| latency.quantile(0.99));
        match self {
            Self::Name => 0.0,
            Self::Packets => live.packets(),
            Self::Bits => live.bits(),
            Self::Drops => live.drops(),
            Self::P99 => p99().map_or(0.0, |p99| p99.as_secs_f64()),
            Self::Errors => live.errors(),
        }
    }
}

/// `component 2` comes before `component 10`.
fn natural(branch: &Branch) -> (&str, u32, &str) {
    let (role, position) = branch.role.rsplit_once(' ').unwrap_or((&branch.role, ""));
    (role, position.parse().unwrap_or(u32::MAX), &branch.name)
}

impl State {
    fn read(&mut self, numbers: &Numbers) {
        self.before = Some(std::mem::replace(&mut self.now, numbers.clone())).filter(|before| before.time_ns > 0);
        self.tree = tree::grow(&self.now, self.before.as_ref());
        let (mut rows, mut kept) = (Vec::new(), HashMap::new());
        self.tree.iter().for_each(|branch| branch.rows(0, &mut rows));
        for (_, row) in rows {
            let mut history = self.histories.remove(&row.id).unwrap_or_default();
            if let Some(live) = &row.live {
                let from_ns = self.now.time_ns.saturating_sub((live.seconds * 1e9) as u64);
                history.push(from_ns, self.now.time_ns, live.packets());
            }
            kept.insert(row.id.clone(), history);
        }
        self.histories = kept;
    }

    /// The packets a second of a row in the last minute, in so many parts.
    pub fn minute(&self, id: &RowId, parts: usize) -> Vec<Option<f64>> {
        self.histories.get(id).map_or_else(Vec::new, |history| history.parts(self.now.time_ns, parts))
    }

    /// The last few that were dropped, the newest first.
    pub fn drops(&self, branch: &Branch) -> Vec<&Dropped> {
        self.drops.of(branch)
    }

    /// The programs that a row stands for: of a device, those that are its own.
    pub fn programs(&self, branch: &Branch) -> Vec<&Program> {
        let own = || branch.below.iter().filter(|below| below.role.is_empty()).filter_map(|it| it.id.program.as_ref());
        let meant: Vec<_> =
            branch.id.program.iter().chain(branch.id.program.is_none().then(own).into_iter().flatten()).collect();
        let is_meant = |program: &&Program| {
            let subject = &program.subject;
            meant.iter().any(|(id, function)| *id == subject.program_id && *function == subject.function)
        };
        self.now.programs.iter().filter(is_meant).collect()
    }
}

impl Model {
    /// With nothing read yet.
    pub fn new(palette: Palette, by: Option<By>) -> Self {
        Self {
            palette,
            by,
            sort: Sort::default(),
            is_reversed: false,
            view: View::default(),
            helps: false,
            message: None,
            live: State::default(),
            frozen: None,
            selected: None,
        }
    }

    /// Numbers have been read.
    pub fn read(&mut self, numbers: &Numbers) {
        self.live.read(numbers);
    }

    /// A packet was dropped, of which a line says this.
    pub fn dropped(&mut self, event: &Event<'_>, body: &[u8]) {
        self.live.drops.push(event, body);
    }

    /// What is shown of what was read.
    pub fn state(&self) -> &State {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Whether what is shown stands still.
    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// The rows in their order, and how far each is indented.
    pub fn rows(&self) -> Vec<(usize, &Branch)> {
        let mut rows = Vec::new();
        self.add_rows(&self.state().tree, 0, &mut rows);
        rows
    }

    fn add_rows<'model>(&self, branches: &'model [Branch], depth: usize, rows: &mut Vec<(usize, &'model Branch)>) {
        let mut sorted: Vec<&Branch> = branches.iter().collect();
        sorted.sort_by(|one, two| self.sort.compare(one, two));
        if self.is_reversed {
            sorted.reverse();
        }
        for branch in sorted {
            rows.push((depth, branch));
            self.add_rows(&branch.below, depth + 1, rows);
        }
    }

    /// Which of the rows is selected: the first one where the one that was is gone.
    pub fn position(&self, rows: &[(usize, &Branch)]) -> usize {
        rows.iter().position(|(_, row)| Some(&row.id) == self.selected.as_ref()).unwrap_or(0)
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key) -> Wish {
        match key {
            Key::Interrupt | Key::Char('q') => return Wish::Quit,
            Key::Suspend => return Wish::Suspend,
            Key::Redraw => return Wish::Redraw,
            Key::Escape if !self.helps && self.view == View::Tree => return Wish::Quit,
            Key::Escape if self.helps => self.helps = false,
            Key::Escape => self.view = View::Tree,
            Key::Char('?' | 'h') => self.helps = !self.helps,
            Key::Char('p' | ' ') => self.pause(),
            Key::Char('s' | '>') | Key::Right => self.sort = self.sort.next(true),
            Key::Char('<') | Key::Left => self.sort = self.sort.next(false),
            Key::Char('r') => self.is_reversed = !self.is_reversed,
            Key::Enter | Key::Char('d') => self.toggle(View::Detail),
            Key::Tab | Key::Char('b') if self.by.is_some() => self.toggle(View::By),
            _ => self.go(key),
        }
        Wish::Nothing
    }

    fn toggle(&mut self, view: View) {
        // What is looked at closely stays, whatever comes to stand above it.
        let rows = self.rows();
        self.selected = rows.get(self.position(&rows)).map(|(_, row)| row.id.clone());
        self.view = if self.view == view { View::Tree } else { view };
        self.helps = false;
    }

    fn pause(&mut self) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some(self.live.clone()),
        };
    }

    fn go(&mut self, key: Key) {
        const PAGE: usize = 10;
        let rows = self.rows();
        let (at, last) = (self.position(&rows), rows.len().saturating_sub(1));
        let to = match key {
            Key::Up | Key::Char('k') => at.saturating_sub(1),
            Key::Down | Key::Char('j') => at + 1,
            Key::PageUp => at.saturating_sub(PAGE),
            Key::PageDown => at + PAGE,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => return,
        };
        self.selected = rows.get(to.min(last)).map(|(_, row)| row.id.clone());
    }
}
