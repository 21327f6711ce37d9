//! How a database is opened, and what a commit waits for.

use std::mem::MaybeUninit;
use std::time::Duration;

use engine::{AppendMode, Error, Options, Result};
use parking_lot::Mutex;

use crate::error::{Failure, Status};
use crate::guard::{done, guard_or};
use crate::handle::{self, Handle, Table};

/// What a commit waits for before it returns: one of `OPENDB_DURABILITY_...`.
pub type Durability = i32;

/// The write survives the death of the process at any instant. The device is synced in the background at least
/// once a second, so a power cut loses at most the last second.
pub const OPENDB_DURABILITY_BUFFERED: Durability = 0;
/// The write is on the device before the call returns. Concurrent committers share one sync.
pub const OPENDB_DURABILITY_SYNC: Durability = 1;

/// How the log is appended to: one of `OPENDB_APPEND_MODE_...`.
pub type Append = i32;

/// Mapped where the filesystem keeps the room it promised (ext4, XFS, tmpfs), otherwise written.
pub const OPENDB_APPEND_MODE_AUTO: Append = 0;
/// Stores into a shared mapping of the active segment.
pub const OPENDB_APPEND_MODE_MAPPED: Append = 1;
/// One positioned write to the file for each commit.
pub const OPENDB_APPEND_MODE_WRITE: Append = 2;

/// How values are stored: one of `OPENDB_COMPRESSION_...`.
pub type Compression = i32;

/// As they are.
pub const OPENDB_COMPRESSION_NONE: Compression = 0;
/// As a block of LZ4 where that is smaller. Values over 1 MiB are stored as they are.
pub const OPENDB_COMPRESSION_LZ4: Compression = 1;

/// The longest key, in bytes.
pub const OPENDB_KEY_BYTES_MAX: usize = 65535;
/// The longest value, in bytes.
pub const OPENDB_VALUE_BYTES_MAX: usize = 4294967295;
/// The longest name of a keyspace, in bytes of UTF-8. The shortest has one.
pub const OPENDB_KEYSPACE_NAME_BYTES_MAX: usize = 255;
/// The most keyspaces of one database, `"default"` included.
pub const OPENDB_KEYSPACES_MAX: usize = 4095;
/// The smallest size of a segment that can be asked for, in bytes.
pub const OPENDB_SEGMENT_BYTES_MIN: u64 = 65536;
/// The largest size of a segment that can be asked for, in bytes.
pub const OPENDB_SEGMENT_BYTES_MAX: u64 = 268435456;

/// The durability behind a number.
pub(crate) fn durability(number: Durability) -> Result<engine::Durability> {
    match number {
        OPENDB_DURABILITY_BUFFERED => Ok(engine::Durability::Buffered),
        OPENDB_DURABILITY_SYNC => Ok(engine::Durability::Sync),
        _ => Err(Error::InvalidArgument(format!(
            "durability is {number}: use OPENDB_DURABILITY_BUFFERED or OPENDB_DURABILITY_SYNC"
        ))),
    }
}

/// The number of an append mode.
pub(crate) fn append_number(mode: AppendMode) -> Append {
    match mode {
        AppendMode::Auto => OPENDB_APPEND_MODE_AUTO,
        AppendMode::Mapped => OPENDB_APPEND_MODE_MAPPED,
        AppendMode::Write => OPENDB_APPEND_MODE_WRITE,
    }
}

/// The compression behind a number.
pub(crate) fn compression(number: Compression) -> Result<engine::Compression> {
    match number {
        OPENDB_COMPRESSION_NONE => Ok(engine::Compression::None),
        OPENDB_COMPRESSION_LZ4 => Ok(engine::Compression::Lz4),
        _ => Err(Error::InvalidArgument(format!(
            "compression is {number}: use OPENDB_COMPRESSION_NONE or OPENDB_COMPRESSION_LZ4"
        ))),
    }
}

/// The number of a compression.
pub(crate) fn compression_number(compression: engine::Compression) -> Compression {
    match compression {
        engine::Compression::None => OPENDB_COMPRESSION_NONE,
        engine::Compression::Lz4 => OPENDB_COMPRESSION_LZ4,
    }
}

