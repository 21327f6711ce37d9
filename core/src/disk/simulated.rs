//! A disk in memory that knows what a power cut would leave of it.
//!
//! - A file's bytes are on the device once a sync took them along. A power cut keeps, loses or tears every other
//!   sector, each on its own.
//! - A creation, rename or removal is on the device once the directory was synced. A power cut keeps or undoes every
//!   other one, each on its own; a rename is there or not, never half.
//! - A failed sync forgets, as Linux does: what it should have written counts as written for every later sync, and is
//!   not on the device.
//! - Stores through a map must go to populated pages within the file; where the real system may raise SIGBUS they
//!   are refused here.
//!
//! Any call can be made to fail, somebody can be told of each before it is made and take an image of the disk then, the room can
//! be limited, and the calls can be listed in the order they were made.

#![allow(unreachable_pub, reason = "public in builds with the feature `simulation`")]

mod faults;
mod file;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use parking_lot::Mutex;

pub(crate) use faults::Operation;
pub use faults::{Call, Fault, Hook};
pub(crate) use memory::SimulatedMap;

use super::{DeviceRoom, Disk, DiskFile, FileIdentity, HeldLock, LockAttempt, OpenMode};
use faults::HookPlace;
use file::{Inode, SimulatedFile};

/// A random source for what a power cut does: each call gives another number.
pub type Choose<'a> = &'a mut dyn FnMut() -> u64;

/// A disk in memory. Clones are handles on the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

/// What the disk, its files and its maps share.
#[derive(Debug)]
struct Shared {
    tree: Mutex<Tree>,
    faults: Mutex<Vec<Fault>>,
    hook: HookPlace,
    trace: Mutex<Vec<Operation>>,
    features: Mutex<Features>,
}

/// The directory tree: as it is, and as the device has it.
#[derive(Debug, Default)]
struct Tree {
    entries: Entries,
    durable: Entries,
    /// What the device does not have yet, in order.
    pending: Vec<Change>,
    locked: BTreeSet<PathBuf>,
}

type Entries = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File(Arc<Inode>),
}

/// One step of the directory tree.
#[derive(Debug, Clone)]
enum Change {
    Create(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

/// What kind of disk it is.
#[derive(Debug, Clone, Copy)]
struct Features {
    keeps_allocations: bool,
    maps: bool,
    populates: bool,
    room_bytes: u64,
    tears_writes: bool,
}

impl Change {
    /// The directory whose sync makes it durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Change::Create(path, _) | Change::Rename(_, path, _) | Change::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, entries: &mut Entries) {
        match self {
            Change::Create(path, node) => {
                entries.insert(path.clone(), node.clone());
            }
            Change::Rename(from, to, node) => {
                // The old name may be somebody else's by now, where an earlier step was undone.
                if entries.get(from).is_some_and(|present| present.is(node)) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), node.clone());
            }
            Change::Remove(path) => {
                entries.remove(path);
            }
        }
    }
}

