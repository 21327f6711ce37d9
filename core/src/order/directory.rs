//! The directory of a run: how long its blocks are and which keys lie between them, so that a search goes straight to
//! one block. It is in memory for every run, and stands behind the blocks in a run file.

use super::bounds::head;
use super::footer::HEADER_BYTES;
use crate::record::u32_at;

/// What a block has in an encoded directory before its fence.
const PLACE_BYTES: usize = 12;

/// Where the blocks of a run lie and what separates them.
///
/// The *fence* of a block is the shortest beginning of its first key that is greater than the last key of the block
/// before it; the first block's is its whole first key. So a key can only be in the last block whose fence is not
/// greater than it, and a fence has a few bytes however long keys are.
#[derive(Default)]
pub(super) struct Directory {
    /// The first bytes of the fences as numbers, apart, since a search mostly needs nothing else.
    heads: Vec<u128>,
    places: Vec<Place>,
    fences: Vec<u8>,
    /// The last key of the run.
    last: Vec<u8>,
    entries: u64,
    blocks_end: u64,
}

/// One block.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where it begins in a run file.
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) entries: u32,
    fence_end: usize,
}

impl Directory {
    /// Adds a block behind the last one.
    pub(super) fn push(&mut self, bytes: u32, entries: u32, fence: &[u8]) {
        let offset = self.blocks_end();
        self.heads.push(head(fence));
        self.fences.extend_from_slice(fence);
        self.places.push(Place { offset, bytes, entries, fence_end: self.fences.len() });
        self.entries += u64::from(entries);
        self.blocks_end = offset + u64::from(bytes);
    }

    /// Says which key is the last one.
    pub(super) fn end_with(&mut self, last: Vec<u8>) {
        self.last = last;
        self.heads.shrink_to_fit();
        self.places.shrink_to_fit();
        self.fences.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn place(&self, block: usize) -> Option<Place> {
        self.places.get(block).copied()
    }

    /// Number of keys.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Where the blocks of a run file end.
    pub(super) fn blocks_end(&self) -> u64 {
        self.blocks_end.max(HEADER_BYTES as u64)
    }

    /// The first key.
    pub(super) fn first(&self) -> &[u8] {
        self.fence(0)
    }

    /// The last key.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// The only block that a key can be in. Keys before it are less than the key, keys behind it are greater.
    pub(super) fn block_of(&self, key: &[u8]) -> usize {
        let head = head(key);
        let less = self.heads.partition_point(|fence| *fence < head);
        let equal = self.heads.get(less..).unwrap_or_default().iter().take_while(|fence| **fence == head);
        let passed = equal.enumerate().take_while(|(equal, _)| self.fence(less + equal) <= key).count();
        (less + passed).saturating_sub(1)
    }

    fn fence(&self, block: usize) -> &[u8] {
        let end_of = |block: usize| self.places.get(block).map_or(0, |place| place.fence_end);
        let start = block.checked_sub(1).map_or(0, end_of);
        self.fences.get(start..end_of(block)).unwrap_or_default()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let places = size_of_val::<[u128]>(&self.heads) + size_of_val::<[Place]>(&self.places);
        (places + self.fences.len() + self.last.len()) as u64
    }

    /// The directory as it stands in a run file.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (number, place) in self.places.iter().enumerate() {
            let fence = self.fence(number);
            out.extend_from_slice(&place.bytes.to_le_bytes());
            out.extend_from_slice(&place.entries.to_le_bytes());
            out.extend_from_slice(&(fence.len() as u32).to_le_bytes());
            out.extend_from_slice(fence);
        }
        out.extend_from_slice(&self.last);
    }

    /// Reads a directory of so many blocks; `None` where it contradicts itself. Takes no more memory than `bytes` account
    /// for.
    pub(super) fn decode(mut bytes: &[u8], blocks: usize) -> Option<Directory> {
        if blocks == 0 || blocks > bytes.len() / PLACE_BYTES {
            return None;
        }
        let mut directory = Directory::default();
        directory.heads.reserve_exact(blocks);
        directory.places.reserve_exact(blocks);
        for number in 0..blocks {
            let (block_bytes, entries) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?);
            let (fence, rest) = bytes.get(PLACE_BYTES..)?.split_at_checked(u32_at(bytes, 8)? as usize)?;
            if number > 0 && directory.fence(number - 1) >= fence {
                return None;
            }
            directory.push(block_bytes, entries, fence);
            bytes = rest;
        }
        if bytes < directory.fence(blocks - 1) {
            return None;
        }
        directory.end_with(bytes.to_vec());
        Some(directory)
    }
}

/// How much of the first key of a block makes its fence, if it has `shared` bytes in common with the key before.
pub(super) fn fence_of(first: &[u8], shared: usize) -> &[u8] {
    first.get(..=shared).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        for fence in
            [&b"b"[..], b"common prefix of many bytes 1", b"common prefix of many bytes 2", b"d", b"d\0"]
        {
            directory.push(100, 3, fence);
        }
        directory.end_with(b"x".to_vec());
        directory
    }

    #[test]
    fn a_key_is_looked_for_behind_the_last_fence_that_is_not_greater() {
        let directory = directory();
        for (key, block) in [
            (&b""[..], 0),
            (b"a", 0),
            (b"b", 0),
            (b"common prefix of many bytes", 0),
            (b"common prefix of many bytes 1", 1),
            (b"common prefix of many bytes 1\0", 1),
            (b"common prefix of many bytes 3", 2),
            (b"d", 3),
            (b"d\0\0", 4),
            (b"z", 4),
        ] {
            assert_eq!(directory.block_of(key), block, "{key:?}");
        }
    }

    #[test]
    fn a_directory_comes_back_and_one_that_cannot_be_does_not() {
        let mut bytes = Vec::new();
        directory().encode(&mut bytes);
        let again = Directory::decode(&bytes, 5).unwrap();
        assert_eq!((again.first(), again.last(), again.entries()), (&b"b"[..], &b"x"[..], 15));
        assert_eq!(again.blocks_end(), HEADER_BYTES as u64 + 500);
        for blocks in [0, 6, usize::MAX] {
            assert!(Directory::decode(&bytes, blocks).is_none());
        }
        for length in 0..bytes.len() {
            assert!(Directory::decode(&bytes[..length], 5).is_none(), "cut at {length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xFF;
            let _whatever = Directory::decode(&changed, 5);
        }
    }
}
