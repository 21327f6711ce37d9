//! Devices that can be filled: a simulated one, a filesystem in memory, and an ext4 in a file.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opendb::simulation::{SimulatedDisk, open_hooked, open_simulated};
use opendb::{OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};
use tempfile::TempDir;

use crate::mounted::{Mounted, make_ext4};

/// Room of a simulated or small filesystem, and of one for large values.
const SMALL_BYTES: u64 = 2 << 20;
const LARGE_BYTES: u64 = 12 << 20;
/// What an ext4 takes for itself. With 6 MiB the smallest would have no place for a journal of four.
const EXT4_BYTES: u64 = 7 << 20;
/// Where the database is on a simulated disk.
const PATH: &str = "/data";
/// What others take of a filesystem at a time, ever less.
const OTHERS_BYTES: [usize; 3] = [64 << 10, 4096, 1];
/// The counts of the mounted filesystems.
pub(super) const MOUNTED: [&str; 2] = ["of them on a tmpfs", "of them on a mounted ext4"];

/// A device with a database.
pub(super) enum Volume {
    Simulated { disk: SimulatedDisk, room: u64 },
    Real(Real),
}

/// A mounted filesystem.
pub(super) struct Real {
    /// Before what it is mounted in, so that it is unmounted first.
    mounted: Option<Mounted>,
    place: TempDir,
    /// The file that it is in, where it is in one.
    image: Option<PathBuf>,
    /// The process that has the database open counts as dead: whatever it asks of the system fails.
    is_dead: Arc<AtomicBool>,
    room: u64,
}

impl Volume {
    pub(super) fn draw(
        random: &mut Random,
        much: bool,
        can_mount: bool,
        directory: &Path,
    ) -> Outcome<Volume> {
        let room = if much { LARGE_BYTES } else { SMALL_BYTES } + random.below(1 << 20);
        match random.below(4) {
            0 if can_mount => Ok(Volume::Real(Real::tmpfs(directory, room)?)),
            1 if can_mount => Ok(Volume::Real(Real::ext4(directory, room + EXT4_BYTES)?)),
            _ => {
                let disk = SimulatedDisk::new();
                disk.set_room(room);
                Ok(Volume::Simulated { disk, room })
            }
        }
    }

    /// More than this never fits.
    pub(super) fn room(&self) -> u64 {
        match self {
            Volume::Simulated { room, .. } => *room,
            Volume::Real(real) => real.room,
        }
    }

    /// What it is counted under.
    pub(super) fn counted(&self) -> &'static str {
        match self {
            Volume::Simulated { .. } => "of them on the simulated disk",
            Volume::Real(real) => MOUNTED[usize::from(real.image.is_some())],
        }
    }

    pub(super) fn open(&self, options: &Options) -> opendb::Result<OpenDB> {
        match self {
            Volume::Simulated { disk, .. } => open_simulated(disk, PATH, options),
            Volume::Real(real) => real.open(options),
        }
    }

    /// Bytes that the database keeps in reserve; `None` where that cannot be seen.
    pub(super) fn reserve_bytes(&self) -> Option<u64> {
        match self {
            Volume::Simulated { .. } => None,
            Volume::Real(real) => {
                let reserve = real.root().join("database/RESERVE").metadata();
                Some(reserve.map_or(0, |reserve| reserve.len()))
            }
        }
    }

    /// What room there is and in which files the rest is, for a person.
    pub(super) fn look(&self) -> String {
        match self {
            Volume::Simulated { room, .. } => format!("simulated, {room} bytes"),
            Volume::Real(real) => real.look().unwrap_or_else(|failure| failure.0),
        }
    }

    /// Leaves what a failure has left where somebody can look at it, and says where.
    pub(super) fn keep(self) -> String {
        match self {
            Volume::Simulated { .. } => "the seed repeats it".to_owned(),
            Volume::Real(real) => real.keep().unwrap_or_else(|failure| format!("not kept: {failure}")),
        }
    }

    /// Others take every byte that is left.
    pub(super) fn take_the_rest(&self) -> Outcome<()> {
        match self {
            Volume::Simulated { disk, .. } => disk.leave_no_room(),
            Volume::Real(real) => real.take_the_rest()?,
        }
        Ok(())
    }

    /// Others give back what they took.
    pub(super) fn give_back(&self) -> Outcome<()> {
        match self {
            Volume::Simulated { disk, room } => disk.set_room(*room),
            Volume::Real(real) => drop(std::fs::remove_file(real.others())),
        }
        Ok(())
    }

    /// The process that has the database open dies.
    pub(super) fn kill(&mut self) {
        match self {
            Volume::Simulated { disk, .. } => *disk = disk.process_death(),
            Volume::Real(real) => real.is_dead.store(true, Ordering::Relaxed),
        }
    }

    /// The power goes while the database is open.
    pub(super) fn cut(&mut self, database: OpenDB, random: &mut Random) -> Outcome<()> {
        match self {
            Volume::Simulated { disk, .. } => {
                *disk = disk.crash(&mut || random.bits());
                // A cut may undo removals, and then there would be less room than the files have.
                disk.set_room(u64::MAX);
            }
            Volume::Real(real) => real.cut(database)?,
        }
        Ok(())
    }
}

