//! The order of syncs: what has to be on the device before what. Every manifest is read as it is put in place, and the list
//! of all that was done to the disk is gone through against the rules of `FORMAT.md`, section 2.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::model::{PATH, Random, all_options};
use crate::database::engine::Handle;
use crate::database::{Batch, Keyspace};
use crate::disk::{Disk, DiskFile, FileIdentity, LockAttempt, OpenMode, Operation, SimulatedDisk};
use crate::log::{MANIFEST_NAME, MARK_NAME, segment_name};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentKind};
use crate::options::{Durability, Options};
use crate::store::Operations;

/// A simulated disk that keeps a copy of every manifest that is put in place.
#[derive(Debug)]
struct Watched {
    disk: SimulatedDisk,
    manifests: Arc<Mutex<Vec<Manifest>>>,
}

impl Disk for Watched {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.disk.open(from, OpenMode::ReadOnly)?;
        let mut bytes = vec![0; file.length()? as usize];
        file.read_at(&mut bytes, 0)?;
        if to.ends_with(MANIFEST_NAME) {
            self.manifests.lock().push(Manifest::decode(&bytes).unwrap());
        }
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.disk.identity(path)
    }

    fn keeps_allocations(&self, path: &Path) -> bool {
        self.disk.keeps_allocations(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        self.disk.lock(path)
    }
}

/// When things happened last to a file: positions in the list of operations.
#[derive(Debug, Default, Clone, Copy)]
struct File {
    created: Option<usize>,
    allocated: Option<usize>,
    written: usize,
    synced: Option<usize>,
    directory_synced: Option<usize>,
}

/// Goes through the operations.
#[derive(Default)]
struct Audit {
    files: HashMap<PathBuf, File>,
    /// Names that were there before.
    known: Vec<PathBuf>,
    /// The manifest that is on the device, and the one that was renamed into place since.
    durable: Option<Manifest>,
    pending: Option<Manifest>,
    sealed: usize,
    removed: usize,
}

fn path_of(serial: u64) -> PathBuf {
    Path::new(PATH).join(segment_name(serial))
}

fn names(manifest: &Manifest, path: &Path) -> bool {
    manifest.segments.iter().any(|entry| path_of(entry.serial) == path)
}

impl Audit {
    fn all(mut self, operations: &[Operation], manifests: &[Manifest]) -> Audit {
        let mut manifests = manifests.iter();
        for (at, operation) in operations.iter().enumerate() {
            let at = at + 1;
            match operation {
                Operation::Create(path) => {
                    self.files.insert(path.clone(), File { created: Some(at), ..File::default() });
                }
                Operation::Allocate(path, _) => self.file(path).allocated = Some(at),
                Operation::Sync(path) => self.file(path).synced = Some(at),
                Operation::Write(path, offset, _) | Operation::Store(path, offset, _) => {
                    self.file(path).written = at;
                    if *offset >= SEGMENT_HEADER_BYTES as u64 {
                        self.appended(path);
                    }
                }
                Operation::SyncDirectory(path) => self.directory_synced(path, at),
                Operation::Rename(from, to) => {
                    assert_eq!(*from, to.with_extension("new"));
                    let aside = self.files[from];
                    assert!(aside.synced > Some(aside.written), "{} was not synced", from.display());
                    match to.ends_with(MANIFEST_NAME) {
                        true => self.replaced(manifests.next().unwrap()),
                        false => assert_eq!(*to, path(MARK_NAME)),
                    }
                }
                Operation::Remove(path) => self.removed(path),
                Operation::CreateDirectory(_) | Operation::SetLength(..) | Operation::Link(..) => {}
            }
        }
        assert!(manifests.next().is_none() && self.pending.is_none(), "a rename without a directory's sync");
        self
    }

    fn file(&mut self, path: &Path) -> &mut File {
        self.files.entry(path.to_path_buf()).or_default()
    }

    /// Nothing is appended to a segment before a manifest on the device names it, except by a recovery, whose segments
    /// no manifest names before all of them are synced.
    fn appended(&self, path: &Path) {
        if !path.to_string_lossy().ends_with(".segment") {
            return;
        }
        let recovering = self.durable.is_none();
        let named = self.durable.as_ref().is_some_and(|manifest| names(manifest, path));
        assert!(recovering || named, "{} was appended to before the manifest named it", path.display());
    }

    fn directory_synced(&mut self, directory: &Path, at: usize) {
        if directory != Path::new(PATH) {
            return;
        }
        for file in self.files.values_mut().filter(|file| file.created.is_some()) {
            file.directory_synced.get_or_insert(at);
        }
        if let Some(manifest) = self.pending.take() {
            self.durable = Some(manifest);
        }
    }

    /// A manifest is renamed into place.
    fn replaced(&mut self, manifest: &Manifest) {
        assert!(self.pending.is_none(), "a manifest was replaced before the directory was synced");
        for entry in &manifest.segments {
            let name = path_of(entry.serial);
            if self.known.contains(&name) {
                continue;
            }
            let file = *self.files.get(&name).unwrap_or_else(|| panic!("{name:?} was never created"));
            let synced = file.synced.unwrap_or_else(|| panic!("{name:?} is named and was never synced"));
            assert!(file.allocated.is_some_and(|at| at < synced), "{name:?} was not allocated and synced");
            let entered = file.directory_synced;
            assert!(entered > file.created && entered.is_some(), "the name {name:?} is not durable");
            if entry.sealed {
                self.sealed += 1;
                assert!(synced > file.written, "{name:?} is named as sealed and is not synced");
            }
            if manifest.clean {
                assert!(synced > file.written, "{name:?} was closed and is not synced");
            }
        }
        self.pending = Some(manifest.clone());
    }

