//! Compaction, verification, backups and salvage, and the plain objects that they give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use napi::bindgen_prelude::{AsyncTask, Env, External, FnArgs, Function, Result};
use napi_derive::napi;
use opendb::OpenDB;

use crate::Background;
use crate::database::DatabaseHandle;
use crate::error::{number, thrown};

/// What a compaction has done.
#[napi(object, object_from_js = false)]
pub struct CompactionObject {
    /// Segment files that were given up.
    pub segments_removed: i64,
    /// Bytes of records that were written anew.
    pub bytes_copied: i64,
    /// Bytes of the segments that were given up, less those that took their place.
    pub bytes_freed: i64,
}

/// What was found when everything was looked at.
#[napi(object, object_from_js = false)]
pub struct VerificationObject {
    /// Segments whose records were all read and checked.
    pub segments: i64,
    /// Records that were read and checked.
    pub records: i64,
    /// Keys that were found in the index, in the order and in the log.
    pub keys: i64,
    /// Whether counts were compared as well.
    pub counts_compared: bool,
    /// Everything that is not as it must be.
    pub violations: Vec<ViolationObject>,
}

/// Something that is not as it must be, with its place.
#[napi(object, object_from_js = false)]
pub struct ViolationObject {
    /// Serial of the segment; 0 where it is of none.
    pub segment: i64,
    /// Byte offset in that segment; 0 where it is of no place.
    pub offset: i64,
    /// What is wrong.
    pub reason: String,
}

/// What a backup has done.
#[napi(object, object_from_js = false)]
pub struct BackupObject {
    /// Sequence of the last commit that is in it.
    pub sequence: i64,
    /// Segments whose files are shared with the database.
    pub segments_linked: i64,
    /// Segments that were copied.
    pub segments_copied: i64,
    /// Bytes that were copied.
    pub bytes_copied: i64,
}

/// What came of a damaged database.
#[napi(object, object_from_js = false)]
pub struct SalvageObject {
    /// Keys that are in the new database.
    pub keys: i64,
    /// Keyspaces of the new database, `"default"` included.
    pub keyspaces: i64,
    /// What could not be read, one sentence for each place.
    pub lost: Vec<String>,
}

impl From<opendb::Salvage> for SalvageObject {
    fn from(salvage: opendb::Salvage) -> SalvageObject {
        SalvageObject { keys: number(salvage.keys), keyspaces: number(salvage.keyspaces), lost: salvage.lost }
    }
}

impl From<opendb::Compaction> for CompactionObject {
    fn from(compaction: opendb::Compaction) -> CompactionObject {
        CompactionObject {
            segments_removed: number(compaction.segments_removed),
            bytes_copied: number(compaction.bytes_copied),
            bytes_freed: number(compaction.bytes_freed),
        }
    }
}

impl From<opendb::Verification> for VerificationObject {
    fn from(found: opendb::Verification) -> VerificationObject {
        VerificationObject {
            segments: number(found.segments),
            records: number(found.records),
            keys: number(found.keys),
            counts_compared: found.counts_compared,
            violations: found.violations.into_iter().map(ViolationObject::from).collect(),
        }
    }
}

impl From<opendb::Violation> for ViolationObject {
    fn from(violation: opendb::Violation) -> ViolationObject {
        ViolationObject {
            segment: number(violation.segment),
            offset: number(violation.offset),
            reason: violation.reason,
        }
    }
}

impl From<opendb::Backup> for BackupObject {
    fn from(backup: opendb::Backup) -> BackupObject {
        BackupObject {
            sequence: number(backup.sequence),
            segments_linked: number(backup.segments_linked),
            segments_copied: number(backup.segments_copied),
            bytes_copied: number(backup.bytes_copied),
        }
    }
}