impl Real {
    fn tmpfs(directory: &Path, bytes: u64) -> Outcome<Real> {
        let place = place(directory)?;
        let mounted = Mounted::tmpfs(&place.path().join("mounted"), bytes)?;
        Ok(Real { mounted: Some(mounted), place, image: None, is_dead: Arc::default(), room: bytes })
    }

    fn ext4(directory: &Path, bytes: u64) -> Outcome<Real> {
        let place = place(directory)?;
        let image = place.path().join("image");
        make_ext4(&image, bytes)?;
        let mounted = Mounted::image(&image, &place.path().join("mounted"))?;
        Ok(Real { mounted: Some(mounted), place, image: Some(image), is_dead: Arc::default(), room: bytes })
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("mounted")
    }

    fn others(&self) -> PathBuf {
        self.root().join("others")
    }

    fn open(&self, options: &Options) -> opendb::Result<OpenDB> {
        let is_dead = Arc::clone(&self.is_dead);
        is_dead.store(false, Ordering::Relaxed);
        let path = self.root().join("database");
        open_hooked(
            path,
            options,
            Arc::new(move |_| match is_dead.load(Ordering::Relaxed) {
                true => Err(io::Error::other("the process is dead")),
                false => Ok(()),
            }),
        )
    }

    fn look(&self) -> Outcome<String> {
        let mut lines = Vec::new();
        for directory in [self.root(), self.root().join("database")] {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let (name, found) = (entry.file_name(), entry.metadata()?);
                let on_device = found.blocks() * 512;
                lines.push(format!("{} {} ({on_device})", name.to_string_lossy(), found.len()));
            }
        }
        lines.sort_unstable();
        Ok(format!("{} bytes free of {}; {}", free(&self.root())?, self.room, lines.join(", ")))
    }

    /// Of a filesystem in a file that file, unmounted; of one in memory a copy of the database.
    fn keep(self) -> Outcome<String> {
        let root = self.root();
        let Real { mounted, place, image, .. } = self;
        let kept = place.keep();
        if image.is_none() {
            let copy = kept.join("database");
            std::fs::create_dir(&copy)?;
            for entry in std::fs::read_dir(root.join("database"))? {
                let entry = entry?;
                std::fs::copy(entry.path(), copy.join(entry.file_name()))?;
            }
        }
        drop(mounted);
        Ok(format!("kept in {}", kept.display()))
    }

    fn take_the_rest(&self) -> Outcome<()> {
        let mut file = std::fs::File::create(self.others())?;
        for bytes in OTHERS_BYTES {
            let piece = vec![1; bytes];
            while file.write_all(&piece).is_ok() {}
        }
        // What the system has not found a place for yet it finds one for now.
        let _full = file.sync_all();
        Ok(())
    }

    /// Goes on with what the device had. In memory nothing outlives the power, so that it is the process that
    /// dies there.
    fn cut(&mut self, database: OpenDB) -> Outcome<()> {
        let Some(image) = &self.image else {
            self.is_dead.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let copy = image.with_extension("copy");
        let mounted = self.mounted.take().ok_or("a filesystem that is not mounted")?;
        let copied = mounted.copy_as_the_device_has_it(image, &copy);
        self.is_dead.store(true, Ordering::Relaxed);
        drop(database);
        mounted.unmount()?;
        copied?;
        std::fs::rename(&copy, image)?;
        self.mounted = Some(Mounted::image(image, &self.root())?);
        Ok(())
    }
}

/// Bytes that `df` tells of.
fn free(root: &Path) -> Outcome<u64> {
    let told = Command::new("df").args(["--output=avail", "-B1"]).arg(root).output()?;
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    let free = words.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    free.ok_or_else(|| Failure(format!("df said {words:?}")))
}

fn place(directory: &Path) -> Outcome<TempDir> {
    Ok(tempfile::Builder::new().prefix("opendb-torture-").tempdir_in(directory)?)
}