impl Node {
    fn is(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Directory, Node::Directory) => true,
            (Node::File(one), Node::File(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Default for SimulatedDisk {
    fn default() -> SimulatedDisk {
        SimulatedDisk::new()
    }
}

impl SimulatedDisk {
    /// An empty disk that has maps, keeps allocations and has all the room one asks for.
    #[must_use]
    pub fn new() -> SimulatedDisk {
        let features = Features {
            keeps_allocations: true,
            maps: true,
            populates: true,
            room_bytes: u64::MAX,
            tears_writes: false,
        };
        SimulatedDisk::with(Tree::default(), features)
    }

    fn with(tree: Tree, features: Features) -> SimulatedDisk {
        let shared = Shared {
            tree: Mutex::new(tree),
            faults: Mutex::default(),
            hook: HookPlace::default(),
            trace: Mutex::default(),
            features: Mutex::new(features),
        };
        SimulatedDisk { shared: Arc::new(shared) }
    }

    /// This disk as the trait object that everything above takes.
    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Limits the sum of the lengths of all files.
    pub fn set_room(&self, bytes: u64) {
        self.shared.features.lock().room_bytes = bytes;
    }

    /// Limits it to what the files have now: somebody else has taken what was free.
    pub fn leave_no_room(&self) {
        let used = self.shared.tree.lock().used_bytes();
        self.set_room(used);
    }

    /// Whether files can be mapped (from now on).
    pub fn set_maps(&self, maps: bool) {
        self.shared.features.lock().maps = maps;
    }

    /// Whether pages can be populated (from now on), which old kernels cannot.
    pub fn set_populates(&self, populates: bool) {
        self.shared.features.lock().populates = populates;
    }

    /// Has somebody told of each call, or nobody. Images of the disk do not have the hook. One that keeps a handle on the disk
    /// keeps the disk until it is taken away.
    pub fn set_hook(&self, hook: Option<Hook>) {
        self.shared.hook.set(hook);
    }

    /// Whether a write that the hook makes fail leaves the first half of its bytes (from now on).
    pub fn set_tears_writes(&self, tears_writes: bool) {
        self.shared.features.lock().tears_writes = tears_writes;
    }

    /// Arms a fault; several can be armed at once.
    pub fn fail_after(&self, fault: Fault) {
        self.shared.faults.lock().push(fault);
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.shared.faults.lock().clear();
    }

    /// What was done to the disk so far, in order. Calls that failed are not in it.
    #[cfg(test)]
    pub(crate) fn trace(&self) -> Vec<Operation> {
        self.shared.trace.lock().clone()
    }

    /// Forgets the trace so far.
    #[cfg(test)]
    pub(crate) fn clear_trace(&self) {
        self.shared.trace.lock().clear();
    }

    /// The disk as after a power cut at this moment. `choose` decides what becomes of each thing that was not synced;
    /// this disk itself goes on as it is.
    #[must_use]
    pub fn crash(&self, choose: Choose<'_>) -> SimulatedDisk {
        let tree = self.shared.tree.lock();
        let mut entries = tree.durable.clone();
        for change in &tree.pending {
            if choose().is_multiple_of(2) {
                change.apply(&mut entries);
            }
        }
        drop_orphans(&mut entries);
        // One file may have two names, where a rename was kept and its undone partner left the other: the device has
        // one file then.
        let mut copies: Vec<(Arc<Inode>, Arc<Inode>)> = Vec::new();
        let entries = copy_entries(&entries, &mut copies, &mut |inode| inode.after_power_cut(choose));
        let tree = Tree { durable: entries.clone(), entries, ..Tree::default() };
        SimulatedDisk::with(tree, *self.shared.features.lock())
    }

    /// The disk as after the death of the process at this moment: everything written is there, synced or not, and
    /// locks are free. This disk itself goes on as it is.
    #[must_use]
    pub fn process_death(&self) -> SimulatedDisk {
        let tree = self.shared.tree.lock();
        let mut copies: Vec<(Arc<Inode>, Arc<Inode>)> = Vec::new();
        let copy = &mut |inode: &Inode| inode.copy();
        let entries = copy_entries(&tree.entries, &mut copies, copy);
        let durable = copy_entries(&tree.durable, &mut copies, copy);
        let mut pending = Vec::new();
        for change in &tree.pending {
            pending.push(match change {
                Change::Create(path, node) => {
                    Change::Create(path.clone(), copy_node(node, &mut copies, copy))
                }
                Change::Rename(from, to, node) => {
                    Change::Rename(from.clone(), to.clone(), copy_node(node, &mut copies, copy))
                }
                Change::Remove(path) => Change::Remove(path.clone()),
            });
        }
        let tree = Tree { entries, durable, pending, locked: BTreeSet::new() };
        SimulatedDisk::with(tree, *self.shared.features.lock())
    }
}

/// Removes what is in a directory that the power cut undid.
fn drop_orphans(entries: &mut Entries) {
    loop {
        let orphan = entries.keys().find(|path| !has_parent(entries, path)).cloned();
        match orphan {
            Some(path) => entries.remove(&path),
            None => return,
        };
    }
}

/// Whether the directory that a path is in exists. The root, and the empty path, always do.
fn has_parent(entries: &Entries, path: &Path) -> bool {
    match path.parent() {
        None => true,
        Some(parent) => is_directory(entries, parent),
    }
}

fn is_directory(entries: &Entries, path: &Path) -> bool {
    path.parent().is_none()
        || path.as_os_str().is_empty()
        || matches!(entries.get(path), Some(Node::Directory))
}

fn copy_entries(
    entries: &Entries,
    copies: &mut Vec<(Arc<Inode>, Arc<Inode>)>,
    copy: &mut dyn FnMut(&Inode) -> Inode,
) -> Entries {
    entries.iter().map(|(path, node)| (path.clone(), copy_node(node, copies, copy))).collect()
}

/// Copies a file once, however many names it has.
fn copy_node(
    node: &Node,
    copies: &mut Vec<(Arc<Inode>, Arc<Inode>)>,
    copy: &mut dyn FnMut(&Inode) -> Inode,
) -> Node {
    let Node::File(inode) = node else { return Node::Directory };
    if let Some((_, made)) = copies.iter().find(|(from, _)| Arc::ptr_eq(from, inode)) {
        return Node::File(Arc::clone(made));
    }
    let made = Arc::new(copy(inode));
    copies.push((Arc::clone(inode), Arc::clone(&made)));
    Node::File(made)
}

impl Tree {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.entries);
        self.pending.push(change);
    }

    fn file(&self, path: &Path) -> io::Result<Arc<Inode>> {
        match self.entries.get(path) {
            Some(Node::File(inode)) => Ok(Arc::clone(inode)),
            Some(Node::Directory) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create_file(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        if self.entries.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !has_parent(&self.entries, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = Arc::new(Inode::default());
        self.change(Change::Create(path.to_path_buf(), Node::File(Arc::clone(&inode))));
        Ok(inode)
    }

    /// Bytes that the files of the tree take.
    fn used_bytes(&self) -> u64 {
        let files = self.entries.values().filter_map(|node| match node {
            Node::File(inode) => Some(inode.length()),
            Node::Directory => None,
        });
        files.sum()
    }
}

impl Disk for SimulatedDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.shared.check(Call::CreateDirectory)?;
        let mut tree = self.shared.tree.lock();
        let missing: Vec<&Path> =
            path.ancestors().filter(|path| !is_directory(&tree.entries, path)).collect();
        for path in missing.into_iter().rev() {
            if tree.entries.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            tree.change(Change::Create(path.to_path_buf(), Node::Directory));
            self.shared.record(|| Operation::CreateDirectory(path.to_path_buf()));
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.shared.check(Call::SyncDirectory)?;
        let tree = &mut *self.shared.tree.lock();
        if !is_directory(&tree.entries, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for change in tree.pending.extract_if(.., |change| change.directory() == Some(path)) {
            change.apply(&mut tree.durable);
        }
        self.shared.record(|| Operation::SyncDirectory(path.to_path_buf()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.shared.check(Call::List)?;
        let tree = self.shared.tree.lock();
        if !is_directory(&tree.entries, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = tree.entries.keys().filter(|entry| entry.parent() == Some(path));
        Ok(inside.filter_map(|entry| Some(entry.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let new = mode == OpenMode::CreateNew;
        self.shared.check(if new { Call::Create } else { Call::Open })?;
        let mut tree = self.shared.tree.lock();
        let inode = if new { tree.create_file(path)? } else { tree.file(path)? };
        if new {
            self.shared.record(|| Operation::Create(path.to_path_buf()));
        }
        Ok(Arc::new(SimulatedFile {
            inode,
            path: path.to_path_buf(),
            writable: mode != OpenMode::ReadOnly,
            shared: Arc::clone(&self.shared),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.check(Call::Rename)?;
        let mut tree = self.shared.tree.lock();
        let inode = tree.file(from)?;
        if !has_parent(&tree.entries, to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.change(Change::Rename(from.to_path_buf(), to.to_path_buf(), Node::File(inode)));
        self.shared.record(|| Operation::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.check(Call::Link)?;
        let mut tree = self.shared.tree.lock();
        let inode = tree.file(from)?;
        if tree.entries.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !has_parent(&tree.entries, to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.change(Change::Create(to.to_path_buf(), Node::File(inode)));
        self.shared.record(|| Operation::Link(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.check(Call::Remove)?;
        let mut tree = self.shared.tree.lock();
        tree.file(path)?;
        tree.change(Change::Remove(path.to_path_buf()));
        self.shared.record(|| Operation::Remove(path.to_path_buf()));
        Ok(())
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        let tree = self.shared.tree.lock();
        match tree.entries.get(path) {
            Some(Node::File(inode)) => Ok(Some(inode.identity())),
            _ => Ok(None),
        }
    }

    fn room(&self, _path: &Path) -> Option<DeviceRoom> {
        let used = self.shared.tree.lock().used_bytes();
        let all = self.shared.features.lock().room_bytes;
        Some(DeviceRoom { all, free: all.saturating_sub(used) })
    }

    fn keeps_allocations(&self, _path: &Path) -> bool {
        self.shared.features.lock().keeps_allocations
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        self.shared.check(Call::Lock)?;
        let mut tree = self.shared.tree.lock();
        let inode = match tree.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => tree.create_file(path)?,
            other => other?,
        };
        if !tree.locked.insert(path.to_path_buf()) {
            // Every holder of a simulated lock lives in this process.
            return Ok(LockAttempt::Busy(Some(process::id())));
        }
        inode.replace(format!("{}\n", process::id()).as_bytes());
        Ok(LockAttempt::Held(Box::new(SimulatedLock {
            identity: inode.identity(),
            path: path.to_path_buf(),
            shared: Arc::clone(&self.shared),
        })))
    }
}

#[derive(Debug)]
struct SimulatedLock {
    identity: FileIdentity,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl HeldLock for SimulatedLock {
    fn identity(&self) -> FileIdentity {
        self.identity
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.shared.tree.lock().locked.remove(&self.path);
    }
}
