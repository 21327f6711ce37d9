//! Scans: what is asked for, and the lazy walk over keys in order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::error::Result;
use crate::keys::{ordered_key, split_ordered_key};
use crate::order::Cursor;
use crate::store::{KeyRange, Pin, Store};

/// Which entries of a keyspace are wanted, in which order.
///
/// Everything given narrows the scan: a prefix and bounds are combined.
///
/// ```
/// use opendb::Scan;
/// let page = Scan::prefix(b"user:").start_after(b"user:41").limit(100);
/// let newest = Scan::range(b"2026-01".to_vec()..).reverse().limit(1);
/// # let _ = (page, newest);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    prefix: Vec<u8>,
    lower: Limit,
    upper: Limit,
    reverse: bool,
    start_after: Option<Vec<u8>>,
    entries_max: Option<u64>,
}

/// A bound of keys without their keyspace.
type Limit = Option<(Vec<u8>, bool)>;

impl Scan {
    /// Every key.
    #[must_use]
    pub fn all() -> Scan {
        Scan::default()
    }

    /// Keys that begin with these bytes.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Scan {
        Scan { prefix: prefix.into(), ..Scan::default() }
    }

    /// Keys in a range of byte strings. A range that ends before it begins is empty.
    #[must_use]
    pub fn range(range: impl RangeBounds<Vec<u8>>) -> Scan {
        let limit = |bound: Bound<&Vec<u8>>| match bound {
            Bound::Included(key) => Some((key.clone(), true)),
            Bound::Excluded(key) => Some((key.clone(), false)),
            Bound::Unbounded => None,
        };
        Scan { lower: limit(range.start_bound()), upper: limit(range.end_bound()), ..Scan::default() }
    }

    /// Only keys equal to or above this one. Replaces the lower end of a range.
    #[must_use]
    pub fn from(mut self, key: impl Into<Vec<u8>>) -> Scan {
        self.lower = Some((key.into(), true));
        self
    }

    /// Only keys below this one. Replaces the upper end of a range.
    #[must_use]
    pub fn until(mut self, key: impl Into<Vec<u8>>) -> Scan {
        self.upper = Some((key.into(), false));
        self
    }

    /// From the last key to the first.
    #[must_use]
    pub fn reverse(mut self) -> Scan {
        self.reverse = true;
        self
    }

    /// Goes on behind this key, in the direction of the scan: below it in a reverse one. The key need not be there.
    #[must_use]
    pub fn start_after(mut self, key: impl Into<Vec<u8>>) -> Scan {
        self.start_after = Some(key.into());
        self
    }

    /// At most this many entries.
    #[must_use]
    pub fn limit(mut self, entries: u64) -> Scan {
        self.entries_max = Some(entries);
        self
    }

    pub(crate) fn is_reverse(&self) -> bool {
        self.reverse
    }

    /// The keys of a keyspace that are wanted, as the order has them; `None` where there can be none.
    pub(crate) fn key_range(&self, keyspace: u16) -> Option<KeyRange> {
        if self.entries_max == Some(0) {
            return None;
        }
        let ordered = |key: &[u8]| {
            let mut ordered = Vec::with_capacity(key.len() + 2);
            ordered_key(&mut ordered, keyspace, key);
            ordered
        };
        let bound = |limit: &Limit| {
            limit.as_ref().map(|(key, included)| match included {
                true => Bound::Included(ordered(key)),
                false => Bound::Excluded(ordered(key)),
            })
        };
        let after = self.start_after.as_ref().map(|key| Bound::Excluded(ordered(key)));
        let (after_lower, after_upper) = if self.reverse { (None, after) } else { (after, None) };
        let prefix = ordered(&self.prefix);
        let end = successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let lower =
            [bound(&self.lower), after_lower].into_iter().flatten().fold(Bound::Included(prefix), later);
        let upper = [bound(&self.upper), after_upper].into_iter().flatten().fold(end, earlier);
        (!is_empty(&lower, &upper)).then_some(KeyRange { lower, upper })
    }
}

/// The first byte string after all that begin with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=kept].to_vec();
    next[kept] += 1;
    Some(next)
}

fn key_of(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// The narrower of two lower bounds.
fn later(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match key_of(&one).cmp(&key_of(&other)) {
        Ordering::Less => other,
        Ordering::Equal if matches!(other, Bound::Excluded(_)) => other,
        _ => one,
    }
}

/// The narrower of two upper bounds.
fn earlier(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (key_of(&one), key_of(&other)) {
        (None, _) => other,
        (_, None) => one,
        (Some(a), Some(b)) if b < a || b == a && matches!(other, Bound::Excluded(_)) => other,
        _ => one,
    }
}

fn is_empty(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
    }
}

