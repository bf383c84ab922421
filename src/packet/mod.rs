//! The first bytes of a packet → its headers ([`Layers`]), and tcpdump's words for it ([`Printer`]). No I/O.
//!
//! Both take an Ethernet frame as far as it was captured. [`Layers`] is for comparing and for JSON: it knows whole
//! headers only, with etherparse to say where each ends. [`Printer`] is for people: it says what tcpdump 4.99.3 says,
//! also of a header that is cut in its middle, so it reads single fields and stops where tcpdump stops.

mod checksum;
mod describe;
mod dump;
mod fields;
mod headers;
mod layers;
mod names;
mod print;
mod put;

pub use describe::describe;
pub use dump::{Dump, dump};
pub use fields::{Field, Value};
pub use headers::Headers;
pub use layers::{Layer, Layers, Protocol};
pub use print::{Printer, Style};
