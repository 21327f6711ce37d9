//! Where a database is whose calls fail: on the simulated disk, which forgets what a failed sync was to write
//! and may leave half of a write, or in a real directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use opendb::simulation::{SimulatedDisk, open_hooked, open_simulated};
use opendb::{OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::{Outcome, place};
use tempfile::TempDir;

use super::fault::Switch;

/// Images of a power cut at one moment.
const CUTS: usize = 2;

/// A place for one database and its backups.
pub(super) enum Ground {
    Simulated { disk: SimulatedDisk, path: PathBuf },
    Directory { _kept: TempDir, path: PathBuf },
}

/// What the simulated disk would have afterwards.
pub(super) struct SimulatedImages {
    /// After the death of the process.
    pub(super) death: SimulatedDisk,
    /// After power cuts.
    pub(super) cuts: Vec<SimulatedDisk>,
}

impl Ground {
    pub(super) fn draw(random: &mut Random) -> Outcome<Ground> {
        if random.one_in(3) {
            let directory = place::in_memory()?;
            let path = directory.path().join("database");
            return Ok(Ground::Directory { _kept: directory, path });
        }
        let disk = SimulatedDisk::new();
        disk.set_maps(!random.one_in(8));
        disk.set_tears_writes(random.one_in(2));
        Ok(Ground::Simulated { disk, path: PathBuf::from("/database") })
    }

    /// What it is counted under.
    pub(super) fn counted(&self) -> &'static str {
        match self {
            Ground::Simulated { .. } => "of them on the simulated disk",
            Ground::Directory { .. } => "of them in a real directory",
        }
    }

    /// Where the database is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Ground::Simulated { path, .. } | Ground::Directory { path, .. } => path,
        }
    }

    /// Another place beside it.
    pub(super) fn aside(&self, number: u64) -> PathBuf {
        self.path().with_file_name(format!("backup {number}"))
    }

    /// Opens what is at a path, with every call told to the switch.
    pub(super) fn open(
        &self,
        path: &Path,
        options: &Options,
        switch: &Arc<Switch>,
    ) -> opendb::Result<OpenDB> {
        let switch = Arc::clone(switch);
        match self {
            Ground::Simulated { disk, .. } => {
                disk.set_hook(Some(Arc::new(move |call| switch.tell(call))));
                open_simulated(disk, path, options)
            }
            Ground::Directory { .. } => open_hooked(path, options, Arc::new(move |call| switch.tell(call))),
        }
    }

    /// What would be left now, where that can be told.
    pub(super) fn images(&self, random: &mut Random) -> Option<SimulatedImages> {
        let Ground::Simulated { disk, .. } = self else { return None };
        let cuts = (0..CUTS).map(|_| disk.crash(&mut || random.bits())).collect();
        Some(SimulatedImages { death: disk.process_death(), cuts })
    }
}
