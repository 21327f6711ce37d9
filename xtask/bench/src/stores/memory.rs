//! Maps of the standard library in memory, as the floor: no log, no disk, nothing survives.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use anyhow::{Context as _, Result};
use opendb_measure::workload::Seen;

use super::{Change, Entry, Lookup, OwnEntry, Store, Visit, show_collected};

/// A sorted map under a lock.
#[derive(Default)]
pub(super) struct Sorted(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

/// A hash map under a lock.
#[derive(Default)]
pub(super) struct Hashed(RwLock<HashMap<Vec<u8>, Vec<u8>>>);

/// What both maps do alike.
macro_rules! point_calls {
    () => {
        fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_vec(), value.to_vec());
            Ok(())
        }

        fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
            let value = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
            Ok(black_box(value).map(|value| Seen::of(&value)))
        }

        fn delete(&self, key: &[u8]) -> Result<()> {
            self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
            Ok(())
        }

        fn exists(&self, key: &[u8]) -> Result<bool> {
            Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(key))
        }

        fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
            let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
            work(&|key| Ok(map.get(key).map(|value| Seen::of(value))))
        }

        fn batch(&self, entries: &[Entry]) -> Result<()> {
            let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
            map.extend(entries.iter().map(|Entry { key, value }| (key.to_vec(), value.clone())));
            Ok(())
        }

        fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
            let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let value = map.get_mut(key).context("a key is not there")?;
            *value = change(value)?;
            Ok(0)
        }
    };
}

impl Store for Sorted {
    point_calls!();

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let lent = map.range::<[u8], _>((Bound::Included(start), Bound::Unbounded)).take(limit);
        if collected {
            let own = lent.map(|(key, value)| Ok::<OwnEntry, _>((key.clone(), value.clone())));
            return show_collected(own, visit);
        }
        lent.for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}

impl Store for Hashed {
    point_calls!();
}
