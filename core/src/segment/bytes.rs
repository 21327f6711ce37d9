//! Reading published bytes: borrowed from the map where there is one, a copy where not.

use std::ops::Deref;
use std::sync::Arc;

use super::{Body, Segment};
use crate::error::{Error, Result};

/// A range that is asked of the system as a whole before it is read: one call more, for not much beside the read itself.
const LONG_BYTES: usize = 128 << 10;

/// Bytes of a segment, for as long as the segment is borrowed.
#[derive(Debug)]
pub(crate) enum Bytes<'a> {
    /// In the map.
    Mapped(&'a [u8]),
    /// Read from the file.
    Owned(Vec<u8>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// Bytes of a segment, for as long as one likes.
#[derive(Debug, Clone)]
pub(crate) enum Slice {
    /// In the map, which this keeps alive.
    Mapped(SegmentSlice),
    /// Read from the file.
    Owned(Vec<u8>),
}

impl Deref for Slice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Slice::Mapped(slice) => slice,
            Slice::Owned(bytes) => bytes,
        }
    }
}

/// A published range of a mapped segment, together with the segment. Made by [`Segment::slice`] only.
#[derive(Debug, Clone)]
pub(crate) struct SegmentSlice {
    segment: Arc<Segment>,
    offset: u64,
    length: usize,
}

impl Deref for SegmentSlice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // There always: it was when the slice was made, and the border never goes back.
        self.segment.borrow(self.offset, self.length).unwrap_or_default()
    }
}

impl Body {
    /// Borrows a published range from the map.
    #[inline(always)]
    fn borrow(&self, published: u64, offset: u64, length: usize) -> Option<&[u8]> {
        let map = self.map.as_ref()?;
        if offset.checked_add(length as u64)? > published {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        // SAFETY: the range lies below a border that the caller loaded with acquire, so what was stored there
        // happened before; appends go at or above the border, which never moves down, so nothing is ever stored
        // there again, by map or by write. The file reaches as far as the border (`Segment::open` clips to its
        // length, `truncate_to_end` cuts above it), so the pages are there.
        #[allow(unsafe_code)]
        unsafe {
            map.bytes(offset, length)
        }
    }
}

impl Segment {
    /// Whether the whole range can be read.
    #[inline(always)]
    pub(crate) fn range_is_published(&self, offset: u64, length: usize) -> bool {
        offset.checked_add(length as u64).is_some_and(|end| end <= self.published())
    }

    /// Whether reads borrow from a map.
    #[inline]
    pub(crate) fn is_mapped(&self) -> bool {
        self.body.map.is_some()
    }

    /// The range without a copy; `None` where it is not published or the segment is not mapped. The cheapest read.
    #[inline]
    pub(crate) fn borrow(&self, offset: u64, length: usize) -> Option<&[u8]> {
        self.body.borrow(self.published(), offset, length)
    }

    /// A published range. Anything else is [`Error::Corruption`], because only what was published is ever referred
    /// to. No more memory is taken than the range has.
    #[inline]
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Bytes<'_>> {
        if let Some(bytes) = self.borrow(offset, length) {
            self.read_soon_if_long(offset, length);
            return Ok(Bytes::Mapped(bytes));
        }
        self.read_copy(offset, length).map(Bytes::Owned)
    }

    /// Asks the system for a range that will be read, where it is mapped, and does not wait. Otherwise each page that is not in
    /// memory is waited for alone.
    pub(crate) fn read_soon(&self, offset: u64, length: usize) {
        if let (Some(map), Ok(offset)) = (&self.body.map, usize::try_from(offset)) {
            let published = usize::try_from(self.published()).unwrap_or(usize::MAX);
            map.read_soon(offset, length.min(published.saturating_sub(offset)));
        }
    }

    #[inline]
    fn read_soon_if_long(&self, offset: u64, length: usize) {
        if length >= LONG_BYTES {
            self.read_soon(offset, length);
        }
    }

    /// As much of the range as is published.
    pub(crate) fn read_at_most(&self, offset: u64, length: usize) -> Result<Bytes<'_>> {
        let rest = usize::try_from(self.published().saturating_sub(offset)).unwrap_or(usize::MAX);
        match rest.min(length) {
            0 => Ok(Bytes::Mapped(&[])),
            length => self.read(offset, length),
        }
    }

    /// A published range that outlives the borrow of the segment.
    #[inline(always)]
    pub(crate) fn slice(self: &Arc<Self>, offset: u64, length: usize) -> Result<Slice> {
        if self.borrow(offset, length).is_some() {
            self.read_soon_if_long(offset, length);
            return Ok(Slice::Mapped(SegmentSlice { segment: Arc::clone(self), offset, length }));
        }
        self.read_copy(offset, length).map(Slice::Owned)
    }

    /// Reads from the file, or says why the range cannot be read.
    #[cold]
    fn read_copy(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.check_published(offset, length)?;
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(length).is_err() {
            let context =
                format!("finding memory for {length} bytes at {offset} of {}", self.path().display());
            return Err(Error::io(context, std::io::ErrorKind::OutOfMemory.into()));
        }
        bytes.resize(length, 0);
        self.read_file(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills a buffer from a published range: from the map where there is one, from the file where not.
    pub(crate) fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if let Some(bytes) = self.borrow(offset, buffer.len()) {
            self.read_soon_if_long(offset, buffer.len());
            buffer.copy_from_slice(bytes);
            return Ok(());
        }
        self.check_published(offset, buffer.len())?;
        self.read_file(offset, buffer)
    }

    fn check_published(&self, offset: u64, length: usize) -> Result<()> {
        if self.range_is_published(offset, length) {
            return Ok(());
        }
        let reason =
            format!("{length} bytes are referred to here, but the segment ends at {}", self.published());
        Err(Error::corruption(self.serial(), offset, reason))
    }

    fn read_file(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let length = buffer.len();
        let count = self.body.file.read_at(buffer, offset).map_err(|error| {
            Error::io(format!("reading {length} bytes at {offset} of {}", self.path().display()), error)
        })?;
        if count < length {
            let reason =
                format!("the file ends here, within {length} bytes that are referred to: it was cut");
            return Err(Error::corruption(self.serial(), offset.saturating_add(count as u64), reason));
        }
        Ok(())
    }
}
