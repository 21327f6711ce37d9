//! Lazy iterators.

use std::fmt;
use std::sync::Arc;

use super::KeyValue;
use super::engine::Handle;
use crate::error::Result;
use crate::scan::{Entry, EntryRef};
use crate::transaction::TrackedWalk;

/// What both iterators do: the handle is asked, then the walk goes one step on. After an error there is nothing more.
struct Steps {
    handle: Arc<Handle>,
    walk: Option<TrackedWalk>,
}

impl Steps {
    /// Goes to the next entry.
    #[inline]
    fn advance(&mut self) -> Option<Result<()>> {
        let walk = self.walk.as_mut()?;
        match advance(&self.handle, walk) {
            Ok(true) => Some(Ok(())),
            ended => {
                self.walk = None;
                ended.err().map(Err)
            }
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Result<Entry>> {
        match self.advance()? {
            Ok(()) => self.walk.as_mut()?.take().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    #[inline]
    fn next_ref(&mut self) -> Option<Result<EntryRef<'_>>> {
        match self.advance()? {
            Ok(()) => self.walk.as_ref()?.current().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

fn advance(handle: &Handle, walk: &mut TrackedWalk) -> Result<bool> {
    handle.check_open()?;
    if walk.advance_read() {
        return Ok(true);
    }
    let guard = handle.pin()?;
    let store = handle.store_of(walk.pin(), &guard)?;
    walk.advance(&store)
}

/// Entries in key order, as of the moment the iterator was made. Reads as it goes, so a scan of a large database holds
/// no large memory. Ends after the first error.
pub struct Iter(Steps);

/// Keys in order, as of the moment the iterator was made. Never reads a value. Ends after the first error.
pub struct Keys(Steps);

impl Iter {
    pub(super) fn new(handle: Arc<Handle>, walk: TrackedWalk) -> Iter {
        Iter(Steps { handle, walk: Some(walk) })
    }

    /// The next entry where it stands, without memory of its own: for who looks at entries and does not keep them, or copies them to
    /// a place that he has. What it gives is there until the iterator is asked for the next one.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// # db.put(b"user:1", b"Ada")?;
    /// let mut bytes = 0;
    /// let mut users = db.iter(&opendb::Scan::prefix(b"user:"))?;
    /// while let Some(entry) = users.next_ref() {
    ///     let (key, value) = entry?;
    ///     bytes += key.len() + value.len();
    /// }
    /// # assert_eq!(bytes, 9);
    /// # Ok::<(), opendb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Iterator::next`] of this iterator: [`Error::Corruption`](crate::Error::Corruption), [`Error::Io`](crate::Error::Io), and
    /// [`Error::Closed`](crate::Error::Closed) after the handle was closed. Nothing comes after an error.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        self.0.next_ref()
    }

    /// The entry that [`Iter::next_ref`] gave last, in memory of its own, into which a long value is moved and not copied. To be asked for
    /// once.
    pub fn take_last(&mut self) -> Option<KeyValue> {
        self.0.walk.as_mut()?.take()
    }
}

impl Keys {
    pub(super) fn new(handle: Arc<Handle>, walk: TrackedWalk) -> Keys {
        Keys(Steps { handle, walk: Some(walk) })
    }

    /// The next key where it stands: see [`Iter::next_ref`].
    ///
    /// # Errors
    /// As [`Iter::next_ref`].
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<&[u8]>> {
        self.0.next_ref().map(|entry| entry.map(|(key, _)| key))
    }

    /// The key that [`Keys::next_ref`] gave last, in memory of its own.
    pub fn take_last(&mut self) -> Option<Vec<u8>> {
        self.0.walk.as_mut()?.take().map(|(key, _)| key)
    }
}

impl Iterator for Iter {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(key, _)| key))
    }
}

impl std::iter::FusedIterator for Iter {}
impl std::iter::FusedIterator for Keys {}

impl fmt::Debug for Iter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
