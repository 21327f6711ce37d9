//! A memory limit for child processes: a control group of version 2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where control groups of version 2 are mounted, alone or beside those of version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A group of processes that share a limit of memory. Removed when dropped.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes a group whose processes may hold `memory_bytes`, page cache and all, and swap nothing out. The inner error
    /// says why this machine cannot have one.
    ///
    /// # Errors
    /// Where the machine has no such groups.
    pub fn new(memory_bytes: u64) -> Result<Cgroup, String> {
        let parent = parent()?;
        let path = parent.join(format!("opendb-measure-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("creating {}: {error}", path.display()))?;
        let group = Cgroup { path };
        let limit = |file: &str, bytes: u64| {
            fs::write(group.path.join(file), bytes.to_string())
                .map_err(|error| format!("writing {file} in {}: {error}", group.path.display()))
        };
        limit("memory.max", memory_bytes)?;
        if group.path.join("memory.swap.max").exists() {
            limit("memory.swap.max", 0)?;
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
fn parent() -> Result<PathBuf, String> {
    let mount = MOUNTS.iter().map(Path::new).find(|mount| mount.join("cgroup.controllers").exists());
    let mount = mount.ok_or("no control groups of version 2 are mounted")?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let inside = mount.join(own);
    let passes_on = |path: &&Path| {
        let passed = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
        passed.split_whitespace().any(|controller| controller == "memory")
    };
    let found = inside.ancestors().take_while(|path| path.starts_with(mount)).find(passes_on);
    found.map(Path::to_owned).ok_or_else(|| {
        format!("no group at or above {} passes the memory controller of version 2 on", inside.display())
    })
}
