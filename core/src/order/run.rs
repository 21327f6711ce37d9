//! Key runs: sorted keys in flat, immutable, prefix-compressed pieces.
//!
//! A piece is a byte vector of entries: length shared with the key before, length of the rest, the rest; lengths in
//! groups of seven bits, lowest first. Every sixteenth entry is a *restart*: it shares nothing, and its offset is kept,
//! so that a search halves over the restarts and then reads at most sixteen entries.

use std::sync::Arc;

/// Entries from one restart to the next.
const RESTART_INTERVAL: u32 = 16;
/// Bytes at which a piece is full: a step of a merge takes a few milliseconds. The longest key may still pass it, so offsets fit 32 bits.
pub(super) const PIECE_BYTES: usize = 512 << 10;

/// Some neighbouring keys of a run, at least one.
pub(super) struct Piece {
    bytes: Box<[u8]>,
    restarts: Box<[u32]>,
    last: Box<[u8]>,
    entries: u32,
}

/// One entry as it stands in a piece.
pub(super) struct PieceEntry<'a> {
    /// Bytes taken over from the key before.
    pub(super) shared: usize,
    /// The bytes that follow them.
    pub(super) rest: &'a [u8],
    /// Where the next entry begins.
    pub(super) next: usize,
}

impl Piece {
    /// The entry that begins at `offset`.
    #[inline]
    pub(super) fn entry(&self, offset: usize) -> PieceEntry<'_> {
        let (shared, offset) = read_length(&self.bytes, offset);
        let (length, offset) = read_length(&self.bytes, offset);
        let next = offset + length;
        PieceEntry { shared, rest: &self.bytes[offset..next], next }
    }

    /// How many restarts in front satisfy `before`, which holds for a head of the keys and no further.
    pub(super) fn restarts_before(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        self.restarts.partition_point(|&offset| before(self.entry(offset as usize).rest))
    }

    /// The bytes from one restart to the next.
    pub(super) fn block(&self, restart: usize) -> (usize, usize) {
        let end = self.restarts.get(restart + 1).map_or(self.bytes.len(), |&offset| offset as usize);
        (self.restarts[restart] as usize, end)
    }

    #[inline]
    pub(super) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn restarts_len(&self) -> usize {
        self.restarts.len()
    }

    pub(super) fn first(&self) -> &[u8] {
        self.entry(0).rest
    }

    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    fn memory_bytes(&self) -> u64 {
        (size_of::<Self>() + self.bytes.len() + self.restarts.len() * 4 + self.last.len()) as u64
    }
}

/// Builds a piece out of strictly ascending keys.
pub(super) struct PieceBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    last: Vec<u8>,
    entries: u32,
}

impl PieceBuilder {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), restarts: Vec::new(), last: Vec::new(), entries: 0 }
    }

    pub(super) fn push(&mut self, key: &[u8]) {
        let is_restart = self.entries.is_multiple_of(RESTART_INTERVAL);
        let shared = if is_restart { 0 } else { shared_length(&self.last, key) };
        if is_restart {
            self.restarts.push(self.bytes.len() as u32);
        }
        let rest = &key[shared..];
        write_length(&mut self.bytes, shared);
        write_length(&mut self.bytes, rest.len());
        self.bytes.extend_from_slice(rest);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        self.entries += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE_BYTES
    }

    /// The piece, or `None` when no key was pushed.
    pub(super) fn finish(self) -> Option<Piece> {
        (self.entries > 0).then(|| Piece {
            bytes: self.bytes.into_boxed_slice(),
            restarts: self.restarts.into_boxed_slice(),
            last: self.last.into_boxed_slice(),
            entries: self.entries,
        })
    }
}

/// Sorted keys without duplicates: pieces over disjoint ascending ranges.
pub(super) struct Run {
    /// Tells the runs of one view apart. A run keeps its number while it is trimmed or extended.
    pub(super) number: u64,
    pieces: Vec<Arc<Piece>>,
    /// Keys up to here have been merged into another run, where the live ones are found too.
    fence: Option<Arc<[u8]>>,
    entries: u64,
    memory_bytes: u64,
}

impl Run {
    pub(super) fn new(number: u64, piece: Option<Piece>) -> Self {
        Self::from_pieces(number, piece.into_iter().map(Arc::new).collect(), None)
    }