fn append_mode(number: Append) -> Result<AppendMode> {
    match number {
        OPENDB_APPEND_MODE_AUTO => Ok(AppendMode::Auto),
        OPENDB_APPEND_MODE_MAPPED => Ok(AppendMode::Mapped),
        OPENDB_APPEND_MODE_WRITE => Ok(AppendMode::Write),
        _ => Err(Error::InvalidArgument(format!(
            "append_mode is {number}: use OPENDB_APPEND_MODE_AUTO, OPENDB_APPEND_MODE_MAPPED or \
             OPENDB_APPEND_MODE_WRITE"
        ))),
    }
}

/// How a database is opened. Every setting has a default that is right for most uses. One set of options can open
/// many databases. Free it with `opendb_options_free`.
pub struct OpenOptions {
    options: Mutex<Options>,
}

static OPTIONS: Table<OpenOptions> = Table::new();

impl Handle for OpenOptions {
    const NAME: &'static str = "options";
    const TYPE: usize = 4;
    fn table() -> &'static Table<OpenOptions> {
        &OPTIONS
    }
}

impl OpenOptions {
    /// The settings behind a handle; the defaults for NULL.
    pub(crate) fn settings(options: *const OpenOptions) -> Result<Options> {
        if options.is_null() {
            return Ok(Options::new());
        }
        Ok(handle::borrow(options)?.options.lock().clone())
    }
}

/// One setter: the old settings in, the new settings out.
fn set(
    options: *mut OpenOptions,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    change: impl FnOnce(Options) -> Result<Options>,
) -> Status {
    done(error_out, || {
        let options = handle::borrow(options)?;
        let mut settings = options.options.lock();
        *settings = change(settings.clone())?;
        Ok(())
    })
}

/// Options with every setting at its default. NULL only where a million options are live already.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_new() -> *mut OpenOptions {
    guard_or(std::ptr::null_mut(), || handle::give(OpenOptions { options: Mutex::new(Options::new()) }))
}

/// Whether a missing directory or database is created (default: true). Without it, opening what is not there is an
/// error and nothing is made.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_create(
    options: *mut OpenOptions,
    create: bool,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.create(create)))
}

/// What commits wait for unless they say otherwise (default: `OPENDB_DURABILITY_BUFFERED`). Another number is
/// `OPENDB_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_durability(
    options: *mut OpenOptions,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.durability(self::durability(durability)?)))
}

/// How the log is appended to (default: `OPENDB_APPEND_MODE_AUTO`). Another number is
/// `OPENDB_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_append_mode(
    options: *mut OpenOptions,
    append_mode: Append,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.append(self::append_mode(append_mode)?)))
}

/// Whether segments are read through memory maps (default: true). Without, and with `OPENDB_APPEND_MODE_WRITE`, no
/// file of the database is mapped at all.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_mapped_reads(
    options: *mut OpenOptions,
    mapped_reads: bool,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.mapped_reads(mapped_reads)))
}

/// The bound of the cache, in bytes (default: 64 MiB); 0 turns it off.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_cache_bytes(
    options: *mut OpenOptions,
    cache_bytes: u64,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.cache_bytes(cache_bytes)))
}

/// The size of new segments, in bytes, from `OPENDB_SEGMENT_BYTES_MIN` to `OPENDB_SEGMENT_BYTES_MAX` (default: 64
/// MiB, growing to 256 MiB as the database grows). Rounded up to a whole number of 4 KiB pages. A size outside the
/// limits is taken here and refused by `opendb_open`.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_segment_bytes(
    options: *mut OpenOptions,
    segment_bytes: u64,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.segment_bytes(segment_bytes)))
}

/// Whether a damaged database is opened for reading what is still readable (default: false, damage is
/// `OPENDB_ERROR_CORRUPTION`). Every write is then refused with `OPENDB_ERROR_READ_ONLY`, nothing in the directory
/// is changed, and `opendb_recovery_damage` tells what is missing: a key whose newest record is lost shows an
/// older value or none.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_read_damaged(
    options: *mut OpenOptions,
    read_damaged: bool,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.read_damaged(read_damaged)))
}

