//! Names and numbers of the keyspaces, and how many keys each has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::checkpoint::KeyspaceState;
use crate::error::{Error, Result};
use crate::options::{Compression, KEYSPACES_MAX, KeyspaceOptions};
use crate::settings::{encode_settings, parse_settings};

/// The keyspace that is always there, under the number 0.
pub(crate) const DEFAULT_KEYSPACE: &str = "default";

/// One keyspace: a key space of its own in the same log and index.
#[derive(Debug)]
pub(crate) struct KeyspaceEntry {
    pub(crate) number: u16,
    pub(crate) name: String,
    keys: AtomicU64,
    /// Whether values are compressed that are written from now on.
    compresses: AtomicBool,
}

impl KeyspaceEntry {
    fn new(number: u16, name: &str) -> KeyspaceEntry {
        let (keys, compresses) = (AtomicU64::new(0), AtomicBool::new(false));
        KeyspaceEntry { number, name: name.to_owned(), keys, compresses }
    }

    /// How values are stored that are written from now on.
    pub(crate) fn compression(&self) -> Compression {
        if self.compresses.load(Ordering::Relaxed) { Compression::Lz4 } else { Compression::None }
    }

    /// The settings that were given last.
    pub(crate) fn settings(&self) -> KeyspaceOptions {
        KeyspaceOptions { compression: self.compression() }
    }

    /// Takes in new settings. Called under the commit lock, or while the log is replayed.
    pub(crate) fn set(&self, settings: KeyspaceOptions) {
        self.compresses.store(settings.compression == Compression::Lz4, Ordering::Relaxed);
    }

    /// Keys that are there now.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Counts a key that came. Called under the commit lock.
    pub(crate) fn key_added(&self) {
        self.keys.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a key that went. Called under the commit lock.
    pub(crate) fn key_removed(&self) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of a keyspace, and how values are stored that are written to it.
pub(crate) type NumberAndCompression = (u16, Compression);

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<String, Arc<KeyspaceEntry>>,
    /// By number, without gaps.
    by_number: Vec<Arc<KeyspaceEntry>>,
}

impl Known {
    fn insert(&mut self, name: &str) -> Arc<KeyspaceEntry> {
        let number = self.by_number.len() as u16;
        let entry = Arc::new(KeyspaceEntry::new(number, name));
        self.by_number.push(Arc::clone(&entry));
        self.by_name.insert(name.to_owned(), Arc::clone(&entry));
        entry
    }
}

/// All keyspaces of a database. They are added and never removed.
#[derive(Debug)]
pub(crate) struct Keyspaces {
    known: RwLock<Known>,
    /// The one that is written to most, found without a lock.
    default: Arc<KeyspaceEntry>,
}

impl Keyspaces {
    /// Only `"default"`.
    pub(crate) fn new() -> Keyspaces {
        let mut known = Known::default();
        let default = known.insert(DEFAULT_KEYSPACE);
        Keyspaces { known: RwLock::new(known), default }
    }

    /// The keyspace of this name.
    pub(crate) fn by_name(&self, name: &str) -> Result<Arc<KeyspaceEntry>> {
        self.known.read().by_name.get(name).cloned().ok_or_else(|| Error::KeyspaceNotFound(name.to_owned()))
    }

    /// The number of the keyspace of this name, without touching its reference count.
    pub(crate) fn number(&self, name: &str) -> Result<u16> {
        if name == DEFAULT_KEYSPACE {
            return Ok(0);
        }
        let known = self.known.read();
        known
            .by_name
            .get(name)
            .map(|entry| entry.number)
            .ok_or_else(|| Error::KeyspaceNotFound(name.to_owned()))
    }

    /// The number of the keyspace of this name, and how values are stored that are written to it.
    pub(crate) fn to_write(&self, name: &str) -> Result<NumberAndCompression> {
        if name == DEFAULT_KEYSPACE {
            return Ok((0, self.default.compression()));
        }
        let known = self.known.read();
        let entry = known.by_name.get(name).ok_or_else(|| Error::KeyspaceNotFound(name.to_owned()))?;
        Ok((entry.number, entry.compression()))
    }

    /// How values are stored that are written to the keyspace of this number.
    pub(crate) fn compression(&self, number: u16) -> Compression {
        match number {
            0 => self.default.compression(),
            _ => self.with(number, KeyspaceEntry::compression).unwrap_or_default(),
        }
    }

    /// Runs `work` with the keyspace of this number.
    pub(crate) fn with<T>(&self, number: u16, work: impl FnOnce(&KeyspaceEntry) -> T) -> Option<T> {
        self.known.read().by_number.get(usize::from(number)).map(|entry| work(entry))
    }

    /// Counts so many keys more. Numbers that are not known are passed over.
    pub(crate) fn add_keys(&self, number: u16, keys: u64) {
        self.with(number, |entry| entry.keys.fetch_add(keys, Ordering::Relaxed));
    }

