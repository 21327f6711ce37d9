//! For campaigns that look for faults from outside of the crate: databases on a simulated disk, real ones whose calls to the
//! system are watched or made to fail, and rules that are broken on purpose. No part of the public interface.

mod decoders;
mod pieces;

use std::path::{Path, PathBuf};

pub use crate::disk::{Call, Fault, Hook, SimulatedDisk};
pub use crate::sabotage::{Sabotage, have_keys_collide};
pub use decoders::{DECODERS, Decoder};
pub use pieces::{Piece, pieces};

use crate::disk::{Disk, OpenMode};
use crate::{Error, OpenDB, Options, Result};

/// Opens a database on a simulated disk.
///
/// # Errors
/// As [`OpenDB::open_with_options`].
pub fn open_simulated(disk: &SimulatedDisk, path: impl AsRef<Path>, options: &Options) -> Result<OpenDB> {
    OpenDB::open_on(disk, path.as_ref(), options)
}

/// Opens a database of which every call to the system but loads and stores through maps is told to `hook` before it is made,
/// and fails with the error that it gives, if any. The engine is not shared with other handles on the directory.
///
/// # Errors
/// As [`OpenDB::open_with_options`].
pub fn open_hooked(path: impl AsRef<Path>, options: &Options, hook: Hook) -> Result<OpenDB> {
    OpenDB::open_hooked(path.as_ref(), options, hook)
}

/// What a file is written by.
const PAGE_BYTES: usize = 4096;

/// A simulated disk with these files in one directory.
///
/// # Errors
/// [`Error::Io`] where a path cannot be one.
pub fn disk_with_files(directory: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<SimulatedDisk> {
    let disk = SimulatedDisk::new();
    let context = |error| Error::io(format!("writing {}", directory.display()), error);
    disk.create_directory(directory).map_err(context)?;
    for (name, bytes) in files {
        let file = disk.open(&directory.join(name), OpenMode::CreateNew).map_err(context)?;
        file.set_length(bytes.len() as u64).map_err(context)?;
        // Byte by byte as the simulated disk writes, zeros that are there already would take most of the time.
        for (at, page) in (0..).step_by(PAGE_BYTES).zip(bytes.chunks(PAGE_BYTES)) {
            if page.iter().any(|byte| *byte != 0) {
                file.write_all_at(page, at).map_err(context)?;
            }
        }
        file.sync().map_err(context)?;
    }
    disk.sync_directory(directory).map_err(context)?;
    Ok(disk)
}
