//! Appending to a line without `core::fmt`, whose price is paid for each packet.

/// An octet in decimal, a dot behind it, and how long both are together: the parts of an IPv4 address.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        octets[n] = match n {
            0..10 => ([digits[2], b'.', b'.', b'.'], 2),
            10..100 => ([digits[1], digits[2], b'.', b'.'], 3),
            _ => ([digits[0], digits[1], digits[2], b'.'], 4),
        };
        n += 1;
    }
    octets
};

pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) const fn nibble(value: u32) -> u8 {
    HEX[(value & 0xf) as usize]
}

/// What a line is made of. Each returns the line, so that the parts can be written in a row.
pub(super) trait Put {
    fn text(&mut self, text: &str) -> &mut Self;
    /// In decimal.
    fn number(&mut self, value: u32) -> &mut Self;
    /// In decimal, with leading zeroes.
    fn padded(&mut self, value: u32, digits: usize) -> &mut Self;
    /// In hexadecimal, without `0x` and leading zeroes.
    fn hex(&mut self, value: u32) -> &mut Self;
    /// In hexadecimal, without `0x`, with leading zeroes.
    fn hex_padded(&mut self, value: u32, digits: u32) -> &mut Self;
    /// In hexadecimal, two digits each.
    fn hex_bytes(&mut self, bytes: &[u8]) -> &mut Self;
    fn ipv4(&mut self, address: [u8; 4]) -> &mut Self;
    /// As tcpdump writes it: as RFC 5952, with the last 32 bits of mapped and compatible addresses in IPv4's form.
    fn ipv6(&mut self, address: [u8; 16]) -> &mut Self;
    /// A link-layer address of any length, colons between its bytes.
    fn mac(&mut self, address: &[u8]) -> &mut Self;
}

impl Put for Vec<u8> {
    #[inline]
    fn text(&mut self, text: &str) -> &mut Self {
        self.extend_from_slice(text.as_bytes());
        self
    }

    #[inline]
    fn number(&mut self, value: u32) -> &mut Self {
        // Most are short, and quicker without.
        if value < 10 {
            self.push(b'0' + value as u8);
            return self;
        }
        self.text(itoa::Buffer::new().format(value))
    }

    fn padded(&mut self, value: u32, digits: usize) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        let number = buffer.format(value);
        self.extend(std::iter::repeat_n(b'0', digits.saturating_sub(number.len())));
        self.text(number)
    }

    #[inline]
    fn hex(&mut self, value: u32) -> &mut Self {
        self.hex_padded(value, (32 - value.leading_zeros()).div_ceil(4).max(1))
    }

    #[inline]
    fn hex_padded(&mut self, value: u32, digits: u32) -> &mut Self {
        let all: [u8; 8] = std::array::from_fn(|place| nibble(value >> (28 - 4 * place)));
        self.extend_from_slice(all.get(all.len().saturating_sub(digits as usize)..).unwrap_or_default());
        self
    }

    fn hex_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend(bytes.iter().flat_map(|byte| [nibble(u32::from(byte >> 4)), nibble(u32::from(*byte))]));
        self
    }

    #[inline]
    fn ipv4(&mut self, address: [u8; 4]) -> &mut Self {
        let mut text = [0; 16];
        let mut end = 0;
        for octet in address {
            let (digits, length) = OCTETS[usize::from(octet)];
            if let Some(place) = text.get_mut(end..end + 4) {
                place.copy_from_slice(&digits);
            }
            end += usize::from(length);
        }
        self.extend_from_slice(text.get(..end - 1).unwrap_or_default());
        self
    }

    fn ipv6(&mut self, address: [u8; 16]) -> &mut Self {
        let words = std::array::from_fn(|n| u16::from_be_bytes([address[2 * n], address[2 * n + 1]]));
        let zeroes = longest_zeroes(&words);
        let mut text = Short { bytes: [0; 44], end: 0 };
        for (n, word) in words.iter().enumerate() {
            if zeroes.contains(&n) {
                if n == zeroes.start {
                    text.push([b':'], 1);
                }
                continue;
            }
            if n != 0 {
                text.push([b':'], 1);
            }
            if n == 6 && zeroes.start == 0 && (zeroes.end == 6 || (zeroes.end == 5 && words[5] == 0xffff)) {
                self.extend_from_slice(text.get());
                return self.ipv4([address[12], address[13], address[14], address[15]]);
            }
            text.hex_word(*word);
        }
        if zeroes.end == words.len() {
            text.push([b':'], 1);
        }
        self.extend_from_slice(text.get());
        self
    }

    fn mac(&mut self, address: &[u8]) -> &mut Self {
        let mut text = Short { bytes: [0; 44], end: 0 };
        for (n, byte) in address.iter().enumerate() {
            if n % 8 == 0 {
                self.extend_from_slice(text.get());
                text.end = 0;
            }
            let digits = [b':', nibble(u32::from(byte >> 4)), nibble(u32::from(*byte))];
            match n {
                0 => text.push([digits[1], digits[2]], 2),
                _ => text.push(digits, 3),
            }
        }
        self.extend_from_slice(text.get());
        self
    }
}

