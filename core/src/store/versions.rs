//! Old versions that a live snapshot still needs.
//!
//! A snapshot at sequence S needs the version of a key with `sequence <= S < superseded`. While no snapshot is alive
//! nothing is kept here. A version is held by the *newest* snapshot that needs it; when that one ends, the version goes
//! to the next older one that needs it, or away. So a key that is overwritten again and again under one snapshot costs
//! one entry, and the end of a snapshot costs what it held.
//!
//! *Invariants:* for every live S and every key whose version at S is not the newest, that version is in the table; a
//! version enters the table before the index stops leading to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::location::Location;

/// Memory that a kept version takes, with its places in the tables, about.
pub(crate) const VERSION_BYTES: u64 = 112;

/// A record that was newest from its own sequence until it was superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    location: Location,
    sequence: u64,
    superseded: u64,
    /// Serial of the segment that has its value, if that is a large one.
    large: Option<u64>,
}

#[derive(Debug, Default)]
struct Pins {
    count: usize,
    /// When the first of them began.
    since: Option<Instant>,
    /// What this snapshot holds: the hash of the key and the location of the version.
    held: Vec<(u64, Location)>,
}

#[derive(Debug, Default)]
struct Table {
    /// Live snapshots by sequence.
    live: BTreeMap<u64, Pins>,
    /// Versions by the hash of their key.
    versions: HashMap<u64, Vec<Version>>,
    /// How many versions stand in the segment of a slot.
    in_slot: HashMap<u16, usize>,
    /// How many have their values in the segment of a serial.
    in_large: HashMap<u64, usize>,
}

/// The version table and the live snapshots.
#[derive(Debug, Default)]
pub(super) struct Versions {
    table: Mutex<Table>,
    /// Sequence of the newest live snapshot plus one; 0 while there is none. Changed under the commit lock when it
    /// grows, so that a commit sees every snapshot that began before it.
    newest_live: AtomicU64,
    /// Entries of the table.
    count: AtomicUsize,
}

impl Versions {
    /// Makes a snapshot at `sequence` live. Called under the commit lock.
    pub(super) fn pin(&self, sequence: u64) {
        let mut table = self.table.lock();
        let pins = table.live.entry(sequence).or_default();
        pins.count += 1;
        pins.since.get_or_insert_with(Instant::now);
        self.note_newest(&table);
    }

    /// Ends a snapshot.
    pub(super) fn unpin(&self, sequence: u64) {
        let mut table = self.table.lock();
        let Some(pins) = table.live.get_mut(&sequence) else { return };
        pins.count -= 1;
        if pins.count > 0 {
            return;
        }
        let held = table.live.remove(&sequence).unwrap_or_default().held;
        for (hash, location) in held {
            table.hand_down(hash, location, sequence, &self.count);
        }
        self.note_newest(&table);
    }

    fn note_newest(&self, table: &Table) {
        let newest = table.live.last_key_value().map_or(0, |(sequence, _)| sequence + 1);
        self.newest_live.store(newest, Ordering::Release);
    }

    /// Whether a commit must tell what it supersedes.
    #[inline]
    pub(super) fn is_any_live(&self) -> bool {
        self.newest_live.load(Ordering::Acquire) != 0
    }

    /// Keeps the version at `location` if a live snapshot needs it. Called under the commit lock, before the index is
    /// changed.
    pub(super) fn supersede(
        &self,
        hash: u64,
        (location, large): (Location, Option<u64>),
        sequence: u64,
        superseded: u64,
    ) {
        if sequence >= superseded {
            return;
        }
        let mut table = self.table.lock();
        let Some((_, pins)) = table.live.range_mut(sequence..superseded).next_back() else { return };
        pins.held.push((hash, location));
        table.versions.entry(hash).or_default().push(Version { location, sequence, superseded, large });
        *table.in_slot.entry(location.slot()).or_default() += 1;
        large.into_iter().for_each(|serial| *table.in_large.entry(serial).or_default() += 1);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Locations of the versions that a snapshot at `sequence` may mean by this hash; the caller compares the key.
    pub(super) fn at(&self, hash: u64, sequence: u64) -> Vec<Location> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let table = self.table.lock();
        let versions = table.versions.get(&hash).map_or(&[][..], Vec::as_slice);
        let visible = versions.iter().filter(|one| (one.sequence..one.superseded).contains(&sequence));
        visible.map(|one| one.location).collect()
    }

