//! A file to which bytes are appended and synced, as the floor of durable writes: whoever waits for this device waits at
//! least that long.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use opendb_measure::workload::Seen;

use super::{Setup, Store, Work};

/// Written ahead with zeros, so that a sync has no new size to write: what a log that is made ahead costs.
const FILE_BYTES: usize = 64 << 20;

struct RawFile {
    file: File,
    end: Mutex<u64>,
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let path = setup.directory.join("raw");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    file.write_all_at(&vec![0; FILE_BYTES], 0).and_then(|()| file.sync_all()).context("writing zeros")?;
    work(&mut RawFile { file, end: Mutex::new(0) })
}

impl Store for RawFile {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&[key, value].concat(), *end).context("writing")?;
        *end += (key.len() + value.len()) as u64;
        drop(end);
        self.file.sync_data().context("syncing")
    }

    fn get(&self, _key: &[u8]) -> Result<Option<Seen>> {
        super::lacking()
    }
}
