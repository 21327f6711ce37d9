//! The durable mark as a file: written after each sync, synced itself when there is time.
//!
//! A commit tells of the ones before it that they are on the device; of the last ones nothing would tell, and what rots
//! of them after the death of the process would look like a tail that never got there. So a mark is kept beside the log.
//! It is written after what it tells of is on the device, never before. What a power cut takes of the mark itself is
//! at most what was written within the last second.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::manifest_file::{WriteFailure, replace_file};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result, is_full};
use crate::manifest::Manifest;
use crate::mark::{MARK_FILE_BYTES, Mark, Slot};

/// Name of the file.
pub(crate) const MARK_NAME: &str = "DURABLE";

/// The file, and what was written to it last.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn DiskFile>,
    last: Mark,
    /// Where the next one goes.
    slot: Slot,
    state: State,
}

/// What is in the slot that marks are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing that is newer than the other one.
    Older,
    /// The last mark, which may not be on the device.
    Written,
    /// What a write has left that failed. The other slot is all there is until one succeeds.
    Torn,
}

fn failed(what: &str, directory: &Path, error: std::io::Error) -> Error {
    Error::io(doing_to(what, directory), error)
}

fn doing_to(what: &str, directory: &Path) -> String {
    format!("{what} {}", directory.join(MARK_NAME).display())
}

/// Reads the mark of a database; `None` where there is none. Nothing is changed.
pub(crate) fn read_mark(
    disk: &dyn Disk,
    directory: &Path,
    identity: [u8; 16],
) -> Result<Option<(Mark, Slot)>> {
    let file = match disk.open(&directory.join(MARK_NAME), OpenMode::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("opening", directory, error)),
    };
    let mut bytes = [0; MARK_FILE_BYTES];
    let length = file.read_at(&mut bytes, 0).map_err(|error| failed("reading", directory, error))?;
    Mark::newest(bytes.get(..length).unwrap_or_default(), identity)
}

/// Refuses a manifest that is older than the mark: it was copied or kept aside, and what came after it would be lost.
pub(crate) fn check_mark(mark: Option<&(Mark, Slot)>, manifest: &Manifest) -> Result<()> {
    match mark {
        Some((mark, _)) if mark.generation > manifest.generation => Err(Error::corruption(
            0,
            0,
            format!(
                "the manifest has generation {} and the database had come to {}: it is an old copy; restore the \
                 one that belongs to the segments",
                manifest.generation, mark.generation
            ),
        )),
        _ => Ok(()),
    }
}

impl MarkFile {
    /// Opens the file for marks that follow `last`; where there is none yet it is created.
    pub(crate) fn open(
        disk: &dyn Disk,
        directory: &Path,
        manifest: &Manifest,
        last: Option<(Mark, Slot)>,
    ) -> Result<MarkFile> {
        let (generation, durable) = (manifest.generation, manifest.durable_sequence);
        let first = Mark { identity: manifest.identity, number: 0, generation, durable };
        let (newest, slot) = last.unwrap_or((first, Slot::SECOND));
        if last.is_none() {
            // Whoever wrote the manifest may have died before its name was on the device, which must not get the mark's
            // before.
            disk.sync_directory(directory)
                .map_err(|error| failed("syncing the directory of", directory, error))?;
            replace_file(disk, directory, MARK_NAME, &first.file()).map_err(WriteFailure::into_error)?;
        }
        let file = disk
            .open(&directory.join(MARK_NAME), OpenMode::ReadWrite)
            .map_err(|error| failed("opening", directory, error))?;
        Ok(MarkFile { file, last: newest, slot, state: State::Older })
    }

    fn write(&mut self, mark: Mark) -> std::io::Result<()> {
        self.state = State::Torn;
        self.file.write_all_at(&mark.encode(), self.slot.offset())?;
        (self.last, self.state) = (mark, State::Written);
        Ok(())
    }
}

impl Log {
    /// Notes what is on the device by now: everything up to [`Log::durable`], and a manifest of this generation.
    pub(super) fn mark(&self, generation: Option<u64>) -> Result<()> {
        let mut mark = self.mark.lock();
        let Some(mark) = mark.as_mut() else { return Ok(()) };
        let last = mark.last;
        let generation = generation.unwrap_or(last.generation).max(last.generation);
        let durable = self.durable.load(Ordering::Acquire).max(last.durable);
        if (generation, durable) == (last.generation, last.durable) && mark.state != State::Torn {
            return Ok(());
        }
        match mark.write(Mark { number: last.number + 1, generation, durable, ..last }) {
            Ok(()) => Ok(()),
            // Where writing in place takes new room and there is none: the commits are on the device all the same.
            Err(error) if is_full(&error) => Ok(()),
            Err(error) => Err(self.poisoned_by(failed("writing", &self.config.directory, error))),
        }
    }

    /// Puts the mark on the device too, if it is not there.
    pub(crate) fn sync_mark(&self) -> Result<()> {
        let (file, number) = {
            let mark = self.mark.lock();
            let Some(mark) = mark.as_ref().filter(|mark| mark.state == State::Written) else { return Ok(()) };
            (Arc::clone(&mark.file), mark.last.number)
        };
        self.check_not_poisoned()?;
        file.sync().map_err(|error| {
            self.poisoned_by(Error::uncertain(doing_to("syncing", &self.config.directory), error))
        })?;
        if let Some(mark) = self.mark.lock().as_mut() {
            // Unless it was written again meanwhile, in vain or not, or somebody else has synced it too.
            if mark.state == State::Written && mark.last.number == number {
                (mark.state, mark.slot) = (State::Older, mark.slot.other());
            }
        }
        Ok(())
    }
}
