//! Files of the simulated disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::memory::{Memory, SECTOR_BYTES, SimulatedMap};
use super::{Call, Choose, Operation, Shared};
use crate::disk::{DiskFile, FileIdentity, Map};

/// A file, whatever its names.
#[derive(Debug)]
pub(super) struct Inode {
    content: Mutex<Content>,
}

/// What is written, and what the device has of it.
#[derive(Debug, Clone)]
struct Content {
    memory: Arc<Memory>,
    device: Vec<u8>,
    device_length: u64,
    /// The length was changed since the last sync.
    length_dirty: bool,
}

impl Default for Inode {
    fn default() -> Inode {
        Inode::new(Content {
            memory: Arc::new(Memory::new(0)),
            device: Vec::new(),
            device_length: 0,
            length_dirty: false,
        })
    }
}

impl Inode {
    /// Two files of one time never have the same address.
    pub(super) fn identity(self: &Arc<Inode>) -> FileIdentity {
        FileIdentity { device: 0, inode: Arc::as_ptr(self).addr() as u64 }
    }

    fn new(content: Content) -> Inode {
        Inode { content: Mutex::new(content) }
    }

    pub(super) fn length(&self) -> u64 {
        self.content.lock().memory.length()
    }

    /// Puts other bytes in the place of the whole content.
    pub(super) fn replace(&self, bytes: &[u8]) {
        let mut content = self.content.lock();
        let memory = Memory::new(bytes.len());
        memory.store(0, bytes);
        memory.set_length(bytes.len() as u64);
        content.memory = Arc::new(memory);
        content.length_dirty = true;
    }

    /// The same file, on a disk of its own.
    pub(super) fn copy(&self) -> Inode {
        let mut content = self.content.lock().clone();
        content.memory = Arc::new(content.memory.copy(0));
        Inode::new(content)
    }

    /// What a power cut leaves.
    pub(super) fn after_power_cut(&self, choose: Choose<'_>) -> Inode {
        let content = self.content.lock();
        let written_length = content.memory.length();
        let keeps_length =
            written_length != content.device_length && content.length_dirty && choose().is_multiple_of(2);
        let length = if keeps_length { written_length } else { content.device_length };
        // A file too large for the address space cannot have been written.
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        let mut device = content.device.clone();
        device.resize(bytes, 0);
        for (number, sector) in device.chunks_mut(SECTOR_BYTES).enumerate() {
            if content.memory.is_unsynced(number) {
                content.sector_after_power_cut(number * SECTOR_BYTES, sector, choose);
            }
        }
        let memory = Memory::synced(device.clone(), bytes, length);
        Inode::new(Content { memory: Arc::new(memory), device, device_length: length, length_dirty: false })
    }
}

impl Content {
    /// Makes of a sector as the device has it what a power cut leaves: that, what was written since, or something
    /// torn between the two.
    fn sector_after_power_cut(&self, at: usize, sector: &mut [u8], choose: Choose<'_>) {
        let mut written = vec![0; sector.len()];
        self.memory.load(at, &mut written);
        if written == *sector {
            return;
        }
        let kept = match choose() % 5 {
            0 | 1 => sector.len(),
            2 | 3 => 0,
            _ => usize::try_from(choose() % SECTOR_BYTES as u64).unwrap_or_default().min(sector.len()),
        };
        // A device may write a torn sector from either end.
        let tear = if choose().is_multiple_of(2) { 0..kept } else { sector.len() - kept..sector.len() };
        if let (Some(to), Some(from)) = (sector.get_mut(tear.clone()), written.get(tear)) {
            to.copy_from_slice(from);
        }
    }

