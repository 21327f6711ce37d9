//! What is written and read: keys, values and the order of the calls, the same for every store and every run.

/// Length of a key in bytes.
pub(crate) const KEY_BYTES: usize = 20;
/// Length of a value in bytes.
pub(crate) const VALUE_BYTES: usize = 100;

/// One key.
pub(crate) type Key = [u8; KEY_BYTES];

/// A small generator of well-mixed numbers (SplitMix64), so that a run is repeatable from its seed.
pub(crate) struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by multiply and shift.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The calls of one round. Each list is in the order of the calls, so that walking it costs the same few nanoseconds
/// for every store.
pub(crate) struct Workload {
    /// Every key once.
    pub(crate) new: Vec<Key>,
    /// As many keys, drawn uniformly with repetition.
    pub(crate) drawn: Vec<Key>,
    /// As many keys that are never written.
    pub(crate) absent: Vec<Key>,
}

impl Workload {
    /// Draws the calls for `keys` keys.
    pub(crate) fn new(keys: usize, seed: u64) -> Workload {
        let mut random = Random::new(seed);
        let new: Vec<Key> = (0..keys).map(|_| random_key(&mut random, b'k')).collect();
        let drawn = (0..keys).filter_map(|_| new.get(random.below(keys)).copied()).collect();
        let absent = (0..keys).map(|_| random_key(&mut random, b'a')).collect();
        Workload { new, drawn, absent }
    }
}

/// A random key. The last byte tells written keys from absent ones, so that the two can never meet.
fn random_key(random: &mut Random, mark: u8) -> Key {
    let mut key = [mark; KEY_BYTES];
    for chunk in key[..KEY_BYTES - 1].chunks_mut(8) {
        let bytes = random.next().to_le_bytes();
        let (wanted, _) = bytes.split_at(chunk.len());
        chunk.copy_from_slice(wanted);
    }
    key
}

/// Fills `value` with what belongs to `key` in the given version.
pub(crate) fn fill_value(value: &mut [u8; VALUE_BYTES], key: &Key, version: u64) {
    let mut random = Random::new(key_number(key) ^ version);
    for chunk in value.chunks_mut(8) {
        let bytes = random.next().to_le_bytes();
        let (wanted, _) = bytes.split_at(chunk.len());
        chunk.copy_from_slice(wanted);
    }
    let digest = expected_digest(key, version);
    value[..8].copy_from_slice(&digest.to_le_bytes());
    value[VALUE_BYTES - 8..].copy_from_slice(&[0; 8]);
}

/// A cheap digest of what was read: both ends and the length. A store that returned another value, half a value or
/// nothing at all is found out, and no compiler can leave the read away.
pub(crate) fn digest(value: &[u8]) -> u64 {
    match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(first), Some(last)) if value.len() == VALUE_BYTES => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last)
        }
        _ => 0,
    }
}

/// What [`digest`] must give for the value that [`fill_value`] made.
pub(crate) fn expected_digest(key: &Key, version: u64) -> u64 {
    key_number(key).wrapping_add(version)
}

fn key_number(key: &Key) -> u64 {
    key.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_its_key_and_version_only() {
        let workload = Workload::new(2, 7);
        let mut value = [0; VALUE_BYTES];
        fill_value(&mut value, &workload.new[0], 1);
        assert_eq!(digest(&value), expected_digest(&workload.new[0], 1));
        assert_ne!(digest(&value), expected_digest(&workload.new[1], 1));
        assert_ne!(digest(&value), expected_digest(&workload.new[0], 3));
        assert_eq!(digest(&value[1..]), 0);
    }

    #[test]
    fn written_and_absent_keys_never_meet() {
        let workload = Workload::new(1000, 7);
        assert!(workload.new.iter().all(|key| !workload.absent.contains(key)));
        assert!(workload.drawn.iter().all(|key| workload.new.contains(key)));
    }
}
