//! Many keys at once, while a database is opened: sorted outside of the set and put in as one run.

use super::block::shared_length;
use super::bounds::head_in;
use super::run::Run;
use super::set::Order;
use super::writer::RunWriter;
use crate::error::Result;
use std::ops::Range;
use std::sync::Arc;

/// Key bytes and keys at which a batch is full. One more key may still pass it; offsets and places fit 32 bits.
const BATCH_BYTES: usize = 32 << 20;
const BATCH_ENTRIES: usize = 1 << 21;
/// The bits of a rank that hold the place of a key in its batch.
const RANK_PLACE: u128 = 0xFFFF_FFFF;
/// Keys after which a file is written to.
const FLUSH_ENTRIES: usize = 1 << 15;

/// Keys in any order: one arena of bytes, and where in it each key ends.
#[derive(Debug, Default)]
pub(crate) struct KeyBatch {
    arena: Vec<u8>,
    ends: Vec<u32>,
}

impl KeyBatch {
    /// Adds a key, which is given in two parts.
    #[inline]
    pub(crate) fn push(&mut self, prefix: &[u8], key: &[u8]) {
        self.arena.extend_from_slice(prefix);
        self.arena.extend_from_slice(key);
        self.ends.push(self.arena.len() as u32);
    }

    /// Whether it should be given to the set now.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.arena.len() >= BATCH_BYTES || self.ends.len() >= BATCH_ENTRIES
    }

    fn range(&self, place: usize) -> Range<usize> {
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        start..self.ends[place] as usize
    }

    fn key(&self, place: usize) -> &[u8] {
        &self.arena[self.range(place)]
    }

    /// The places in the order of their keys. What is sorted is numbers: of each key twelve bytes behind what all of them share,
    /// and below them the place. Only where these bytes are equal the keys themselves are compared.
    fn ranks(&self) -> Vec<u128> {
        let first = if self.ends.is_empty() { &[][..] } else { self.key(0) };
        let shared = (0..self.ends.len())
            .fold(first.len(), |shared, place| shared_length(&first[..shared], self.key(place)));
        let rank = |place: usize| {
            let Range { start, end } = self.range(place);
            head_in(&self.arena, start + shared..end) & !RANK_PLACE | place as u128
        };
        let mut ranks: Vec<u128> = (0..self.ends.len()).map(rank).collect();
        ranks.sort_unstable();
        for equal in ranks.chunk_by_mut(|a, b| a & !RANK_PLACE == b & !RANK_PLACE) {
            if equal.len() > 1 {
                equal.sort_unstable_by_key(|rank| self.key((rank & RANK_PLACE) as usize));
            }
        }
        ranks
    }

    /// Writes the keys, each once.
    fn write(&self, ranks: &[u128], mut writer: RunWriter) -> Result<Option<Run>> {
        let mut previous = None;
        for ranks in ranks.chunks(FLUSH_ENTRIES) {
            for rank in ranks {
                let key = self.key((rank & RANK_PLACE) as usize);
                if previous != Some(key) {
                    writer.push(key);
                }
                previous = Some(key);
            }
            writer.flush()?;
        }
        writer.finish()
    }
}

impl Order {
    /// Adds the keys of a batch, none of which is in the set. Several threads may do so at once; nobody scans yet.
    ///
    /// # Errors
    /// None of a disk: where no file can be written the keys stay in memory.
    pub(crate) fn insert_batch(&self, batch: &KeyBatch) -> Result<()> {
        let ranks = batch.ranks();
        let is_large = batch.arena.len() as u64 >= self.flush_bytes;
        let in_file = self.files.as_ref().filter(|_| is_large).and_then(|files| {
            let writer = RunWriter::to_file(files, self.next_number()).ok()?;
            batch.write(&ranks, writer).ok()
        });
        let run = match in_file {
            Some(run) => run,
            None => batch.write(&ranks, RunWriter::in_memory(self.next_number()))?,
        };
        let mut state = self.state.lock();
        Arc::make_mut(&mut state.view).runs.extend(run.map(Arc::new));
        Ok(())
    }

    fn next_number(&self) -> u64 {
        self.state.lock().next_number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Bound;

    #[test]
    fn batches_come_out_sorted_each_key_once_beside_what_was_inserted() {
        let order = Order::in_memory();
        order.insert(b"\0\0middle");
        for batch in [
            ["zz", "", "a", "key of more than twelve bytes 2"],
            ["b", "zz", "key of more than twelve bytes 1", "a\0"],
        ] {
            let mut keys = KeyBatch::default();
            batch.iter().for_each(|key| keys.push(&[0, 0], key.as_bytes()));
            keys.push(&[0, 0], batch[0].as_bytes());
            order.insert_batch(&keys).unwrap();
        }
        order.insert_batch(&KeyBatch::default()).unwrap();
        order.check();
        let mut cursor = order.cursor(Bound::Unbounded, Bound::Unbounded, false).unwrap();
        let mut found = Vec::new();
        while let Some(key) = cursor.next().unwrap() {
            found.push(String::from_utf8(key[2..].to_vec()).unwrap());
        }
        let (one, two) = ("key of more than twelve bytes 1", "key of more than twelve bytes 2");
        assert_eq!(found, ["", "a", "a\0", "b", one, two, "middle", "zz"]);
    }
}
