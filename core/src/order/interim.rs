//! interim
use super::Order;
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

#[derive(Clone, Debug)]
pub(crate) struct RunFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) identity: [u8; 16],
    pub(crate) mapped: bool,
}
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunRef {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OrderImage {
    pub(crate) runs: Vec<RunRef>,
    pub(crate) last_number: u64,
    pub(crate) deletes: u64,
}
#[derive(Default)]
pub(crate) struct Interim {
    files: OnceLock<RunFiles>,
    number: std::sync::atomic::AtomicU64,
}
impl Order {
    pub(crate) fn with_files(files: RunFiles) -> Order {
        let order = Order::new();
        let _ = order.interim.files.set(files);
        order
    }
    pub(crate) fn in_memory() -> Order {
        Order::new()
    }
    fn path(&self, number: u64) -> PathBuf {
        self.interim.files.get().unwrap().directory.join(format!("{number:016x}.run"))
    }
    pub(crate) fn checkpoint(&self, _: &dyn Fn(&[u8]) -> bool) -> Result<OrderImage> {
        let number = 1 + self.interim.number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut cursor = self.cursor(Bound::Unbounded, Bound::Unbounded, false);
        let mut bytes = vec![];
        let mut entries = 0;
        while let Some(key) = cursor.next() {
            bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
            bytes.extend_from_slice(key);
            entries += 1;
        }
        let disk = &self.interim.files.get().unwrap().disk;
        let _ = disk.remove(&self.path(number));
        let io = |error| Error::io("interim", error);
        let file = disk.open(&self.path(number), OpenMode::CreateNew).map_err(io)?;
        file.write_all_at(&bytes, 0).map_err(io)?;
        file.sync().map_err(io)?;
        disk.sync_directory(&self.interim.files.get().unwrap().directory).map_err(io)?;
        Ok(OrderImage {
            runs: vec![RunRef { number, bytes: bytes.len() as u64, entries }],
            last_number: number,
            deletes: 0,
        })
    }
    pub(crate) fn open(files: RunFiles, image: &OrderImage) -> Result<Order> {
        let order = Order::with_files(files);
        order.interim.number.store(image.last_number, std::sync::atomic::Ordering::SeqCst);
        for run in &image.runs {
            let io = |error| Error::io("interim", error);
            let file = order
                .interim
                .files
                .get()
                .unwrap()
                .disk
                .open(&order.path(run.number), OpenMode::ReadOnly)
                .map_err(io)?;
            let mut bytes = vec![0; run.bytes as usize];
            if file.read_at(&mut bytes, 0).map_err(io)? != bytes.len() {
                return Err(Error::Internal("short".into()));
            }
            let mut at = 0;
            while at < bytes.len() {
                let n = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
                order.insert(&bytes[at + 4..at + 4 + n]);
                at += 4 + n;
            }
        }
        Ok(order)
    }
    pub(crate) fn release(&self, keep: &[u64]) {
        let last = self.interim.number.load(std::sync::atomic::Ordering::SeqCst);
        for number in last.saturating_sub(5)..=last {
            if !keep.contains(&number) {
                let _ = self.interim.files.get().unwrap().disk.remove(&self.path(number));
            }
        }
    }
}