/// An entry of a scan. The value is empty where only keys are wanted.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);
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
    cursor: Option<Cursor>,
    own: Option<OwnRange>,
    /// The next stored entry, when an own write has to come first.
    stored: Option<Entry>,
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
        let range = scan.key_range(keyspace);
        let open = |range: &KeyRange| {
            let (lower, upper) = (as_slice(&range.lower), as_slice(&range.upper));
            store.keys.order.cursor(lower, upper, scan.reverse)
        };
        let cursor = range.as_ref().map(open).transpose()?;
        let own = own.filter(|writes| !writes.is_empty()).zip(range).map(|(writes, range)| OwnRange {
            writes,
            lower: range.lower,
            upper: range.upper,
        });
        let left = scan.entries_max.unwrap_or(u64::MAX);
        Ok(Walk { pin, keyspace, keys_only, reverse: scan.reverse, left, cursor, own, stored: None })
    }

    /// The next entry, in the store that the walk was begun in.
    pub(crate) fn step(&mut self, store: &Store) -> Result<Option<Entry>> {
        if self.left == 0 {
            return Ok(None);
        }
        let next = if self.own.is_none() && self.stored.is_none() {
            self.next_stored(store)?
        } else {
            self.next_mixed(store)?
        };
        match next {
            Some(_) => self.left -= 1,
            None => self.left = 0,
        }
        Ok(next)
    }

    /// Whether the walk came to the end of its range, so that it has seen that nothing more is there.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.cursor.is_none()
    }

    /// Whether this is a copy, in the child of a fork, of what the parent walks.
    pub(crate) fn is_of_the_parent(&self) -> bool {
        self.pin.is_of_the_parent()
    }

    fn next_stored(&mut self, store: &Store) -> Result<Option<Entry>> {
        let Some(cursor) = self.cursor.as_mut() else { return Ok(None) };
        let guard = store.log.pin();
        while let Some(ordered) = cursor.next()? {
            let Some((_, key)) = split_ordered_key(ordered) else { continue };
            if let Some(mut record) = store.scan_record(self.keyspace, key, self.pin.sequence, &guard)? {
                let value = if self.keys_only { Vec::new() } else { record.copy_value(&store.log)? };
                return Ok(Some((key.to_vec(), value)));
            }
        }
        self.cursor = None;
        Ok(None)
    }

    /// The next of the stored entries and the own writes, which hide the stored entry of their key.
    fn next_mixed(&mut self, store: &Store) -> Result<Option<Entry>> {
        loop {
            if self.stored.is_none() {
                self.stored = self.next_stored(store)?;
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

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(scan: &Scan, all: &[&[u8]]) -> Vec<Vec<u8>> {
        let Some(range) = scan.key_range(7) else { return vec![] };
        let inside = |key: &&&[u8]| {
            let ordered = [&[0, 7], **key].concat();
            (as_slice(&range.lower), as_slice(&range.upper)).contains(ordered.as_slice())
        };
        all.iter().filter(inside).map(|key| key.to_vec()).collect()
    }

    const ALL: &[&[u8]] = &[b"", b"\0", b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"];

    #[test]
    fn a_prefix_takes_what_begins_with_it_and_nothing_else() {
        assert_eq!(keys(&Scan::all(), ALL).len(), ALL.len());
        assert_eq!(keys(&Scan::prefix(b"a"), ALL), [&b"a"[..], b"a\0", b"a\xff", b"a\xff\xff"]);
        assert_eq!(keys(&Scan::prefix(b"a\xff"), ALL), [&b"a\xff"[..], b"a\xff\xff"]);
        assert_eq!(keys(&Scan::prefix(b"\xff"), ALL), [&b"\xff"[..], b"\xff\xff"]);
    }

    #[test]
    fn everything_given_narrows_the_scan() {
        let range = Scan::range(b"a".to_vec()..=b"b".to_vec());
        assert_eq!(keys(&range, ALL).len(), 5);
        assert_eq!(keys(&range.clone().until(b"b"), ALL).len(), 4);
        assert_eq!(keys(&range.clone().start_after(b"a"), ALL).len(), 4);
        assert_eq!(keys(&range.clone().reverse().start_after(b"a\0"), ALL), [b"a"]);
        assert_eq!(keys(&Scan::prefix(b"a").from(b"a\xff"), ALL).len(), 2);
        assert_eq!(keys(&Scan::prefix(b"b").from(b"a"), ALL), [b"b"]);
    }

    #[test]
    fn a_range_without_keys_is_empty_and_no_error() {
        for scan in [
            Scan::range(b"b".to_vec()..b"a".to_vec()),
            Scan::range(b"a".to_vec()..b"a".to_vec()),
            Scan::prefix(b"a").from(b"b"),
            Scan::prefix(b"a").start_after(b"b"),
        ] {
            assert!(scan.key_range(0).is_none(), "{scan:?}");
        }
    }
}
