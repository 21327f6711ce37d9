//! Compaction, verification, backups and salvage.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use engine::{OpenDB, Result};

use crate::bytes::Names;
use crate::database::{Database, path_of};
use crate::error::{Failure, Status, c_string};
use crate::guard::{done, guard_or, made, read_text};
use crate::handle::{self, Handle, Table};
use crate::sized::Place;

/// What a compaction has done. Begin with `opendb_compaction compaction = OPENDB_COMPACTION_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Compaction {
    /// `sizeof(opendb_compaction)`, set by `OPENDB_COMPACTION_INIT`, so that later versions can add fields.
    pub size: usize,
    /// Segment files that were given up.
    pub segments_removed: u64,
    /// Bytes of records that were written anew.
    pub bytes_copied: u64,
    /// Bytes of the segments that were given up, less those that took their place.
    pub bytes_freed: u64,
}

/// What a backup has done. Begin with `opendb_backup_result result = OPENDB_BACKUP_RESULT_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BackupResult {
    /// `sizeof(opendb_backup_result)`, set by `OPENDB_BACKUP_RESULT_INIT`, so that later versions can add fields.
    pub size: usize,
    /// Sequence of the last commit that is in the backup.
    pub sequence: u64,
    /// Segments whose files the backup shares with the database.
    pub segments_linked: u64,
    /// Segments that were copied.
    pub segments_copied: u64,
    /// Bytes that were copied.
    pub bytes_copied: u64,
}

/// What was brought over from a damaged database. Begin with `opendb_salvage_result result =
/// OPENDB_SALVAGE_RESULT_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SalvageResult {
    /// `sizeof(opendb_salvage_result)`, set by `OPENDB_SALVAGE_RESULT_INIT`, so that later versions can add fields.
    pub size: usize,
    /// Keys that are in the new database.
    pub keys: u64,
    /// Keyspaces of the new database, `"default"` included.
    pub keyspaces: u64,
}

/// Is told how far a compaction has come, in bytes of segments, and, unless it was ended early, once more at the end. `false` ends it early. It may
/// read and write, but must not compact, verify, back up or close the database, since those wait for the compaction; and
/// it must return: no exception and no `longjmp` may leave it.
pub type Progress =
    Option<unsafe extern "C" fn(bytes_done: u64, bytes_total: u64, user_data: *mut c_void) -> bool>;

/// What was found when everything was looked at. Free it with `opendb_verification_free`.
pub struct Verification {
    found: engine::Verification,
    /// The reasons of the violations, in their order.
    reasons: Vec<CString>,
}

static VERIFICATIONS: Table<Verification> = Table::new();

impl Handle for Verification {
    const NAME: &'static str = "verification";
    const TYPE: usize = 13;
    fn table() -> &'static Table<Verification> {
        &VERIFICATIONS
    }
}

impl Verification {
    fn new(found: engine::Verification) -> Verification {
        let reasons = found.violations.iter().map(|violation| c_string(violation.reason.as_str())).collect();
        Verification { found, reasons }
    }
}

/// The place for a result that may be NULL where nobody wants it.
///
/// # Safety
/// As [`Place::new`].
unsafe fn optional<T: Copy>(name: &str, init: &str, place: *mut T) -> Result<Option<Place<T>>> {
    // SAFETY: the caller of this function answers for it.
    if place.is_null() { Ok(None) } else { unsafe { Place::new(name, init, place) }.map(Some) }
}

