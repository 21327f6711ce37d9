//! For campaigns that look for faults from outside of the crate: databases on a simulated disk, real ones whose calls to the
//! system are watched or made to fail, and rules that are broken on purpose. No part of the public interface.

use std::path::Path;

pub use crate::disk::{Call, Fault, Hook, SimulatedDisk};
pub use crate::sabotage::{Sabotage, have_keys_collide};

use crate::{OpenDB, Options, Result};

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
