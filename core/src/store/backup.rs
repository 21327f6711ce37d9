//! Backups: the segments of one moment in a directory of their own, which is a database.
//!
//! # How one is made, while others read and write
//! 1. Nobody compacts meanwhile, so nothing is moved and no segment is given up.
//! 2. The directory is made, or found to be empty, and locked.
//! 3. Under the commit lock the last commit is noted, and where every segment ends. Everything up to there is put on the device,
//!    and a manifest with all that is sealed by then.
//! 4. Files of sealed segments get a second name, which costs no room; what is still appended to is copied up to the noted end.
//! 5. The names are put on the device, and then a manifest in which every segment is sealed.
//!
//! Before the last step there is no manifest in the directory, so what an interruption leaves is no database.

use std::path::{Path, PathBuf};

use super::Store;
use crate::disk::{DirectoryLock, Disk, LOCK_FILE_NAME};
use crate::error::{Error, Result};
use crate::log::LogImage;

/// What a backup has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Sequence of the last commit that is in it.
    pub sequence: u64,
    /// Segments whose files are shared with the database.
    pub segments_linked: u64,
    /// Segments that were copied.
    pub segments_copied: u64,
    /// Bytes that were copied.
    pub bytes_copied: u64,
}

impl Store {
    /// Makes a backup in a directory, which is created, or is empty.
    pub(crate) fn backup(&self, target: &Path) -> Result<Backup> {
        // 1. Nothing moves.
        let _compactor = self.compactor()?;
        self.check_goes_on()?;
        // 2. A directory of its own.
        let (disk, directory, _) = self.log.place();
        if target.starts_with(directory) {
            let reason = "is inside of the directory of the database; choose another place";
            return Err(Error::InvalidArgument(format!("{} {reason}", target.display())));
        }
        prepare_empty(&**disk, target)?;
        let _lock = DirectoryLock::acquire(disk, target)?;
        check_empty(&**disk, target)?;
        // 3. One moment.
        let mut image = {
            let _nobody_commits = self.committer.lock();
            self.log.image()
        };
        self.sync_written()?;
        self.log.settle_image(&mut image)?;
        // 4. The files.
        let backup = self.fill_backup(&image, target).inspect_err(|_| {
            for part in &image.parts {
                let _best_effort = disk.remove(&part.path(target));
            }
        })?;
        // 5. What makes a database of them.
        self.log.name_image(&image, target)?;
        Ok(backup)
    }

    fn fill_backup(&self, image: &LogImage, target: &Path) -> Result<Backup> {
        let mut backup = Backup { sequence: image.sequence(), ..Backup::default() };
        for part in &image.parts {
            match self.log.link_or_copy(part, target, &|| self.check_goes_on())? {
                0 => backup.segments_linked += 1,
                bytes => {
                    backup.segments_copied += 1;
                    backup.bytes_copied += bytes;
                }
            }
        }
        Ok(backup)
    }

    /// Refuses once the database is being closed, which waits for whoever has the compactor.
    fn check_goes_on(&self) -> Result<()> {
        if self.wake.is_stopping() { Err(Error::Closed) } else { self.log.check_writable() }
    }
}

/// Sees to it that there is a directory with nothing in it but, at most, a lock file, and that its name is on the device.
pub(crate) fn prepare_empty(disk: &dyn Disk, path: &Path) -> Result<()> {
    let is_missing =
        |path: &Path| disk.list(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    let missing: Vec<PathBuf> =
        path.ancestors().take_while(|path| is_missing(path)).map(Path::to_path_buf).collect();
    if missing.is_empty() {
        check_empty(disk, path)?;
    }
    disk.create_directory(path).map_err(|error| Error::io(format!("creating {}", path.display()), error))?;
    // The directory's own name may be in memory only, even where somebody else has made it.
    let new = if missing.is_empty() { vec![path.to_path_buf()] } else { missing };
    for parent in new.iter().filter_map(|path| path.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        disk.sync_directory(parent)
            .map_err(|error| Error::io(format!("syncing {}", parent.display()), error))?;
    }
    Ok(())
}

/// Refuses a directory with anything in it but a lock file.
fn check_empty(disk: &dyn Disk, path: &Path) -> Result<()> {
    let names = disk.list(path).map_err(|error| Error::io(format!("listing {}", path.display()), error))?;
    if names.iter().all(|name| name == LOCK_FILE_NAME) {
        return Ok(());
    }
    let reason = "is not empty; empty it, or choose another place";
    Err(Error::InvalidArgument(format!("{} {reason}", path.display())))
}
