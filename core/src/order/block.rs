//! Blocks: neighbouring keys, prefix-compressed, in the very bytes that a run file has. `FORMAT.md`, section 8.
//!
//! A block is a checksum, two lengths, restarts and entries. An entry is the length shared with the key before, the
//! length of the rest, the rest. Every sixteenth entry is a *restart*: it shares nothing, and its offset is kept with the
//! first sixteen bytes of its key. So a search mostly halves over a few neighbouring cache lines, and then reads at most
//! sixteen entries.
//!
//! Decoding believes nothing: what does not fit is `None`, which the run turns into an error that names it.

use super::bounds::head;
use crate::checksum::crc32c;
use crate::groups::{read_groups, write_groups};
use crate::prefetch::prefetch_all;
use crate::record::u32_at;
use crate::segment::Slice;

/// Entries from one restart to the next.
const RESTART_INTERVAL: u32 = 16;
/// Bytes of entries at which a block is full: few enough that a search within it is short and a read without a map small,
/// and so many that the directory takes a third of a byte a key.
pub(super) const BLOCK_BYTES: usize = 4 << 10;
/// A block also has this many times the bytes of its first key, so that a directory, which repeats parts of first keys,
/// is much smaller than what it leads to, however long keys are. Offsets still fit 32 bits many times over.
const FIRST_KEYS_MIN: usize = 16;
/// Checksum, length of the entries, number of entries.
const HEADER_BYTES: usize = 12;
/// A restart: the head of its key, big endian, and its offset.
const RESTART_BYTES: usize = 20;
const HEAD_BYTES: usize = 16;
/// What a search looks at first, in most blocks: the header and the restarts.
pub(super) const SEARCHED_BYTES: usize = 256;

/// Some neighbouring keys of a run, at least one.
pub(super) struct Block {
    bytes: Slice,
    /// Where the entries begin.
    start: usize,
    restarts: usize,
}

/// One entry as it stands in a block.
pub(super) struct Entry<'a> {
    /// Bytes taken over from the key before.
    pub(super) shared: usize,
    /// The bytes that follow them.
    pub(super) rest: &'a [u8],
    /// Where the next entry begins.
    pub(super) next: usize,
}

impl Block {
    /// A block out of its bytes, whose checksum the caller knows to be right.
    pub(super) fn new(bytes: Slice) -> Option<Block> {
        let head = bytes.first_chunk::<HEADER_BYTES>()?;
        let (entries_bytes, entries) = (u32_at(head, 4)? as usize, u32_at(head, 8)?);
        let restarts = entries.div_ceil(RESTART_INTERVAL) as usize;
        let start = HEADER_BYTES.checked_add(restarts.checked_mul(RESTART_BYTES)?)?;
        (entries > 0 && start.checked_add(entries_bytes)? == bytes.len()).then_some(Block {
            bytes,
            start,
            restarts,
        })
    }