/// Whether a database is opened for reading only (default: false): without a lock and without any change of the directory, beside
/// a process that writes, beside any number of others that read, or from what cannot be written to. What the other process
/// commits is seen within milliseconds (see `opendb_refresh`), and every write is refused with `OPENDB_ERROR_READ_ONLY`.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_read_only(
    options: *mut OpenOptions,
    read_only: bool,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.read_only(read_only)))
}

/// How long an opening waits for another process that has the directory open for writing, in milliseconds (default: 0),
/// before that is `OPENDB_ERROR_LOCKED`. Nobody waits who opens for reading only.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_set_lock_timeout(
    options: *mut OpenOptions,
    milliseconds: u64,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    set(options, error_out, |settings| Ok(settings.lock_timeout(Duration::from_millis(milliseconds))))
}

/// Frees options. Databases opened with them are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_options_free(options: *mut OpenOptions) {
    handle::free(options);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OPENDB_OK;

    #[test]
    fn every_setter_reaches_the_engine() {
        let options = opendb_options_new();
        assert_eq!(opendb_options_set_create(options, false, None), OPENDB_OK);
        assert_eq!(opendb_options_set_durability(options, OPENDB_DURABILITY_SYNC, None), OPENDB_OK);
        assert_eq!(opendb_options_set_append_mode(options, OPENDB_APPEND_MODE_WRITE, None), OPENDB_OK);
        assert_eq!(opendb_options_set_mapped_reads(options, false, None), OPENDB_OK);
        assert_eq!(opendb_options_set_cache_bytes(options, 5, None), OPENDB_OK);
        assert_eq!(opendb_options_set_segment_bytes(options, 1 << 20, None), OPENDB_OK);
        assert_eq!(opendb_options_set_read_damaged(options, true, None), OPENDB_OK);
        assert_eq!(opendb_options_set_read_only(options, true, None), OPENDB_OK);
        assert_eq!(opendb_options_set_lock_timeout(options, 20, None), OPENDB_OK);
        let expected = Options::new()
            .create(false)
            .durability(engine::Durability::Sync)
            .append(AppendMode::Write)
            .mapped_reads(false)
            .cache_bytes(5)
            .segment_bytes(1 << 20)
            .read_damaged(true)
            .read_only(true)
            .lock_timeout(Duration::from_millis(20));
        assert_eq!(OpenOptions::settings(options).unwrap(), expected);
        opendb_options_free(options);
        assert!(OpenOptions::settings(options).is_err());
        assert_eq!(OpenOptions::settings(std::ptr::null()).unwrap(), Options::new());
    }

    #[test]
    fn every_number_of_an_enumeration_is_mapped_and_no_other() {
        for number in [OPENDB_APPEND_MODE_AUTO, OPENDB_APPEND_MODE_MAPPED, OPENDB_APPEND_MODE_WRITE] {
            assert_eq!(append_number(append_mode(number).unwrap()), number);
        }
        for number in [OPENDB_COMPRESSION_NONE, OPENDB_COMPRESSION_LZ4] {
            assert_eq!(compression_number(compression(number).unwrap()), number);
        }
        assert!(compression(2).is_err() && compression(-1).is_err());
        assert!(append_mode(3).is_err() && append_mode(-1).is_err());
        assert_eq!(durability(OPENDB_DURABILITY_BUFFERED).unwrap(), engine::Durability::Buffered);
        assert_eq!(durability(OPENDB_DURABILITY_SYNC).unwrap(), engine::Durability::Sync);
        assert!(durability(2).is_err() && durability(-1).is_err());
    }

    #[test]
    fn the_limits_are_those_of_the_engine() {
        assert_eq!(OPENDB_KEY_BYTES_MAX, engine::KEY_BYTES_MAX);
        assert_eq!(OPENDB_VALUE_BYTES_MAX, engine::VALUE_BYTES_MAX);
        assert_eq!(OPENDB_KEYSPACE_NAME_BYTES_MAX, engine::KEYSPACE_NAME_BYTES_MAX);
        assert_eq!(OPENDB_KEYSPACES_MAX, engine::KEYSPACES_MAX);
        assert_eq!(OPENDB_SEGMENT_BYTES_MIN, engine::SEGMENT_BYTES_MIN);
        assert_eq!(OPENDB_SEGMENT_BYTES_MAX, engine::SEGMENT_BYTES_MAX);
    }
}
