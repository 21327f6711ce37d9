//! The manifest and the segments as names in the directory.

use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, FileIdentity, OpenMode};
use crate::error::{Error, Result};
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::numbered::{number_of_name, numbered_name};
use crate::sabotage::{Sabotage, is_planted};

/// Name of the manifest.
pub(crate) const MANIFEST_NAME: &str = "MANIFEST";
/// What the name of a file that is being written ends in.
const NEW_SUFFIX: &str = ".new";
const SEGMENT_SUFFIX: &str = ".segment";

/// The file name of a segment.
pub(crate) fn segment_name(serial: u64) -> String {
    numbered_name(serial, SEGMENT_SUFFIX)
}

/// The serial of a segment's file name; `None` for any other name.
pub(crate) fn serial_of_name(name: &str) -> Option<u64> {
    number_of_name(name, SEGMENT_SUFFIX)
}

/// Reads the manifest of a directory; `None` where there is none.
pub(crate) fn read_manifest(disk: &dyn Disk, directory: &Path) -> Result<Option<Manifest>> {
    Ok(open_manifest(disk, directory)?.map(|(manifest, _)| manifest))
}

/// [`read_manifest`] with the file, which is told from any other one for as long as it is open.
pub(crate) fn open_manifest(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<(Manifest, Arc<dyn DiskFile>)>> {
    let path = directory.join(MANIFEST_NAME);
    let context = || format!("reading {}", path.display());
    let file = match disk.open(&path, OpenMode::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(context(), error)),
    };
    let length = file.length().map_err(|error| Error::io(context(), error))?;
    if length > MANIFEST_BYTES_MAX {
        return Err(Error::corruption(0, length, "the manifest is longer than any can be"));
    }
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64).map_err(|error| Error::io(context(), error))? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Manifest::decode(&bytes).map(|manifest| Some((manifest, file)))
}

/// Why a manifest could not be written, and whether the one before is certainly still in place.
pub(super) enum WriteFailure {
    /// Nothing has changed.
    Unchanged(Error),
    /// The new one may be in place, and may be gone again after a power cut.
    Unknown(Error),
}

impl WriteFailure {
    pub(super) fn into_error(self) -> Error {
        match self {
            WriteFailure::Unchanged(error) | WriteFailure::Unknown(error) => error,
        }
    }
}

/// Replaces the manifest by the encoded one.
pub(super) fn write_manifest(
    disk: &dyn Disk,
    directory: &Path,
    manifest: &[u8],
) -> std::result::Result<FileIdentity, WriteFailure> {
    replace_file(disk, directory, MANIFEST_NAME, manifest)
}

/// Puts a file of these bytes into the directory, in place of one that has the name: written aside, synced, renamed,
/// directory synced. Tells what names the new file.
pub(super) fn replace_file(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> std::result::Result<FileIdentity, WriteFailure> {
    let (path, aside) = (directory.join(name), directory.join(format!("{name}{NEW_SUFFIX}")));
    let written = (|| {
        match disk.remove(&aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(&aside, OpenMode::CreateNew)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        file.identity()
    })();
    let identity = written.map_err(|error| {
        let _best_effort = disk.remove(&aside);
        WriteFailure::Unchanged(Error::io(format!("writing {}", aside.display()), error))
    })?;
    let sync =
        || if is_planted(Sabotage::SkipDirectorySync) { Ok(()) } else { disk.sync_directory(directory) };
    let replaced = disk.rename(&aside, &path).and_then(|()| sync());
    replaced.map_err(|error| {
        WriteFailure::Unknown(Error::uncertain(format!("replacing {}", path.display()), error))
    })?;
    Ok(identity)
}

/// Writes the manifest of a new database.
pub(crate) fn create_manifest(disk: &dyn Disk, directory: &Path, manifest: &Manifest) -> Result<()> {
    write_manifest(disk, directory, &manifest.encode()).map(drop).map_err(WriteFailure::into_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(segment_name(26), "000000000000001a.segment");
        assert_eq!(serial_of_name("000000000000001a.segment"), Some(26));
        for name in
            ["1a.segment", "000000000000001A.segment", "000000000000001a.seg", "+00000000000001a.segment"]
        {
            assert_eq!(serial_of_name(name), None, "{name}");
        }
    }
}
