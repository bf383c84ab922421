//! tcpdump's words for a frame: those of `tcpdump -nn` 4.99.3, whose print-*.c are the source of each file here.

mod arp;
mod conversations;
mod gre;
mod icmp;
mod icmp6;
mod icmp_extensions;
mod ip;
mod ip6;
mod ip6_options;
mod ip_options;
mod link;
mod llc;
mod multicast;
mod neighbor;
mod page;
mod sctp;
mod tcp;
mod tcp_options;
mod tunnel;
mod udp;

use conversations::Conversations;
use page::Page;

use super::put::Put;

/// How much is told: tcpdump's letters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Style {
    /// How many `-v`: the IP header, options, checksums, quoted packets, each with more of the rest.
    pub verbosity: u8,
    /// `-q`: less of TCP, UDP and the link layer.
    pub quiet: bool,
    /// `-e`: the link-layer header.
    pub link_level: bool,
    /// `-S`: TCP's sequence numbers as they are.
    pub absolute_sequence: bool,
    /// `-K`: checksums are not looked at.
    pub unchecked_sums: bool,
    /// The bytes of what is not known here are left out: with `-x` and `-X`, which show them anyway, or where a
    /// packet must not take more than a line. `-q` implies it.
    pub no_payload: bool,
}

/// Puts frames into words, and remembers TCP connections, whose sequence numbers it tells from their first on.
///
/// It remembers at most 16,384 connections, in sets of four: of a fifth one the oldest of its set is forgotten, and
/// its numbers are absolute again at its next segment. That takes at most 1 MiB, none before the first segment.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    conversations: Conversations,
}

impl Printer {
    /// A printer that has seen no packet.
    pub fn new(style: Style) -> Self {
        let style = Style { no_payload: style.no_payload || style.quiet, ..style };
        Self { style, conversations: Conversations::default() }
    }

    /// Appends tcpdump's words for an Ethernet frame of `length` bytes of which `bytes` are the first, without a
    /// newline at their end. There may be some within: with `-v`, and in front of the frame inside VXLAN.
    ///
    /// Returns the length of the link-layer header in bytes, for [`dump`](crate::packet::dump()): it is 0 where the
    /// packet was cut in the midst of a header, because tcpdump then dumps all there is.
    pub fn print(&mut self, out: &mut Vec<u8>, bytes: &[u8], length: u32) -> usize {
        if let Some(header) = invalid(out, bytes.len(), length) {
            return header;
        }
        let mut page = Page::new(out, self.style, &mut self.conversations, bytes);
        page.ethernet(0, length).unwrap_or_else(|_| {
            page.cut();
            0
        })
    }
}

/// What no capture should hold (`pretty_print_packet` in print.c). Nothing more is said of it.
fn invalid(out: &mut Vec<u8>, captured: usize, length: u32) -> Option<usize> {
    let known = u32::try_from(captured).unwrap_or(u32::MAX);
    match (known, length) {
        (0, 0) => out.text("[Invalid header: caplen==0, len==0]"),
        (0, _) => out.text("[Invalid header: caplen==0]"),
        (_, 0) => out.text("[Invalid header: len==0]"),
        _ if length < known => {
            out.text("[Invalid header: len(").number(length).text(") < caplen(").number(known).text(")]")
        }
        _ => return None,
    };
    Some(captured)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: [u8; 42] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0, 0, 192, 168, 1, 12, 192,
        168, 1, 138, 8, 0, 0, 0, 0, 1, 0, 2,
    ];

    fn told(bytes: &[u8], length: u32) -> (String, usize) {
        let mut out = Vec::new();
        let header = Printer::new(Style::default()).print(&mut out, bytes, length);
        (String::from_utf8_lossy(&out).into_owned(), header)
    }

    // All else is compared with tcpdump itself, in tests/wording.
    #[test]
    fn an_echo_request_in_tcpdumps_words() {
        let words = "IP 192.168.1.12 > 192.168.1.138: ICMP echo request, id 1, seq 2, length 64";
        assert_eq!(told(&ECHO, 98), (words.into(), 14));
    }

    #[test]
    fn a_packet_cut_in_a_header_has_no_link_layer_header_to_leave_out() {
        assert_eq!(told(&ECHO[..40], 98), ("IP 192.168.1.12 > 192.168.1.138:  [|icmp]".into(), 0));
    }

    #[test]
    fn lengths_that_cannot_be_are_said_to_be_invalid() {
        assert_eq!(told(&[], 0).0, "[Invalid header: caplen==0, len==0]");
        assert_eq!(told(&ECHO, 20).0, "[Invalid header: len(20) < caplen(42)]");
    }

    #[test]
    fn tunnels_are_followed_to_a_bounded_depth() {
        let mut frame = ECHO[..14].to_vec();
        for left in (1..=60_u16).rev() {
            let mut header: [u8; 20] = std::array::from_fn(|n| ECHO[14 + n]);
            header[2..4].copy_from_slice(&(left * 20).to_be_bytes());
            header[9] = 4;
            frame.extend(header);
        }
        assert!(told(&frame, frame.len() as u32).0.ends_with("[nested too deep]"));
    }

    #[test]
    fn packets_are_told_without_an_allocation() {
        let mut tcp = ECHO.to_vec();
        tcp[23] = 6;
        tcp.extend([0; 56]);
        tcp[46] = 0x50;
        tcp[47] = 0x10;
        let mut out = Vec::with_capacity(4096);
        let mut printer = Printer::new(Style { verbosity: 2, ..Style::default() });
        printer.print(&mut out, &tcp, 98);
        let allocated = allocation_counter::measure(|| {
            for _ in 0..5 {
                printer.print(&mut out, &ECHO, 98);
                printer.print(&mut out, &tcp, 98);
            }
        });
        assert_eq!(allocated.count_total, 0);
    }
}
