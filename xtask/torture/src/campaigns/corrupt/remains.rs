//! What salvage has to bring out of a damaged directory.
//!
//! - A value in the new database is one that its key had; where the name of a keyspace is lost, one that such a key had in any.
//! - **Damage to one segment costs no other segment's records.** What all the others hold is found out with salvage itself, from
//!   the same directory without the files that were touched: the entries which then have their last values stand somewhere else,
//!   whole. Every one of them has to be there, with that value, when the files are there and damaged. An entry whose record or
//!   whose large value stands in a touched file may be missing or be older.
//! - Where nothing is told to be lost, the content is a state that was: the last one of a closed life.
//! - It succeeds unless the manifest was touched as well, the new database is whole, and the old directory is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use opendb::OpenDB;
use opendb_tests::bytes::sum;
use opendb_tests::damage::{Content, check_unchanged, damage_or, read_content, write_files};
use opendb_tests::{Failure, Outcome, place};

use super::lives::Life;
use super::{Damage, is_truth};

/// Keys with the sums of their values, whatever their keyspaces: no value is written twice.
type Entries = BTreeSet<(Vec<u8>, u64)>;

/// A life, and files that are not there.
type Without = (String, BTreeSet<PathBuf>);

/// What was found out so far: the entries that have their last values, by what is not there.
#[derive(Debug, Default)]
pub(super) struct Remains(Mutex<BTreeMap<Without, Arc<Entries>>>);

impl Remains {
    /// Salvages a damaged directory with these files. Whether anything could be done.
    pub(super) fn try_salvage(
        &self,
        life: &Life,
        damage: &Damage,
        directory: &Path,
        files: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> Outcome<bool> {
        let salvaged = salvage(directory)?;
        check_unchanged(directory, files)?;
        let touched: BTreeSet<PathBuf> =
            damage.changed.iter().filter(|name| is_truth(name)).cloned().collect();
        let Some((content, lost)) = salvaged else {
            return match touched.contains(Path::new("MANIFEST")) {
                true => Ok(false),
                false => Err("salvage was refused, though the manifest is whole".into()),
            };
        };
        check_values(life, &content)?;
        if lost.is_empty() && !life.had_content(&content) {
            return Err("salvage tells of no loss, and what it gives never was".into());
        }
        let there = entries(&content);
        let missing = self.of_others(life, &touched)?.difference(&there).count();
        if missing > 0 {
            return Err(Failure(format!(
                "salvage lacks {missing} entries that stand in none of the files that were touched, {touched:?}; it \
                 tells of {lost:?}"
            )));
        }
        Ok(true)
    }

    /// The entries with their last values that need none of the files.
    fn of_others(&self, life: &Life, touched: &BTreeSet<PathBuf>) -> Outcome<Arc<Entries>> {
        let last = life.base.states.last().ok_or("a life without a state")?;
        let key = (life.name.clone(), touched.clone());
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let directory = place::in_memory()?;
        let mut files = life.base.files.clone();
        files.retain(|name, _| !touched.contains(name));
        write_files(directory.path(), &files)?;
        let content = salvage(directory.path())?.map(|(content, _)| content).unwrap_or_default();
        let known: Entries = entries(&content).intersection(&entries(last)).cloned().collect();
        let known = Arc::new(known);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&known));
        Ok(known)
    }
}

/// Salvages into a new place: what is there then, and what is told to be lost. `None` where it was refused for the damage.
fn salvage(directory: &Path) -> Outcome<Option<(Content, Vec<String>)>> {
    let place = place::in_memory()?;
    let into = place.path().join("salvaged");
    let Some(salvage) = damage_or(OpenDB::salvage(directory, &into))? else { return Ok(None) };
    let database = OpenDB::open(&into)?;
    let content = read_content(&database)?;
    let keys: usize = content.values().map(BTreeMap::len).sum();
    if keys as u64 != salvage.keys || content.len() as u64 != salvage.keyspaces {
        return Err(Failure(format!(
            "salvage tells of {} keys in {} keyspaces, there are {keys} in {}",
            salvage.keys,
            salvage.keyspaces,
            content.len()
        )));
    }
    if let Some(violation) = database.verify()?.violations.first() {
        return Err(Failure(format!("the salvaged database is not whole: {violation:?}")));
    }
    database.close()?;
    Ok(Some((content, salvage.lost)))
}

fn entries(content: &Content) -> Entries {
    content.values().flatten().map(|(key, value)| (key.clone(), sum(value))).collect()
}

/// Every value is one that its key had.
fn check_values(life: &Life, content: &Content) -> Outcome<()> {
    let history = &life.base.history;
    for (name, key, value) in
        content.iter().flat_map(|(name, space)| space.iter().map(move |(key, value)| (name, key, value)))
    {
        let had = match name.starts_with("lost name") {
            true => history.iter().any(|(place, values)| place.1 == *key && values.contains(value)),
            false => history.get(&(name.clone(), key.clone())).is_some_and(|values| values.contains(value)),
        };
        if !had {
            return Err(Failure(format!("salvage gives a key of {name} a value that it never had")));
        }
    }
    Ok(())
}
