//! Keys and values. Every key is computed from its number, so that a load of any size holds none of them, and every
//! value says which key and version it belongs to, so that a read of any of them can be checked.

use std::ops::Deref;

use anyhow::{Result, ensure};

/// Length of a key in bytes, unless keys of several lengths are asked for.
pub const KEY_BYTES: usize = 24;
/// The shortest key where they have several lengths.
pub const KEY_BYTES_MIN: usize = 16;
/// The shortest value that can be checked: digest, version, digest.
pub const VALUE_BYTES_MIN: u64 = 24;
/// Skew of [`Zipfian`], as YCSB has it.
const ZIPFIAN_SKEW: f64 = 0.99;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One key, held without an allocation. It is a slice to whoever uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    bytes: [u8; KEY_BYTES],
    length: u8,
}

impl Key {
    /// Its first eight bytes, which no other key of the same kind has, as a number that sorts as the keys do.
    #[must_use]
    pub fn rank(&self) -> u64 {
        self.bytes.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The last step of SplitMix64: a bijection whose results look like chance.
fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A small generator of well-mixed numbers (SplitMix64), so that a run is repeatable from its seed.
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`, by multiply and shift.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A number from 0 up to 1.
    fn part(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The keys of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    seed: u64,
    ordered: bool,
    several_lengths: bool,
}

impl Keys {
    /// The keys that belong to `seed`: of one length, and such that their order is chance.
    #[must_use]
    pub fn new(seed: u64) -> Keys {
        Keys { seed: mix(seed), ordered: false, several_lengths: false }
    }

    /// The same with lengths from [`KEY_BYTES_MIN`] to [`KEY_BYTES`].
    #[must_use]
    pub fn of_several_lengths(self) -> Keys {
        Keys { several_lengths: true, ..self }
    }

    /// The same in such a way that they sort as their numbers do.
    #[must_use]
    pub fn in_order(self) -> Keys {
        Keys { ordered: true, ..self }
    }

    /// The key with this number. Two numbers never have the same key: its first word is a bijection of the number.
    #[must_use]
    pub fn key(self, number: u64) -> Key {
        let mixed = mix(self.seed.wrapping_add(number.wrapping_mul(GOLDEN)));
        let first = if self.ordered { number.swap_bytes() } else { mixed };
        let second = mix(mixed ^ GOLDEN);
        let third = mix(second ^ self.seed);
        let mut bytes = [0; KEY_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip([first, second, third]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let more = if self.several_lengths { (second >> 32) % LENGTHS } else { LENGTHS - 1 };
        Key { bytes, length: KEY_BYTES_MIN as u8 + more as u8 }
    }
}

/// How many lengths keys of several lengths have.
const LENGTHS: u64 = (KEY_BYTES - KEY_BYTES_MIN + 1) as u64;

/// Makes values of one length.
pub struct Values {
    buffer: Vec<u8>,
    fresh: bool,
}

impl Values {
    /// Values of `bytes` bytes, at least [`VALUE_BYTES_MIN`], of which only the ends change from one to the next, so that
    /// making one costs little beside writing it.
    #[must_use]
    pub fn new(bytes: u64) -> Values {
        let mut random = Random::new(bytes);
        let bytes = bytes.max(VALUE_BYTES_MIN) as usize;
        let buffer = std::iter::repeat_with(|| random.bits().to_le_bytes()).flatten().take(bytes).collect();
        Values { buffer, fresh: false }
    }

    /// The same with every byte another one each time, so that no store can compress them.
    #[must_use]
    pub fn incompressible(bytes: u64) -> Values {
        Values { fresh: true, ..Values::new(bytes) }
    }

    /// The value that belongs to this key in this version.
    pub fn value(&mut self, key: &Key, version: u64) -> &[u8] {
        let digest = digest(key, version);
        if self.fresh {
            let mut random = Random::new(digest);
            for word in self.buffer.chunks_exact_mut(8) {
                word.copy_from_slice(&random.bits().to_le_bytes());
            }
        }
        let digest = digest.to_le_bytes();
        if let Some(place) = self.buffer.last_chunk_mut::<8>() {
            *place = digest;
        }
        if let Some((place, rest)) = self.buffer.split_first_chunk_mut::<8>() {
            *place = digest;
            if let Some(place) = rest.first_chunk_mut::<8>() {
                *place = version.to_le_bytes();
            }
        }
        &self.buffer
    }
}

/// What of a value is looked at: enough to tell that it is whole, and which key and version it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    first: u64,
    version: u64,
    last: u64,
}

impl Seen {
    /// Of a value that was read. A value that is too short to be one gives what belongs to no key.
    #[must_use]
    pub fn of(value: &[u8]) -> Seen {
        let word =
            |at: usize| value.get(at..).and_then(<[u8]>::first_chunk::<8>).map(|w| u64::from_le_bytes(*w));
        match (word(0), word(8), value.len() as u64 >= VALUE_BYTES_MIN, word(value.len().wrapping_sub(8))) {
            (Some(first), Some(version), true, Some(last)) => Seen { first, version, last },
            _ => Seen { first: 0, version: 0, last: 1 },
        }
    }

    /// Its version. An error where it does not belong to the key.
    ///
    /// # Errors
    /// When something else was read than what was put under the key.
    pub fn version(self, key: &Key) -> Result<u64> {
        let wanted = digest(key, self.version);
        ensure!(
            self.first == wanted && self.last == wanted,
            "a read returned something that was never put under its key: the run is worth nothing"
        );
        Ok(self.version)
    }
}

/// The version of a value that was read.
///
/// # Errors
/// When the value is not one that belongs to the key.
pub fn version_of(key: &Key, value: &[u8]) -> Result<u64> {
    Seen::of(value).version(key)
}

/// What stands at both ends of the value that belongs to this key in this version.
#[must_use]
pub fn digest(key: &[u8], version: u64) -> u64 {
    let word = key.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    mix(word ^ version.wrapping_mul(GOLDEN))
}

/// Numbers below a bound, few of them drawn very often: the distribution of YCSB (Gray and others, "Quickly generating
/// billion-record synthetic databases"), scattered so that the frequent ones are not neighbours in the log.
pub struct Zipfian {
    items: u64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipfian {
    /// Prepares to draw numbers below `items`.
    #[must_use]
    pub fn new(items: u64) -> Zipfian {
        let zeta = |to: u64| (1..=to).map(|rank| 1.0 / (rank as f64).powf(ZIPFIAN_SKEW)).sum::<f64>();
        let (two, all) = (zeta(2), zeta(items));
        let eta = (1.0 - (2.0 / items as f64).powf(1.0 - ZIPFIAN_SKEW)) / (1.0 - two / all);
        Zipfian { items, zeta: all, alpha: 1.0 / (1.0 - ZIPFIAN_SKEW), eta }
    }

    /// The next number.
    pub fn next(&self, random: &mut Random) -> u64 {
        mix(self.next_rank(random)) % self.items
    }

    /// The next number, not scattered: 0 is the most frequent one.
    pub fn next_rank(&self, random: &mut Random) -> u64 {
        self.rank(random.part())
    }

    fn rank(&self, part: f64) -> u64 {
        let scaled = part * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(ZIPFIAN_SKEW) {
            return 1;
        }
        let rank = self.items as f64 * (self.eta * part - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.items.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn keys_are_distinct_and_a_function_of_seed_and_number() {
        let keys = Keys::new(7);
        let all: BTreeSet<Key> = (0..10_000).map(|number| keys.key(number)).collect();
        assert_eq!(all.len(), 10_000);
        assert_eq!(keys.key(5), Keys::new(7).key(5));
        assert_ne!(keys.key(5), Keys::new(8).key(5));
    }

    #[test]
    fn keys_of_several_lengths_have_all_of_them_and_sort_by_their_ranks() {
        let keys = Keys::new(7).of_several_lengths();
        let mut all: Vec<Key> = (0..10_000).map(|number| keys.key(number)).collect();
        let lengths: BTreeSet<usize> = all.iter().map(|key| key.len()).collect();
        assert_eq!(lengths, (KEY_BYTES_MIN..=KEY_BYTES).collect());
        all.sort_unstable_by_key(Key::rank);
        assert!(all.windows(2).all(|pair| pair[0].rank() < pair[1].rank() && pair[0][..] < pair[1][..]));
        let ordered = keys.in_order();
        assert!((0..1000).all(|number| ordered.key(number)[..] < ordered.key(number + 1)[..]));
    }

    #[test]
    fn incompressible_values_differ_everywhere() {
        let (keys, mut values) = (Keys::new(7), Values::incompressible(100));
        let one = values.value(&keys.key(1), 3).to_vec();
        assert_eq!(version_of(&keys.key(1), &one).unwrap(), 3);
        let other = values.value(&keys.key(2), 3).to_vec();
        let equal = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(equal < 20, "{equal} of 100 bytes are the same");
        assert_eq!(Values::incompressible(100).value(&keys.key(1), 3), one);
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u64> = (0..100).collect();
        Random::new(1).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_tells_its_version_and_belongs_to_its_key_only() {
        let (one, other) = (Keys::new(7).key(1), Keys::new(7).key(2));
        for bytes in [24, 25, 150] {
            let value = Values::new(bytes).value(&one, 3).to_vec();
            assert_eq!(value.len() as u64, bytes);
            assert_eq!(version_of(&one, &value).unwrap(), 3);
            assert!(version_of(&other, &value).is_err());
            assert!(version_of(&one, &value[1..]).is_err());
            assert!(version_of(&one, &value[..value.len() - 1]).is_err());
            assert!(version_of(&one, &[]).is_err());
            assert!(version_of(&one, &[0; 200]).is_err());
        }
    }

    #[test]
    fn few_numbers_are_drawn_often_and_all_are_below_the_bound() {
        let (zipfian, mut random) = (Zipfian::new(1000), Random::new(1));
        let mut counts = BTreeMap::new();
        for _ in 0..100_000 {
            *counts.entry(zipfian.next(&mut random)).or_insert(0_u32) += 1;
        }
        assert!(counts.keys().all(|number| *number < 1000));
        let most = counts.values().max().copied().unwrap();
        assert!((10_000..16_000).contains(&most), "the most frequent of 1,000 was drawn {most} times");
        assert_eq!(Zipfian::new(1).next(&mut random), 0);
    }
}
