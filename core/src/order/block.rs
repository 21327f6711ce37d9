//! Blocks: neighbouring keys, prefix-compressed, in the very bytes that a run file has. `FORMAT.md`, section 8.
//!
//! A block is a checksum, two lengths, entries and restarts. An entry is the length shared with the key before, the
//! length of the rest, the rest. Every sixteenth entry is a *restart*: it shares nothing, and its offset is kept, so that a
//! search halves over the restarts and then reads at most sixteen entries.
//!
//! Decoding believes nothing: what does not fit is `None`, which the run turns into an error that names it.

use crate::checksum::crc32c;
use crate::record::u32_at;
use crate::segment::Slice;

/// Entries from one restart to the next.
const RESTART_INTERVAL: u32 = 16;
/// Bytes of entries at which a block is full: small enough that a scan of a few keys without a map reads little.
pub(super) const BLOCK_BYTES: usize = 16 << 10;
/// A block also has this many times the bytes of its first key, so that a directory, which repeats parts of first keys,
/// is much smaller than what it leads to, however long keys are. Offsets still fit 32 bits many times over.
const FIRST_KEYS_MIN: usize = 16;
/// Checksum, length of the entries, number of entries.
const HEADER_BYTES: usize = 12;

/// Some neighbouring keys of a run, at least one.
pub(super) struct Block {
    bytes: Slice,
    entries_bytes: usize,
    entries: u32,
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
        let entries_bytes = u32_at(&bytes, 4)? as usize;
        let entries = u32_at(&bytes, 8)?;
        let restarts_bytes = (entries.div_ceil(RESTART_INTERVAL) as usize).checked_mul(4)?;
        let length = HEADER_BYTES.checked_add(entries_bytes)?.checked_add(restarts_bytes)?;
        (entries > 0 && length == bytes.len()).then_some(Block { bytes, entries_bytes, entries })
    }

    /// The bytes of the entries.
    #[inline]
    pub(super) fn entries(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..HEADER_BYTES + self.entries_bytes).unwrap_or_default()
    }

    /// How long the bytes of the entries are.
    #[inline]
    pub(super) fn entries_bytes(&self) -> usize {
        self.entries_bytes
    }

    /// All of its bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of restarts.
    pub(super) fn restarts(&self) -> usize {
        self.entries.div_ceil(RESTART_INTERVAL) as usize
    }

    /// How many restarts in front satisfy `before`, which holds for a head of the keys and no further.
    pub(super) fn restarts_before(&self, before: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let entries = self.entries();
        let restarts = self.bytes.get(HEADER_BYTES + self.entries_bytes..)?;
        let (mut low, mut high) = (0, self.restarts());
        while low < high {
            let middle = low + (high - low) / 2;
            let first = entry_at(entries, u32_at(restarts, 4 * middle)? as usize)?;
            if before(first.rest) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// Where the entries from one restart to the next lie.
    pub(super) fn interval(&self, restart: usize) -> Option<(usize, usize)> {
        let restarts = self.bytes.get(HEADER_BYTES + self.entries_bytes..)?;
        let start = u32_at(restarts, 4 * restart)? as usize;
        let is_last = restart + 1 == self.restarts();
        let end = if is_last { self.entries_bytes } else { u32_at(restarts, 4 * restart + 4)? as usize };
        (start < end && end <= self.entries_bytes).then_some((start, end))
    }

    /// Number of keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> u32 {
        self.entries
    }
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
    let (shared, offset) = read_length(entries, offset)?;
    let (length, offset) = read_length(entries, offset)?;
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
    /// Room for the header, and the entries.
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    entries: u32,
    first_key_bytes: usize,
}

impl BlockBuilder {
    /// Adds a key that has `shared` bytes in common with the one before, which may be in the block before.
    pub(super) fn push(&mut self, key: &[u8], shared: usize) {
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.resize(HEADER_BYTES, 0);
            self.first_key_bytes = key.len();
        }
        let is_restart = self.entries.is_multiple_of(RESTART_INTERVAL);
        if is_restart {
            self.restarts.push((self.bytes.len() - HEADER_BYTES) as u32);
        }
        let shared = if is_restart { 0 } else { shared };
        let rest = &key[shared..];
        write_length(&mut self.bytes, shared);
        write_length(&mut self.bytes, rest.len());
        self.bytes.extend_from_slice(rest);
        self.entries += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(super) fn len(&self) -> u32 {
        self.entries
    }

    pub(super) fn is_full(&self) -> bool {
        !self.is_empty() && self.bytes.len() >= BLOCK_BYTES.max(FIRST_KEYS_MIN * self.first_key_bytes)
    }

    /// The bytes of the block, its checksum still 0. The builder, which was not empty, is so afterwards.
    pub(super) fn finish(&mut self) -> &mut [u8] {
        let entries_bytes = (self.bytes.len() - HEADER_BYTES) as u32;
        self.bytes[4..8].copy_from_slice(&entries_bytes.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&self.entries.to_le_bytes());
        self.restarts.iter().for_each(|restart| self.bytes.extend_from_slice(&restart.to_le_bytes()));
        self.restarts.clear();
        self.entries = 0;
        &mut self.bytes
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

fn write_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

/// The length at `offset`, and the offset behind it.
fn read_length(bytes: &[u8], mut offset: usize) -> Option<(usize, usize)> {
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = *bytes.get(offset)?;
        offset += 1;
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some((length, offset));
        }
    }
    // No key is as long as that.
    None
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
        while offset < block.entries_bytes() {
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
            write_length(&mut bytes, length);
            assert_eq!(read_length(&bytes, 1), Some((length, bytes.len())));
            assert_eq!(read_length(&bytes[..bytes.len() - 1], 1), None);
        }
        assert_eq!(read_length(&[0xFF; 9], 0), None);
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
                    let _whatever = block.restarts_before(|key| key < &b"kkkkkkkkkk"[..]);
                }
            }
        }
    }
}
