//! CRC32C (Castagnoli, RFC 3720) and the salt that ties a checksum to its place.
#![allow(unsafe_code)] // The processor's instruction, called where it was found to be there.

use crate::sabotage::{Sabotage, is_planted};

/// Continues a CRC32C over more bytes; begins with `crc` 0.
#[inline]
pub(crate) fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    if is_planted(Sabotage::BlindChecksums) {
        return 0;
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if bytes.len() < SHORT_BYTES && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor was just seen to have what the function is compiled for, and that is all it asks.
        return unsafe { of_short(crc, bytes) };
    }
    crc32c::crc32c_append(crc, bytes)
}

/// From here on the library is as fast: it goes over three parts at once, and begins and ends at multiples of eight, which
/// costs a short record as much as its content.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const SHORT_BYTES: usize = 512;

/// The same one word after another, from whatever address.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse4.2")]
fn of_short(crc: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let all = words.iter().fold(u64::from(!crc), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
    let (mut crc, mut rest) = (all as u32, rest);
    if let Some((half, after)) = rest.split_first_chunk::<4>() {
        (crc, rest) = (_mm_crc32_u32(crc, u32::from_le_bytes(*half)), after);
    }
    if let Some((quarter, after)) = rest.split_first_chunk::<2>() {
        (crc, rest) = (_mm_crc32_u16(crc, u16::from_le_bytes(*quarter)), after);
    }
    !rest.iter().fold(crc, |crc, byte| _mm_crc32_u8(crc, *byte))
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that spreads every bit.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What the checksums of one segment are salted with.
///
/// A checksum is stored xor the salt of its place, so the checksum of the bytes themselves can be computed before the
/// place is known, outside the commit lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(u64);

impl Salt {
    /// The salt of a segment of a database.
    pub(crate) fn new(identity: [u8; 16], serial: u64) -> Salt {
        let [low, high] = halves(identity);
        Salt(mix(mix(low ^ serial) ^ high))
    }

    /// The salt of a place in the segment.
    pub(crate) fn at(self, offset: u64) -> u32 {
        if is_planted(Sabotage::BlindChecksums) {
            return 0;
        }
        (mix(self.0 ^ offset) >> 32) as u32
    }
}

/// The two 64-bit halves of sixteen bytes, little endian.
pub(crate) fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let all = u128::from_le_bytes(bytes);
    [all as u64, (all >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_standard_check_string() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
    }

    /// Of every length around those where another way is taken, from every offset, in one piece and in two.
    #[test]
    fn both_ways_give_the_same() {
        let bytes: Vec<u8> = (0..1100_u32).map(|n| ((n * n) >> 3) as u8).collect();
        for length in (0..80).chain([500, 511, 512, 513, 1000, 1085]) {
            for at in 0..9 {
                let part = &bytes[at..at + length];
                let whole = crc32c::crc32c_append(7, part);
                assert_eq!(crc32c(7, part), whole, "{length} bytes at {at}");
                let (first, second) = part.split_at(length / 3);
                assert_eq!(crc32c(crc32c(7, first), second), whole, "{length} bytes at {at} in two");
            }
        }
    }

    #[test]
    fn salts_differ_by_database_serial_and_offset() {
        let salt = Salt::new([7; 16], 1);
        assert_ne!(salt.at(64), salt.at(72));
        assert_ne!(salt.at(64), Salt::new([7; 16], 2).at(64));
        assert_ne!(salt.at(64), Salt::new([8; 16], 1).at(64));
    }
}
