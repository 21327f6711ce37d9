//! What a transaction has read, and whether it still holds when the transaction commits.
//!
//! *Invariant:* a transaction commits only if everything that it observed - values, absent keys, and which keys a range
//! has - is at its commit what it was at its snapshot. So all committed transactions have the effect of running one
//! after the other, in the order of their commits (backward validation, after Kung and Robinson, 1981).
//!
//! The check has two parts, so that nobody waits for the long one. [`ReadSet::check`] looks at everything, before the
//! commit lock is taken. [`Checked::check_since`] looks, under the lock, only at the keys that changed since then.

use std::collections::HashMap;
use std::ops::Bound;

use crate::error::{Error, Result};
use crate::keys::{ordered_key, split_ordered_key};
use crate::sabotage::{Sabotage, is_planted};
use crate::store::{KeyRange, Store};

/// With so many ranges of scans that have ended, those that reach each other are merged for the first time.
const RANGES_KEPT: usize = 64;

/// The read set.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    /// Keys that were read by name, as the order has them, and whether they were there.
    points: HashMap<Vec<u8>, bool>,
    /// Ranges whose scans go on, by the numbers of the scans.
    scanning: HashMap<u64, KeyRange>,
    /// What scans saw that have ended.
    scanned: Vec<KeyRange>,
    /// How many of those there may be before they are merged again. It is at least twice what the last merging has left, so
    /// that a transaction that scans the same again and again stays small, and merging costs little a scan.
    scanned_max: usize,
    scans: u64,
}

impl ReadSet {
    /// A key was read.
    pub(crate) fn add_point(&mut self, keyspace: u16, key: &[u8], was_there: bool) {
        let mut ordered = Vec::with_capacity(key.len() + 2);
        ordered_key(&mut ordered, keyspace, key);
        self.points.insert(ordered, was_there);
    }

    /// A scan begins, of which it is not known yet how far it will come. Returns its number.
    pub(crate) fn begin_scan(&mut self, range: KeyRange) -> u64 {
        self.scans += 1;
        self.scanning.insert(self.scans, range);
        self.scans
    }

    /// A scan has ended, and has seen this much.
    pub(crate) fn end_scan(&mut self, number: u64, seen: Option<KeyRange>) {
        self.scanning.remove(&number);
        self.scanned.extend(seen);
        if self.scanned.len() >= self.scanned_max.max(RANGES_KEPT) {
            self.scanned = merged(std::mem::take(&mut self.scanned));
            self.scanned_max = self.scanned.len() * 2;
        }
    }

    /// Refuses if anything that was read at `sequence` has changed by now. Returns what is left to check under the lock.
    pub(crate) fn check(&self, store: &Store, sequence: u64) -> Result<Checked<'_>> {
        // Everything up to here is published, so what the probes below miss is newer.
        let until = store.visible();
        if is_planted(Sabotage::IgnoreConflicts) {
            return Ok(Checked { points: &self.points, ranges: Vec::new(), until: u64::MAX });
        }
        for (ordered, was_there) in &self.points {
            let Some((keyspace, key)) = split_ordered_key(ordered) else { continue };
            let is_as_it_was = match store.newest_was_there_at(keyspace, key, sequence)? {
                Some(newest_was_there) => *was_there && newest_was_there,
                None => !was_there,
            };
            if !is_as_it_was {
                return Err(conflict("a key that it read"));
            }
        }
        let ranges = merged(self.scanned.iter().chain(self.scanning.values()).cloned().collect());
        let checked = Checked { points: &self.points, ranges, until };
        if !checked.ranges.is_empty() {
            checked.check_ranges(store, sequence)?;
        }
        Ok(checked)
    }
}

/// A read set that held up to some moment.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    points: &'a HashMap<Vec<u8>, bool>,
    /// Ascending and apart from each other.
    ranges: Vec<KeyRange>,
    until: u64,
}

impl Checked<'_> {
    /// Refuses if anything that was read has changed since the check. Called under the commit lock.
    pub(crate) fn check_since(&self, store: &Store) -> Result<()> {
        if self.points.is_empty() && self.ranges.is_empty() {
            return Ok(());
        }
        let reads = |key: &[u8]| self.points.contains_key(key) || self.has_in_range(key);
        match store.recent.any_since(self.until, reads) {
            true => Err(conflict("something that it read")),
            false => Ok(()),
        }
    }

    fn check_ranges(&self, store: &Store, sequence: u64) -> Result<()> {
        match store.recent.any_since(sequence, |key| self.has_in_range(key)) {
            true => Err(conflict("a range that it scanned")),
            false => Ok(()),
        }
    }

    fn has_in_range(&self, key: &[u8]) -> bool {
        let after = self.ranges.partition_point(|range| range.begins_at_or_before(key));
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|range| range.contains(key))
    }
}

