//! A packet's line, written by hand: by way of serde it takes twice as long. What is not known is absent.

use std::io;

use super::escaped;
use super::record::{Changed, SCHEMA_VERSION};
use crate::event::{Device, Event, Frame, Outcome};
use crate::packet::{Layer, Layers, Value, write_value};
use crate::plan::Side;
use crate::sink::bytes::{action, digits};
use crate::sink::localtime::UtcTime;
use crate::sink::outcome::{word, write_way};

/// Appends the line's object.
///
/// # Errors
/// None but a defect of this build: what is written goes to memory.
pub fn write(out: &mut Vec<u8>, event: &Event<'_>, time: &UtcTime, filtered_at: Option<Side>) -> io::Result<()> {
    out.extend_from_slice(b"{\"type\":\"packet\"");
    number(out, "schema_version", SCHEMA_VERSION);
    plain(out, "time", |out| out.extend_from_slice(time.as_str().as_bytes()));
    if_known(out, event.monotonic_ns, |out, ns| plain(out, "monotonic_ns", |out| digits(out, ns)));
    if let Some(device) = event.device {
        write_device(out, device)?;
    }
    if_known(out, event.queue, |out, queue| number(out, "queue", queue));
    if let Some(device) = event.egress {
        object(out, "egress", |out| write_device(out, device))?;
    }
    if_known(out, event.cpu, |out, cpu| number(out, "cpu", cpu));
    object(out, "program", |out| write_program(out, event))?;
    if_known(out, probe(event), |out, probe| plain(out, "probe", |out| out.extend_from_slice(probe)));
    if_known(out, event.packet_id, |out, id| plain(out, "packet_id", |out| digits(out, id)));
    if_known(out, event.verdict, |out, verdict| plain(out, "verdict", |out| action(out, verdict)));
    if let Some(outcome) = event.outcome {
        object(out, "outcome", |out| write_outcome(out, &outcome))?;
    }
    if_known(out, event.latency_ns, |out, ns| number(out, "latency_ns", ns));
    object(out, "length", |out| {
        if_known(out, length(event.before), |out, length| number(out, "before", length));
        if_known(out, length(event.after), |out, length| number(out, "after", length));
        Ok(())
    })?;
    key(out, "packet");
    write_headers(out, Layers::new(event.packet().map_or(&[], |frame| frame.bytes)));
    if let Some(any) = event.changed {
        key(out, "changed");
        escaped::write(&mut *out, &Changed::new(event, any))?;
    }
    if !event.metadata.is_empty() {
        plain(out, "metadata", |out| write_value(out, &Value::Bytes(event.metadata)));
    }
    let side = filtered_at.map(|side| if side == Side::Entry { &b"entry"[..] } else { b"exit" });
    if_known(out, side, |out, side| plain(out, "filtered_at", |out| out.extend_from_slice(side)));
    out.push(b'}');
    Ok(())
}

fn write_device(out: &mut Vec<u8>, device: Device<'_>) -> io::Result<()> {
    if let Some(name) = device.name {
        text(out, "device", name)?;
    }
    for (name, number_of) in [("ifindex", device.ifindex), ("netns", device.netns)] {
        if number_of != 0 {
            number(out, name, number_of);
        }
    }
    Ok(())
}

fn write_outcome(out: &mut Vec<u8>, outcome: &Outcome<'_>) -> io::Result<()> {
    plain(out, "status", |out| out.extend_from_slice(outcome.status.word().as_bytes()));
    if let Some(way) = outcome.to {
        let mut words = Vec::new();
        write_way(&mut words, way);
        text(out, "to", &String::from_utf8_lossy(&words))?;
    }
    outcome.error.map_or(Ok(()), |error| text(out, "error", &word(error)))
}

fn write_program(out: &mut Vec<u8>, event: &Event<'_>) -> io::Result<()> {
    if_known(out, event.program_id, |out, id| number(out, "id", id));
    let names = [("name", event.program_name), ("function", event.function)];
    names.into_iter().filter_map(|(key, name)| Some((key, name?))).try_for_each(|(key, name)| text(out, key, name))
}

fn probe(event: &Event<'_>) -> Option<&'static [u8]> {
    event.function?;
    Some(match (event.before, event.after) {
        (Some(_), None) => b"entry",
        (None, Some(_)) => b"exit",
        _ => b"both",
    })
}

fn length(frame: Option<Frame<'_>>) -> Option<u32> {
    frame.and_then(|frame| frame.length)
}

/// A comma, unless this is an object's first key, and the key.
fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(if out.ends_with(b"{") { b"\"" } else { b",\"" });
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, name: &str, number: impl Into<u64>) {
    key(out, name);
    digits(out, number.into());
}

/// A string that needs no escapes.
fn plain(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, name);
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// A string that may hold anything.
fn text(out: &mut Vec<u8>, name: &str, text: &str) -> io::Result<()> {
    key(out, name);
    escaped::write(out, text)
}

fn object(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    key(out, name);
    out.push(b'{');
    write(out)?;
    out.push(b'}');
    Ok(())
}

fn if_known<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    if let Some(value) = value {
        write(out, value);
    }
}

/// `[{"layer":"ethernet","dst_mac":"02:00:00:00:00:02",…},…]`.
fn write_headers<'a>(out: &mut Vec<u8>, layers: impl Iterator<Item = Layer<'a>>) {
    out.push(b'[');
    for (number, layer) in layers.enumerate() {
        out.extend_from_slice(if number == 0 { b"{\"layer\":\"" } else { b",{\"layer\":\"" });
        out.extend_from_slice(layer.protocol.name().as_bytes());
        out.push(b'"');
        layer.fields(&mut |field| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b"\":");
            write_field(out, &field.value);
        });
        out.push(b'}');
    }
    out.push(b']');
}

fn write_field(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Number(_) => write_value(out, value),
        Value::Bool(is_so) => out.extend_from_slice(if *is_so { b"true" } else { b"false" }),
        _ => {
            out.push(b'"');
            write_value(out, value);
            out.push(b'"');
        }
    }
}
