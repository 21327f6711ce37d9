//! Where cursors are while nobody asks them for keys.
//!
//! An iterator of a user's may be held long after its database was closed. A cursor keeps run files open and mapped, so no
//! iterator keeps one: it has a number, and the cursor is here, where it ends with the set.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::cursor::Cursor;
use super::set::Order;
use crate::disk::generation;
use crate::error::{Error, Result};

/// The parked cursors of a set.
pub(super) struct Lot {
    /// The process that it belongs to, in the line of forks.
    generation: u64,
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    last_number: u64,
    cursors: BTreeMap<u64, Cursor>,
}

impl Default for Lot {
    fn default() -> Self {
        Self { generation: generation(), parked: Mutex::default() }
    }
}

/// Stands for a cursor. When it is dropped the cursor goes, if it is still there.
#[derive(Debug)]
pub(crate) struct ParkedCursor {
    number: u64,
    lot: Weak<Lot>,
}

impl Order {
    /// Keeps a cursor for later.
    pub(crate) fn park(&self, cursor: Cursor) -> ParkedCursor {
        let mut parked = self.lot.parked.lock();
        parked.last_number += 1;
        let number = parked.last_number;
        parked.cursors.insert(number, cursor);
        ParkedCursor { number, lot: Arc::downgrade(&self.lot) }
    }

    /// Cursors that are parked.
    #[cfg(test)]
    pub(super) fn parked(&self) -> usize {
        self.lot.parked.lock().cursors.len()
    }
}

impl ParkedCursor {
    /// Does something with the cursor. It is not in the lot meanwhile, so others need not wait.
    ///
    /// # Errors
    /// [`Error::Closed`] when the set is gone. Otherwise those of `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Cursor) -> Result<T>) -> Result<T> {
        let lot = self.lot.upgrade().ok_or(Error::Closed)?;
        let taken = lot.parked.lock().cursors.remove(&self.number);
        let mut cursor = taken.ok_or(Error::Closed)?;
        let outcome = work(&mut cursor);
        lot.parked.lock().cursors.insert(self.number, cursor);
        outcome
    }
}

impl Drop for ParkedCursor {
    fn drop(&mut self) {
        let Some(lot) = self.lot.upgrade() else { return };
        if lot.generation != generation() {
            // Another thread of the parent may have held the lock at the fork; here nobody would ever release it.
            return;
        }
        // Files may be closed with it, so not under the lock.
        let _dropped_here = lot.parked.lock().cursors.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Bound;

    #[test]
    fn a_parked_cursor_goes_on_and_ends_with_its_set() {
        let order = Order::in_memory();
        [b"a", b"b"].iter().for_each(|key| order.insert(*key));
        let open = || order.park(order.cursor(Bound::Unbounded, Bound::Unbounded, false).unwrap());
        let (one, other) = (open(), open());
        let next = |parked: &ParkedCursor| parked.with(|cursor| Ok(cursor.next()?.map(<[u8]>::to_vec)));
        assert_eq!(next(&one).unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(next(&one).unwrap().as_deref(), Some(&b"b"[..]));
        assert_eq!(next(&other).unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(order.parked(), 2);
        drop(one);
        assert_eq!(order.parked(), 1);
        drop(order);
        assert!(matches!(next(&other), Err(Error::Closed)));
    }
}
