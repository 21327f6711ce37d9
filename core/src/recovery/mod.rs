//! Opening the segments of a database: what is good is read, what a crash left unfinished is dropped, and what is damaged
//! is told. `FORMAT.md`, section 7, is the reference.
//!
//! # Invariants
//! - What is served is an exact prefix of the commits: it ends before the first frame that is not good.
//! - A commit that was ever known to be durable is never dropped: if it cannot be read, that is corruption.
//! - Until the new manifest is in place, nothing in the directory but unnamed files has changed, so recovery can be
//!   killed at any point and starts over.
//! - Nothing is appended to a segment that was open at an unclean end, so what stands behind the cut never comes back.

mod beside;
mod files;
mod gaps;
mod headers;
mod in_place;
mod replay;
mod tail;

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::location::Location;
use crate::log::{Log, LogConfig, MarkFile, check_mark, read_mark, segment_name};
use crate::manifest::{Manifest, SegmentEntry};
use crate::mark::{Mark, Slot};
use crate::record::Record;

pub(crate) use beside::{open_beside, open_segment};
pub(crate) use files::has_segments;
pub(crate) use headers::complete_manifest;
pub(crate) use replay::{Chain, lost, lost_copy};
pub(crate) use tail::large_pointers;

/// What was found when a database was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the database had been closed in order.
    pub clean: bool,
    /// Commits that were read one by one. Those of segments whose hints were used instead are not among them.
    pub frames: u64,
    /// Commits that may not have been on the device and were written anew.
    pub frames_rewritten: u64,
    /// Bytes behind the end of the log that were dropped as a torn tail.
    pub bytes_dropped: u64,
    /// Serial of the segment with the torn tail; 0 where there was none.
    pub torn_segment: u64,
    /// Where in that segment the torn tail began, in bytes.
    pub torn_offset: u64,
    /// What is damaged, one sentence for each place. Filled only with [`crate::Options::read_damaged`].
    pub damaged: Vec<String>,
}

/// Where the log is read from, if not from its beginning: behind a checkpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Serial of the segment in which reading begins, and the offset there.
    pub(crate) serial: u64,
    pub(crate) offset: u64,
    /// The last commit before it.
    pub(crate) sequence: u64,
    /// Serials of the copies that belong to the checkpoint.
    pub(crate) copies: HashSet<u64>,
}

/// One record that is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) location: Location,
    pub(crate) record: &'a Record<'a>,
    pub(crate) sequence: u64,
    /// Whether it was brought together by compaction, so that its sequence says nothing of the order in which it comes.
    pub(crate) is_copy: bool,
}

