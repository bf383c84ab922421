//! What the kernel itself says of packets: its XDP trace events, by tracefs, which has nothing of the tracer in it.

use std::fs;
use std::path::PathBuf;

use crate::lab::run;

const TRACEFS: &str = "/sys/kernel/tracing";

/// A trace buffer of our own, that gets each of the kernel's XDP events; it goes with this.
pub struct KernelEvents(PathBuf);

impl KernelEvents {
    /// Begins to record.
    pub fn record() -> Self {
        if fs::metadata(format!("{TRACEFS}/instances")).is_err() {
            run(&["mount", "-t", "tracefs", "tracefs", TRACEFS]);
        }
        let events = Self(PathBuf::from(format!("{TRACEFS}/instances/xdptrace-{}", std::process::id())));
        fs::create_dir(&events.0).unwrap();
        fs::write(events.0.join("events/xdp/enable"), "1").unwrap();
        events
    }

    /// What was recorded, in order.
    pub fn so_far(&self) -> Vec<KernelEvent> {
        let trace = fs::read_to_string(self.0.join("trace")).unwrap();
        trace.lines().filter_map(KernelEvent::of).collect()
    }
}

impl Drop for KernelEvents {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A line of a trace: `ping-123 [000] ..s1. 12.345678: xdp_exception: prog_id=3 action=TX ifindex=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEvent {
    /// The tracepoint's name, without its `xdp_`.
    pub name: String,
    fields: Vec<(String, String)>,
}

impl KernelEvent {
    fn of(line: &str) -> Option<Self> {
        let (name, fields) = line.split_once(": xdp_")?.1.split_once(':')?;
        let fields = fields.split_whitespace().filter_map(|field| field.split_once('='));
        Some(Self { name: name.into(), fields: fields.map(|(key, value)| (key.into(), value.into())).collect() })
    }

    /// The words of a field.
    pub fn words(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    /// The number in a field.
    pub fn number(&self, field: &str) -> Option<i64> {
        self.words(field)?.parse().ok()
    }
}
