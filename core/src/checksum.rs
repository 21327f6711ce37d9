//! CRC32C (Castagnoli, RFC 3720) and the salt that ties a checksum to its place.

/// Continues a CRC32C over more bytes; begins with `crc` 0.
pub(crate) fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
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

    #[test]
    fn salts_differ_by_database_serial_and_offset() {
        let salt = Salt::new([7; 16], 1);
        assert_ne!(salt.at(64), salt.at(72));
        assert_ne!(salt.at(64), Salt::new([7; 16], 2).at(64));
        assert_ne!(salt.at(64), Salt::new([8; 16], 1).at(64));
    }
}