/// Is shown the records: the copies first, and then the log, oldest commit first.
pub(crate) trait Visit {
    /// The segments are open; nothing was shown yet.
    fn begin(&mut self, log: &Log) -> Result<()>;
    fn record(&mut self, log: &Log, shown: &Shown<'_>) -> Result<()>;

    /// Everything was shown.
    fn end(&mut self, _log: &Log) -> Result<()> {
        Ok(())
    }

    /// Takes in a whole log up to its commit `last` in a way of its own, and tells how many commits were read for that; `None`
    /// where every record is to be shown instead.
    fn whole(&mut self, _log: &Log, _last: u64) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// Opens the log that a manifest describes and shows every record of it.
///
/// With `read_damaged` nothing in the directory is changed and damage is noted instead of refused.
pub(crate) fn open(
    config: LogConfig,
    manifest: Manifest,
    start: Option<&Start>,
    read_damaged: bool,
    visit: &mut dyn Visit,
) -> Result<(Log, Recovery)> {
    let mut recovery = Recovery { clean: manifest.clean, ..Recovery::default() };
    let mark = read_mark(&*config.disk, &config.directory, config.identity);
    if read_damaged {
        let marked = mark.as_ref().ok().and_then(Option::as_ref).map_or(0, |(mark, _)| mark.durable);
        let is_open = |entry: &&SegmentEntry| !manifest.clean && !entry.sealed;
        let open = manifest.segments.iter().filter(is_open).map(|entry| entry.serial).collect();
        let known = replay::Known { durable: manifest.durable_sequence.max(marked), marked, open };
        if let Err(error) = mark.and_then(|mark| check_mark(mark.as_ref(), &manifest)) {
            recovery.damaged.push(error.to_string());
        }
        let opened = files::open_as_they_are(&config, &manifest, &mut recovery.damaged);
        let log = Log::assemble(config, manifest, None, opened)?;
        visit.begin(&log)?;
        replay::replay_damaged(&log, &known, &mut recovery, visit)?;
        visit.end(&log)?;
        return Ok((log, recovery));
    }
    let mark = mark?;
    check_mark(mark.as_ref(), &manifest)?;
    match open_with(&config, &manifest, mark, start, visit, Tail::Anew)? {
        Attempt::Opened(log, recovery) => Ok((*log, recovery)),
        Attempt::NoRoom => match open_with(&config, &manifest, mark, start, visit, Tail::InPlace)? {
            Attempt::Opened(log, recovery) => Ok((*log, recovery)),
            Attempt::NoRoom => Err(Error::Internal("there was a tail where there is none".to_owned())),
        },
    }
}

/// How the tail is put on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Anew,
    InPlace,
}

/// What became of opening.
enum Attempt {
    Opened(Box<Log>, Recovery),
    /// There is no room to write the tail anew. Nothing was shown.
    NoRoom,
}

/// Opens the log, with the tail put on the device in one of the two ways.
fn open_with(
    config: &LogConfig,
    manifest: &Manifest,
    mark: Option<(Mark, Slot)>,
    start: Option<&Start>,
    visit: &mut dyn Visit,
    tail: Tail,
) -> Result<Attempt> {
    let (config, manifest) = (config.clone(), manifest.clone());
    let mut recovery = Recovery { clean: manifest.clean, ..Recovery::default() };
    let leftover = files::unnamed(&config, &manifest)?;
    let (manifest, dropped) = files::without_unfinished_copies(manifest, start);
    let files = files::open_all(&config, &manifest)?;
    let mut found = tail::find_end(&config, &manifest, mark.map(|(mark, _)| mark), &files)?;
    if tail == Tail::InPlace {
        recovery.frames_rewritten = found.tail.len() as u64;
        in_place::put_on_device(&config, &files, &mut found)?;
    }
    leftover.check_is_older(&config, found.last_sequence())?;
    leftover.remove(&config);

    let mut renewed = manifest.clone();
    renewed.durable_sequence = found.durable;
    let next_serial = leftover.next_serial(&manifest);
    renewed.next_serial = next_serial;
    let mut settled = files::settle(&config, files, &found)?;
    let mark = MarkFile::open(&*config.disk, &config.directory, &manifest, mark)?;
    let log = Log::assemble(config, renewed, Some(mark), std::mem::take(&mut settled.opened))?;
    visit.begin(&log)?;
    if !manifest.clean {
        match replay::rewrite(&log, &settled.scanned, &found, &mut recovery) {
            Err(Error::NoSpace(_)) if tail == Tail::Anew => return Ok(Attempt::NoRoom),
            other => other?,
        }
        found.report(&mut recovery);
    }
    // Before anything of the log is shown, so that the device is waited for beside that.
    let was_scanned = |serial| settled.scanned.iter().any(|file| file.entry.serial == serial);
    let is_known = |serial| was_scanned(serial) || serial >= next_serial;
    while_syncing(&log, || {
        replay::replay(&log, start, found.last_sequence(), &is_known, &mut recovery, visit)?;
        visit.end(&log)
    })?;
    log.end_recovery()?;
    settled.trim(&log);
    dropped.iter().for_each(|serial| log.remove_file(&segment_name(*serial)));
    log.tend_reserve();
    Ok(Attempt::Opened(Box::new(log), recovery))
}

/// Does some work while another thread puts what was written anew on the device. Where there is no thread to be had, that is done
/// when recovery ends.
fn while_syncing(log: &Log, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if log.durable() == log.appended() {
        return work();
    }
    std::thread::scope(|scope| {
        let name = "opendb-open".to_owned();
        let syncing = std::thread::Builder::new().name(name).spawn_scoped(scope, || log.sync());
        let worked = work();
        let panicked = |_| Err(Error::Internal("a thread that opens the database has panicked".to_owned()));
        let synced = syncing.map_or(Ok(0), |thread| thread.join().unwrap_or_else(panicked));
        worked.and(synced).map(drop)
    })
}
