//! The two ways to append: stores into a map, and writes to the file.

use std::io;
use std::sync::atomic::Ordering;

use super::{Body, POPULATE_STEP_BYTES, failed};
use crate::error::{Error, Result};

/// Largest append that is gathered in the buffer of the write way. It is also all the memory that is kept.
const SCRATCH_BYTES_MAX: u64 = 1 << 20;

/// A way to bring bytes to the end of a segment.
pub(super) trait Append: Send {
    /// Puts the concatenation of `parts`, which is `length` bytes long and fits, at `at`, which is not below the border
    /// of the body. The caller holds the lock under which alone the border moves, so it stays where it is meanwhile.
    fn append(&mut self, body: &Body, at: u64, parts: &[&[u8]], length: u64) -> Result<()>;
}

/// Stores into the shared map of the segment.
pub(super) struct MappedAppend;

impl MappedAppend {
    /// Populates the first pages. `None` where the segment has no map or the system cannot populate.
    pub(super) fn start(body: &Body) -> Result<Option<MappedAppend>> {
        let Some(map) = body.map.as_ref() else { return Ok(None) };
        let populated = body.populated.load(Ordering::Acquire);
        let end = populated.saturating_add(POPULATE_STEP_BYTES).min(body.capacity);
        match body.populate(map, populated, end) {
            Ok(()) => Ok(Some(MappedAppend)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(body.explain(error)),
        }
    }

    /// Sees to it that a store below `end` meets a page that is there. Where the background was outrun that is one step, which a
    /// commit waits for: in a virtual machine that has given its free memory away a page may take tens of microseconds, and 4 MiB
    /// took up to 80 ms.
    fn reach(body: &Body, end: u64) -> Result<()> {
        let populated = body.populated.load(Ordering::Acquire);
        if end <= populated {
            return Ok(());
        }
        let Some(map) = body.map.as_ref() else { return Err(broken(body)) };
        let goal = populated.saturating_add(POPULATE_STEP_BYTES).max(end).min(body.capacity);
        body.populate(map, populated, goal).map_err(|error| body.explain(error))
    }
}

impl Append for MappedAppend {
    fn append(&mut self, body: &Body, at: u64, parts: &[&[u8]], length: u64) -> Result<()> {
        let is_above_the_border = at >= body.published.load(Ordering::Relaxed);
        MappedAppend::reach(body, at.saturating_add(length))?;
        let (true, Some(map), Ok(mut at)) = (is_above_the_border, body.map.as_ref(), usize::try_from(at))
        else {
            return Err(broken(body));
        };
        for part in parts {
            // SAFETY: `at` is at or above the border, which was just looked at. Below it alone references are handed out (`Body::borrow`), and
            // it moves only under the lock that the caller holds, so nothing refers to or reads this range until a
            // later `publish`, whose release happens after. `&mut self`, under the same lock, makes this the only
            // store. `reach` has populated the pages.
            #[allow(unsafe_code)]
            let stored = unsafe { map.store(at, part) };
            if !stored {
                return Err(broken(body));
            }
            at += part.len();
        }
        Ok(())
    }
}

fn broken(body: &Body) -> Error {
    Error::Internal(format!("the map of segment {} does not reach its end", body.serial))
}

/// Writes to the file: one system call for each append of ordinary size.
#[derive(Default)]
pub(super) struct WriteAppend {
    scratch: Vec<u8>,
}

impl Append for WriteAppend {
    fn append(&mut self, body: &Body, at: u64, parts: &[&[u8]], length: u64) -> Result<()> {
        let written = match parts {
            [only] => body.file.write_all_at(only, at),
            // Large appends are not copied: a system call for each part costs less.
            parts if length > SCRATCH_BYTES_MAX => write_each(body, parts, at),
            parts => {
                self.scratch.clear();
                for part in parts {
                    self.scratch.extend_from_slice(part);
                }
                body.file.write_all_at(&self.scratch, at)
            }
        };
        written.map_err(|error| failed("appending to", &body.path, error))
    }
}

/// The first part, without which the others mean nothing, comes last: an append that fails half-way leaves nothing that
/// looks whole.
fn write_each(body: &Body, parts: &[&[u8]], start: u64) -> io::Result<()> {
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    let mut at = start + first.len() as u64;
    for part in rest {
        body.file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    body.file.write_all_at(first, start)
}
