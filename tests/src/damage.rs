//! What may be seen of a database whose files were damaged.
//!
//! A small database is made by a fixed list of steps, and the state after each step is kept. What is read of a damaged
//! copy has to be the state after one of them - the last one where the database had been closed, one at or after the
//! last sync where it had not - or a typed error in place of what cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use opendb::{Durability, Error, ErrorKind, OpenDB, Options, Scan};

use crate::bytes::pattern;
use crate::{Failure, Outcome, place};

/// The content of a database: keyspaces, the empty ones too, with their keys.
pub type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Kinds of errors that tell of damage. Any other one in its place is a finding.
const KINDS_OF_DAMAGE: [ErrorKind; 4] =
    [ErrorKind::Corruption, ErrorKind::Storage, ErrorKind::Unsupported, ErrorKind::Io];

/// A database that was made step by step.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its files with their bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What may be read: the states from the last sync on, or the last one only.
    pub states: Vec<Content>,
    /// Every value that a key ever had, for reading what is left of a damaged database.
    pub history: BTreeMap<(String, Vec<u8>), BTreeSet<Vec<u8>>>,
}

/// Puts, overwrites, deletes, a batch, a transaction, three keyspaces, values that fill more than one segment of
/// 64 KiB. Calls `after` with the number of the step after each, whether everything so far was synced.
///
/// # Errors
/// A call fails.
pub fn make(database: &OpenDB, mut after: impl FnMut(bool) -> Outcome<()>) -> Outcome<()> {
    database.put(b"a", b"first")?;
    after(false)?;
    let users = database.keyspace("users")?;
    after(false)?;
    users.put(b"1", b"Alice")?;
    after(false)?;
    database.put(b"filling", &pattern(50_000, 1))?;
    after(false)?;
    database.put(b"a", b"second")?;
    after(false)?;
    database.put(b"also filling", &pattern(30_000, 2))?;
    after(false)?;
    database.delete(b"filling")?;
    after(false)?;
    let mut batch = database.batch();
    batch.put("default", b"b", &pattern(300, 3))?;
    batch.put("users", b"2", b"Bob")?;
    batch.delete("users", b"1")?;
    batch.commit()?;
    after(false)?;
    database.keyspace("empty")?;
    after(false)?;
    database.flush()?;
    after(true)?;
    let mut transaction = database.begin_transaction()?;
    let old = transaction.get("users", b"2")?.unwrap_or_default();
    transaction.put("users", b"2", &[old.as_slice(), b"by"].concat())?;
    transaction.put("default", b"", b"the empty key")?;
    transaction.delete("default", b"a")?;
    transaction.commit()?;
    after(false)?;
    users.put(b"3", b"")?;
    after(false)?;
    users.put_with(b"1", b"again", Durability::Sync)?;
    after(true)?;
    database.put(b"c", &pattern(500, 4))?;
    after(false)?;
    database.delete(b"also filling")?;
    after(false)?;
    database.put(b"b", b"short")?;
    after(false)
}

/// Reads the files of a directory.
///
/// # Errors
/// The directory cannot be read.
pub fn read_files(directory: &Path) -> Outcome<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for path in place::files(directory)? {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        files.insert(name, std::fs::read(&path)?);
    }
    Ok(files)
}

/// Writes files into a directory.
///
/// # Errors
/// A file cannot be written.
pub fn write_files(directory: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Outcome<()> {
    files.iter().try_for_each(|(name, bytes)| Ok(std::fs::write(directory.join(name), bytes)?))
}

/// Everything that is in a healthy database.
///
/// # Errors
/// A read fails.
pub fn read_content(database: &OpenDB) -> Outcome<Content> {
    let mut content = Content::new();
    for name in database.keyspaces()? {
        let entries = database.keyspace(&name)?.scan_prefix(b"")?;
        content.insert(name, entries.into_iter().collect());
    }
    Ok(content)
}

/// What could be read of a damaged database. A part that gave a typed error is not in it.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    names: Option<BTreeSet<String>>,
    values: BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>,
    scans: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
    lengths: BTreeMap<String, u64>,
    /// What was refused: the kinds of the errors, with the serials that those of corruption have named and 0 for others.
    pub refusals: BTreeSet<(ErrorKind, u64)>,
}

