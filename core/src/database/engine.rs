//! One open directory, shared by all handles of this process.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::reading::Reading;
use crate::disk::{DirectoryLock, Disk, FileIdentity, PerProcess, UnixDisk, generation};
use crate::epoch::{self, Guard, Retirable};
use crate::error::{Error, Result};
use crate::log::{LogConfig, MANIFEST_NAME, MARK_NAME, SegmentSizes, create_manifest, read_manifest};
use crate::manifest::Manifest;
use crate::options::{AppendMode, Durability, Options};
use crate::recovery::has_segments;
use crate::segment::Access;
use crate::store::{Background, Opening, Pin, Store};

/// While a lock is waited for it is asked for after each such rest.
const LOCK_REST: Duration = Duration::from_millis(5);

/// Where a directory's engines are found, those that are open.
type Place = Arc<Mutex<Engines>>;

/// One that writes and one that only reads. They share nothing: a handle for reading keeps neither the lock nor what it stands for.
#[derive(Debug, Default)]
struct Engines {
    writing: Weak<Engine>,
    reading: Weak<Engine>,
}

impl Engines {
    fn of(&mut self, options: &Options) -> &mut Weak<Engine> {
        if options.read_only { &mut self.reading } else { &mut self.writing }
    }
}

/// The engines of this process by directory, whatever its path: one that was moved is the same, one that took its path is
/// another. The child of a fork has none of its parent's, and a table of its own, since the lock on the parent's may have been
/// held at the fork.
static ENGINES: PerProcess<Mutex<BTreeMap<FileIdentity, Place>>> = PerProcess::new();

/// One open directory.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) path: PathBuf,
    options: Options,
    pub(super) append: AppendMode,
    /// The process that opened it.
    generation: u64,
    /// Where it only reads.
    reading: Option<Reading>,
    store: Mutex<Option<Arc<Store>>>,
    /// What ends with the last handle. Taken before the store.
    life: Mutex<Life>,
    place: Place,
}

#[derive(Debug)]
struct Life {
    handles: usize,
    background: Option<Background>,
    lock: Option<DirectoryLock>,
}

/// The store of a snapshot, for as long as it is looked at.
pub(super) enum StoreOfPin<'g> {
    /// The one that the handle has.
    Newest(&'g Store),
    /// One that it had.
    Earlier(Arc<Store>),
}

impl Deref for StoreOfPin<'_> {
    type Target = Store;

    #[inline]
    fn deref(&self) -> &Store {
        match self {
            StoreOfPin::Newest(store) => store,
            StoreOfPin::Earlier(store) => store,
        }
    }
}

/// What an `OpenDB` and its clones share, and everything that was made through them. Nothing else keeps the store, so
/// that closing the handle gives it back whatever of these is still there.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) engine: Arc<Engine>,
    /// Empty once the handle is closed.
    store: Retirable<Arc<Store>>,
    durability: Durability,
}