    /// Whether any version of this hash is kept.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.count.load(Ordering::Acquire) != 0 && self.table.lock().versions.contains_key(&hash)
    }

    /// How long the oldest live snapshot has lived.
    pub(super) fn oldest(&self) -> Duration {
        let table = self.table.lock();
        let oldest = table.live.first_key_value().and_then(|(_, pins)| pins.since);
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether any version stands in the segment of this slot and serial, or has its value there.
    pub(super) fn holds(&self, slot: u16, serial: u64) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let table = self.table.lock();
        table.in_slot.contains_key(&slot) || table.in_large.contains_key(&serial)
    }

    /// Live snapshots and kept versions.
    pub(super) fn counts(&self) -> (u64, u64) {
        let table = self.table.lock();
        let snapshots: usize = table.live.values().map(|pins| pins.count).sum();
        (snapshots as u64, self.count.load(Ordering::Relaxed) as u64)
    }
}

impl Table {
    /// Gives a version whose holder `ended` to the next older snapshot that needs it, or drops it.
    fn hand_down(&mut self, hash: u64, location: Location, ended: u64, count: &AtomicUsize) {
        let Some(versions) = self.versions.get_mut(&hash) else { return };
        let Some(at) = versions.iter().position(|one| one.location == location) else { return };
        let needed_from = versions[at].sequence;
        if let Some((_, pins)) = self.live.range_mut(needed_from..ended).next_back() {
            pins.held.push((hash, location));
            return;
        }
        let gone = versions.swap_remove(at);
        if versions.is_empty() {
            self.versions.remove(&hash);
        }
        count_down(&mut self.in_slot, location.slot());
        gone.large.into_iter().for_each(|serial| count_down(&mut self.in_large, serial));
        count.fetch_sub(1, Ordering::Release);
    }
}

/// One less; the last one takes the entry away.
fn count_down<K: std::hash::Hash + Eq + Copy>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(n: u64) -> Location {
        Location::new(0, n * 8).unwrap()
    }

    #[test]
    fn nothing_is_kept_without_a_snapshot_that_needs_it() {
        let versions = Versions::default();
        versions.supersede(1, (location(1), None), 3, 5);
        versions.pin(5);
        versions.supersede(1, (location(2), None), 6, 7); // came after the snapshot
        assert_eq!(versions.counts(), (1, 0));
        versions.supersede(1, (location(3), None), 5, 7);
        assert_eq!((versions.counts(), versions.at(1, 5)), ((1, 1), vec![location(3)]));
        assert!(versions.at(1, 4).is_empty() && versions.at(2, 5).is_empty());
        versions.unpin(5);
        assert_eq!((versions.counts(), versions.is_any_live()), ((0, 0), false));
    }

    #[test]
    fn a_hot_key_under_one_snapshot_costs_one_entry() {
        let versions = Versions::default();
        versions.pin(1);
        for n in 1..1000 {
            versions.supersede(7, (location(n), None), n, n + 1);
        }
        assert_eq!((versions.counts(), versions.at(7, 1)), ((1, 1), vec![location(1)]));
    }

    #[test]
    fn a_version_goes_to_the_next_older_snapshot_that_needs_it() {
        let versions = Versions::default();
        versions.pin(2);
        versions.pin(4);
        versions.pin(4);
        versions.supersede(7, (location(1), None), 1, 6); // needed by 2 and 4
        versions.supersede(8, (location(2), None), 3, 6); // needed by 4 only
        versions.unpin(4);
        assert_eq!(versions.at(8, 4), vec![location(2)]);
        versions.unpin(4);
        assert_eq!((versions.counts(), versions.at(7, 2)), ((1, 1), vec![location(1)]));
        assert!(!versions.has(8));
        versions.unpin(2);
        assert_eq!(versions.counts(), (0, 0));
    }
}
