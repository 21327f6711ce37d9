//! The writes of a batch or a transaction, encoded as they come, and the limits of what one commit takes.
//!
//! A commit keeps its values with their keys as long as it is short. Of one that has grown long, further values go aside
//! ([`super::aside`]), so that what is kept is bounded.

use super::Store;
use super::aside::Aside;
use crate::batch::FrameBuilder;
use crate::compression::pack;
use crate::error::{Error, Result};
use crate::keyspace::NumberAndCompression;
use crate::options::{COMMIT_BYTES_MAX, COMMIT_VALUE_BYTES_KEPT};
use crate::record::{INLINE_VALUE_BYTES_MAX, Kind, LARGE_POINTER_BYTES, NewRecord, Record};

/// The operations of a commit, encoded as they come.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(super) builder: FrameBuilder,
    /// Hash of each record's key.
    pub(super) hashes: Vec<u64>,
    /// Large values, by the number of their record. They are written when the commit is.
    pub(super) large: Vec<(usize, Vec<u8>)>,
    /// Bytes of them.
    large_bytes: usize,
    /// Values that were written as they came.
    pub(super) aside: Option<Aside>,
}

impl Operations {
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes that are kept in memory until the commit is made.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.builder.frame_bytes() + self.large_bytes
    }

    /// Bytes that the commit takes in the log, with its large values.
    pub(super) fn bytes(&self) -> usize {
        self.builder.frame_bytes() + self.large_bytes + self.aside.as_ref().map_or(0, Aside::bytes) as usize
    }

    /// Whether it has values in segments of large values.
    pub(super) fn has_large(&self) -> bool {
        !self.large.is_empty() || self.aside.is_some()
    }

    /// Whether one more value goes to the log at once, for which the device may be waited.
    pub(crate) fn goes_aside(&self, store: &Store, key: &[u8], value: &[u8]) -> bool {
        let kept = self.builder.frame_bytes_with(key.len(), value.len()) + self.large_bytes;
        value.len() > COMMIT_VALUE_BYTES_KEPT && kept as u64 > store.log.commit_bytes_kept()
    }

    /// Refuses what would make the commit too long with one more record whose value takes so many bytes there.
    fn check_fits(&self, key: &[u8], value_bytes: usize) -> Result<()> {
        match self.builder.frame_bytes_with(key.len(), value_bytes) as u64 {
            ..=COMMIT_BYTES_MAX => Ok(()),
            _ => Err(too_large()),
        }
    }

    /// Adds a put. After an error the operations are as they were before.
    pub(crate) fn put(
        &mut self,
        store: &Store,
        hash: u64,
        (keyspace, compression): NumberAndCompression,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if self.goes_aside(store, key, value) {
            self.check_fits(key, LARGE_POINTER_BYTES)?;
            let pointer = self.aside.get_or_insert_with(|| Aside::of(store)).push(store, value, hash)?;
            let value = &pointer.encode();
            self.builder.push(&NewRecord { kind: Kind::LargePut, keyspace, key, value });
        } else if value.len() > INLINE_VALUE_BYTES_MAX {
            self.check_fits(key, LARGE_POINTER_BYTES)?;
            let number = self.builder.push_large(keyspace, key);
            self.large.push((number, value.to_vec()));
            self.large_bytes += value.len();
        } else {
            self.check_fits(key, value.len())?;
            match pack(value, compression) {
                Some(value) => {
                    self.builder.push(&NewRecord { kind: Kind::CompressedPut, keyspace, key, value: &value })
                }
                None => self.builder.push(&NewRecord { kind: Kind::Put, keyspace, key, value }),
            };
        }
        self.hashes.push(hash);
        Ok(())
    }

    pub(crate) fn delete(&mut self, hash: u64, keyspace: u16, key: &[u8]) -> Result<()> {
        self.check_fits(key, 0)?;
        self.builder.push(&NewRecord { kind: Kind::Tombstone, keyspace, key, value: &[] });
        self.hashes.push(hash);
        Ok(())
    }

    /// For each record whether a later one has the same key: only the last one of a key counts.
    pub(super) fn overtaken(&self) -> Vec<bool> {
        let mut overtaken = vec![false; self.len()];
        let mut by_hash: Vec<(u64, usize)> = self.hashes.iter().copied().zip(0..).collect();
        by_hash.sort_unstable();
        if by_hash.windows(2).all(|pair| pair[0].0 != pair[1].0) {
            return overtaken;
        }
        let records: Vec<Record<'_>> = self.builder.records().map(|(_, record)| record).collect();
        for alike in by_hash.chunk_by(|one, other| one.0 == other.0) {
            let mut seen: Vec<&Record<'_>> = Vec::new();
            for (_, number) in alike.iter().rev() {
                let record = &records[*number];
                overtaken[*number] = seen.iter().any(|later| is_same_key(later, record));
                if !overtaken[*number] {
                    seen.push(record);
                }
            }
        }
        overtaken
    }
}

