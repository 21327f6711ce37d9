//! Scans over records that lie in the log in the order of their keys: after a compaction, or a load in that order.
//!
//! There the record of a key stands behind that of the key before, and so the index need not be asked where it is: two places that
//! are in no cache become one, which comes behind what was just read. What is not found there, since it was written later and lies
//! elsewhere, is looked up as always, together with the others of its batch.
//!
//! A scan follows where its last batch would have been found so, by the places that the index gave. Its first batch follows if
//! that of other scans would have; then only the first key is looked up.

use std::sync::atomic::Ordering;

use super::batch::{Batch, VALUE_BYTES_MAX, Wanted, ask_index};
use crate::epoch::Guard;
use crate::keys::split_ordered_key;
use crate::log::{BEHIND_BYTES, Place, RecordAt};
use crate::store::Store;

/// Entries of a batch that tell whether scans are to follow.
const TELLING_MIN: usize = 4;

#[cfg(test)]
thread_local! {
    /// Entries that this thread has followed.
    pub(crate) static FOLLOWED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Where a scan is in the log, and whether it goes on there.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Whether it goes from the first key to the last. Records cannot be followed backwards.
    is_ascending: bool,
    follows: bool,
    /// Behind the record that was found last.
    place: Option<Place>,
    /// Of this batch: records that were followed, and those that might have been.
    followed: usize,
    in_order: usize,
}

impl Course {
    pub(super) fn new(store: &Store, reverse: bool) -> Course {
        let follows = !reverse && store.is_in_order.load(Ordering::Relaxed);
        Course { is_ascending: !reverse, follows, ..Course::default() }
    }

    /// Whether the index is asked for all keys of the next batch, so that it may be asked for as they come.
    pub(super) fn asks_index(&self, is_first: bool) -> bool {
        !self.follows || is_first && self.place.is_none()
    }

    /// Begins to load what is to be followed.
    pub(super) fn ask_ahead(&self, store: &Store, guard: &Guard) {
        if let Some(place) = self.place.filter(|_| self.follows) {
            store.log.prefetch_behind(&place, guard);
        }
    }

    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Begins a batch.
    pub(super) fn begin(&mut self) {
        (self.followed, self.in_order) = (0, 0);
    }

    /// Notes a record that the index has led to.
    #[inline]
    pub(super) fn note(&mut self, store: &Store, record: &RecordAt<'_>) {
        if self.is_ascending && (!self.follows || self.followed == 0) {
            let is_next = self.place.is_some_and(|place| place.is_right_before(record.location));
            self.in_order += usize::from(is_next && record.may_be_followed());
            self.place = Some(store.log.place_behind(record));
        }
    }

    /// Ends a batch of so many entries.
    pub(super) fn end(&mut self, store: &Store, entries: usize) {
        if !self.is_ascending || entries < TELLING_MIN {
            return;
        }
        self.follows = 2 * (self.followed + self.in_order) >= entries;
        if store.is_in_order.load(Ordering::Relaxed) != self.follows {
            store.is_in_order.store(self.follows, Ordering::Relaxed);
        }
    }

    /// What was followed is not given now: it is looked up when its turn comes.
    pub(super) fn lose(&mut self) {
        (self.follows, self.place) = (false, None);
    }
}

impl Batch {
    /// Reads what stands behind the record that was read last, as far as it is of the keys of this batch. Gives how many keys are
    /// to be read now.
    pub(super) fn follow(&mut self, store: &Store, wanted: Wanted, guard: &Guard) -> usize {
        let (all, mut number) = (self.buffers.keys.len(), self.read);
        if !self.course.follows {
            return all;
        }
        if self.course.place.is_none() {
            self.course.place = self.look_up_first(store, wanted, guard);
            number += 1;
        }
        let Some(place) = self.course.place else { return all };
        if self.is_asking() {
            store.log.read_soon_behind(&place, BEHIND_BYTES, guard);
        }
        let Some(mut follower) = store.log.follow(&place, guard) else { return all };
        let mut bytes = 0;
        for number in number..all {
            if bytes >= VALUE_BYTES_MAX {
                self.course.place = Some(follower.place());
                return number;
            }
            let Some(key) = self.buffers.keys.get_mut(number) else { break };
            let Some((keyspace, name)) = self.buffers.arena.get(key.place()).and_then(split_ordered_key)
            else {
                break;
            };
            let Some(mut record) = follower.next(&store.log, keyspace, name, wanted.sequence) else {
                // Asked for now, so that it comes while others are followed.
                key.hash = key.hash.or_else(|| Some(ask_index(store, keyspace, name)));
                continue;
            };
            // One that cannot be read is looked up, and then told.
            if let Ok(value) = wanted.value_of(store, &mut record, &mut self.buffers.values) {
                bytes += value.length();
                key.followed = Some(value);
                #[cfg(test)]
                FOLLOWED.with(|count| count.set(count.get() + 1));
                self.course.followed += 1;
            }
        }
        if self.course.followed > 0 {
            self.course.place = Some(follower.place());
        }
        all
    }

    /// Asks the index for the first key, to follow from there.
    fn look_up_first(&mut self, store: &Store, wanted: Wanted, guard: &Guard) -> Option<Place> {
        let key = self.buffers.keys.get(self.read)?;
        let (keyspace, name) = self.buffers.arena.get(key.place()).and_then(split_ordered_key)?;
        let hash = key.hash.unwrap_or_else(|| store.keys.hash(keyspace, name));
        if let Some(location) = store.keys.candidates(&store.log, hash).ok()?.next() {
            store.log.prefetch_followed(location, guard);
        }
        let record = store.keys.find(&store.log, hash, wanted.keyspace, name, guard).ok()??;
        Some(store.log.place_behind(&record))
    }
}
