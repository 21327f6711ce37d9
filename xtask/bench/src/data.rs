//! What is written, and what every answer must be.

use anyhow::{Context as _, Result, ensure};
use opendb_measure::workload::{Key, Keys, Seen, Values, digest};

/// Seed of keys that are never written.
const ABSENT: u64 = 0x5eed;
/// Odd, so that it has an inverse and no two orders of the same entries have the same digest by design.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The entries of a run, computed from their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    /// How many entries are loaded.
    pub(crate) count: u64,
    /// Length of their values.
    pub(crate) value_bytes: u64,
    /// What keys and draws belong to.
    pub(crate) seed: u64,
}

impl Data {
    /// The key with this number; loaded are those below [`Data::count`], and others may be put as well.
    pub(crate) fn key(&self, number: u64) -> Key {
        Keys::new(self.seed).of_several_lengths().key(number)
    }

    /// The same for entries whose keys sort as their numbers do.
    pub(crate) fn key_in_order(&self, number: u64) -> Key {
        Keys::new(self.seed).of_several_lengths().in_order().key(number)
    }

    /// A key that is never written.
    pub(crate) fn absent(&self, number: u64) -> Key {
        Keys::new(self.seed ^ ABSENT).of_several_lengths().key(number)
    }

    /// Makes values.
    pub(crate) fn values(&self) -> Values {
        Values::incompressible(self.value_bytes)
    }
}

/// An error where something else was found than this version of the key's value, or than nothing.
pub(crate) fn expect(key: &Key, found: Option<Seen>, version: Option<u64>) -> Result<()> {
    let found = found.map(|seen| seen.version(key)).transpose()?;
    ensure!(found == version, "a get gave version {found:?} of a value instead of {version:?}");
    Ok(())
}

/// What a scan has shown: how many entries, and a digest of keys, of both ends of the values and of their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    entries: u64,
    sum: u64,
    power: u64,
}

impl Digest {
    /// Of nothing.
    pub(crate) fn new() -> Digest {
        Digest { entries: 0, sum: 0, power: 1 }
    }

    /// Adds the next entry.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        let first = value.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        let last = value.last_chunk::<8>().map_or(1, |word| u64::from_le_bytes(*word));
        self.add_word(entry_word(key, first, last));
    }

    fn add_word(&mut self, word: u64) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(word.wrapping_mul(self.power));
        self.power = self.power.wrapping_mul(BASE);
    }
}

fn entry_word(key: &[u8], first: u64, last: u64) -> u64 {
    let key = key.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    key.wrapping_add(first.wrapping_mul(3)).wrapping_add(last.wrapping_mul(5)) | 1
}

/// The loaded entries in the order of their keys, and what a scan of any part of them must show.
pub(crate) struct Order {
    numbers: Vec<u32>,
    /// Of each beginning of all entries, the sum of a digest.
    sums: Vec<u64>,
}

impl Order {
    /// Sorts what belongs to `data`, each value in its version 0.
    pub(crate) fn new(data: &Data) -> Order {
        let mut ranked: Vec<(u64, u32)> =
            (0..data.count).map(|number| (data.key(number).rank(), number as u32)).collect();
        ranked.sort_unstable();
        let numbers: Vec<u32> = ranked.into_iter().map(|(_, number)| number).collect();
        let mut digest_of_all = Digest::new();
        let mut sums = vec![0];
        for number in &numbers {
            let key = data.key(u64::from(*number));
            let ends = digest(&key, 0);
            digest_of_all.add_word(entry_word(&key, ends, ends));
            sums.push(digest_of_all.sum);
        }
        Order { numbers, sums }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of the entry at this place of the order.
    pub(crate) fn number(&self, rank: usize) -> Result<u64> {
        self.numbers.get(rank).map(|number| u64::from(*number)).context("there is no entry at this place")
    }

    /// An error where a scan of `limit` entries from this place on has shown anything else than those.
    pub(crate) fn expect(&self, rank: usize, limit: usize, shown: &Digest) -> Result<()> {
        let end = rank.saturating_add(limit).min(self.len());
        let sum = |at: usize| self.sums.get(at).copied().unwrap_or_default();
        let wanted = sum(end).wrapping_sub(sum(rank));
        let moved = shown.sum.wrapping_mul(BASE.wrapping_pow(rank as u32));
        ensure!(
            shown.entries == (end - rank) as u64 && moved == wanted,
            "a scan of {} entries showed {} of them, or others",
            end - rank,
            shown.entries
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: Data = Data { count: 1000, value_bytes: 100, seed: 7 };

    fn scan(order: &Order, ranks: impl Iterator<Item = usize>, version: u64) -> Digest {
        let (mut digest, mut values) = (Digest::new(), DATA.values());
        for rank in ranks {
            let key = DATA.key(order.number(rank).unwrap());
            digest.add(&key, values.value(&key, version));
        }
        digest
    }

    #[test]
    fn a_scan_is_right_only_with_all_entries_in_order_and_in_their_version() {
        let order = Order::new(&DATA);
        assert!(order.expect(100, 10, &scan(&order, 100..110, 0)).is_ok());
        assert!(order.expect(995, 10, &scan(&order, 995..1000, 0)).is_ok());
        assert!(order.expect(0, 1000, &scan(&order, 0..1000, 0)).is_ok());
        for wrong in [
            scan(&order, 100..109, 0),
            scan(&order, 101..111, 0),
            scan(&order, (100..110).rev(), 0),
            scan(&order, [100, 101, 102, 103, 104, 105, 106, 107, 109, 108].into_iter(), 0),
            scan(&order, 100..110, 1),
        ] {
            assert!(order.expect(100, 10, &wrong).is_err());
        }
    }

    #[test]
    fn the_order_is_that_of_the_keys() {
        let order = Order::new(&DATA);
        let keys: Vec<Key> = (0..1000).map(|rank| DATA.key(order.number(rank).unwrap())).collect();
        assert!(keys.windows(2).all(|pair| pair[0][..] < pair[1][..]));
        assert!(order.number(1000).is_err());
    }

    #[test]
    fn a_get_is_right_only_with_the_version_that_was_put() {
        let (key, mut values) = (DATA.key(1), DATA.values());
        let seen = Some(Seen::of(values.value(&key, 3)));
        assert!(expect(&key, seen, Some(3)).is_ok());
        assert!(expect(&key, seen, Some(2)).is_err());
        assert!(expect(&key, seen, None).is_err());
        assert!(expect(&DATA.key(2), seen, Some(3)).is_err());
        assert!(expect(&key, None, Some(3)).is_err());
        assert!(expect(&key, None, None).is_ok());
    }

    #[test]
    fn written_and_absent_keys_never_meet() {
        assert!((0..1000).all(|number| (0..10).all(|other| DATA.key(number) != DATA.absent(other))));
    }
}
