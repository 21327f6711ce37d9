//! Scans: what is asked for, and the lazy walk over keys in order, which reads ahead in small batches.

mod batch;
mod follow;
mod walk;

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use crate::keys::ordered_key;
use crate::store::KeyRange;

#[cfg(test)]
pub(crate) use follow::FOLLOWED;
pub(crate) use walk::{Entry, EntryRef, OwnWrites, Walk};

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
