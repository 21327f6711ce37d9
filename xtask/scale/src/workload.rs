//! Keys and values. Every key is computed from its number, so that a load of any size holds none of them, and every
//! value says which key and version it belongs to, so that a read of any of them can be checked.

use anyhow::{Result, ensure};

/// Length of a key in bytes.
pub(crate) const KEY_BYTES: usize = 24;
/// The shortest value that can be checked: digest, version, digest.
pub(crate) const VALUE_BYTES_MIN: u64 = 24;
/// Skew of [`Zipfian`], as YCSB has it.
const ZIPFIAN_SKEW: f64 = 0.99;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One key.
pub(crate) type Key = [u8; KEY_BYTES];

/// The last step of SplitMix64: a bijection whose results look like chance.
fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A small generator of well-mixed numbers (SplitMix64), so that a run is repeatable from its seed.
pub(crate) struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`, by multiply and shift.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 up to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The keys of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    seed: u64,
}

impl Keys {
    /// The keys that belong to `seed`.
    pub(crate) fn new(seed: u64) -> Keys {
        Keys { seed: mix(seed) }
    }

    /// The key with this number. Two numbers never have the same key: its first word is a bijection of the number.
    pub(crate) fn key(self, number: u64) -> Key {
        let first = mix(self.seed.wrapping_add(number.wrapping_mul(GOLDEN)));
        let second = mix(first ^ GOLDEN);
        let third = mix(second ^ self.seed);
        let mut key = [0; KEY_BYTES];
        for (place, word) in key.chunks_exact_mut(8).zip([first, second, third]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        key
    }
}

/// Makes values of one length. Only the ends of the buffer change from one value to the next, so that making one costs
/// little beside writing it.
pub(crate) struct Values {
    buffer: Vec<u8>,
}

impl Values {
    /// Values of `bytes` bytes, at least [`VALUE_BYTES_MIN`].
    pub(crate) fn new(bytes: u64) -> Values {
        let mut random = Random::new(bytes);
        let bytes = bytes.max(VALUE_BYTES_MIN) as usize;
        let buffer = std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(bytes).collect();
        Values { buffer }
    }

    /// The value that belongs to this key in this version.
    pub(crate) fn value(&mut self, key: &Key, version: u64) -> &[u8] {
        let digest = digest(key, version).to_le_bytes();
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

/// The version of a value that was read. An error where the value is not one that belongs to the key.
pub(crate) fn version_of(key: &Key, value: &[u8]) -> Result<u64> {
    let word = |at: usize| value.get(at..).and_then(<[u8]>::first_chunk::<8>).map(|w| u64::from_le_bytes(*w));
    let version = word(8).unwrap_or_default();
    let wanted = Some(digest(key, version));
    ensure!(
        value.len() as u64 >= VALUE_BYTES_MIN && word(0) == wanted && word(value.len() - 8) == wanted,
        "a read returned something that was never put under its key: the run is worth nothing"
    );
    Ok(version)
}

fn digest(key: &Key, version: u64) -> u64 {
    let word = key.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    mix(word ^ version.wrapping_mul(GOLDEN))
}

/// Numbers below a bound, few of them drawn very often: the distribution of YCSB (Gray and others, "Quickly generating
/// billion-record synthetic databases"), scattered so that the frequent ones are not neighbours in the log.
pub(crate) struct Zipfian {
    items: u64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipfian {
    /// Prepares to draw numbers below `items`.
    pub(crate) fn new(items: u64) -> Zipfian {
        let zeta = |to: u64| (1..=to).map(|rank| 1.0 / (rank as f64).powf(ZIPFIAN_SKEW)).sum::<f64>();
        let (two, all) = (zeta(2), zeta(items));
        let eta = (1.0 - (2.0 / items as f64).powf(1.0 - ZIPFIAN_SKEW)) / (1.0 - two / all);
        Zipfian { items, zeta: all, alpha: 1.0 / (1.0 - ZIPFIAN_SKEW), eta }
    }

    /// The next number.
    pub(crate) fn next(&self, random: &mut Random) -> u64 {
        mix(self.rank(random.part())) % self.items
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
