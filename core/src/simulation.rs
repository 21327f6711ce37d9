//! For campaigns that look for faults from outside of the crate: databases on a simulated disk, real ones whose calls to the
//! system are watched or made to fail, and rules that are broken on purpose. No part of the public interface.

use std::path::{Path, PathBuf};

pub use crate::disk::{Call, Fault, Hook, SimulatedDisk};
pub use crate::sabotage::{Sabotage, have_keys_collide};

use crate::checkpoint::{CheckpointHeader, Contents};
use crate::checksum::Salt;
use crate::disk::{Disk, OpenMode};
use crate::hint::{HINT_HEADER_BYTES, HintHeader, decode_hint};
use crate::manifest::{Manifest, SegmentHeader};
use crate::mark::Mark;
use crate::moves::{Moves, Owner};
use crate::record::{Frame, LargePointer, Record};
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
        file.write_all_at(bytes, 0).and_then(|()| file.sync()).map_err(context)?;
    }
    disk.sync_directory(directory).map_err(context)?;
    Ok(disk)
}

/// Reads bytes, whatever they are.
pub type Decoder = fn(&[u8]);

/// What makes something of bytes that stand in files, by name: whatever they are, each comes to an end without a panic and takes
/// no more memory than a multiple of their length.
pub const DECODERS: [(&str, Decoder); 9] = [
    ("frame", decode_frame),
    ("record", decode_record),
    ("manifest", |bytes| drop(Manifest::decode(bytes))),
    ("segment header", |bytes| {
        let _header = SegmentHeader::decode(bytes);
    }),
    ("mark", |bytes| drop(Mark::newest(bytes, OWNER.identity))),
    ("checkpoint", decode_checkpoint),
    ("hint", decode_hints),
    ("moves", |bytes| drop(Moves::decode_all(bytes, OWNER))),
    ("compressed value", |bytes| drop(crate::compression::unpack(bytes))),
];

const OWNER: Owner = Owner { identity: [0; 16], checkpoint: 0 };

fn decode_frame(bytes: &[u8]) {
    let salt = Salt::new(OWNER.identity, 0);
    if let Some(frame) = Frame::parse(bytes, 0, salt).or_else(|| Frame::parse_known(bytes)) {
        for (_, record) in frame.records() {
            let _is_intact = record.is_intact(salt.at(0));
        }
    }
}

fn decode_record(bytes: &[u8]) {
    if let Some(record) = Record::parse(bytes) {
        let _pointer = LargePointer::parse(record.value);
        let _value = crate::compression::unpack(record.value);
    }
}

fn decode_checkpoint(bytes: &[u8]) {
    let _header = CheckpointHeader::decode(bytes, OWNER.identity);
    let _contents = Contents::decode(bytes);
    if let Some((count, packed)) = bytes.split_first() {
        let _words = crate::packed::unpack(packed, usize::from(*count));
    }
}

fn decode_hints(bytes: &[u8]) {
    if let (Some(header), Some(rest)) =
        (HintHeader::decode(bytes, OWNER.identity), bytes.get(HINT_HEADER_BYTES..))
    {
        let _entries = decode_hint(&header, rest);
    }
}
