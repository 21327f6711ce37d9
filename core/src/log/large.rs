//! Values that are too long for a record: they stand in segments of their own, so that nobody who writes little ones
//! waits for their copy.

use std::sync::Arc;

use super::Log;
use super::state::Unsynced;
use crate::checksum::{Salt, crc32c};
use crate::error::{Error, Result};
use crate::manifest::SegmentKind;
use crate::record::{ALIGNMENT, LARGE_HEADER_BYTES, LargePointer, large_header};
use crate::segment::Segment;

/// The segment that large values are appended to, behind a lock of its own.
#[derive(Debug, Default)]
pub(super) struct LargeWriter {
    active: Option<Arc<Segment>>,
}

impl LargeWriter {
    pub(super) fn resume(&mut self, segment: Arc<Segment>) {
        self.active = Some(segment);
    }
}

impl Log {
    /// Writes a large value and tells where. Nothing finds it until a record with the pointer is appended.
    pub(crate) fn append_large(&self, value: &[u8]) -> Result<LargePointer> {
        let length = u32::try_from(value.len())
            .map_err(|_| Error::Internal("a value over the limit came as far as the log".to_owned()))?;
        let crc = crc32c(0, value);
        let content = LARGE_HEADER_BYTES + value.len();
        let padding = &[0; ALIGNMENT][..content.next_multiple_of(ALIGNMENT) - content];
        let needed = (content + padding.len()) as u64;
        let mut writer = self.large.lock();
        self.check_writable()?;
        let segment = self.large_segment(&mut writer, needed)?;
        let offset = segment.published();
        let salt = Salt::new(self.config.identity, segment.serial()).at(offset);
        let header = large_header(length, crc, salt);
        segment.append(&[&header, value, padding]).map_err(|error| match error {
            Error::NoSpace(_) => error,
            _ => self.poisoned_by(error),
        })?;
        segment.publish(offset + needed);
        Ok(LargePointer { serial: segment.serial(), offset, length, crc })
    }

    /// The active segment if the value fits, else a new one.
    fn large_segment(&self, writer: &mut LargeWriter, needed: u64) -> Result<Arc<Segment>> {
        if let Some(active) = &writer.active
            && active.published() + needed <= active.capacity()
        {
            return Ok(Arc::clone(active));
        }
        let mut state = self.state.lock();
        let segment = self.add_segment(&mut state, SegmentKind::Large, needed)?;
        if let Some(full) = state.large.last_mut() {
            full.full = Some(0);
        }
        state.large.push(Unsynced { segment: Arc::clone(&segment), full: None });
        writer.active = Some(Arc::clone(&segment));
        Ok(segment)
    }
}