    fn removed(&mut self, path: &Path) {
        if path.to_string_lossy().ends_with(".segment") {
            self.removed += 1;
            assert!(self.pending.is_none(), "{path:?} was removed before the manifest was durable");
            let manifest = self.durable.as_ref().expect("removed before any manifest was durable");
            assert!(!names(manifest, path), "{path:?} was removed, the manifest on the device names it");
        }
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(PATH).join(name)
}

/// A database on a watched disk, as far as this test needs one.
struct Opened {
    handle: Arc<Handle>,
    default: Keyspace,
    manifests: Arc<Mutex<Vec<Manifest>>>,
}

fn open(disk: &SimulatedDisk, options: &Options) -> Opened {
    let manifests = Arc::default();
    let watched: Arc<dyn Disk> = Arc::new(Watched { disk: disk.clone(), manifests: Arc::clone(&manifests) });
    let handle = Handle::open_on(&watched, Path::new(PATH), options).unwrap();
    let entry = handle.shared_store().unwrap().keys.keyspaces.by_name("default").unwrap();
    Opened { default: Keyspace { handle: Arc::clone(&handle), entry }, handle, manifests }
}

fn write(opened: &Opened, random: &mut Random, count: usize) {
    for number in 0..count {
        let length = match number % 50 {
            49 => (1 << 20) + random.below(900),
            _ => random.below(6000),
        };
        let value = random.bytes(length);
        let durability = if random.one_in(9) { Durability::Sync } else { Durability::Buffered };
        let key = random.next().to_le_bytes();
        if number % 100 == 49 {
            // One that is given up, and one in its place that is not.
            let mut given_up = opened.default.value_writer(&key, value.len() as u64).unwrap();
            given_up.write_all(&value[..value.len() / 2]).unwrap();
            drop(given_up);
            let mut stream = opened.default.value_writer(&key, value.len() as u64).unwrap();
            value.chunks(100_000).for_each(|piece| stream.write_all(piece).unwrap());
            stream.finish_with(durability).unwrap();
        } else {
            opened.default.put_with(&key, &value, durability).unwrap();
        }
        if random.one_in(9) {
            let mut batch = Batch { handle: Arc::clone(&opened.handle), operations: Operations::default() };
            for _ in 0..random.below(30) {
                let value = random.bytes(3000);
                batch.put("default", &random.next().to_le_bytes(), &value).unwrap();
            }
            batch.commit_with(durability).unwrap();
        }
        if random.one_in(9) {
            opened.handle.shared_store().unwrap().log.prepare_spare().unwrap();
        }
    }
}

fn names_there(disk: &SimulatedDisk) -> Vec<PathBuf> {
    disk.list(Path::new(PATH)).unwrap().iter().map(|name| path(name)).collect()
}

#[test]
fn what_a_step_stands_on_is_on_the_device_before_it() {
    for (seed, options) in all_options(64 << 10).into_iter().enumerate() {
        let mut random = Random(seed as u64);
        let disk = SimulatedDisk::new();
        let opened = open(&disk, &options);
        write(&opened, &mut random, 120);
        let image = disk.process_death();
        opened.handle.close().unwrap();
        let audit = Audit::default().all(&disk.trace(), &opened.manifests.lock());
        assert!(audit.sealed > 5, "{} segments were sealed", audit.sealed);

        // Recovery, more work, an orderly end.
        let known = names_there(&image);
        let opened = open(&image, &options);
        write(&opened, &mut random, 60);
        opened.handle.close().unwrap();
        let audit = Audit { known, ..Audit::default() }.all(&image.trace(), &opened.manifests.lock());
        assert!(audit.removed > 0, "recovery removed nothing");

        // Resumed after an orderly end.
        image.clear_trace();
        let known = names_there(&image);
        let opened = open(&image, &options);
        write(&opened, &mut random, 60);
        opened.handle.close().unwrap();
        Audit { known, ..Audit::default() }.all(&image.trace(), &opened.manifests.lock());
    }
}

/// A commit that begins the prepared segment used to take the state of the log, and so waited for whoever wrote a manifest.
#[test]
fn a_commit_goes_on_in_the_prepared_segment_while_a_manifest_is_written() {
    const PUTS: u32 = 4;
    for options in all_options(64 << 10) {
        let opened = open(&SimulatedDisk::new(), &options);
        let put =
            |keyspace: &Keyspace, number: u32| keyspace.put(&number.to_be_bytes(), &[7; 15_000]).unwrap();
        // More than half a segment, so that the next one may be prepared.
        (0..PUTS).for_each(|number| put(&opened.default, number));
        let store = opened.handle.shared_store().unwrap();
        store.log.prepare_spare().unwrap();
        let goes_on = store.log.while_a_manifest_is_written(|| {
            let (done, is_done) = std::sync::mpsc::channel();
            let writer = opened.default.clone();
            std::thread::spawn(move || {
                (PUTS..2 * PUTS).for_each(|number| put(&writer, number));
                let _nobody_waits_any_more = done.send(());
            });
            // Where it does not go on it never does, and the test is to fail rather than to hang.
            is_done.recv_timeout(std::time::Duration::from_secs(60)).is_ok()
        });
        assert!(goes_on, "a commit waits for the state of the log");
        // Also what was begun meanwhile has its first commit.
        let segments = store.log.segments_of(SegmentKind::Log).into_iter();
        let begun = segments.filter(|(_, segment)| segment.published() > SEGMENT_HEADER_BYTES as u64);
        let first: Vec<u64> = begun.map(|(entry, _)| entry.first_sequence).collect();
        assert_eq!(first, [1, 1 + u64::from(PUTS)]);
        drop(store);
        opened.handle.close().unwrap();
    }
}
