//! What the operating system says about this process and about the files of a database.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The unit of `st_blocks`, whatever the filesystem's own is.
const BLOCK_BYTES: u64 = 512;

/// Memory of this process that no file stands behind, in bytes: the fields `Anonymous` and `Swap` of
/// `/proc/self/smaps_rollup`. `Anonymous` has the heap, the stacks, and those pages of private file maps that were written
/// to and so became copies; pages of shared maps and clean pages of private ones are not in it. `Swap` is what of it was
/// moved out.
///
/// # Errors
/// Where the system does not tell.
pub fn anonymous_bytes() -> Result<u64> {
    let text = rollup()?;
    Ok((kib_of_field(&text, "Anonymous:")? + kib_of_field(&text, "Swap:")?) << 10)
}

/// Memory that is mapped into this process and there, in bytes, whatever stands behind it: the field `Rss`.
///
/// # Errors
/// Where the system does not tell.
pub fn resident_bytes() -> Result<u64> {
    Ok(kib_of_field(&rollup()?, "Rss:")? << 10)
}

/// What of the memory that is mapped into this process falls to it, in bytes, where pages are shared with others: the field `Pss`.
///
/// # Errors
/// Where the system does not tell.
pub fn proportional_bytes() -> Result<u64> {
    Ok(kib_of_field(&rollup()?, "Pss:")? << 10)
}

fn rollup() -> Result<String> {
    let path = "/proc/self/smaps_rollup";
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// Has nothing of the files of a directory in the cache of the system, as far as nobody maps them.
///
/// # Errors
/// Where the files cannot be opened, or synced, without which they stay.
pub fn drop_from_cache(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// What the kernel has counted of a thread since it began; zeros where it does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadCounts {
    /// Nanoseconds on a processor.
    pub running: u64,
    /// Nanoseconds in which it was ready to run and had no processor.
    pub without_processor: u64,
    /// Pages it touched that had to be read from the device first.
    pub major_faults: u64,
    /// The number of the processor that it ran on last.
    pub processor: usize,
}

impl ThreadCounts {
    /// Those of the calling thread: the first two fields of `/proc/thread-self/schedstat`, and `majflt` and `processor` of
    /// `/proc/thread-self/stat`.
    #[must_use]
    pub fn now() -> ThreadCounts {
        /// Numbers among the fields that follow the name, which is in brackets and may have spaces.
        const MAJOR_FAULTS: usize = 9;
        const PROCESSOR: usize = 36;
        let number = |text: &str, field| {
            text.split_whitespace().nth(field).and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        let scheduler = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let thread = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
        let after_name = thread.rsplit_once(')').map_or("", |(_, rest)| rest);
        ThreadCounts {
            running: number(&scheduler, 0),
            without_processor: number(&scheduler, 1),
            major_faults: number(after_name, MAJOR_FAULTS),
            processor: number(after_name, PROCESSOR) as usize,
        }
    }

    /// What was counted after `earlier`; the processor is the last one.
    #[must_use]
    pub fn since(self, earlier: ThreadCounts) -> ThreadCounts {
        ThreadCounts {
            running: self.running.saturating_sub(earlier.running),
            without_processor: self.without_processor.saturating_sub(earlier.without_processor),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            processor: self.processor,
        }
    }
}

fn kib_of_field(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.with_context(|| format!("looking for {name}"))?.parse().with_context(|| format!("reading {name}"))
}

/// What the files of a directory and of those below it take on the disk, in bytes. Files that go away meanwhile are not
/// counted.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn directory_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in files(directory)? {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => bytes += directory_bytes(&path)?,
            Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("asking about {}", path.display())),
        }
    }
    Ok(bytes)
}

/// [`directory_bytes`] by the extension of the files' names.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn bytes_by_extension(directory: &Path) -> Result<BTreeMap<String, u64>> {
    let mut bytes = BTreeMap::new();
    for path in files(directory)? {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        // What has gone away meanwhile takes nothing.
        let blocks = fs::metadata(&path).map_or(0, |metadata| metadata.blocks());
        *bytes.entry(extension).or_default() += blocks * BLOCK_BYTES;
    }
    Ok(bytes)
}

/// The files of a directory whose names end in this extension.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn files_with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let has_it = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    Ok(files(directory)?.into_iter().filter(has_it).collect())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.with_context(|| format!("listing {}", directory.display()))?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn memory_that_is_written_is_counted() {
        let before = anonymous_bytes().unwrap();
        let memory = vec![1_u8; 32 << 20];
        let grown = anonymous_bytes().unwrap() - before;
        assert!((31 << 20..40 << 20).contains(&grown), "grew by {grown}, at {:?}", memory.as_ptr());
        assert!(kib_of_field("Rss: 5 kB\n", "Anonymous:").is_err());
    }

    #[test]
    fn a_thread_that_works_is_counted_as_running() {
        let before = ThreadCounts::now();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {}
        let counted = ThreadCounts::now().since(before);
        let sum = Duration::from_nanos(counted.running + counted.without_processor);
        assert!(sum >= Duration::from_millis(25), "{counted:?}");
    }

    #[test]
    fn files_are_counted_as_they_lie_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.segment"), vec![1; 100_000]).unwrap();
        fs::write(directory.path().join("b.checkpoint"), b"x").unwrap();
        let bytes = directory_bytes(directory.path()).unwrap();
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/c"), vec![1; 100_000]).unwrap();
        assert!(directory_bytes(directory.path()).unwrap() >= bytes + 100_000);
        assert_eq!(files_with_extension(directory.path(), "segment").unwrap().len(), 1);
    }
}
