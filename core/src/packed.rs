//! Entries of a shard of the index in few bits each, as a checkpoint keeps them. `FORMAT.md`, section 10, is the reference.
//!
//! An entry is a word of the index without its spill bit: a tag and a location. Where in its table an entry stands is left out, since
//! the tag gives it; so are the slots that are empty, and the bits in which tags agree with their neighbours.

use crate::bits::{BitReader, BitWriter, Split, width};
use crate::location::{LOCATION_BITS, Location, OFFSET_BITS, SEGMENT_SLOT_BITS};

/// How wide the two parts of locations are.
const HEADER_BYTES: usize = 2;
/// Bits of a tag.
const TAG_BITS: u32 = 63 - LOCATION_BITS;

/// Widths of the parts of locations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Widths {
    slot: u32,
    offset: u32,
}

impl Widths {
    /// Widths that all of these locations fit.
    pub(crate) fn of(locations: impl Iterator<Item = Location>) -> Widths {
        // One number with all the bits that occur.
        let all = locations.fold(0, |all, location| all | location.bits());
        Widths { slot: width(all >> OFFSET_BITS), offset: width(all & ((1 << OFFSET_BITS) - 1)) }
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        [self.slot as u8, self.offset as u8]
    }

    pub(crate) fn decode(bytes: [u8; HEADER_BYTES]) -> Option<Widths> {
        let widths = Widths { slot: bytes[0].into(), offset: bytes[1].into() };
        (widths.slot <= SEGMENT_SLOT_BITS && widths.offset <= OFFSET_BITS).then_some(widths)
    }

    pub(crate) fn bits(self) -> u32 {
        self.slot + self.offset
    }

    /// The location in its fewer bits.
    #[inline]
    pub(crate) fn shrink(self, location: Location) -> u64 {
        let bits = location.bits();
        bits >> OFFSET_BITS << self.offset | bits & ((1 << OFFSET_BITS) - 1)
    }

    /// What [`Widths::shrink`] was made of.
    #[inline]
    pub(crate) fn grow(self, bits: u64) -> Option<Location> {
        Location::from_bits(bits >> self.offset << OFFSET_BITS | bits & ((1 << self.offset) - 1))
    }
}

/// Packs these entries, ascending.
pub(crate) fn pack(words: &[u64]) -> Vec<u8> {
    let locations = || words.iter().filter_map(|word| Location::from_bits(*word));
    let widths = Widths::of(locations());
    let split = Split::new(words.len(), TAG_BITS);
    let mut bytes = widths.encode().to_vec();
    split.write_high(words.iter().map(|word| word >> LOCATION_BITS), &mut bytes);
    let bits = split.low_bits + widths.bits();
    let mut fields = BitWriter::with_capacity((words.len() * bits as usize).div_ceil(8));
    for (word, location) in words.iter().zip(locations()) {
        fields.push(split.low(word >> LOCATION_BITS) << widths.bits() | widths.shrink(location), bits);
    }
    bytes.append(&mut fields.finish());
    bytes
}

/// The entries that were packed. `None` where the bytes are not those of so many.
pub(crate) fn unpack(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
    let (head, rest) = bytes.split_first_chunk()?;
    let widths = Widths::decode(*head)?;
    let split = Split::new(count, TAG_BITS);
    let (high, fields) = rest.split_at_checked(split.high_bytes())?;
    let bits = split.low_bits + widths.bits();
    let mut fields = BitReader::new(fields);
    let mut words = split.read_high(high)?;
    for word in &mut words {
        let field = fields.take(bits)?;
        let location = widths.grow(field & ((1 << widths.bits()) - 1))?;
        *word = (*word | field >> widths.bits()) << LOCATION_BITS | location.bits();
    }
    fields.is_at_end().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(tag: u64, slot: u16, offset: u64) -> u64 {
        tag << LOCATION_BITS | Location::new(slot, offset).unwrap().bits()
    }

    fn samples() -> Vec<Vec<u64>> {
        let largest = word((1 << TAG_BITS) - 1, 32_767, (1 << 28) - 8);
        let even = |count: u64| {
            let slot = |n: u64| (n * 7 % 40) as u16;
            (0..count).map(|n| word(n * 8_388_607 / count, slot(n), 64 + n * 9_973 % 80_000 * 200)).collect()
        };
        let mut samples: Vec<Vec<u64>> = vec![
            vec![],
            vec![word(0, 0, 8)],
            vec![largest],
            vec![largest; 7],
            even(2),
            even(100),
            even(2_000),
        ];
        samples.push(vec![word(0, 0, 8), word(0, 0, 16), word(5, 9, 8), largest]);
        samples
    }

    #[test]
    fn entries_read_back() {
        for words in samples() {
            assert_eq!(unpack(&pack(&words), words.len()), Some(words));
        }
        let words = &samples()[6];
        assert!(pack(words).len() <= 2_000 * 43 / 8, "{} bytes for 2000 entries", pack(words).len());
    }

    #[test]
    fn what_is_cut_or_of_another_count_is_none() {
        for words in samples() {
            let bytes = pack(&words);
            for length in 0..bytes.len() {
                assert_eq!(unpack(&bytes[..length], words.len()), None, "{length} of {} bytes", bytes.len());
            }
            assert_eq!(unpack(&[&bytes[..], &[0]].concat(), words.len()), None);
            assert_eq!(unpack(&bytes, words.len() + 1), None);
            assert_eq!(unpack(&bytes, usize::MAX), None, "no count is believed");
        }
    }

    /// A checksum stands beside them; without it a flipped bit may give other entries, but never anything that is none.
    #[test]
    fn every_flipped_bit_gives_other_entries_or_none() {
        for words in samples() {
            let bytes = pack(&words);
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                if let Some(found) = unpack(&damaged, words.len()) {
                    assert!(found != words || words.is_empty(), "bit {bit}");
                    assert!(found.iter().all(|word| word >> 63 == 0 && Location::from_bits(*word).is_some()));
                }
            }
        }
    }
}
