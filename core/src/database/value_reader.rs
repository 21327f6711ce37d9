//! Reading a value piece by piece.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use crate::error::Error;
use crate::store::OpenedValue;

/// A value that is read piece by piece, so that one of any length takes no more memory than the caller's buffer. It stays
/// valid, and the same value, for as long as it is held, also when the key is overwritten or the database closed; until then
/// it keeps a segment of the database open.
///
/// Who reads from the beginning to the end, in pieces of any size, has read the value as it was written: if it does not pass
/// its checksum, the read that would give the last byte fails with [`io::ErrorKind::InvalidData`] instead. What is read
/// before that, or after a seek that left something out, was not checked. Errors hold a [`crate::Error`] inside.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let db = opendb::OpenDB::open(directory.path())?;
/// use std::io::Read;
/// db.put(b"film", b"many megabytes")?;
/// if let Some(mut film) = db.value_reader(b"film")? {
///     let mut head = [0; 4];
///     film.read_exact(&mut head)?;
///     assert_eq!((film.len(), &head), (14, b"many"));
/// }
/// # Ok(())
/// # }
/// ```
pub struct ValueReader {
    value: OpenedValue,
    position: u64,
}

impl ValueReader {
    pub(super) fn new(value: OpenedValue) -> ValueReader {
        ValueReader { value, position: 0 }
    }

    /// Length of the value in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.value {
            OpenedValue::Whole(value) => value.len() as u64,
            OpenedValue::Large(value) => value.len(),
        }
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Read for ValueReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let (Some(piece), true) = (buffer.get_mut(..count), count > 0) else { return Ok(0) };
        match &mut self.value {
            OpenedValue::Large(value) => value.read(self.position, piece)?,
            OpenedValue::Whole(value) => {
                let start = self.position as usize;
                piece.copy_from_slice(value.get(start..start + count).unwrap_or_default());
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ValueReader {
    /// A place behind the end is fine; nothing can be read there.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = place.ok_or_else(|| {
            Error::InvalidArgument("the place lies before the beginning of the value".to_owned())
        })?;
        Ok(self.position)
    }
}

impl fmt::Debug for ValueReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueReader(at {} of {} bytes)", self.position, self.len())
    }
}
