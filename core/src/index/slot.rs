//! One slot's word: a spill bit, a tag and a location.

use crate::location::{LOCATION_BITS, Location};

const TAG_BITS: u32 = 23;
/// All bits of a tag.
pub(super) const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
/// Bits at the top of a hash that are left to pick the shard with.
pub(super) const SHARD_BITS: u32 = 10;

/// Bit 63 of a word. It says something about the line, whatever entry the slot holds, and outlives the entry.
const SPILL: u64 = 1 << 63;

/// The bits of a hash that an entry keeps: they say which line it belongs to, which spill bit, and which candidates
/// are worth a look at the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u64);

impl Tag {
    /// `mask` is [`TAG_MASK`] but in tests, which thin it out to make collisions the rule.
    pub(super) fn of_hash(hash: u64, mask: u64) -> Tag {
        Tag(hash >> (64 - SHARD_BITS - TAG_BITS) & mask)
    }

    pub(super) fn of_word(word: u64) -> Tag {
        Tag(word >> LOCATION_BITS & TAG_MASK)
    }

    /// Scales the tag to the number of lines. Larger tags never come before smaller ones, whatever that number is,
    /// which makes growth a sequential pass over both tables.
    pub(super) fn home_line(self, home_lines: usize) -> usize {
        // Below `home_lines`, since the tag is below 2^23.
        ((self.0 * home_lines as u64) >> TAG_BITS) as usize
    }

    /// The slot whose spill bit this tag uses. The low bits of the tag vary among the entries of a line; the high
    /// ones, which make the home line, do not.
    pub(super) fn spill_slot(self) -> usize {
        (self.0 & 7) as usize
    }

    /// The word of an entry with no spill bit.
    pub(super) fn word(self, location: Location) -> u64 {
        self.0 << LOCATION_BITS | location.bits()
    }

    /// Whether the word holds an entry with this tag.
    pub(super) fn matches(self, word: u64) -> bool {
        // Equal tags cancel out and leave the location. Zero, which is an empty slot, wraps around to the largest
        // number, so one comparison answers both questions.
        let location = (word ^ self.0 << LOCATION_BITS) & !SPILL;
        location.wrapping_sub(1) < (1 << LOCATION_BITS) - 1
    }
}

/// The tag and the location of the word's entry, if it has one.
pub(super) fn parts(word: u64) -> Option<(Tag, Location)> {
    Some((Tag::of_word(word), Location::from_bits(word)?))
}

pub(super) fn has_entry(word: u64) -> bool {
    Location::from_bits(word).is_some()
}

pub(super) fn has_spilled(word: u64) -> bool {
    word & SPILL != 0
}

/// The word with its spill bit set, its entry as it was.
pub(super) fn with_spill(word: u64) -> u64 {
    word | SPILL
}

/// The word with another entry, its spill bit as it was. An entry of 0 leaves the slot empty.
pub(super) fn with_entry(word: u64, entry: u64) -> u64 {
    word & SPILL | entry
}

/// The word with another location, whatever else it says as it was.
pub(crate) fn with_location(word: u64, location: Location) -> u64 {
    word >> LOCATION_BITS << LOCATION_BITS | location.bits()
}

/// The tag and location of the word, its spill bit left out.
pub(super) fn entry(word: u64) -> u64 {
    word & !SPILL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_matches_its_own_tag_only() {
        let location = Location::new(32_767, (1 << 28) - 8).unwrap();
        for bits in [0, 1, 2, TAG_MASK - 1, TAG_MASK] {
            let word = Tag(bits).word(location);
            assert!(Tag(bits).matches(word) && Tag(bits).matches(with_spill(word)));
            assert!(!Tag(bits ^ 1).matches(word) && !Tag(bits ^ 1 << 22).matches(with_spill(word)));
            assert!(Tag::of_word(with_spill(word)) == Tag(bits));
        }
    }

    #[test]
    fn an_empty_slot_matches_nothing() {
        for bits in [0, 1, TAG_MASK] {
            assert!(!Tag(bits).matches(0) && !Tag(bits).matches(with_spill(0)));
            assert!(!Tag(bits).matches(bits << LOCATION_BITS), "a tag without a location is no entry");
        }
    }

    #[test]
    fn home_lines_follow_the_order_of_tags_and_fill_the_table() {
        for home_lines in [1, 2, 3, 7, 1000, 1 << 20] {
            let home = |bits| Tag(bits).home_line(home_lines);
            assert_eq!((home(0), home(TAG_MASK)), (0, home_lines - 1));
            assert!((0..TAG_MASK).step_by(1013).all(|bits| home(bits) <= home(bits + 1)));
        }
    }
}
