//! The walk over the entries that a snapshot sees.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::batch::{Batch, Wanted};
use super::follow::Course;
use super::{Scan, as_slice, is_empty};
use crate::error::Result;
use crate::keys::{ordered_key, split_ordered_key};
use crate::order::ParkedCursor;
use crate::store::{KeyRange, Pin, Store};

/// An entry of a scan. The value is empty where only keys are wanted.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);
/// The same, where it stands.
pub(crate) type EntryRef<'a> = (&'a [u8], &'a [u8]);
/// The writes of a transaction: by the key as the order has it, the value or its absence.
pub(crate) type OwnWrites = BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

/// What a scan has still to see of a transaction's own writes.
struct OwnRange {
    writes: Arc<OwnWrites>,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
}

impl OwnRange {
    /// The next write in the direction of the scan.
    fn peek(&self, reverse: bool) -> Option<(&[u8], Option<&[u8]>)> {
        if is_empty(&self.lower, &self.upper) {
            return None;
        }
        let mut left = self.writes.range::<Vec<u8>, _>((self.lower.as_ref(), self.upper.as_ref()));
        let (ordered, value) = if reverse { left.next_back() } else { left.next() }?;
        let (_, key) = split_ordered_key(ordered)?;
        Some((key, value.as_deref()))
    }

    /// Steps over the write of this key.
    fn skip(&mut self, keyspace: u16, key: &[u8], reverse: bool) {
        let mut ordered = Vec::with_capacity(key.len() + 2);
        ordered_key(&mut ordered, keyspace, key);
        match reverse {
            false => self.lower = Bound::Excluded(ordered),
            true => self.upper = Bound::Excluded(ordered),
        }
    }
}

/// A walk over the entries that a snapshot sees, mixed with a transaction's own writes.
pub(crate) struct Walk {
    pin: Arc<Pin>,
    keyspace: u16,
    keys_only: bool,
    reverse: bool,
    left: u64,
    /// `None` once it has come to its end, and all that it gave was looked at.
    cursor: Option<ParkedCursor>,
    /// Entries read ahead.
    batch: Batch,
    own: Option<OwnRange>,
    /// The next stored entry, when an own write has to come first.
    stored: Option<Entry>,
    /// The entry that it was gone to last, where own writes are mixed in; otherwise that is the batch's.
    mixed: Option<Entry>,
}

impl Walk {
    /// Begins a walk at the moment of `pin`, mixed with the writes that a transaction has made so far.
    pub(crate) fn new(
        store: &Store,
        pin: Arc<Pin>,
        keyspace: u16,
        scan: &Scan,
        keys_only: bool,
        own: Option<Arc<OwnWrites>>,
    ) -> Result<Walk> {
        store.know_all()?;
        let range = scan.key_range(keyspace);
        let open = |range: &KeyRange| {
            let (lower, upper) = (as_slice(&range.lower), as_slice(&range.upper));
            let cursor = store.keys.order.cursor(lower, upper, scan.reverse);
            cursor.map(|cursor| store.keys.order.park(cursor))
        };
        let cursor = range.as_ref().map(open).transpose()?;
        let own = own.filter(|writes| !writes.is_empty()).zip(range).map(|(writes, range)| OwnRange {
            writes,
            lower: range.lower,
            upper: range.upper,
        });
        let left = scan.entries_max.unwrap_or(u64::MAX);
        let batch = Batch::new(Course::new(store, scan.reverse));
        Ok(Walk {
            pin,
            keyspace,
            keys_only,
            reverse: scan.reverse,
            left,
            cursor,
            batch,
            own,
            stored: None,
            mixed: None,
        })
    }

    /// Goes to the next entry, if it was read before and no own write can come first.
    #[inline]
    pub(crate) fn advance_read(&mut self) -> bool {
        if self.left == 0 || self.own.is_some() || self.stored.is_some() || !self.batch.advance() {
            return false;
        }
        self.left -= 1;
        self.mixed = None;
        true
    }

    /// Goes to the next entry, in the store that the walk was begun in. False at the end.
    pub(crate) fn advance(&mut self, store: &Store) -> Result<bool> {
        self.mixed = None;
        if self.left == 0 {
            return Ok(false);
        }
        let is_there = if self.own.is_none() && self.stored.is_none() {
            self.advance_stored(store)?
        } else {
            self.mixed = self.next_mixed(store)?;
            self.mixed.is_some()
        };
        self.left = if is_there { self.left - 1 } else { 0 };
        Ok(is_there)
    }

    /// The entry that it was gone to last, where it stands.
    #[inline]
    pub(crate) fn current(&self) -> Option<EntryRef<'_>> {
        match &self.mixed {
            Some((key, value)) => Some((key, value)),
            None => self.batch.current(),
        }
    }

    /// The same in memory of its own. A long value is moved there, and is empty where it was.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Entry> {
        match self.mixed.take() {
            None => self.batch.take(),
            mixed => mixed,
        }
    }

    /// Whether the walk came to the end of its range, so that it has seen that nothing more is there.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.cursor.is_none()
    }

    /// The moment that it reads.
    #[inline]
    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Whether this is a copy, in the child of a fork, of what the parent walks.
    pub(crate) fn is_of_the_parent(&self) -> bool {
        self.pin.is_of_the_parent()
    }

    /// Goes to the next stored entry.
    fn advance_stored(&mut self, store: &Store) -> Result<bool> {
        if self.batch.advance() {
            return Ok(true);
        }
        let guard = store.log.pin();
        let wanted =
            Wanted { keyspace: self.keyspace, sequence: self.pin.sequence, keys_only: self.keys_only };
        loop {
            while self.batch.read(store, wanted, &guard)? {
                if self.batch.advance() {
                    return Ok(true);
                }
            }
            let Some(cursor) = &self.cursor else { return Ok(false) };
            let (batch, left) = (&mut self.batch, self.left);
            if !cursor.with(|cursor| batch.fill(cursor, store, left, &guard))? {
                self.cursor = None;
            }
        }
    }

    /// The next of the stored entries and the own writes, which hide the stored entry of their key.
    fn next_mixed(&mut self, store: &Store) -> Result<Option<Entry>> {
        loop {
            if self.stored.is_none() {
                self.stored = if self.advance_stored(store)? { self.batch.take() } else { None };
            }
            let next_own = self.own.as_ref().and_then(|own| own.peek(self.reverse));
            let Some((own, value)) = next_own else {
                self.own = None;
                return Ok(self.stored.take());
            };
            let stored = self.stored.as_ref().map(|(key, _)| match self.reverse {
                false => own.cmp(key),
                true => own.cmp(key).reverse(),
            });
            if stored == Some(Ordering::Greater) {
                return Ok(self.stored.take());
            }
            let (own, is_put) = (own.to_vec(), value.is_some());
            let value = if self.keys_only { Vec::new() } else { value.unwrap_or_default().to_vec() };
            if stored == Some(Ordering::Equal) {
                self.stored = None;
            }
            if let Some(left) = self.own.as_mut() {
                left.skip(self.keyspace, &own, self.reverse);
            }
            if is_put {
                return Ok(Some((own, value)));
            }
        }
    }
}
