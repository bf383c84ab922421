//! Prometheus' text format 0.0.4 and OpenMetrics 1.0, which write samples alike and differ in what stands above them.

use std::fmt::{self, Display, Formatter, Write};

/// Series in one exposition, at most: a thousand machines with so many each are what one Prometheus can take.
const MOST_SERIES: usize = 10_000;

/// What a family of metrics is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// A value of now.
    Gauge,
    /// Counters by upper bounds.
    Histogram,
    /// 1, for the sake of its labels.
    Info,
}

/// A family of metrics.
#[derive(Debug)]
pub struct Family {
    /// Its name in OpenMetrics, where that of a counter's samples has `_total` behind it, and that of an info's `_info`.
    pub name: &'static str,
    pub kind: Kind,
    /// What its name ends in, if that is a unit.
    pub unit: &'static str,
    pub help: &'static str,
}

/// Labels, as they stand between the braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(String);

/// What is exposed, as far as there is room for it.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<(&'static Family, String)>,
    series: usize,
    left_out: usize,
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    family: &'static Family,
    lines: &'a mut String,
    count: usize,
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

impl Family {
    /// The names of its samples.
    pub fn samples(&self) -> Vec<String> {
        let suffixes = match self.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"][..],
            kind => &[kind.suffix()],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        let Self { name, kind, help, .. } = self;
        let suffix = kind.suffix();
        let kind = if *kind == Kind::Info { Kind::Gauge } else { *kind };
        write!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {}\n", kind.name())
    }

    fn write_open_metrics(&self, out: &mut String) -> fmt::Result {
        let Self { name, kind, help, unit } = self;
        writeln!(out, "# TYPE {name} {}", kind.name())?;
        if !unit.is_empty() {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        writeln!(out, "# HELP {name} {help}")
    }
}

impl Labels {
    /// With these values, whatever they hold. One without a value is as good as none, and isn't there.
    pub fn new(labels: &[(&str, &str)]) -> Self {
        labels.iter().fold(Self::default(), |labels, (name, value)| labels.with(name, value))
    }

    /// With one more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            let comma = if self.0.is_empty() { "" } else { "," };
            // Writing to a string doesn't fail.
            let _ = write!(self.0, "{comma}{name}=\"{}\"", Escaped(&printable(value)));
        }
        self
    }
}

/// A value without control characters, which the formats allow: they are as Rust writes them, for what prints a metric may be
/// a terminal.
pub fn printable(value: &str) -> String {
    let mut shown = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_control() { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// A label's value between its quotes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            c => f.write_char(c),
        })
    }
}

impl Exposition {
    /// Appends samples of a family that belong together: all of them, or, where there is no room, none. What is added first has
    /// room; where those of one family stand, whenever they are added, is one place.
    pub fn add(&mut self, family: &'static Family, write: impl FnOnce(&mut Samples<'_>)) {
        let lines = self.lines(family);
        let before = lines.len();
        let mut samples = Samples { family, lines, count: 0 };
        write(&mut samples);
        let count = samples.count;
        if self.series + count > MOST_SERIES {
            self.lines(family).truncate(before);
            self.left_out += count;
        } else {
            self.series += count;
        }
    }

    /// Appends samples for which there always is room, and which don't count.
    pub fn add_always(&mut self, family: &'static Family, write: impl FnOnce(&mut Samples<'_>)) {
        let lines = self.lines(family);
        write(&mut Samples { family, lines, count: 0 });
    }

    fn lines(&mut self, family: &'static Family) -> &mut String {
        let place = self.families.iter().position(|(known, _)| known.name == family.name).unwrap_or_else(|| {
            self.families.push((family, String::new()));
            self.families.len() - 1
        });
        &mut self.families[place].1
    }

    /// Series so far.
    pub fn series(&self) -> usize {
        self.series
    }

    /// Series that there was no room for.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// In Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        self.written(Family::write_text)
    }

    /// In OpenMetrics 1.0.
    pub fn open_metrics(&self) -> String {
        self.written(Family::write_open_metrics) + "# EOF\n"
    }

    fn written(&self, write_head: impl Fn(&Family, &mut String) -> fmt::Result) -> String {
        let lines: usize = self.families.iter().map(|(_, lines)| lines.len()).sum();
        let mut out = String::with_capacity(lines + 256 * self.families.len());
        for (family, lines) in self.families.iter().filter(|(_, lines)| !lines.is_empty()) {
            // Writing to a string doesn't fail.
            let _ = write_head(family, &mut out);
            out.push_str(lines);
        }
        out
    }
}

