//! A new database of what can be read of a damaged one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::engine::{random, resolved};
use super::{Keyspace, OpenDB};
use crate::disk::{DirectoryLock, Disk, UnixDisk};
use crate::error::{Error, Result};
use crate::keyspace::KeyspaceEntry;
use crate::log::{LogConfig, SegmentSizes, read_manifest};
use crate::recovery::complete_manifest;
use crate::segment::Access;
use crate::store::{Opening, Store, prepare_empty};

/// Losses that are told one by one.
const LOST_MAX: usize = 10_000;

/// What came of a damaged database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Keys that are in the new database.
    pub keys: u64,
    /// Keyspaces of the new database, `"default"` included.
    pub keyspaces: u64,
    /// What could not be read, one sentence for each place: at most 10,000 of them, and then one that tells how many more
    /// there are. Empty where nothing was lost.
    pub lost: Vec<String>,
}

/// What was lost so far.
#[derive(Debug, Default)]
struct Lost {
    sentences: Vec<String>,
    more: u64,
}

impl Lost {
    fn note(&mut self, sentence: String) {
        match self.sentences.len() < LOST_MAX {
            true => self.sentences.push(sentence),
            false => self.more += 1,
        }
    }

    fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            self.sentences.push(format!("and {} more places", self.more));
        }
        self.sentences
    }
}

impl OpenDB {
    /// Makes a new database of everything that can be read of a damaged one, and tells what cannot. The damaged directory is not
    /// changed, but for its lock file, and no damage ends the work: not in segments, not of the manifest, which need not even be
    /// there.
    ///
    /// A value that is in the new database had been written under its key, never anything else. But where a commit is lost, its
    /// keys have the values that they had before, or none, and keys that it deleted come back; commits behind it are taken. So
    /// the state need not be one that ever was, unless nothing was lost. Where the manifest is lost, segments that were given up
    /// and whose files were still there may bring deleted keys back.
    ///
    /// Keys are held in memory meanwhile. The new directory is created, or must be empty; after an error it holds a part of what
    /// was read.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no database; [`Error::Locked`] while somebody has it open; [`Error::Unsupported`] for a newer
    /// format; [`Error::Corruption`] where not one segment tells whose it is; [`Error::InvalidArgument`] for a new directory that
    /// is not empty or is inside of the damaged one; [`Error::NoSpace`] and [`Error::Io`] from writing the new database.
    pub fn salvage(damaged: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Salvage> {
        let (damaged, into) = (damaged.as_ref(), resolved(into.as_ref())?);
        let context = |error| Error::io(format!("opening {}", damaged.display()), error);
        let path = damaged.canonicalize().map_err(context)?;
        if into.starts_with(&path) {
            let reason = "is inside of the damaged directory; choose another place";
            return Err(Error::InvalidArgument(format!("{} {reason}", into.display())));
        }
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::holding(path.clone()).map_err(context)?.0);
        salvage_from(&disk, &path, &|| {
            prepare_empty(&UnixDisk::default(), &into)?;
            OpenDB::open(&into)
        })
    }
}

/// Fills the database that `create` makes, once it is known that there is something to put into it.
pub(super) fn salvage_from(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    create: &dyn Fn() -> Result<OpenDB>,
) -> Result<Salvage> {
    let lock = DirectoryLock::acquire(disk, directory)?;
    let mut lost = Lost::default();
    let store = open_damaged(disk, directory, &lock, &mut lost)?;
    let db = create()?;
    let mut salvage = Salvage::default();
    copy_into(&db, &store, &mut lost, &mut salvage)?;
    salvage.keyspaces = db.keyspaces()?.len() as u64;
    db.close()?;
    salvage.lost = lost.into_sentences();
    Ok(salvage)
}

/// Opens what is left, for reading. Nothing is mapped: where a device fails, a read of a map would end the process.
fn open_damaged(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    lock: &DirectoryLock,
    lost: &mut Lost,
) -> Result<Arc<Store>> {
    let known = match read_manifest(&**disk, directory) {
        Ok(Some(manifest)) => Some(manifest),
        Ok(None) => {
            lost.note("the manifest is missing".to_owned());
            None
        }
        Err(error @ Error::Unsupported(_)) => return Err(error),
        Err(error) => {
            lost.note(error.to_string());
            None
        }
    };
    let mut config = LogConfig {
        disk: Arc::clone(disk),
        directory: directory.to_path_buf(),
        access: Access { mapped_append: false, mapped_reads: false },
        sizes: SegmentSizes { fixed: None, device: None },
        identity: [0; 16],
        lock: lock.identity(),
    };
    let mut left_out = Vec::new();
    // Any seed will do: the hashes are of this reading only.
    let manifest = complete_manifest(&mut config, known, random()?, &mut left_out)?;
    left_out.into_iter().for_each(|sentence| lost.note(sentence));
    let manifest = manifest.ok_or_else(|| nothing_there(&**disk, directory))?;
    let store = Store::open(config, manifest, Opening::Damaged, 0)?;
    store.recovery.damaged.iter().for_each(|sentence| lost.note(sentence.clone()));
    Ok(store)
}

fn nothing_there(disk: &dyn Disk, directory: &Path) -> Error {
    let names = disk.list(directory).unwrap_or_default();
    if crate::recovery::has_segments(&names) {
        let reason = format!("no segment tells whose it is (in {})", directory.display());
        return Error::corruption(0, 0, reason);
    }
    let context = format!("finding a database in {}", directory.display());
    Error::io(context, std::io::ErrorKind::NotFound.into())
}

fn copy_into(db: &OpenDB, store: &Store, lost: &mut Lost, salvage: &mut Salvage) -> Result<()> {
    let names = store.keyspace_names();
    let mut keyspaces: HashMap<u16, Keyspace> = HashMap::new();
    for (number, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let settings = store.keys.keyspaces.with(number as u16, KeyspaceEntry::settings).unwrap_or_default();
        keyspaces.insert(number as u16, db.keyspace_with_options(name, settings)?);
    }
    for number in (0..names.len()).filter(|number| names.get(*number).is_some_and(String::is_empty)) {
        keyspaces.insert(number as u16, nameless(db, number as u16, lost)?);
    }
    store.each_entry(&mut |number, key, value| {
        let keyspace = match keyspaces.get(&number) {
            Some(keyspace) => keyspace,
            None => keyspaces.entry(number).or_insert(nameless(db, number, lost)?),
        };
        match value {
            Ok(value) => {
                keyspace.put(key, &value)?;
                salvage.keys += 1;
            }
            Err(error) => {
                lost.note(format!("a value of the keyspace {:?} cannot be read: {error}", keyspace.name()));
            }
        }
        Ok(())
    })
}

/// A keyspace in the place of one whose name is lost.
fn nameless(db: &OpenDB, number: u16, lost: &mut Lost) -> Result<Keyspace> {
    let taken = db.keyspaces()?;
    let mut name = format!("lost name {number}");
    while taken.contains(&name) {
        name.push('\'');
    }
    lost.note(format!("the name of the keyspace {number} cannot be read; its keys are in {name:?}"));
    db.keyspace(&name)
}