/// Gives back the room of what was overwritten or deleted. `progress` gets the bytes that are done and all of them, and
/// ends it early where it returns false; it throws nothing.
#[napi(catch_unwind)]
pub(crate) fn database_compact(
    env: &Env,
    database: &DatabaseHandle,
    progress: Option<Function<'_, FnArgs<(i64, i64)>, bool>>,
) -> Result<CompactionObject> {
    // JavaScript may run, so nothing of the handle is borrowed.
    let database = database.copy(env)?;
    let mut failed = None;
    let compacted = database.compact_with(|so_far| {
        let Some(progress) = &progress else { return true };
        let arguments = (number(so_far.bytes_done), number(so_far.bytes_total)).into();
        // JavaScript may be over, where the worker that it runs in is ended.
        failed.is_none()
            && progress.call(arguments).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
    });
    match failed {
        Some(error) => Err(error),
        None => compacted.map(CompactionObject::from).map_err(|error| thrown(env, &error)),
    }
}

/// What a compaction on the thread pool tells while it goes on, and is told.
#[derive(Default)]
pub(crate) struct Watch {
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    stopped: AtomicBool,
}

/// A watch as JavaScript holds it.
pub(crate) type WatchHandle = External<Arc<Watch>>;

/// A watch for one compaction.
#[napi(catch_unwind)]
pub(crate) fn compaction_watch() -> WatchHandle {
    External::new(Arc::default())
}

/// The bytes that are done, and all of them.
#[napi(catch_unwind)]
pub(crate) fn compaction_progress(watch: &WatchHandle) -> Vec<i64> {
    let counts = [&watch.bytes_done, &watch.bytes_total];
    counts.map(|count| number(count.load(Ordering::Relaxed))).to_vec()
}

/// Ends the compaction early.
#[napi(catch_unwind)]
pub(crate) fn compaction_stop(watch: &WatchHandle) {
    watch.stopped.store(true, Ordering::Relaxed);
}

/// As `databaseCompact`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<CompactionObject>")]
pub(crate) fn database_compact_async(
    env: &Env,
    database: &DatabaseHandle,
    watch: &WatchHandle,
) -> Result<AsyncTask<Background<opendb::Compaction, CompactionObject>>> {
    let (database, watch) = (database.copy(env)?, Arc::clone(watch));
    let compact = move || {
        database.compact_with(|so_far| {
            watch.bytes_done.store(so_far.bytes_done, Ordering::Relaxed);
            watch.bytes_total.store(so_far.bytes_total, Ordering::Relaxed);
            !watch.stopped.load(Ordering::Relaxed)
        })
    };
    Ok(Background::run(compact, |_, done| Ok(CompactionObject::from(done))))
}

/// Looks at everything.
#[napi(catch_unwind)]
pub(crate) fn database_verify(env: &Env, database: &DatabaseHandle) -> Result<VerificationObject> {
    database.call(env, |database| database.verify()).map(VerificationObject::from)
}

/// As `databaseVerify`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<VerificationObject>")]
pub(crate) fn database_verify_async(
    env: &Env,
    database: &DatabaseHandle,
) -> Result<AsyncTask<Background<opendb::Verification, VerificationObject>>> {
    let database = database.copy(env)?;
    Ok(Background::run(move || database.verify(), |_, found| Ok(VerificationObject::from(found))))
}

/// Makes a database of its own in another directory.
#[napi(catch_unwind)]
pub(crate) fn database_backup(env: &Env, database: &DatabaseHandle, path: String) -> Result<BackupObject> {
    database.call(env, |database| database.backup(path)).map(BackupObject::from)
}

/// As `databaseBackup`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<BackupObject>")]
pub(crate) fn database_backup_async(
    env: &Env,
    database: &DatabaseHandle,
    path: String,
) -> Result<AsyncTask<Background<opendb::Backup, BackupObject>>> {
    let database = database.copy(env)?;
    Ok(Background::run(move || database.backup(path), |_, done| Ok(BackupObject::from(done))))
}

/// Makes a new database of what can be read of a damaged one.
#[napi(catch_unwind)]
pub(crate) fn database_salvage(env: &Env, damaged: String, into: String) -> Result<SalvageObject> {
    OpenDB::salvage(damaged, into).map(SalvageObject::from).map_err(|error| thrown(env, &error))
}

/// As `databaseSalvage`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<SalvageObject>")]
pub(crate) fn database_salvage_async(
    damaged: String,
    into: String,
) -> AsyncTask<Background<opendb::Salvage, SalvageObject>> {
    Background::run(move || OpenDB::salvage(damaged, into), |_, done| Ok(SalvageObject::from(done)))
}
