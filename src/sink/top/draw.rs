//! The model → the screen, and nothing else goes into it.

mod bar;
mod by;
mod detail;
mod help;
mod histogram;
mod table;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::model::{Model, View};
use crate::event::Verdict;
use crate::numbers::Returned;
use crate::plan::Palette;

/// In less than this, only a hint is shown.
const LEAST: (u16, u16) = (40, 5);
/// From this height on, there is a line for what is said of the tracer itself.
const TALL: u16 = 8;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let mut page = Page::new(frame.buffer_mut());
    if page.width < LEAST.0 || page.bottom < LEAST.1 {
        page.line(format!("{}x{} needed", LEAST.0, LEAST.1));
        return;
    }
    page.line(title(model));
    page.last(keys(model));
    if let Some(message) = model.message.as_ref().filter(|_| page.bottom >= TALL) {
        page.last(Span::styled(message.clone(), warning(model.palette)));
    }
    match model.view {
        _ if model.helps => help::draw(&mut page, model),
        View::Tree => table::draw(&mut page, model),
        View::Detail => detail::draw(&mut page, model),
        View::By => by::draw(&mut page, model),
    }
}

/// A screen that is written line by line, from above and from below.
struct Page<'screen> {
    screen: &'screen mut Buffer,
    width: u16,
    top: u16,
    bottom: u16,
}

impl<'screen> Page<'screen> {
    fn new(screen: &'screen mut Buffer) -> Self {
        let area = *screen.area();
        Self { screen, width: area.width, top: 0, bottom: area.height }
    }

    /// Lines that are left.
    fn room(&self) -> usize {
        self.bottom.saturating_sub(self.top).into()
    }

    /// The next line, if there is one left.
    fn line<'line>(&mut self, line: impl Into<Line<'line>>) {
        if self.room() > 0 {
            self.screen.set_line(0, self.top, &line.into(), self.width);
            self.top += 1;
        }
    }

    /// The last line that is left, if one is.
    fn last<'line>(&mut self, line: impl Into<Line<'line>>) {
        if self.room() > 0 {
            self.bottom -= 1;
            self.screen.set_line(0, self.bottom, &line.into(), self.width);
        }
    }
}

/// `xdptrace top  2 devices, 3 programs  by packets, reversed  paused`
fn title(model: &Model) -> Line<'static> {
    let rows = model.rows();
    let devices = rows.iter().filter(|(_, row)| row.id.program.is_none()).count();
    let reversed = if model.is_reversed { ", reversed" } else { "" };
    let (programs, sort) = (rows.len() - devices, model.sort.name());
    let mut words = vec![
        Span::styled("xdptrace top", bold()),
        format!("  {}, {}", counted(devices, "device"), counted(programs, "program")).into(),
        format!("  by {sort}{reversed}").into(),
    ];
    if model.is_paused() {
        words.push("  ".into());
        words.push(Span::styled("paused", warning(model.palette)));
    }
    Line::from(words)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The keys that are of use here.
fn keys(model: &Model) -> Line<'static> {
    let by = if model.by.is_some() { "  b by" } else { "" };
    let words = match model.view {
        _ if model.helps => "Esc back  q quit".into(),
        View::Tree => format!("q quit  ? help  s sort  p pause  Enter detail{by}"),
        View::Detail => format!("q quit  ? help  p pause  j k others  Esc back{by}"),
        View::By => "q quit  ? help  p pause  j k others  Esc back  d detail".into(),
    };
    Line::styled(words, Style::new().add_modifier(Modifier::DIM))
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn warning(palette: Palette) -> Style {
    if palette.colored { bold().fg(Color::Yellow) } else { bold() }
}

fn alarm(palette: Palette) -> Style {
    if palette.colored { bold().fg(Color::Red) } else { bold() }
}

/// What was returned has the colour that it has in lines.
fn style(returned: Returned, palette: Palette) -> Style {
    let style = Style::new();
    match returned {
        _ if !palette.colored => style,
        Returned::Action(Verdict(0)) => style.fg(Color::LightRed),
        Returned::Action(Verdict(1)) => style.fg(Color::Red),
        Returned::Action(Verdict(2)) => style.fg(Color::Green),
        Returned::Action(Verdict(3)) => style.fg(Color::Cyan),
        Returned::Action(Verdict(4)) => style.fg(Color::Blue),
        _ => style.fg(Color::Magenta),
    }
}