/// The error of a commit that does not fit the largest segment.
fn too_large() -> Error {
    Error::InvalidArgument(format!(
        "the commit would take more than {COMMIT_BYTES_MAX} bytes in the log, values that stand by themselves counted with \
         {LARGE_POINTER_BYTES}; split it into several"
    ))
}

/// What writes take in the log that are not in their order yet, at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CommitBytes {
    /// If all values stand with their keys that can.
    with_values: u64,
    /// If all stand aside that can.
    by_reference: u64,
}

/// What a write costs in the log beside its key and value, at most.
const WRITE_OVERHEAD_BYTES: usize = 44;

impl CommitBytes {
    /// With one write more, and without the one that it replaces. Refuses what might be too long for a commit.
    pub(crate) fn with(
        self,
        kept_bytes_max: u64,
        key: &[u8],
        value: Option<&[u8]>,
        replaced: Option<Option<&[u8]>>,
    ) -> Result<CommitBytes> {
        let bytes = |value: Option<&[u8]>, longest: usize| {
            let value_bytes = value.map_or(0, <[u8]>::len);
            let value_bytes = if value_bytes > longest { LARGE_POINTER_BYTES } else { value_bytes };
            (key.len() + value_bytes + WRITE_OVERHEAD_BYTES) as u64
        };
        let sum = |before: u64, longest: usize| {
            before + bytes(value, longest) - replaced.map_or(0, |replaced| bytes(replaced, longest))
        };
        let with_values = sum(self.with_values, INLINE_VALUE_BYTES_MAX);
        let by_reference = sum(self.by_reference, COMMIT_VALUE_BYTES_KEPT);
        // Values stand with their keys as long as the commit is short; then all go aside that can.
        let longest = with_values.min(by_reference + kept_bytes_max);
        if longest > COMMIT_BYTES_MAX {
            Err(too_large())
        } else {
            Ok(CommitBytes { with_values, by_reference })
        }
    }
}

fn is_same_key(one: &Record<'_>, other: &Record<'_>) -> bool {
    one.shape.keyspace == other.shape.keyspace && one.key == other.key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many writes of this value fit, each of another key of eight bytes.
    fn fitting(kept_bytes_max: u64, value: &[u8]) -> u64 {
        let (mut bytes, mut count) = (CommitBytes::default(), 0);
        while let Ok(more) = bytes.with(kept_bytes_max, &[0; 8], Some(value), None) {
            (bytes, count) = (more, count + 1);
        }
        count
    }

    #[test]
    fn as_many_writes_fit_as_the_frame_takes_values_that_stand_aside_counted_by_reference() {
        let kept = 64 << 20;
        for value_bytes in [0, 8, COMMIT_VALUE_BYTES_KEPT] {
            let each = (8 + value_bytes + WRITE_OVERHEAD_BYTES) as u64;
            assert_eq!(fitting(kept, &vec![0; value_bytes]), COMMIT_BYTES_MAX / each, "{value_bytes}");
        }
        for value_bytes in [1_000, INLINE_VALUE_BYTES_MAX] {
            let each = (8 + LARGE_POINTER_BYTES + WRITE_OVERHEAD_BYTES) as u64;
            assert_eq!(
                fitting(kept, &vec![0; value_bytes]),
                (COMMIT_BYTES_MAX - kept) / each,
                "{value_bytes}"
            );
        }
        // Those over 1 MiB are never with their keys.
        let each = (8 + LARGE_POINTER_BYTES + WRITE_OVERHEAD_BYTES) as u64;
        assert_eq!(fitting(kept, &vec![0; INLINE_VALUE_BYTES_MAX + 1]), COMMIT_BYTES_MAX / each);
    }

    #[test]
    fn what_is_replaced_does_not_count() {
        let kept = 64 << 20;
        let once = CommitBytes::default().with(kept, b"key", Some(&[0; 1_000]), None).unwrap();
        let mut again = once;
        for value in [Some(&[0; 500][..]), None, Some(&[0; 50]), Some(&[0; 1_000])] {
            let before = again;
            again = again.with(kept, b"key", value, Some(Some(&[0; 1_000]))).unwrap();
            again = again.with(kept, b"key", Some(&[0; 1_000]), Some(value)).unwrap();
            assert_eq!((again.with_values, again.by_reference), (before.with_values, before.by_reference));
        }
        assert_eq!((again.with_values, again.by_reference), (once.with_values, once.by_reference));
    }
}