    fn from_pieces(number: u64, pieces: Vec<Arc<Piece>>, fence: Option<Arc<[u8]>>) -> Self {
        let entries = pieces.iter().map(|piece| u64::from(piece.entries)).sum();
        let bytes: u64 = pieces.iter().map(|piece| piece.memory_bytes()).sum();
        let memory_bytes = bytes + (size_of::<Self>() + pieces.len() * size_of::<Arc<Piece>>()) as u64;
        Self { number, pieces, fence, entries, memory_bytes }
    }

    /// This run with one more piece, whose keys lie behind all others.
    pub(super) fn extended(&self, piece: Piece) -> Self {
        let pieces = self.pieces.iter().cloned().chain([Arc::new(piece)]).collect();
        Self::from_pieces(self.number, pieces, self.fence.clone())
    }

    /// What is left behind the fence, or `None` where that is nothing.
    pub(super) fn trimmed(&self, fence: &Arc<[u8]>) -> Option<Self> {
        let passed = self.pieces.partition_point(|piece| piece.last() <= &**fence);
        let pieces = self.pieces[passed..].to_vec();
        let cut = pieces.first()?.first() <= &**fence;
        Some(Self::from_pieces(self.number, pieces, cut.then(|| Arc::clone(fence))))
    }

    /// Whether the key lies at or before the fence.
    #[inline]
    pub(super) fn hides(&self, key: &[u8]) -> bool {
        self.fence.as_ref().is_some_and(|fence| key <= &**fence)
    }

    pub(super) fn pieces(&self) -> &[Arc<Piece>] {
        &self.pieces
    }

    /// Keys of its pieces, the hidden ones of the first piece included.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
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
#[inline]
fn read_length(bytes: &[u8], mut offset: usize) -> (usize, usize) {
    let mut length = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[offset];
        offset += 1;
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return (length, offset);
        }
        shift += 7;
    }
}

#[cfg(test)]
impl Run {
    /// Walks the run entry by entry, proves that it is what the format says, and gives its visible keys.
    pub(super) fn check(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (position, piece) in self.pieces.iter().enumerate() {
            let (mut offset, mut count, mut key) = (0, 0_u32, Vec::new());
            while offset < piece.bytes.len() {
                if count.is_multiple_of(RESTART_INTERVAL) {
                    assert_eq!(piece.restarts[(count / RESTART_INTERVAL) as usize] as usize, offset);
                    assert_eq!(piece.entry(offset).shared, 0);
                }
                let entry = piece.entry(offset);
                key.truncate(entry.shared);
                key.extend_from_slice(entry.rest);
                assert!(keys.last().is_none_or(|last| *last < key), "keys of a run ascend");
                keys.push(key.clone());
                (offset, count) = (entry.next, count + 1);
            }
            assert!(count > 0 && count == piece.entries);
            assert_eq!(piece.restarts.len() as u32, count.div_ceil(RESTART_INTERVAL));
            assert_eq!(key, *piece.last);
            assert!(position > 0 || self.fence.as_ref().is_none_or(|fence| key[..] > **fence));
        }
        assert_eq!(keys.len() as u64, self.entries);
        keys.retain(|key| !self.hides(key));
        assert!(!keys.is_empty(), "a run in a view has keys");
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_width_come_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 65_537, u32::MAX as usize] {
            let mut bytes = vec![9];
            write_length(&mut bytes, length);
            assert_eq!(read_length(&bytes, 1), (length, bytes.len()));
        }
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
    fn a_trimmed_run_has_what_lies_behind_the_fence() {
        let mut run = Run::new(1, None);
        for piece in 0..3_u8 {
            let mut builder = PieceBuilder::with_capacity(0);
            (0..40).for_each(|key| builder.push(&[piece, key]));
            run = run.extended(builder.finish().unwrap());
        }
        assert_eq!(run.check().len(), 120);
        let trimmed = run.trimmed(&Arc::from([1, 9])).unwrap();
        assert_eq!(trimmed.pieces.len(), 2);
        assert_eq!(trimmed.check()[0], [1, 10]);
        assert_eq!(trimmed.check().len(), 70);
        let at_the_edge = run.trimmed(&Arc::from([0, 39])).unwrap();
        assert!(at_the_edge.fence.is_none());
        assert_eq!(at_the_edge.entries(), 80);
        assert!(run.trimmed(&Arc::from([2, 39])).is_none());
    }
}
