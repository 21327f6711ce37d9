//! A memory limit for child processes: a control group, of version 2 where there are such, else of version 1.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where control groups of version 2 are mounted, alone or beside those of version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Where those of version 1 for memory are mounted.
const MOUNT_OF_VERSION_1: &str = "/sys/fs/cgroup/memory";

/// A group of processes that share a limit of memory. Removed when dropped.
pub struct Cgroup {
    path: PathBuf,
}

/// Where groups can be made, and the files with their limits.
#[derive(Debug)]
struct Parent {
    path: PathBuf,
    /// Of memory, page cache and all.
    limit: &'static str,
    /// Of what is swapped out, or of both together.
    swap: &'static str,
    /// Whether the latter counts both.
    swap_counts_memory: bool,
}

impl Cgroup {
    /// Makes a group whose processes may hold `memory_bytes`, page cache and all, and swap nothing out. The inner error
    /// says why this machine cannot have one.
    ///
    /// # Errors
    /// Where the machine has no such groups.
    pub fn new(memory_bytes: u64) -> Result<Cgroup, String> {
        let parent = parent_of_version_2().or_else(|reason| parent_of_version_1().ok_or(reason))?;
        let path = parent.path.join(format!("opendb-measure-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("creating {}: {error}", path.display()))?;
        let group = Cgroup { path };
        let limit = |file: &str, bytes: u64| {
            fs::write(group.path.join(file), bytes.to_string())
                .map_err(|error| format!("writing {file} in {}: {error}", group.path.display()))
        };
        limit(parent.limit, memory_bytes)?;
        if group.path.join(parent.swap).exists() {
            limit(parent.swap, if parent.swap_counts_memory { memory_bytes } else { 0 })?;
        }
        Ok(group)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("removing {}: {error}", self.path.display());
        }
    }
}

/// Moves this process into a group.
///
/// # Errors
/// Where the group is gone.
pub fn join(group: &Path) -> Result<()> {
    let path = group.join("cgroup.procs");
    fs::write(&path, std::process::id().to_string()).with_context(|| format!("writing {}", path.display()))
}

/// The nearest group above this process, itself included, under which groups with a limit of memory may be made: a group
/// may hold processes or pass controllers on, so that it is usually one above.
fn parent_of_version_2() -> Result<Parent, String> {
    let mount = MOUNTS.iter().map(Path::new).find(|mount| mount.join("cgroup.controllers").exists());
    let mount = mount.ok_or("no control groups for memory are mounted")?;
    let inside = mount.join(own_group("0::/").unwrap_or_default());
    let passes_on = |path: &&Path| {
        let passed = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
        passed.split_whitespace().any(|controller| controller == "memory")
    };
    let found = inside.ancestors().take_while(|path| path.starts_with(mount)).find(passes_on);
    let path = found.ok_or_else(|| {
        format!("no group at or above {} passes the memory controller of version 2 on", inside.display())
    })?;
    let (limit, swap) = ("memory.max", "memory.swap.max");
    Ok(Parent { path: path.to_owned(), limit, swap, swap_counts_memory: false })
}

/// The group of this process, where it can be looked up by its name: in a container it may be named from outside.
fn parent_of_version_1() -> Option<Parent> {
    let path = Path::new(MOUNT_OF_VERSION_1).join(own_group(":memory:/")?);
    let (limit, swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    path.join(limit).exists().then_some(Parent { path, limit, swap, swap_counts_memory: true })
}

/// The group of this process behind a mark in its list of groups.
fn own_group(mark: &str) -> Option<String> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    own.lines().find_map(|line| Some(line.split_once(mark)?.1.to_owned()))
}
