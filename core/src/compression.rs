//! Compressed values as bytes: the raw length, and then a block of LZ4. `FORMAT.md`, section 4, is the reference.
//!
//! *Invariant:* unpacking takes the memory that the raw length asks for only where that is within the bound of a value in
//! a record, answers `None` for whatever is not right, and never panics.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::options::Compression;
use crate::record::{INLINE_VALUE_BYTES_MAX, u32_at};
use crate::sabotage::{Sabotage, is_planted};

/// Bytes before the block: the raw length.
const LENGTH_BYTES: usize = 4;
/// Shorter values are not tried: the block's own rules keep its last twelve bytes as they are.
const RAW_BYTES_MIN: usize = 16;

/// A value as a compressed put holds it; `None` where it is to be stored as it is, also since it does not get smaller.
pub(crate) fn pack(value: &[u8], compression: Compression) -> Option<Vec<u8>> {
    match compression {
        Compression::None => None,
        Compression::Lz4 => pack_lz4(value),
    }
}

fn pack_lz4(value: &[u8]) -> Option<Vec<u8>> {
    if !(RAW_BYTES_MIN..=INLINE_VALUE_BYTES_MAX).contains(&value.len()) {
        return None;
    }
    let mut packed = vec![0; LENGTH_BYTES + get_maximum_output_size(value.len())];
    packed[..LENGTH_BYTES].copy_from_slice(&(value.len() as u32).to_le_bytes());
    let block_bytes = compress_into(value, &mut packed[LENGTH_BYTES..]).ok()?;
    packed.truncate(LENGTH_BYTES + block_bytes);
    (packed.len() < value.len()).then_some(packed)
}

/// The value that a compressed put holds. `None` where the bytes are not one, or not of the length that they say.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let length = u32_at(packed, 0)? as usize;
    if length > INLINE_VALUE_BYTES_MAX && !is_planted(Sabotage::BelieveLengths) {
        return None;
    }
    let mut value = vec![0; length];
    (decompress_into(packed.get(LENGTH_BYTES..)?, &mut value).ok()? == length).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        b"one line of a log that is much like the next one\n".iter().copied().cycle().take(bytes).collect()
    }

    #[test]
    fn what_was_packed_is_unpacked_at_every_length_up_to_the_bound() {
        for bytes in (0..300).chain([4_095, 70_000, INLINE_VALUE_BYTES_MAX]) {
            let value = text(bytes);
            match pack(&value, Compression::Lz4) {
                Some(packed) => {
                    assert!(packed.len() < bytes);
                    assert_eq!(unpack(&packed), Some(value));
                }
                None => assert!(bytes < 80, "{bytes} bytes of text did not get smaller"),
            }
            assert_eq!(pack(&text(bytes), Compression::None), None);
        }
        assert_eq!(pack(&text(INLINE_VALUE_BYTES_MAX + 1), Compression::Lz4), None);
    }

    #[test]
    fn a_value_that_does_not_get_smaller_is_left_as_it_is() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(1_000)
        .collect();
        assert_eq!(pack(&noise, Compression::Lz4), None);
    }

    /// What comes here has passed a checksum, so this is the second line of defence.
    #[test]
    fn damaged_bytes_are_refused_or_a_value_of_the_length_that_they_say() {
        let packed = pack(&text(2_000), Compression::Lz4).unwrap();
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Some(value) = unpack(&damaged) {
                assert_eq!(Some(value.len() as u32), u32_at(&damaged, 0));
            }
        }
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length]), None, "cut to {length} bytes");
        }
    }

    #[test]
    fn a_length_over_the_bound_is_refused_whatever_follows() {
        for length in [INLINE_VALUE_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut packed = pack(&text(500), Compression::Lz4).unwrap();
            packed[..4].copy_from_slice(&length.to_le_bytes());
            assert_eq!(unpack(&packed), None);
        }
    }
}
