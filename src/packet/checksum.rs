//! The Internet checksum (RFC 1071).

/// A sum in the making: one's complement, of 16-bit words in network order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd one at the end counts as the upper half of a word, so only the last ones may be odd.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        let sum: u64 = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
        Self(self.0 + sum + odd)
    }

    pub(super) fn word(self, word: u32) -> Self {
        Self(self.0 + u64::from(word >> 16) + u64::from(word & 0xffff))
    }

    fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// Zero where the bytes summed hold a right checksum.
    pub(super) fn finish(self) -> u16 {
        !self.folded()
    }
}

/// What should stand in place of `found`, given what [`Sum::finish`] told of the bytes that hold it.
pub(super) fn should_be(found: u16, finished: u16) -> u16 {
    Sum::default().word(u32::from(found)).word(u32::from(finished)).folded()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_and_what_it_should_be() {
        // RFC 1071, section 3: the words 0001 f203 f4f5 f6f7 sum up to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&bytes).finish(), !0xddf2);
        let mut whole = bytes.to_vec();
        whole.extend([0x12, 0x34]);
        let finished = Sum::default().bytes(&whole).finish();
        assert_eq!(should_be(0x1234, finished), !0xddf2);
        let right = Sum::default().bytes(&bytes).word(u32::from(!0xddf2_u16));
        assert_eq!(right.finish(), 0);
    }

    #[test]
    fn an_odd_byte_is_the_upper_half_of_a_word() {
        assert_eq!(Sum::default().bytes(&[0x12]).finish(), !0x1200);
    }
}
