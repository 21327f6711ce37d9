//! The machine that measured.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// What numbers depend on, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// How many of its cores can be used.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The operating system and its release.
    pub system: String,
    /// The filesystem of the directory that was measured in.
    pub filesystem: String,
}

impl Machine {
    /// This machine, with the filesystem that `directory` is on.
    #[must_use]
    pub fn of(directory: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let directory = fs::canonicalize(directory).unwrap_or_default();
        Machine {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or("processor unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            system: format!("{} {}", std::env::consts::OS, release.trim()),
            filesystem: filesystem(&read("/proc/self/mounts"), &directory),
        }
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Machine { processor, cores, system, filesystem, .. } = self;
        let memory = (self.memory_bytes as f64 / f64::from(1 << 30)).round();
        format!("{processor}, {cores} cores, {memory} GiB, {system}, {filesystem}")
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "system": self.system,
            "filesystem": self.filesystem,
        })
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim()))
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = field(meminfo, "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

/// The kind of the filesystem whose place is the longest beginning of the path.
fn filesystem(mounts: &str, path: &Path) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let inside = mounts.filter(|(place, _)| path.starts_with(place));
    inside.max_by_key(|(place, _)| place.len()).map_or("filesystem unknown", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filesystem_is_that_of_the_nearest_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/b /run/disk xfs rw 0 0\n";
        assert_eq!(filesystem(mounts, Path::new("/run/disk/x")), "xfs");
        assert_eq!(filesystem(mounts, Path::new("/run/diskette")), "tmpfs");
        assert_eq!(filesystem(mounts, Path::new("/home")), "ext4");
        assert_eq!(filesystem("", Path::new("/home")), "filesystem unknown");
    }

    #[test]
    fn memory_and_processor_are_read_from_their_lines() {
        assert_eq!(memory_bytes("MemTotal:       1024 kB\nMemFree: 1 kB\n"), 1 << 20);
        assert_eq!(field("vendor_id\t: A\nmodel name\t: B C\n", "model name"), Some("B C"));
    }
}