impl Samples<'_> {
    /// One of a counter, a gauge, or an info.
    pub fn one(&mut self, labels: &Labels, value: impl Display) {
        self.write(self.family.kind.suffix(), labels, value);
    }

    /// One of a histogram's parts.
    pub fn part(&mut self, suffix: &str, labels: &Labels, value: impl Display) {
        self.write(suffix, labels, value);
    }

    fn write(&mut self, suffix: &str, Labels(labels): &Labels, value: impl Display) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        // Writing to a string doesn't fail.
        let _ = writeln!(self.lines, "{}{suffix}{open}{labels}{close} {value}", self.family.name);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RUNS: Family = Family { name: "runs", kind: Kind::Counter, unit: "", help: "Runs." };
    static BYTES: Family = Family { name: "held_bytes", kind: Kind::Gauge, unit: "bytes", help: "Held." };

    #[test]
    fn label_values_cannot_end_a_label_nor_command_a_terminal() {
        let labels = Labels::new(&[("a", "x\"} 1\n\\"), ("b", "\x1b[31m\u{9b}é"), ("c", "")]);
        assert_eq!(labels.0, r#"a="x\"} 1\\u{a}\\",b="\\u{1b}[31m\\u{9b}é""#);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_value_holds_it_is_one_value(value in "\\PC*|[\\\\\"\n\x00-\x1f\x7f-\u{9f}a]*") {
            let Labels(labels) = Labels::new(&[("a", &value), ("b", "x")]);
            let rest = labels.strip_suffix(",b=\"x\"").unwrap_or(&labels);
            let inside = rest.strip_prefix("a=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or("");
            let without_escapes = inside.replace("\\\\", "").replace("\\\"", "");
            proptest::prop_assert!(!without_escapes.contains(['"', '\\']), "{}", labels);
            proptest::prop_assert!(!inside.contains(char::is_control), "{}", labels);
            proptest::prop_assert!(value.is_empty() || !inside.is_empty());
        }
    }

    #[test]
    fn formats_differ_in_what_stands_above_samples() {
        let mut exposition = Exposition::default();
        exposition.add(&RUNS, |samples| samples.one(&Labels::new(&[("a", "b")]), 3));
        exposition.add(&BYTES, |samples| samples.one(&Labels::default(), 4));
        let text = "# HELP runs_total Runs.\n# TYPE runs_total counter\nruns_total{a=\"b\"} 3\n\
                    # HELP held_bytes Held.\n# TYPE held_bytes gauge\nheld_bytes 4\n";
        let open_metrics = "# TYPE runs counter\n# HELP runs Runs.\nruns_total{a=\"b\"} 3\n\
                            # TYPE held_bytes gauge\n# UNIT held_bytes bytes\n# HELP held_bytes Held.\nheld_bytes 4\n# EOF\n";
        assert_eq!((&*exposition.text(), &*exposition.open_metrics()), (text, open_metrics));
    }

    #[test]
    fn what_has_no_room_is_left_out_whole_and_counted() {
        let mut exposition = Exposition::default();
        for group in 0..MOST_SERIES / 6 + 2 {
            exposition.add(&RUNS, |samples| {
                (0..6).for_each(|one| samples.one(&Labels::new(&[("one", &format!("{group}.{one}"))]), 1));
            });
        }
        exposition.add(&BYTES, |samples| samples.one(&Labels::default(), 4));
        let lines = exposition.text().lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((lines, exposition.series(), exposition.left_out()), (9997, 9997, 12));
    }
}