impl Handle {
    /// Opens a directory, or joins the engine that has it open. Waits for the lock for as long as the options say: whoever holds it is
    /// not told, so it is asked for again and again.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Arc<Handle>> {
        let begun = Instant::now();
        loop {
            let opened = Handle::open_at_once(path, options);
            let rest = options.lock_timeout.saturating_sub(begun.elapsed());
            if rest.is_zero() || !matches!(opened, Err(Error::Locked(_))) {
                return opened;
            }
            std::thread::sleep(rest.min(LOCK_REST));
        }
    }

    fn open_at_once(path: &Path, options: &Options) -> Result<Arc<Handle>> {
        let (path, disk, identity) = hold(&UnixDisk::default(), path, options)?;
        let place = place_of(identity);
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let mut current = place.lock();
        if let Some(engine) = current.of(options).upgrade() {
            engine.check_options(options)?;
            engine.add_handle()?;
            drop(current);
            return Handle::on(&engine, options);
        }
        let engine = match options.read_only {
            true => Engine::open_to_read(&disk, path, options, identity, Arc::clone(&place))?,
            false => Engine::open(&disk, path, options, Arc::clone(&place))?,
        };
        *current.of(options) = Arc::downgrade(&engine);
        drop(current);
        Handle::on(&engine, options)
    }

    /// Opens a directory with a hook in front of every call to the system, for campaigns that look for faults.
    #[cfg(feature = "simulation")]
    pub(super) fn open_hooked(
        path: &Path,
        options: &Options,
        hook: crate::disk::Hook,
    ) -> Result<Arc<Handle>> {
        let whole = crate::disk::Hooked::new(UnixDisk::default(), Arc::clone(&hook));
        let (path, held, _) = hold(&whole, path, options)?;
        let disk: Arc<dyn Disk> = Arc::new(crate::disk::Hooked::new(held, hook));
        Handle::on(&Engine::open(&disk, path, options, Place::default())?, options)
    }

    /// Opens a directory for reading as another process would: not with the engine that this one may have.
    #[cfg(test)]
    pub(super) fn open_to_read_apart(path: &Path, options: &Options) -> Result<Arc<Handle>> {
        let (path, disk, identity) = hold(&UnixDisk::default(), path, options)?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        Handle::on(&Engine::open_to_read(&disk, path, options, identity, Place::default())?, options)
    }

    /// Opens a database on another disk, for tests and campaigns.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn open_on(disk: &Arc<dyn Disk>, path: &Path, options: &Options) -> Result<Arc<Handle>> {
        options.check()?;
        disk.create_directory(path).map_err(|error| Error::io("creating the directory", error))?;
        let parent = path.parent().unwrap_or(path);
        disk.sync_directory(parent).map_err(|error| Error::io("syncing its parent", error))?;
        let engine = Engine::open(disk, path.to_path_buf(), options, Place::default())?;
        Handle::on(&engine, options)
    }

    fn on(engine: &Arc<Engine>, options: &Options) -> Result<Arc<Handle>> {
        // It is there: the new handle is counted already, and the engine ends with its last one. Held until the handle is known to
        // whoever exchanges the store.
        let current = engine.store.lock();
        let store = Retirable::new(current.clone().ok_or(Error::Closed)?, engine.generation);
        let handle = Arc::new(Handle { engine: Arc::clone(engine), store, durability: options.durability });
        engine.reading.iter().for_each(|reading| reading.add(&handle));
        drop(current);
        Ok(handle)
    }

    /// Goes on with another store, unless the handle is closed.
    pub(super) fn exchange(&self, store: &Arc<Store>) {
        let _unless_closed = self.store.replace(Arc::clone(store));
    }

    /// Begins a call that reads, unless the handle belongs to the parent of a fork. While the guard lives nothing that is
    /// closed is given back, so it is held neither while the device is waited for nor while the user's code runs.
    #[inline]
    pub(super) fn pin(&self) -> Result<Guard> {
        if generation() != self.engine.generation {
            return Err(Error::Forked);
        }
        if let Some(reading) = &self.engine.reading {
            reading.look_if_due(&self.engine.store);
        }
        Ok(epoch::pin(self.engine.generation))
    }

    /// Sees to it that everything is seen that was committed before this call, by whatever process.
    pub(super) fn refresh(&self) -> Result<()> {
        self.check_open()?;
        self.engine.reading.as_ref().map_or(Ok(()), |reading| reading.look(&self.engine.store))
    }

    /// The store that a snapshot is of. A handle for reading may have gone over to another one since.
    #[inline]
    pub(super) fn store_of<'g>(&'g self, pin: &Pin, guard: &'g Guard) -> Result<StoreOfPin<'g>> {
        let store = self.store(guard)?;
        if pin.is_of(store) {
            return Ok(StoreOfPin::Newest(store));
        }
        pin.store().map(StoreOfPin::Earlier).ok_or(Error::Closed)
    }

    /// [`Handle::store_of`] for a call that may wait or run for long.
    pub(super) fn shared_store_of(&self, pin: &Pin) -> Result<Arc<Store>> {
        let store = self.shared_store()?;
        if pin.is_of(&store) { Ok(store) } else { pin.store().ok_or(Error::Closed) }
    }

    /// The store, unless this handle is closed.
    #[inline]
    pub(super) fn store<'g>(&'g self, guard: &'g Guard) -> Result<&'g Store> {
        self.store.get(guard).map(|store| &**store).ok_or(Error::Closed)
    }

    /// The store, unless this handle is closed or may not write.
    pub(super) fn writable<'g>(&'g self, guard: &'g Guard) -> Result<&'g Store> {
        let store = self.store(guard)?;
        self.check_writable()?;
        Ok(store)
    }

    /// The store for a call that may wait or run for long. It stays there until the call has left it.
    pub(super) fn shared_store(&self) -> Result<Arc<Store>> {
        let guard = self.pin()?;
        self.store.get(&guard).map(Arc::clone).ok_or(Error::Closed)
    }

    /// The store for a write.
    #[inline]
    pub(super) fn store_to_write(&self) -> Result<Arc<Store>> {
        let store = self.shared_store()?;
        self.check_writable()?;
        Ok(store)
    }

    fn check_writable(&self) -> Result<()> {
        let reason = match &self.engine.options {
            Options { read_damaged: true, .. } => {
                "the database was opened with read_damaged; salvage what can be read into a new one"
            }
            Options { read_only: true, .. } => {
                "the database was opened with read_only; open it without that to write"
            }
            _ => return Ok(()),
        };
        Err(Error::ReadOnly(reason.to_owned()))
    }

    /// Whether what there is comes from elsewhere: it follows another process.
    pub(super) fn follows(&self) -> bool {
        self.engine.reading.is_some()
    }

    /// Refuses if this handle is closed or belongs to the parent of a fork, with the errors of [`Handle::pin`] and
    /// [`Handle::store`].
    #[inline]
    pub(super) fn check_open(&self) -> Result<()> {
        if generation() != self.engine.generation {
            return Err(Error::Forked);
        }
        if self.store.is_filled() { Ok(()) } else { Err(Error::Closed) }
    }

    /// What commits through this handle wait for.
    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Closes the handle; with the last one the engine ends. Calls that are under way go on with the store, which is
    /// dropped by whoever leaves it last.
    pub(super) fn close(&self) -> Result<()> {
        if generation() != self.engine.generation {
            return Err(Error::Forked);
        }
        if !self.store.retire() {
            return Ok(());
        }
        self.engine.release()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`. What could not be written in order is recovered at the next open.
        let _reported_by_close = self.close();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.generation != generation() {
            // The threads are the parent's. Dropping their handles would detach threads by numbers that may be those of
            // this process's own by now.
            let _never_dropped = ManuallyDrop::new(self.life.get_mut().background.take());
        }
    }
}

impl Engine {
    fn open(disk: &Arc<dyn Disk>, path: PathBuf, options: &Options, place: Place) -> Result<Arc<Engine>> {
        let lock = DirectoryLock::acquire(disk, &path)?;
        let manifest =
            manifest_of(&**disk, &path, options).map_err(|error| located(error, &path, options))?;
        let config = log_config(disk, &path, options, &manifest, lock.identity());
        let mapped_append = config.access.mapped_append;
        let opening = if options.read_damaged { Opening::Damaged } else { Opening::InOrder };
        let store = Store::open(config, manifest, opening, options.cache_bytes)
            .map_err(|error| located(error, &path, options))?;
        let background = match options.read_damaged {
            true => None,
            false => Some(Background::start(&store)?),
        };
        Ok(Arc::new(Engine {
            path,
            options: options.clone(),
            append: if mapped_append { AppendMode::Mapped } else { AppendMode::Write },
            generation: generation(),
            reading: None,
            store: Mutex::new(Some(store)),
            life: Mutex::new(Life { handles: 1, background, lock: Some(lock) }),
            place,
        }))
    }

    fn open_to_read(
        disk: &Arc<dyn Disk>,
        path: PathBuf,
        options: &Options,
        directory: FileIdentity,
        place: Place,
    ) -> Result<Arc<Engine>> {
        let (reading, store) =
            Reading::open(disk, &path, options, directory).map_err(|error| located(error, &path, options))?;
        let mapped_append = access(&**disk, &path, options).mapped_append;
        Ok(Arc::new(Engine {
            path,
            options: options.clone(),
            append: if mapped_append { AppendMode::Mapped } else { AppendMode::Write },
            generation: generation(),
            reading: Some(reading),
            store: Mutex::new(Some(store)),
            life: Mutex::new(Life { handles: 1, background: None, lock: None }),
            place,
        }))
    }

    /// Whether it may change anything in the directory.
    fn writes(&self) -> bool {
        !self.options.read_damaged && !self.options.read_only
    }

    /// Refuses options under which the engine that is already open does not run.
    fn check_options(&self, options: &Options) -> Result<()> {
        let open = &self.options;
        let segment_bytes = options.segment_bytes.is_some() && options.segment_bytes != open.segment_bytes;
        let contradictions = [
            ("append", options.append != AppendMode::Auto && options.append != open.append),
            ("mapped_reads", options.mapped_reads != open.mapped_reads),
            ("cache_bytes", options.cache_bytes != open.cache_bytes),
            ("segment_bytes", segment_bytes),
            ("read_damaged", options.read_damaged != open.read_damaged),
        ];
        let names: Vec<&str> =
            contradictions.iter().filter(|(_, contradicts)| *contradicts).map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "{} is already open in this process with other options ({}); open it with the same ones, or close it first",
            self.path.display(),
            names.join(", ")
        )))
    }

    /// Counts one more handle, unless the directory is not what it was when the engine opened it.
    fn add_handle(&self) -> Result<()> {
        let mut life = self.life.lock();
        // Whoever only reads has no lock file that could have been taken away.
        if let Some(store) = self.store.lock().as_ref().filter(|_| self.reading.is_none()) {
            store.log.check_directory()?;
        }
        life.handles += 1;
        Ok(())
    }

    /// Gives back a handle. The last one ends the engine.
    fn release(&self) -> Result<()> {
        let mut current = self.place.lock();
        let mut life = self.life.lock();
        life.handles -= 1;
        if life.handles > 0 {
            return Ok(());
        }
        *current.of(&self.options) = Weak::new();
        if let Some(background) = life.background.take() {
            background.stop();
        }
        let store = self.store.lock().take();
        let closed = match store {
            Some(store) if self.writes() => store.close(),
            _ => Ok(()),
        };
        self.reading.iter().for_each(Reading::end);
        life.lock = None;
        closed
    }
}

/// Where the engine of a directory is found. Places that nobody uses any more are given up.
fn place_of(directory: FileIdentity) -> Place {
    let mut engines = ENGINES.of(generation()).lock();
    engines.retain(|_, place| Arc::strong_count(place) > 1);
    Arc::clone(engines.entry(directory).or_default())
}

/// Says of what is damaged where it is, and what can be done.
fn located(error: Error, path: &Path, options: &Options) -> Error {
    match error {
        Error::Corruption { segment, offset, reason } => {
            let way_out = match options.read_damaged || segment == 0 {
                true => "",
                false => "; the option read_damaged opens what can still be read",
            };
            Error::Corruption {
                segment,
                offset,
                reason: format!("{reason} (in {}{way_out})", path.display()),
            }
        }
        other => other,
    }
}

/// Checks what was asked for, makes the directory on this disk where that is wanted, and holds it: where it is, and what names it.
fn hold(disk: &dyn Disk, path: &Path, options: &Options) -> Result<(PathBuf, UnixDisk, FileIdentity)> {
    options.check()?;
    check_path(path)?;
    prepare_directory(disk, path, options)?;
    let context = |error| Error::io(format!("opening {}", path.display()), error);
    let path = path.canonicalize().map_err(context)?;
    let (held, identity) = UnixDisk::holding(path.clone()).map_err(context)?;
    Ok((path, held, identity))
}

/// Refuses what cannot be a path.
fn check_path(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return Err(Error::InvalidArgument("the path is empty; name the database's directory".to_owned()));
    }
    if bytes.contains(&0) {
        return Err(Error::InvalidArgument("the path has a NUL byte in it".to_owned()));
    }
    Ok(())
}

/// The absolute path of what may not be there yet: what is there without symbolic links, and the rest as it was named.
pub(super) fn resolved(path: &Path) -> Result<PathBuf> {
    check_path(path)?;
    let context = |error| Error::io(format!("looking for {}", path.display()), error);
    let absolute = std::path::absolute(path).map_err(context)?;
    let Some(there) = absolute.ancestors().find(|path| path.exists()) else { return Ok(absolute) };
    let mut resolved = there.canonicalize().map_err(context)?;
    for part in absolute.strip_prefix(there).unwrap_or(Path::new("")).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    Ok(resolved)
}

/// Creates the directory if that is wanted, and refuses before anything is made if not.
fn prepare_directory(disk: &dyn Disk, path: &Path, options: &Options) -> Result<()> {
    let context = |what: &str| format!("{what} {}", path.display());
    if path.metadata().is_ok_and(|found| !found.is_dir()) {
        return Err(Error::io(context("opening"), std::io::ErrorKind::NotADirectory.into()));
    }
    if options.create && !options.read_damaged && !options.read_only {
        // Without a manifest nothing says that the directory's own name was ever synced, even if it is there.
        let is_new = !path.join(MANIFEST_NAME).exists();
        let new: Vec<&Path> = path.ancestors().take(usize::from(is_new) + missing_parents(path)).collect();
        disk.create_directory(path).map_err(|error| Error::io(context("creating"), error))?;
        for parent in new.into_iter().filter_map(Path::parent) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            disk.sync_directory(parent).map_err(|error| Error::io(context("syncing a parent of"), error))?;
        }
        return Ok(());
    }
    match std::fs::metadata(path.join(MANIFEST_NAME)) {
        Ok(_) => Ok(()),
        // A damaged directory may have lost it; what is there will tell.
        Err(_) if options.read_damaged && path.is_dir() => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let never = options.read_only || options.read_damaged;
            let hint = if never { "; check the path" } else { "; allow it to be created, or check the path" };
            Err(Error::io(context("finding a database in") + hint, error))
        }
        Err(error) => Err(Error::io(context("finding a database in"), error)),
    }
}

/// How many of the directories above this one are not there yet.
fn missing_parents(path: &Path) -> usize {
    path.ancestors().skip(1).take_while(|parent| !parent.as_os_str().is_empty() && !parent.exists()).count()
}

/// The manifest of the directory, or that of a new database.
fn manifest_of(disk: &dyn Disk, path: &Path, options: &Options) -> Result<Manifest> {
    if let Some(manifest) = read_manifest(disk, path)? {
        return Ok(manifest);
    }
    let names = disk.list(path).map_err(|error| Error::io(format!("listing {}", path.display()), error))?;
    if has_segments(&names) || names.iter().any(|name| name == MARK_NAME) || options.read_damaged {
        return Err(Error::corruption(0, 0, "the manifest is missing; restore the directory from a backup"));
    }
    let manifest = Manifest::new(random()?, random()?);
    create_manifest(disk, path, &manifest)?;
    Ok(manifest)
}

/// Random bytes from the operating system.
pub(super) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::io("asking the system for random bytes", std::io::Error::other(error)))?;
    Ok(bytes)
}

/// How a log is opened. `lock` names what stands for the right to it.
pub(super) fn log_config(
    disk: &Arc<dyn Disk>,
    path: &Path,
    options: &Options,
    manifest: &Manifest,
    lock: FileIdentity,
) -> LogConfig {
    LogConfig {
        disk: Arc::clone(disk),
        directory: path.to_path_buf(),
        access: access(&**disk, path, options),
        sizes: SegmentSizes { fixed: options.segment_bytes, device: disk.room(path).map(|room| room.all) },
        identity: manifest.identity,
        lock,
    }
}

/// How segments are reached under these options on this filesystem.
fn access(disk: &dyn Disk, path: &Path, options: &Options) -> Access {
    let mapped_append = match options.append {
        AppendMode::Mapped => true,
        AppendMode::Write => false,
        AppendMode::Auto => options.mapped_reads && disk.keeps_allocations(path),
    };
    Access { mapped_append, mapped_reads: options.mapped_reads }
}