    /// Brings to the device what was written since the last sync; a failing sync forgets it instead.
    fn sync(&mut self, reaches_device: bool) {
        let (memory, device) = (&self.memory, &mut self.device);
        memory.take_dirty(reaches_device, |sector| {
            let at = sector * SECTOR_BYTES;
            let end = memory.capacity().min(at + SECTOR_BYTES);
            if device.len() < end {
                device.resize(end, 0);
            }
            if let Some(target) = device.get_mut(at..end) {
                memory.load(at, target);
            }
        });
        if self.length_dirty && reaches_device {
            self.device_length = self.memory.length();
        }
        self.length_dirty = false;
    }

    /// Changes the length, with zeros for what is new and for what is cut.
    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let capacity = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if length < self.memory.length() {
            self.memory.set_length(length);
            self.memory.clear_from(capacity);
        } else if capacity > self.memory.capacity() {
            if Arc::strong_count(&self.memory) > 1 {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "a mapped file of the simulated disk cannot grow beyond its allocation",
                ));
            }
            self.memory = Arc::new(self.memory.copy(capacity));
        }
        if length != self.memory.length() {
            self.memory.set_length(length);
        }
        self.length_dirty = true;
        Ok(())
    }
}

/// An open file of the simulated disk.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) inode: Arc<Inode>,
    /// The name it was opened by, for the trace.
    pub(super) path: PathBuf,
    pub(super) writable: bool,
    pub(super) shared: Arc<Shared>,
}

impl SimulatedFile {
    fn check(&self, call: Call) -> io::Result<()> {
        self.check_writable()?;
        self.shared.check(call)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading"))
    }

    /// Makes the file at least as long as `length`, if there is room.
    fn grow(&self, length: u64) -> io::Result<()> {
        let tree = self.shared.tree.lock();
        let present = self.inode.length();
        if length <= present {
            return Ok(());
        }
        let room = self.shared.features.lock().room_bytes;
        if tree.used_bytes().saturating_add(length - present) > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inode.content.lock().set_length(length)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        self.grow(end)?;
        let at = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.inode.content.lock().memory.store(at, bytes);
        self.shared.record(|| Operation::Write(self.path.clone(), offset, bytes.len() as u64));
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(self.inode.identity())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.shared.check(Call::Read)?;
        let content = self.inode.content.lock();
        let rest = content.memory.length().saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        if let (Ok(at), Some(buffer)) = (usize::try_from(offset), buffer.get_mut(..count)) {
            content.memory.load(at, buffer);
        }
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let Some(failing) = self.shared.failing(Call::Write) else {
            return self.write(bytes, offset);
        };
        if failing.half_written {
            self.write(bytes.get(..bytes.len() / 2).unwrap_or_default(), offset)?;
        }
        Err(failing.error)
    }

    fn length(&self) -> io::Result<u64> {
        self.shared.check(Call::Length)?;
        Ok(self.inode.length())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.check(Call::SetLength)?;
        self.inode.content.lock().set_length(length)?;
        self.shared.record(|| Operation::SetLength(self.path.clone(), length));
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.check(Call::Allocate)?;
        self.grow(length)?;
        self.shared.record(|| Operation::Allocate(self.path.clone(), length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let outcome = self.shared.check(Call::Sync);
        self.inode.content.lock().sync(outcome.is_ok());
        outcome?;
        self.shared.record(|| Operation::Sync(self.path.clone()));
        Ok(())
    }

    fn write_out(&self, _offset: u64, _length: u64) -> io::Result<()> {
        let outcome = self.shared.check(Call::Sync);
        if outcome.is_err() {
            self.inode.content.lock().sync(false);
        }
        outcome
    }

    fn map(&self, length: usize, writable: bool) -> io::Result<Map> {
        self.shared.check(Call::Map)?;
        if writable {
            self.check_writable()?;
        }
        if !self.shared.features.lock().maps {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let memory = Arc::clone(&self.inode.content.lock().memory);
        if length == 0 || memory.length() < length as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file does not reach as far as the map",
            ));
        }
        let (path, shared) = (self.path.clone(), Arc::clone(&self.shared));
        Ok(Map::simulated(SimulatedMap::new(memory, length, writable, path, shared)))
    }
}