/// Gives back, at once, the room of everything that was overwritten or deleted. Without this call the same goes on in the
/// background whenever there is enough of it. Reads and writes go on meanwhile. `progress` may be NULL; `user_data` is
/// handed to it as it is. `compaction` is filled and may be NULL. `OPENDB_ERROR_NO_SPACE` where there is no room for the
/// copies, `OPENDB_ERROR_IO` from the device, `OPENDB_ERROR_CORRUPTION` where a segment cannot be read; what was done
/// before stays done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_compact(
    database: *const Database,
    progress: Progress,
    user_data: *mut c_void,
    compaction: *mut Compaction,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        // SAFETY: convention 4 of the header: what is not NULL begins with its size and has as many bytes as that says.
        let place = unsafe { optional("compaction", "OPENDB_COMPACTION_INIT", compaction) }?;
        let compacted = handle::borrow(database)?.engine().compact_with(|so_far| match progress {
            // SAFETY: convention 8 of the header: the callback takes these three and returns.
            Some(progress) => unsafe { progress(so_far.bytes_done, so_far.bytes_total, user_data) },
            None => true,
        })?;
        if let Some(place) = place {
            let size = place.size;
            let engine::Compaction { segments_removed, bytes_copied, bytes_freed, .. } = compacted;
            place.fill(&Compaction { size, segments_removed, bytes_copied, bytes_freed });
        }
        Ok(())
    })
}

/// Looks at everything: reads and checks every record, follows every entry of the index and every key of the order, and
/// compares what is counted. Takes about as long as reading the whole database; reads and writes go on, and compaction
/// waits. What is found to be wrong is no error but in the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_verify(
    database: *const Database,
    verification_out: Option<&mut MaybeUninit<*mut Verification>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("verification_out", verification_out, error_out, || {
        handle::borrow(database)?.engine().verify().map(Verification::new)
    })
}

fn ask<T>(verification: *const Verification, default: T, ask: impl FnOnce(&Verification) -> T) -> T {
    guard_or(default, || Ok(ask(&*handle::borrow(verification)?)))
}

/// Segments whose records were all read and checked; 0 for NULL and what is no live verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_segments(verification: *const Verification) -> u64 {
    ask(verification, 0, |verification| verification.found.segments)
}

/// Records that were read and checked, live or not; 0 for NULL and what is no live verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_records(verification: *const Verification) -> u64 {
    ask(verification, 0, |verification| verification.found.records)
}

/// Keys that were found in the index, in the order and in the log; 0 for NULL and what is no live verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_keys(verification: *const Verification) -> u64 {
    ask(verification, 0, |verification| verification.found.keys)
}

/// Whether counts were compared as well, for which nobody may write meanwhile; false for NULL and what is no live
/// verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_counts_compared(verification: *const Verification) -> bool {
    ask(verification, false, |verification| verification.found.counts_compared)
}

/// How much is not as it must be, counted up to 10,000: 0 where all is well. 0 also for NULL and what is no live
/// verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_violations(verification: *const Verification) -> usize {
    ask(verification, 0, |verification| verification.found.violations.len())
}

/// Serial of the segment of a violation, counted from 0; 0 where it is of none, where there is no such violation, for NULL
/// and for what is no live verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_violation_segment(verification: *const Verification, index: usize) -> u64 {
    ask(verification, 0, |verification| verification.found.violations.get(index).map_or(0, |one| one.segment))
}

/// Byte offset of a violation in its segment; 0 where it is of no place and where `opendb_violation_segment` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_violation_offset(verification: *const Verification, index: usize) -> u64 {
    ask(verification, 0, |verification| verification.found.violations.get(index).map_or(0, |one| one.offset))
}

/// What is wrong: UTF-8 with a zero byte at its end. It lives until the verification is freed. NULL where there is no such
/// violation, for NULL and for what is no live verification.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_violation_reason(verification: *const Verification, index: usize) -> *const c_char {
    ask(verification, std::ptr::null(), |verification| {
        verification.reasons.get(index).map_or(std::ptr::null(), |reason| reason.as_ptr())
    })
}

/// Frees a verification and the reasons in it.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_verification_free(verification: *mut Verification) {
    handle::free(verification);
}

