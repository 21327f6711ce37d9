//! Finds real files on this machine: whatever of the usual places is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Larger files are left out: they are archives and test data, and would only fill the disk.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A place with files, and the first part of the keys they get.
pub(crate) struct Source {
    /// First part of the keys.
    pub(crate) name: &'static str,
    /// Where the files are.
    pub(crate) directory: PathBuf,
}

/// A file to load.
pub(crate) struct File {
    /// The key: the name of the source and the path below it.
    pub(crate) key: Vec<u8>,
    /// Where the file is.
    pub(crate) path: PathBuf,
    /// Its length when it was found.
    pub(crate) length: u64,
}

/// How much may still be collected.
pub(crate) struct Limits {
    /// Files.
    pub(crate) files: usize,
    /// Their lengths, added up.
    pub(crate) total_bytes: u64,
}

/// The places to look at, the most interesting first: source trees and licence texts of crates, documents of installed
/// packages, their file lists, C headers, manual pages.
pub(crate) fn all() -> Vec<Source> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let indexes = cargo_home.map(|home| home.join("registry").join("src"));
    let mut sources: Vec<Source> = indexes
        .and_then(|directory| fs::read_dir(directory).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| Source { name: "crates", directory: entry.path() })
        .collect();
    let usual = [
        ("documents", "/usr/share/doc"),
        ("packages", "/var/lib/dpkg/info"),
        ("headers", "/usr/include"),
        ("manuals", "/usr/share/man"),
    ];
    sources.extend(usual.map(|(name, directory)| Source { name, directory: PathBuf::from(directory) }));
    sources
}

/// Collects the regular files below a source, in the order of their paths, until a limit is met. What cannot be read is
/// left out: a demonstration takes what it may.
pub(crate) fn collect(source: &Source, limits: &mut Limits, files: &mut Vec<File>) {
    walk(source, &source.directory, limits, files);
}

fn walk(source: &Source, directory: &Path, limits: &mut Limits, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if limits.files == 0 {
            return;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        if metadata.is_dir() {
            walk(source, &path, limits, files);
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX.min(limits.total_bytes) {
            limits.files -= 1;
            limits.total_bytes -= metadata.len();
            files.extend(file(source, path, metadata.len()));
        }
    }
}

fn file(source: &Source, path: PathBuf, length: u64) -> Option<File> {
    let below = path.strip_prefix(&source.directory).ok()?;
    let mut key = format!("{}/", source.name).into_bytes();
    key.extend_from_slice(below.as_os_str().as_encoded_bytes());
    (key.len() <= opendb::KEY_BYTES_MAX).then_some(File { key, path, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_paths_and_stop_at_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("b")).unwrap();
        for name in ["c", "b/two", "b/one", "a"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let source = Source { name: "here", directory: directory.path().to_owned() };
        let mut files = Vec::new();
        collect(&source, &mut Limits { files: 3, total_bytes: 100 }, &mut files);
        let keys: Vec<_> = files.iter().map(|file| String::from_utf8_lossy(&file.key)).collect();
        assert_eq!(keys, ["here/a", "here/b/one", "here/b/two"]);

        files.clear();
        collect(&source, &mut Limits { files: 10, total_bytes: 2 }, &mut files);
        assert_eq!(files.len(), 2, "only the two files of one byte fit");
    }
}