/// Text of a known bound in the making: a line grows once for all of it.
struct Short {
    bytes: [u8; 44],
    end: usize,
}

impl Short {
    /// Appends the first `length` bytes.
    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N], length: usize) {
        if let Some(place) = self.bytes.get_mut(self.end..self.end + N) {
            place.copy_from_slice(&bytes);
        }
        self.end += length;
    }

    #[inline]
    fn hex_word(&mut self, word: u16) {
        let word = u32::from(word);
        let digits = u32::from_be_bytes([nibble(word >> 12), nibble(word >> 8), nibble(word >> 4), nibble(word)]);
        let length = (19 - (word | 1).leading_zeros().saturating_sub(16)) / 4;
        self.push((digits << (8 * (4 - length))).to_be_bytes(), length as usize);
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }
}

/// The first of the longest runs of two or more zeroes; an empty range behind the end where there is none.
fn longest_zeroes(words: &[u16; 8]) -> std::ops::Range<usize> {
    const NONE: std::ops::Range<usize> = usize::MAX..usize::MAX;
    let mut best = NONE;
    let mut start = 0;
    for (n, word) in words.iter().enumerate() {
        if *word != 0 {
            start = n + 1;
        } else if n - start >= 1 && (best == NONE || n + 1 - start > best.len()) {
            best = start..n + 1;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn shown(put: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn numbers_of_every_length() {
        for power in 0..10 {
            for value in [10_u32.pow(power) - 1, 10_u32.pow(power), 10_u32.pow(power) + 1, u32::MAX] {
                assert_eq!(shown(|out| _ = out.number(value)), value.to_string());
                assert_eq!(shown(|out| _ = out.padded(value, 3)), format!("{value:03}"));
                assert_eq!(shown(|out| _ = out.hex(value)), format!("{value:x}"));
                assert_eq!(shown(|out| _ = out.hex_padded(value, 8)), format!("{value:08x}"));
            }
        }
    }

    #[test]
    fn ipv4_addresses() {
        for address in [[0, 9, 10, 99], [100, 199, 200, 255], [255, 255, 255, 255], [0, 0, 0, 0]] {
            assert_eq!(shown(|out| _ = out.ipv4(address)), std::net::Ipv4Addr::from(address).to_string());
        }
    }

    #[test]
    fn ipv6_addresses() {
        let same =
            ["::", "::1", "fe80::1", "2001:db8:1:2:3:4:5:6", "1:0:0:2::3", "1::", "0:1::", "::ffff:192.168.1.12"];
        for address in same {
            let octets = address.parse::<Ipv6Addr>().map(|address| address.octets()).unwrap_or([0xff; 16]);
            assert_eq!(shown(|out| _ = out.ipv6(octets)), address);
        }
        let compatible = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];
        assert_eq!(shown(|out| _ = out.ipv6(compatible)), "::10.0.0.1");
        assert_eq!(shown(|out| _ = out.ipv6([0, 1, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7])), "1:0:2:3:4:5:6:7");
    }
}