/// The same keys as these ranges, as ranges that are ascending and apart from each other.
fn merged(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.sort_by(|one, other| one.lower_key().cmp(&other.lower_key()));
    let mut merged: Vec<KeyRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.reaches(&range) => last.extend(range),
            _ => merged.push(range),
        }
    }
    merged
}

impl KeyRange {
    /// The key of the lower end. Where it is excluded the range begins just behind it.
    fn lower_key(&self) -> (&[u8], bool) {
        match &self.lower {
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
            Bound::Unbounded => (&[], false),
        }
    }

    fn begins_at_or_before(&self, key: &[u8]) -> bool {
        self.lower_key() <= (key, false)
    }

    /// Whether the two have no key between them that neither has, as far as that can be told without looking closely:
    /// ranges that only touch may stay apart.
    fn reaches(&self, later: &KeyRange) -> bool {
        match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => later.lower_key() <= (upper, false),
            Bound::Excluded(upper) => later.lower_key() < (upper, false),
        }
    }

    /// Takes in a range that it reaches.
    fn extend(&mut self, later: KeyRange) {
        // An included end is further than an excluded one at the same key; no end is further than both.
        let rank = |upper: &Bound<Vec<u8>>| match upper {
            Bound::Excluded(key) => (0, Some((key.clone(), false))),
            Bound::Included(key) => (0, Some((key.clone(), true))),
            Bound::Unbounded => (1, None),
        };
        if rank(&later.upper) > rank(&self.upper) {
            self.upper = later.upper;
        }
    }
}

fn conflict(what: &str) -> Error {
    Error::Transaction(format!("{what} was changed by another commit; nothing was applied, run it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Vec<KeyRange> {
        let ends = |key: u8| [Bound::Included(vec![key]), Bound::Excluded(vec![key])];
        let mut all = vec![KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded }];
        for lower in 0..5 {
            for upper in lower..5 {
                for low in ends(lower) {
                    all.push(KeyRange { lower: low.clone(), upper: Bound::Unbounded });
                    all.extend(ends(upper).map(|upper| KeyRange { lower: low.clone(), upper }));
                }
            }
        }
        all
    }

    #[test]
    fn scans_of_the_same_are_kept_once_and_others_all() {
        let range =
            |key: u8| KeyRange { lower: Bound::Included(vec![key]), upper: Bound::Included(vec![key]) };
        let mut reads = ReadSet::default();
        for number in 0..10_000_u32 {
            // 100 ranges apart from each other, again and again; two scans go on at any time.
            let first = reads.begin_scan(range((number % 100) as u8 * 2));
            let second = reads.begin_scan(KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded });
            reads.end_scan(first, Some(range((number % 100) as u8 * 2)));
            reads.end_scan(second, None);
            assert!(reads.scanned.len() <= 256 && reads.scanning.is_empty());
        }
        let points = HashMap::new();
        let checked = Checked { points: &points, ranges: merged(reads.scanned), until: 0 };
        for key in 0..=255_u8 {
            assert_eq!(checked.has_in_range(&[key]), key < 200 && key % 2 == 0);
        }
    }

    #[test]
    fn merged_ranges_have_the_same_keys_and_are_found_by_search() {
        let all = ranges();
        let keys: Vec<Vec<u8>> = (0..6).flat_map(|key| [vec![key], vec![key, 7]]).collect();
        for one in &all {
            for other in all.iter().step_by(3) {
                for third in all.iter().step_by(7) {
                    let ranges: Vec<KeyRange> = [one, other, third].map(Clone::clone).to_vec();
                    let points = HashMap::new();
                    let checked = Checked { points: &points, ranges: merged(ranges.clone()), until: 0 };
                    for key in &keys {
                        let expected = ranges.iter().any(|range| range.contains(key));
                        assert_eq!(checked.has_in_range(key), expected, "{key:?} in {ranges:?}");
                    }
                }
            }
        }
    }
}