    /// The bytes of the entries.
    #[inline]
    pub(super) fn entries(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Starts loading what a search looks at first.
    pub(super) fn prefetch(&self) {
        prefetch_all(self.bytes.get(..SEARCHED_BYTES).unwrap_or_default());
    }

    /// All of its bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of restarts.
    pub(super) fn restarts(&self) -> usize {
        self.restarts
    }

    /// How many restarts in front have a key below this one, or equal to it where that counts as well.
    pub(super) fn restarts_before(&self, key: &[u8], or_equal: bool) -> Option<usize> {
        let wanted = head(key);
        let bytes: &[u8] = &self.bytes;
        let (restarts, entries) = bytes.get(HEADER_BYTES..)?.split_at_checked(self.start - HEADER_BYTES)?;
        let (mut low, mut high) = (0, self.restarts);
        while low < high {
            let middle = low + (high - low) / 2;
            let (at, offset) = restart_at(restarts, middle)?;
            let order = if at == wanted { entry_at(entries, offset)?.rest.cmp(key) } else { at.cmp(&wanted) };
            if order.is_lt() || or_equal && order.is_eq() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// Where the entries from one restart to the next lie.
    pub(super) fn interval(&self, restart: usize) -> Option<(usize, usize)> {
        let restarts = self.bytes.get(HEADER_BYTES..self.start)?;
        let (start, length) = (restart_at(restarts, restart)?.1, self.bytes.len() - self.start);
        let end = if restart + 1 == self.restarts { length } else { restart_at(restarts, restart + 1)?.1 };
        (start < end && end <= length).then_some((start, end))
    }
}

/// The head of a restart's key, and where its entry begins.
#[inline]
fn restart_at(restarts: &[u8], number: usize) -> Option<(u128, usize)> {
    let restart = restarts.get(number * RESTART_BYTES..)?.first_chunk::<RESTART_BYTES>()?;
    let head = restart.first_chunk::<HEAD_BYTES>()?;
    Some((u128::from_be_bytes(*head), u32_at(restart, HEAD_BYTES)? as usize))
}

/// The entry at an offset of a block's entries.
#[inline]
pub(super) fn entry_at(entries: &[u8], offset: usize) -> Option<Entry<'_>> {
    // Most lengths fit one byte each.
    if let Some(&[shared @ 0..0x80, length @ 0..0x80]) = entries.get(offset..offset.checked_add(2)?) {
        let next = offset + 2 + usize::from(length);
        let rest = entries.get(offset + 2..next)?;
        return Some(Entry { shared: shared.into(), rest, next });
    }
    let (shared, offset) = read_groups(entries, offset)?;
    let (length, offset) = read_groups(entries, offset)?;
    let next = offset.checked_add(length)?;
    Some(Entry { shared, rest: entries.get(offset..next)?, next })
}

/// The checksum of a block, without the salt of its place.
pub(super) fn block_crc(bytes: &[u8]) -> u32 {
    crc32c(0, bytes.get(4..).unwrap_or_default())
}

/// Builds blocks out of strictly ascending keys, one after the other.
#[derive(Default)]
pub(super) struct BlockBuilder {
    entries: Vec<u8>,
    restarts: Vec<u8>,
    count: u32,
    first_key_bytes: usize,
    /// The last block that was finished.
    block: Vec<u8>,
}

impl BlockBuilder {
    /// Adds a key that has `shared` bytes in common with the one before, which may be in the block before.
    pub(super) fn push(&mut self, key: &[u8], shared: usize) {
        if self.is_empty() {
            self.first_key_bytes = key.len();
        }
        let is_restart = self.count.is_multiple_of(RESTART_INTERVAL);
        if is_restart {
            self.restarts.extend_from_slice(&head(key).to_be_bytes());
            self.restarts.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        }
        let shared = if is_restart { 0 } else { shared };
        let rest = &key[shared..];
        write_groups(&mut self.entries, shared);
        write_groups(&mut self.entries, rest.len());
        self.entries.extend_from_slice(rest);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn len(&self) -> u32 {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        !self.is_empty() && self.entries.len() >= BLOCK_BYTES.max(FIRST_KEYS_MIN * self.first_key_bytes)
    }

    /// The bytes of the block, its checksum still 0. The builder, which was not empty, is so afterwards.
    pub(super) fn finish(&mut self) -> &mut [u8] {
        self.block.clear();
        self.block.extend_from_slice(&[0; 4]);
        self.block.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        self.block.extend_from_slice(&self.count.to_le_bytes());
        self.block.append(&mut self.restarts);
        self.block.append(&mut self.entries);
        self.count = 0;
        &mut self.block
    }
}

/// Length of the longest common prefix; eight bytes at a step, since neighbouring keys may share thousands.
#[inline]
pub(super) fn shared_length(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    while let (Some(a), Some(b)) = (a[shared..].first_chunk::<8>(), b[shared..].first_chunk::<8>()) {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return shared + (different.trailing_zeros() / 8) as usize;
        }
        shared += 8;
    }
    shared + a[shared..].iter().zip(&b[shared..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_of(keys: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        let mut last: &[u8] = &[];
        for key in keys {
            builder.push(key, shared_length(last, key));
            last = key;
        }
        builder.finish().to_vec()
    }

    /// Every key of a block, or `None` where it does not parse.
    fn keys_of(bytes: Vec<u8>) -> Option<Vec<Vec<u8>>> {
        let block = Block::new(Slice::Owned(bytes))?;
        let (mut offset, mut keys, mut key) = (0, vec![], Vec::new());
        while offset < block.entries().len() {
            let entry = entry_at(block.entries(), offset)?;
            key.truncate(entry.shared);
            key.extend_from_slice(entry.rest);
            keys.push(key.clone());
            offset = entry.next;
        }
        (0..block.restarts()).try_for_each(|restart| block.interval(restart).map(|_| ()))?;
        Some(keys)
    }

    #[test]
    fn lengths_of_every_width_come_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 65_537, (1 << 28) - 1] {
            let mut bytes = vec![9];
            write_groups(&mut bytes, length);
            assert_eq!(read_groups(&bytes, 1), Some((length, bytes.len())));
            assert_eq!(read_groups(&bytes[..bytes.len() - 1], 1), None);
        }
        assert_eq!(read_groups(&[0xFF; 9], 0), None);
    }

    #[test]
    fn shared_lengths_are_counted_to_the_byte() {
        let long = vec![b'x'; 100];
        for shared in 0..100 {
            let mut other = long.clone();
            other[shared] = b'y';
            assert_eq!(shared_length(&long, &other), shared);
            assert_eq!(shared_length(&long, &long[..shared]), shared);
        }
    }

    #[test]
    fn a_search_counts_the_restarts_before_a_key() {
        // Their heads are equal for a while, so that some must be compared whole.
        let keys: Vec<Vec<u8>> =
            (0..100_u8).map(|key| [vec![b'k'; 15 + usize::from(key) / 50], vec![key]].concat()).collect();
        let block = Block::new(Slice::Owned(block_of(&keys))).unwrap();
        let restarts: Vec<_> = keys.iter().step_by(RESTART_INTERVAL as usize).collect();
        for key in &keys {
            let less = restarts.iter().filter(|restart| **restart < key).count();
            let equal = restarts.iter().filter(|restart| **restart == key).count();
            assert_eq!(block.restarts_before(key, false), Some(less));
            assert_eq!(block.restarts_before(key, true), Some(less + equal));
        }
    }

    #[test]
    fn what_is_no_block_is_told_and_never_a_panic() {
        let keys: Vec<Vec<u8>> = (0..40_u8).map(|key| vec![b'k'; 3 + usize::from(key) * 7]).collect();
        let whole = block_of(&keys);
        assert_eq!(keys_of(whole.clone()).as_ref(), Some(&keys));
        for length in 0..whole.len() {
            assert!(keys_of(whole[..length].to_vec()).is_none(), "cut at {length}");
        }
        for at in 4..whole.len() {
            for bits in [1, 0x40, 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[at] ^= bits;
                let _whatever = keys_of(changed.clone());
                if let Some(block) = Block::new(Slice::Owned(changed)) {
                    let _whatever = block.restarts_before(&[b'k'; 150], false);
                }
            }
        }
    }
}