    /// The number that the next new keyspace gets.
    pub(crate) fn next_number(&self) -> Result<u16> {
        let count = self.known.read().by_number.len();
        if count >= KEYSPACES_MAX {
            return Err(Error::InvalidArgument(format!(
                "the database has {count} keyspaces, no more are allowed"
            )));
        }
        Ok(count as u16)
    }

    /// Takes in a keyspace that the log has under this number. `false` where that contradicts what is known.
    pub(crate) fn add(&self, number: u16, name: &str) -> bool {
        let mut known = self.known.write();
        if let Some(entry) = known.by_name.get(name) {
            return entry.number == number;
        }
        if known.by_number.len() != usize::from(number) || known.by_number.len() >= KEYSPACES_MAX {
            return false;
        }
        known.insert(name);
        true
    }

    /// [`Keyspaces::add`] where others below the number may come later, or never in a damaged log: what is missing gets
    /// entries without a name.
    pub(crate) fn add_with_gaps(&self, number: u16, name: &str) -> bool {
        self.make_room(number.saturating_sub(1));
        let mut known = self.known.write();
        if let Some(gap) = known.by_number.get_mut(usize::from(number)).filter(|entry| entry.name.is_empty())
        {
            let named = KeyspaceEntry::new(number, name);
            named.keys.store(gap.keys(), Ordering::Relaxed);
            *gap = Arc::new(named);
            let entry = Arc::clone(gap);
            return known.by_name.insert(name.to_owned(), entry).is_none();
        }
        drop(known);
        self.add(number, name)
    }

    /// Sees to it that there is an entry for this number, with the name still to come. `false` where no number is as high.
    pub(crate) fn make_room(&self, number: u16) -> bool {
        let mut known = self.known.write();
        while known.by_number.len() <= usize::from(number) && known.by_number.len() < KEYSPACES_MAX {
            let number = known.by_number.len() as u16;
            known.by_number.push(Arc::new(KeyspaceEntry::new(number, "")));
        }
        usize::from(number) < known.by_number.len()
    }

    /// The lowest number whose name has never come.
    pub(crate) fn nameless(&self) -> Option<u16> {
        self.known.read().by_number.iter().find(|entry| entry.name.is_empty()).map(|entry| entry.number)
    }

    /// All keyspaces in the order of their numbers, for a checkpoint.
    pub(crate) fn states(&self) -> Vec<KeyspaceState> {
        let known = self.known.read();
        let state = |entry: &Arc<KeyspaceEntry>| KeyspaceState {
            name: entry.name.clone(),
            settings: encode_settings(entry.settings()).to_vec(),
            keys: entry.keys(),
        };
        known.by_number.iter().map(state).collect()
    }

    /// Takes in what a checkpoint knows. `false` where that contradicts itself.
    pub(crate) fn restore(&self, states: &[KeyspaceState]) -> bool {
        let mut known = self.known.write();
        for (number, state) in states.iter().enumerate() {
            let entry = match number {
                0 => Arc::clone(&self.default),
                _ if known.by_name.contains_key(&state.name) || state.name.is_empty() => return false,
                _ => known.insert(&state.name),
            };
            let Some(settings) = parse_settings(&state.settings) else { return false };
            entry.keys.store(state.keys, Ordering::Relaxed);
            entry.set(settings);
        }
        states.first().is_some_and(|first| first.name == DEFAULT_KEYSPACE)
    }

    /// Names in byte order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.known.read().by_name.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Keys of all keyspaces together.
    pub(crate) fn keys(&self) -> u64 {
        self.known.read().by_number.iter().map(|entry| entry.keys()).sum()
    }

    pub(crate) fn len(&self) -> u64 {
        self.known.read().by_number.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_each_other_and_contradictions_are_refused() {
        let keyspaces = Keyspaces::new();
        assert_eq!(keyspaces.number("default").unwrap(), 0);
        assert!(matches!(keyspaces.number("logs"), Err(Error::KeyspaceNotFound(_))));
        assert!(keyspaces.add(1, "logs") && keyspaces.add(1, "logs"));
        assert!(!keyspaces.add(2, "logs") && !keyspaces.add(3, "other") && !keyspaces.add(1, "other"));
        assert_eq!(keyspaces.names(), ["default", "logs"]);
    }

    #[test]
    fn a_lost_name_leaves_a_gap_and_the_others_keep_their_numbers() {
        let keyspaces = Keyspaces::new();
        assert!(keyspaces.add_with_gaps(3, "third") && keyspaces.add_with_gaps(4, "fourth"));
        assert_eq!((keyspaces.number("third").unwrap(), keyspaces.number("fourth").unwrap()), (3, 4));
        assert_eq!(keyspaces.names(), ["default", "fourth", "third"]);
    }

    #[test]
    fn the_limit_holds_and_not_one_past_it() {
        let keyspaces = Keyspaces::new();
        for number in 1..KEYSPACES_MAX {
            assert_eq!(usize::from(keyspaces.next_number().unwrap()), number);
            assert!(keyspaces.add(number as u16, &number.to_string()));
        }
        assert!(matches!(keyspaces.next_number(), Err(Error::InvalidArgument(_))));
        assert!(!keyspaces.add(KEYSPACES_MAX as u16, "one more"));
    }
}