/// Reads everything that the history knows of, by every kind of call.
///
/// # Errors
/// An error that is not one of damage, or two ways of asking that contradict each other.
pub fn read_damaged(database: &OpenDB, base: &Base) -> Outcome<Findings> {
    let mut findings = Findings::default();
    let Some(names) = findings.take(database.keyspaces())? else { return Ok(findings) };
    for name in &names {
        // A keyspace that is in the list is opened, never created.
        let Some(keyspace) = findings.take(database.keyspace(name))? else { continue };
        let entries = keyspace.iter(&Scan::all()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        if let Some(entries) = findings.take(entries)? {
            if !entries.is_sorted_by(|one, two| one.0 < two.0) {
                return Err(Failure(format!("the scan of {name} is out of order")));
            }
            findings.scans.insert(name.clone(), entries.into_iter().collect());
        }
        if let Some(length) = findings.take(keyspace.len())? {
            findings.lengths.insert(name.clone(), length);
        }
        for (space, key) in base.history.keys().filter(|place| place.0 == *name) {
            let value = findings.take(keyspace.get(key))?;
            let exists = findings.take(keyspace.exists(key))?;
            if let (Some(value), Some(exists)) = (&value, exists)
                && value.is_some() != exists
            {
                return Err(Failure(format!("get and exists of a key of {name} disagree")));
            }
            if let Some(value) = value {
                findings.values.insert((space.clone(), key.clone()), value);
            }
        }
    }
    findings.names = Some(names.into_iter().collect());
    Ok(findings)
}

/// Opens for reading what is left, in a directory with these files: values that were there once, no write, no change to any
/// file. Whether it opened.
///
/// # Errors
/// A value that never was, a write that was not refused, or a file that was changed.
pub fn try_remains(
    base: &Base,
    options: Options,
    directory: &Path,
    files: &BTreeMap<PathBuf, Vec<u8>>,
) -> Outcome<bool> {
    let opened = damage_or(OpenDB::open_with_options(directory, options.read_damaged(true)))?;
    if let Some(database) = &opened {
        read_damaged(database, base)?.check_remains(base)?;
        for result in writes(database) {
            match result {
                Err(error) if error.kind() == ErrorKind::ReadOnly => {}
                other => return Err(Failure(format!("a write where only reading is allowed: {other:?}"))),
            }
        }
        database.close()?;
    }
    check_unchanged(directory, files)?;
    Ok(opened.is_some())
}

/// The files of a directory have to be these still. Who holds the lock writes itself down there; that is no data.
///
/// # Errors
/// They are not.
pub fn check_unchanged(directory: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Outcome<()> {
    let left = read_files(directory)?;
    let is_data = |entry: &(&PathBuf, &Vec<u8>)| entry.0 != Path::new("LOCK");
    if left.iter().filter(is_data).eq(files.iter().filter(is_data)) {
        return Ok(());
    }
    Err("reading what is left has changed the files".into())
}

/// Every way to write.
fn writes(database: &OpenDB) -> [opendb::Result<()>; 5] {
    let batch = || {
        let mut batch = database.batch();
        batch.put("default", b"a", b"new")?;
        batch.commit()
    };
    let transaction = || {
        let mut transaction = database.begin_transaction()?;
        transaction.put("default", b"a", b"new")?;
        transaction.commit()
    };
    let keyspace = database.keyspace("new").map(drop);
    [database.put(b"a", b"new"), database.delete(b"a"), keyspace, batch(), transaction()]
}

/// The result, or `None` for an error that tells of damage.
///
/// # Errors
/// The error is of another kind.
pub fn damage_or<T>(result: opendb::Result<T>) -> Outcome<Option<T>> {
    match result {
        Ok(result) => Ok(Some(result)),
        Err(error) if KINDS_OF_DAMAGE.contains(&error.kind()) => Ok(None),
        Err(error) => Err(Failure(format!("not an error of damage: {}: {error}", error.kind().name()))),
    }
}

impl Findings {
    /// [`damage_or`], with a note of what was refused.
    fn take<T>(&mut self, result: opendb::Result<T>) -> Outcome<Option<T>> {
        if let Err(error) = &result {
            let segment = if let Error::Corruption { segment, .. } = error { *segment } else { 0 };
            self.refusals.insert((error.kind(), segment));
        }
        damage_or(result)
    }

    /// Whether everything that was read is of this state.
    #[must_use]
    pub fn are_of(&self, state: &Content) -> bool {
        let names = self.names.as_ref().is_none_or(|names| names.iter().eq(state.keys()));
        let value = |place: &(String, Vec<u8>)| state.get(&place.0).and_then(|space| space.get(&place.1));
        names
            && self.values.iter().all(|(place, found)| found.as_ref() == value(place))
            && self.scans.iter().all(|(name, found)| state.get(name) == Some(found))
            && self
                .lengths
                .iter()
                .all(|(name, found)| state.get(name).map(BTreeMap::len) == usize::try_from(*found).ok())
    }

    /// Everything that was read has to be of one and the same of the states that may be seen.
    ///
    /// # Errors
    /// It is of none.
    pub fn check(&self, base: &Base) -> Outcome<()> {
        if base.states.iter().any(|state| self.are_of(state)) {
            return Ok(());
        }
        let last = base.states.last().cloned().unwrap_or_default();
        let value = |place: &(String, Vec<u8>)| last.get(&place.0).and_then(|space| space.get(&place.1));
        let wrong = self.values.iter().filter(|(place, found)| found.as_ref() != value(place)).count();
        Err(Failure(format!(
            "what is read is none of the {} states that may be seen; against the last one {wrong} keys differ, \
             the keyspaces are {:?}, the lengths {:?}, refused was {:?}",
            base.states.len(),
            self.names,
            self.lengths,
            self.refusals
        )))
    }

    /// For a database that is read in spite of its damage: every value is one that its key had at some time.
    ///
    /// # Errors
    /// A value is none of those, or a key that never was is found.
    pub fn check_remains(&self, base: &Base) -> Outcome<()> {
        let had = |place: &(String, Vec<u8>), value: &Vec<u8>| {
            base.history.get(place).is_some_and(|values| values.contains(value))
        };
        let values = self.values.iter().filter_map(|(place, value)| Some((place.clone(), value.clone()?)));
        let scanned = self.scans.iter().flat_map(|(name, entries)| {
            entries.iter().map(|(key, value)| ((name.clone(), key.clone()), value.clone()))
        });
        for (place, value) in values.chain(scanned) {
            if !had(&place, &value) {
                return Err(Failure(format!("a key of {} has a value that it never had", place.0)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(value: &[u8]) -> Content {
        Content::from([("default".to_owned(), BTreeMap::from([(b"k".to_vec(), value.to_vec())]))])
    }

    fn base() -> Base {
        let place = ("default".to_owned(), b"k".to_vec());
        let values = BTreeSet::from([b"1".to_vec(), b"2".to_vec()]);
        Base {
            files: BTreeMap::new(),
            states: vec![content(b"2")],
            history: BTreeMap::from([(place, values)]),
        }
    }

    fn found(value: Option<&[u8]>) -> Findings {
        let place = ("default".to_owned(), b"k".to_vec());
        Findings { values: BTreeMap::from([(place, value.map(<[u8]>::to_vec))]), ..Findings::default() }
    }

    #[test]
    fn a_wrong_an_old_and_an_absent_value_are_found() {
        assert_eq!(found(Some(b"2")).check(&base()), Ok(()));
        assert_eq!(Findings::default().check(&base()), Ok(()), "errors everywhere are no wrong value");
        for wrong in [Some(&b"1"[..]), Some(b"3"), None] {
            assert!(found(wrong).check(&base()).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_scan_that_misses_a_key_is_found() {
        let scans = BTreeMap::from([("default".to_owned(), BTreeMap::new())]);
        assert!(Findings { scans, ..Findings::default() }.check(&base()).is_err());
        let lengths = BTreeMap::from([("default".to_owned(), 2)]);
        assert!(Findings { lengths, ..Findings::default() }.check(&base()).is_err());
        let names = Some(BTreeSet::new());
        assert!(Findings { names, ..Findings::default() }.check(&base()).is_err());
    }

    #[test]
    fn what_remains_may_be_older_but_not_invented() {
        for right in [Some(&b"1"[..]), Some(b"2"), None] {
            assert_eq!(found(right).check_remains(&base()), Ok(()));
        }
        assert!(found(Some(b"3")).check_remains(&base()).is_err());
    }
}