/// Makes a backup: a database of its own in the directory `path`, which is created or must be empty, with everything that
/// was written before the call. Reads and writes go on, and compaction waits. Files that are not written to any more are
/// shared with the backup where both directories are on one filesystem that can do that, and are otherwise copied: a
/// backup that is to outlive the device belongs on another one. What is interrupted leaves a directory that is no
/// database; empty it before it is used again. `opendb_verify` of the backup tells whether its bytes are whole. `result`
/// is filled and may be NULL. `OPENDB_ERROR_INVALID_ARGUMENT` for a directory that is not empty or is inside of the
/// database's own, `OPENDB_ERROR_LOCKED` while somebody else has it, `OPENDB_ERROR_NO_SPACE` and `OPENDB_ERROR_IO` from
/// the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_backup(
    database: *const Database,
    path: *const c_char,
    result: *mut BackupResult,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        // SAFETY: convention 4 of the header: what is not NULL begins with its size and has as many bytes as that says.
        let place = unsafe { optional("result", "OPENDB_BACKUP_RESULT_INIT", result) }?;
        // SAFETY: convention 4 of the header: a path ends in a zero byte and stays as it is while the call runs.
        let path = path_of(unsafe { read_text("path", path) }?)?;
        let backup = handle::borrow(database)?.engine().backup(path)?;
        if let Some(place) = place {
            let size = place.size;
            let engine::Backup { sequence, segments_linked, segments_copied, bytes_copied, .. } = backup;
            place.fill(&BackupResult { size, sequence, segments_linked, segments_copied, bytes_copied });
        }
        Ok(())
    })
}

/// Makes a new database in the directory `into` of everything that can be read of the damaged one in `damaged`, and lists
/// in `lost_out` what cannot, as text for people: at most 10,000 places, and then how many more there are; empty where
/// nothing was lost. Free the list with `opendb_names_free`. The damaged directory is not changed, but for its lock file;
/// its manifest need not even be there. Where a commit is lost, its keys have the values that they had before, or none,
/// and keys that it deleted come back. Keys are held in memory meanwhile. `into` is created or must be empty; after an
/// error it holds a part of what was read. `result` is filled and may be NULL. `OPENDB_ERROR_IO` where there is no
/// database, `OPENDB_ERROR_LOCKED` while somebody has it open, `OPENDB_ERROR_UNSUPPORTED` for a newer format,
/// `OPENDB_ERROR_CORRUPTION` where not one segment tells whose it is, `OPENDB_ERROR_INVALID_ARGUMENT` for a new directory
/// that is not empty or is inside of the damaged one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_salvage(
    damaged: *const c_char,
    into: *const c_char,
    result: *mut SalvageResult,
    lost_out: Option<&mut MaybeUninit<*mut Names>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("lost_out", lost_out, error_out, || {
        // SAFETY: convention 4 of the header: what is not NULL begins with its size and has as many bytes as that says.
        let place = unsafe { optional("result", "OPENDB_SALVAGE_RESULT_INIT", result) }?;
        // SAFETY: convention 4 of the header: a path ends in a zero byte and stays as it is while the call runs.
        let damaged = unsafe { read_text("damaged", damaged) }?;
        // SAFETY: as above.
        let into = unsafe { read_text("into", into) }?;
        let salvage = OpenDB::salvage(path_of(damaged)?, path_of(into)?)?;
        if let Some(place) = place {
            let size = place.size;
            place.fill(&SalvageResult { size, keys: salvage.keys, keyspaces: salvage.keyspaces });
        }
        Ok(Names::new(salvage.lost))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged() -> engine::Verification {
        let mut found = engine::Verification::default();
        found.segments = 2;
        found.records = 3;
        found.keys = 1;
        found
    }

    #[test]
    fn a_verification_is_read_until_it_is_freed() {
        let verification = handle::give(Verification::new(damaged())).unwrap();
        assert_eq!(opendb_verification_segments(verification), 2);
        assert_eq!(opendb_verification_records(verification), 3);
        assert_eq!(opendb_verification_keys(verification), 1);
        assert!(!opendb_verification_counts_compared(verification));
        assert_eq!(opendb_verification_violations(verification), 0);
        assert!(opendb_violation_reason(verification, 0).is_null());
        opendb_verification_free(verification);
        assert_eq!(opendb_verification_segments(verification), 0);
        assert_eq!(opendb_verification_segments(std::ptr::null()), 0);
    }
}
