//! Opening for reading only, and following what another process commits.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::due::Due;
use super::engine::{Handle, log_config};
use crate::disk::{Disk, FileIdentity, ReadOnlyDisk};
use crate::error::{Error, Result};
use crate::log::{open_manifest, read_manifest};
use crate::manifest::Manifest;
use crate::options::Options;
use crate::store::{Followed, Opening, Store};

/// For how long an opening is tried again while the other process changes the directory under it.
const OPENING_MAX: Duration = Duration::from_secs(10);
/// The rest between two such attempts.
const OPENING_REST: Duration = Duration::from_millis(1);
/// After a look nobody looks by itself for so long.
const REST: Duration = Duration::from_millis(1);
/// After one that has failed: everything may have been opened anew in vain.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// After this time the next look also judges whether reads wait for storage.
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// What an engine that only reads has beside its store, which is exchanged for a newer one now and then.
#[derive(Debug)]
pub(super) struct Reading {
    /// `None` after the end: it has the directory open, which handles that are closed and still there must not keep.
    disk: Mutex<Option<Arc<dyn Disk>>>,
    path: PathBuf,
    options: Options,
    /// Names the directory.
    directory: FileIdentity,
    /// When to look for new commits without being asked to.
    due: Due,
    /// Held by whoever looks: when reads were judged.
    turn: Mutex<Instant>,
    /// Who has to be told of another store.
    handles: Mutex<Vec<Weak<Handle>>>,
    /// Stores that were exchanged, while snapshots of them are alive or calls are under way in them.
    earlier: Mutex<Vec<Arc<Store>>>,
}

impl Reading {
    /// Opens a directory for reading.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        options: &Options,
        directory: FileIdentity,
    ) -> Result<(Reading, Arc<Store>)> {
        let reading = Reading {
            disk: Mutex::new(Some(Arc::new(ReadOnlyDisk::new(Arc::clone(disk))))),
            path: path.to_path_buf(),
            options: options.clone(),
            directory,
            due: Due::new(),
            turn: Mutex::new(Instant::now()),
            handles: Mutex::default(),
            earlier: Mutex::default(),
        };
        let store = reading.open_store()?;
        Ok((reading, store))
    }

    /// The database as it is now. What fails because the other process has changed the directory meanwhile is tried again.
    fn open_store(&self) -> Result<Arc<Store>> {
        let begun = Instant::now();
        let disk = self.disk.lock().clone().ok_or(Error::Closed)?;
        loop {
            let Some((manifest, file)) = open_manifest(&*disk, &self.path)? else {
                let context = format!("finding a database in {}", self.path.display());
                return Err(Error::io(context, std::io::ErrorKind::NotFound.into()));
            };
            let (generation, identity) = (manifest.generation, manifest.identity);
            let config = log_config(&disk, &self.path, &self.options, &manifest, self.directory);
            let opened = Store::open(config, manifest, Opening::Beside(file), self.options.cache_bytes);
            let error = match opened {
                Ok(store) => return Ok(store),
                Err(error) => error,
            };
            let now = read_manifest(&*disk, &self.path)?;
            let is_newer = |now: Manifest| (now.generation, now.identity) != (generation, identity);
            if !now.is_none_or(is_newer) || begun.elapsed() > OPENING_MAX {
                return Err(error);
            }
            std::thread::sleep(OPENING_REST);
        }
    }

    /// A handle that is told when there is another store.
    pub(super) fn add(&self, handle: &Arc<Handle>) {
        let mut handles = self.handles.lock();
        handles.retain(|known| known.strong_count() > 0);
        handles.push(Arc::downgrade(handle));
    }

    /// Looks for new commits, unless somebody has within the last millisecond or is just doing so. What fails is told by
    /// [`Reading::look`], to whoever asks.
    #[inline]
    pub(super) fn look_if_due(&self, store: &Mutex<Option<Arc<Store>>>) {
        if self.due.is_now()
            && let Some(mut judged) = self.turn.try_lock()
        {
            let _told_by_refresh = self.look_in_turn(store, &mut judged);
        }
    }

    /// Looks for new commits. When this returns, what was committed before the call is seen.
    pub(super) fn look(&self, store: &Mutex<Option<Arc<Store>>>) -> Result<()> {
        self.look_in_turn(store, &mut self.turn.lock())
    }

    #[cold]
    fn look_in_turn(&self, place: &Mutex<Option<Arc<Store>>>, judged: &mut Instant) -> Result<()> {
        self.due.rest(REST);
        let Some(store) = place.lock().clone() else { return Ok(()) };
        if judged.elapsed() >= JUDGE_EVERY {
            store.judge_reads();
            *judged = Instant::now();
        }
        let followed = store.follow();
        let outcome = match followed {
            Ok(Followed::Anew) => self.exchange(&store, place),
            Ok(Followed::All) => Ok(()),
            Err(error) => Err(error),
        };
        drop(store);
        if outcome.is_err() {
            self.due.rest(REST_AFTER_FAILURE);
        }
        let mut earlier = self.earlier.lock();
        let is_used = |store: &Arc<Store>| store.snapshot_counts().0 > 0 || Arc::strong_count(store) > 1;
        let (used, over) = std::mem::take(&mut *earlier).into_iter().partition(is_used);
        *earlier = used;
        drop(earlier);
        let over: Vec<Arc<Store>> = over;
        drop(over);
        outcome
    }

    /// Goes over to a store that begins with what is there now.
    fn exchange(&self, store: &Arc<Store>, place: &Mutex<Option<Arc<Store>>>) -> Result<()> {
        let next = self.open_store()?;
        if next.visible() < store.visible() {
            let reason = "commits that were read are not there any more: an older copy of the database has taken its place";
            return Err(Error::corruption(0, 0, reason));
        }
        let mut current = place.lock();
        if current.is_none() {
            return Ok(());
        }
        self.earlier.lock().push(Arc::clone(store));
        *current = Some(Arc::clone(&next));
        let handles: Vec<Arc<Handle>> = self.handles.lock().iter().filter_map(Weak::upgrade).collect();
        drop(current);
        handles.iter().for_each(|handle| handle.exchange(&next));
        Ok(())
    }

    /// Gives back the directory, and everything that is kept for snapshots.
    pub(super) fn end(&self) {
        drop(self.disk.lock().take());
        let earlier = std::mem::take(&mut *self.earlier.lock());
        drop(earlier);
    }
}
