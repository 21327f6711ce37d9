//! Filesystems that are mounted for a while: one in memory of a chosen size, and one in a file, of which
//! copies can be made as the power goes. For root only, and with the programs `mount`, `umount` and
//! `mkfs.ext4`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use opendb_tests::{Failure, Outcome};

/// How often a copy is tried while somebody writes to the device.
const COPIES_MAX: u32 = 2000;
/// What a device is given to become quiet.
const REST: Duration = Duration::from_millis(1);
/// Size of the filesystem by which is seen whether one can be mounted.
const SMALL_BYTES: u64 = 16 << 20;

/// A mounted filesystem, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// An empty filesystem in memory.
    pub(crate) fn tmpfs(at: &Path, bytes: u64) -> Outcome<Mounted> {
        let size = format!("size={bytes}");
        Mounted::mount(at, |command| command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]))
    }

    /// The filesystem in a file. The file becomes a device for as long as it is mounted.
    pub(crate) fn image(image: &Path, at: &Path) -> Outcome<Mounted> {
        Mounted::mount(at, |command| command.args(["-o", "loop"]).arg(image))
    }

    fn mount(at: &Path, what: impl FnOnce(&mut Command) -> &mut Command) -> Outcome<Mounted> {
        std::fs::create_dir_all(at)?;
        let mut command = Command::new("mount");
        run(what(&mut command).arg(at))?;
        Ok(Mounted { at: at.to_owned() })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Makes a copy of the file that the filesystem is in as the device has it at one moment: what the system
    /// still keeps in memory is not in it. Nothing may be written between the first byte of the copy and the
    /// last; where something was the copy is made again.
    pub(crate) fn copy_as_the_device_has_it(&self, image: &Path, to: &Path) -> Outcome<()> {
        let device = self.device()?;
        for _ in 0..COPIES_MAX {
            let before = writes(&device)?;
            if before.is_some() {
                copy(image, to)?;
                if writes(&device)? == before {
                    return Ok(());
                }
            }
            std::thread::sleep(REST);
        }
        Err(Failure(format!("{device} was never quiet for as long as a copy of it takes")))
    }

    /// The name of the device, such as `loop0`.
    fn device(&self) -> Outcome<String> {
        let at = self.at.to_string_lossy();
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let mut lines = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        });
        let device =
            lines.find(|(_, place)| *place == at).and_then(|(device, _)| device.strip_prefix("/dev/"));
        device.map(str::to_owned).ok_or_else(|| Failure(format!("nothing on a device is mounted at {at}")))
    }

    /// Ends it, and tells of an error.
    pub(crate) fn unmount(self) -> Outcome<()> {
        run(Command::new("umount").arg(&self.at))
        // The drop finds nothing any more.
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where somebody still has a file open in it, after a failure: it is gone as soon as nobody has.
        let _not_mounted_any_more = run(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

/// What was written to a device and made durable there so far; `None` while a request is under way.
fn writes(device: &str) -> Outcome<Option<Vec<u64>>> {
    let figures = std::fs::read_to_string(format!("/sys/block/{device}/stat"))?;
    let figures: Vec<u64> = figures.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let of = |at: usize| figures.get(at).copied().unwrap_or_default();
    // Writes with their sectors, discards and flushes, as the documentation of the block layer numbers them.
    Ok((of(8) == 0).then(|| vec![of(4), of(6), of(11), of(15)]))
}

/// Makes an empty ext4 in a file of this length.
pub(crate) fn make_ext4(image: &Path, bytes: u64) -> Outcome<()> {
    std::fs::File::create(image)?.set_len(bytes)?;
    // All of it at once, so that the kernel has nothing to write later on its own.
    let settings = ["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4"];
    let at_once = ["-E", "lazy_itable_init=0,lazy_journal_init=0"];
    run(Command::new("mkfs.ext4").args(settings).args(at_once).arg(image))
}

/// Copies a file, of which most is holes.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    run(Command::new("cp").arg("--sparse=auto").arg(from).arg(to))
}

/// Whether filesystems can be mounted here; the failure says why not.
pub(crate) fn try_out(directory: &Path) -> Outcome<()> {
    let place = tempfile::tempdir_in(directory)?;
    let image = place.path().join("image");
    make_ext4(&image, SMALL_BYTES)?;
    let mounted = Mounted::image(&image, &place.path().join("mounted"))?;
    writes(&mounted.device()?)?;
    mounted.unmount()
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|error| Failure(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Failure(format!("{command:?}: {}, {}", output.status, words.trim())))
}
