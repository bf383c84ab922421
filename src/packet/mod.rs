//! The first bytes of a packet → its headers ([`Layers`]), and tcpdump's words for it
//! ([`Printer`]); before and after → what changed ([`Change`]). No I/O.
//!
//! Both take an Ethernet frame as far as it was captured. [`Layers`] is for comparing and for JSON: it knows whole
//! headers only, with etherparse to say where each ends. [`Printer`] is for people: it says what tcpdump 4.99.3 says,
//! also of a header that is cut in its middle, so it reads single fields and stops where tcpdump stops.

mod change;
mod checksum;
mod describe;
mod dump;
mod fields;
mod layers;
mod names;
mod print;
mod put;
mod value;

pub use change::{Change, Difference};
pub use describe::describe;
pub use dump::{Dump, dump};
pub use fields::{Field, Value};
pub use layers::{Layer, Layers, Protocol};
pub use print::{Printer, Style};
pub use value::write_value;
