//! Records and frames as bytes: encoding and decoding, without I/O. `FORMAT.md`, sections 3 to 6, is the reference.
//!
//! *Invariant:* decoding reads only the bytes it is given, answers `None` for whatever is not right, never panics and
//! allocates nothing.

use crate::checksum::{Salt, crc32c};
use crate::manifest::NUMBER_MAX;
use crate::sabotage::{Sabotage, is_planted};

/// Everything in a segment begins at a multiple of this.
pub(crate) const ALIGNMENT: usize = 8;
/// Bytes before the key of a record in a batch frame.
pub(crate) const RECORD_HEADER_BYTES: usize = 12;
/// Bytes before the key of a standalone record, at most; also the length of an anchor.
pub(crate) const STANDALONE_HEADER_BYTES: usize = 24;
/// Bytes before the key of a short standalone record.
pub(crate) const SHORT_HEADER_BYTES: usize = 18;
/// Bytes before the first record of a batch frame.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Bytes of an anchor.
pub(crate) const ANCHOR_BYTES: usize = 24;
/// Longest value that stands in a record; longer ones stand in large-value segments.
pub(crate) const INLINE_VALUE_BYTES_MAX: usize = 1 << 20;
/// Furthest that a record may be from its anchor or frame header, in bytes: an 11-bit field in units of 8.
pub(crate) const ANCHOR_REACH_BYTES: usize = 2047 * ALIGNMENT;
/// Where the sequence stands in a frame header, an anchor and a standalone record that is not short.
pub(crate) const SEQUENCE_AT: u64 = 16;
/// Bytes of the value of a large put.
pub(crate) const LARGE_POINTER_BYTES: usize = 24;
/// Bytes before a value in a large-value segment.
pub(crate) const LARGE_HEADER_BYTES: usize = 16;

const VALUE_LENGTH_BITS: u32 = 21;
const KIND_BATCH: u16 = 6;
const KIND_ANCHOR: u16 = 5;
const STANDALONE: u16 = 8;
const KEYSPACE_MASK: u16 = 0x0fff;
/// Kinds of short standalone records.
const SHORT_PUT: u16 = 13;
const SHORT_COMPRESSED_PUT: u16 = 14;
/// Where a short record has its sequence, and the bits that it has for it.
const SHORT_SEQUENCE_AT: usize = 12;
const SHORT_SEQUENCE_BITS: u32 = 48;
/// Bits of a short lag below its exponent.
const LAG_BITS: u32 = 6;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key has this value.
    Put,
    /// The key is gone.
    Tombstone,
    /// The key has a value that stands in a large-value segment.
    LargePut,
    /// A keyspace gets its number and its settings.
    Keyspace,
    /// The key has this value, which stands compressed.
    CompressedPut,
}

impl Kind {
    /// Whether the key has a value after it.
    pub(crate) fn is_put(self) -> bool {
        matches!(self, Kind::Put | Kind::LargePut | Kind::CompressedPut)
    }

    fn number(self) -> u16 {
        match self {
            Kind::Put => 1,
            Kind::Tombstone => 2,
            Kind::LargePut => 3,
            Kind::Keyspace => 4,
            Kind::CompressedPut => 7,
        }
    }

    fn from_number(number: u16) -> Option<Kind> {
        match number {
            1 => Some(Kind::Put),
            2 => Some(Kind::Tombstone),
            3 => Some(Kind::LargePut),
            4 => Some(Kind::Keyspace),
            7 => Some(Kind::CompressedPut),
            _ => None,
        }
    }

    /// The number of its short standalone records, where there are such.
    fn short_number(self) -> Option<u16> {
        match self {
            Kind::Put => Some(SHORT_PUT),
            Kind::CompressedPut => Some(SHORT_COMPRESSED_PUT),
            Kind::Tombstone | Kind::LargePut | Kind::Keyspace => None,
        }
    }
}

/// `length` rounded up to the next multiple of 8.
pub(crate) const fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// Bytes before the key where a record of this kind is a commit of its own.
fn standalone_header_bytes(kind: Kind, sequence: u64) -> usize {
    let is_short = kind.short_number().is_some() && sequence >> SHORT_SEQUENCE_BITS == 0;
    if is_short { SHORT_HEADER_BYTES } else { STANDALONE_HEADER_BYTES }
}

/// The bits that tell what begins `bytes`: a record of some kind, a frame header or an anchor.
#[inline]
fn kind_number(bytes: &[u8]) -> Option<u16> {
    Some(u16_at(bytes, 10)? >> 12)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The lag that a frame carries: how far the durable watermark is behind its sequence.
pub(crate) fn lag(sequence: u64, durable: u64) -> u32 {
    u32::try_from(sequence.saturating_sub(durable)).unwrap_or(u32::MAX)
}

/// A lag in eleven bits, rounded up to one of seven digits with an exponent: a watermark that is told too low is only less than is
/// known.
fn short_lag(lag: u32) -> u32 {
    let lag = u64::from(lag);
    if lag >> LAG_BITS == 0 {
        return lag as u32;
    }
    let shift = lag.ilog2() - LAG_BITS;
    // From 64 to 128, where the last is the 64 of the next exponent.
    let digits = lag.div_ceil(1 << shift) as u32;
    (shift << LAG_BITS) + digits
}

fn lag_of_short(short: u32) -> u32 {
    let exponent = short >> LAG_BITS;
    if exponent == 0 {
        return short;
    }
    let digits = u64::from(short & ((1 << LAG_BITS) - 1) | 1 << LAG_BITS);
    u32::try_from(digits << (exponent - 1)).unwrap_or(u32::MAX)
}

/// The sequence and the lag of the frame that begins `bytes`; its checksum is not looked at. `None` where no log gets that far.
pub(crate) fn claim(bytes: &[u8]) -> Option<(u64, u32)> {
    if is_short(kind_number(bytes)?) {
        return Some((short_sequence(bytes)?, lag_of_short(u32_at(bytes, 4)? >> VALUE_LENGTH_BITS)));
    }
    let sequence = u64_at(bytes, SEQUENCE_AT as usize)?;
    (sequence < NUMBER_MAX).then_some((sequence, u32_at(bytes, 12)?))
}

fn is_short(number: u16) -> bool {
    matches!(number, SHORT_PUT | SHORT_COMPRESSED_PUT)
}

fn short_sequence(bytes: &[u8]) -> Option<u64> {
    let low = u32_at(bytes, SHORT_SEQUENCE_AT)?;
    Some(u64::from(low) | u64::from(u16_at(bytes, SHORT_SEQUENCE_AT + 4)?) << 32)
}

/// Writes the twelve bytes that every record begins with, its checksum still to come. `beside` is what stands above the length of
/// the value.
fn write_header(out: &mut [u8], kind: u16, keyspace: u16, key_bytes: usize, value_bytes: usize, beside: u32) {
    let lengths = value_bytes as u32 | beside << VALUE_LENGTH_BITS;
    out[4..8].copy_from_slice(&lengths.to_le_bytes());
    out[8..10].copy_from_slice(&(key_bytes as u16).to_le_bytes());
    out[10..12].copy_from_slice(&(kind << 12 | keyspace & KEYSPACE_MASK).to_le_bytes());
}

/// The CRC of a key and value, the part of a record's checksum that can be computed before its place is known.
pub(crate) fn content_crc(key: &[u8], value: &[u8]) -> u32 {
    crc32c(crc32c(0, key), value)
}

/// The header of a standalone record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StandaloneHeader {
    bytes: [u8; STANDALONE_HEADER_BYTES],
    length: usize,
}

impl StandaloneHeader {
    /// `content` is [`content_crc`] of the record's key and value.
    pub(crate) fn new(
        record: &NewRecord<'_>,
        content: u32,
        sequence: u64,
        durable: u64,
        salt: u32,
    ) -> StandaloneHeader {
        let length = standalone_header_bytes(record.kind, sequence);
        let (mut bytes, lag) = ([0; STANDALONE_HEADER_BYTES], lag(sequence, durable));
        let (key_bytes, value_bytes) = (record.key.len(), record.value.len());
        match record.kind.short_number().filter(|_| length == SHORT_HEADER_BYTES) {
            Some(number) => {
                write_header(&mut bytes, number, record.keyspace, key_bytes, value_bytes, short_lag(lag));
                bytes[SHORT_SEQUENCE_AT..SHORT_HEADER_BYTES].copy_from_slice(&sequence.to_le_bytes()[..6]);
            }
            None => {
                let number = record.kind.number() | STANDALONE;
                write_header(&mut bytes, number, record.keyspace, key_bytes, value_bytes, 0);
                bytes[12..16].copy_from_slice(&lag.to_le_bytes());
                bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
            }
        }
        let crc = crc32c(content, &bytes[4..length]) ^ salt;
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        StandaloneHeader { bytes, length }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A record about to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord<'a> {
    pub(crate) kind: Kind,
    pub(crate) keyspace: u16,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl NewRecord<'_> {
    /// Bytes that a commit of this one record takes in the log.
    pub(crate) fn standalone_bytes(&self, sequence: u64) -> usize {
        aligned(standalone_header_bytes(self.kind, sequence) + self.key.len() + self.value.len())
    }
}

/// Appends a record of a batch frame with its unsalted checksum, and returns that checksum.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &NewRecord<'_>, distance: usize) -> u32 {
    let start = out.len();
    let mut header = [0; RECORD_HEADER_BYTES];
    write_header(
        &mut header,
        record.kind.number(),
        record.keyspace,
        record.key.len(),
        record.value.len(),
        (distance / ALIGNMENT) as u32,
    );
    let crc = crc32c(content_crc(record.key, record.value), &header[4..]);
    header[..4].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(record.key);
    out.extend_from_slice(record.value);
    out.resize(start + aligned(out.len() - start), 0);
    crc
}

/// An anchor with its salted checksum.
pub(crate) fn anchor(sequence: u64, salt: u32) -> [u8; ANCHOR_BYTES] {
    let mut bytes = [0; ANCHOR_BYTES];
    write_header(&mut bytes, KIND_ANCHOR, 0, 0, 0, 0);
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    let crc = crc32c(0, &bytes[4..]) ^ salt;
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The header of a batch frame; `records_crc` is the CRC of its records' unsalted checksums, in order.
pub(crate) fn frame_header(
    body_bytes: u32,
    records: u32,
    records_crc: u32,
    sequence: u64,
    durable: u64,
    salt: u32,
) -> [u8; FRAME_HEADER_BYTES] {
    let mut header = [0; FRAME_HEADER_BYTES];
    header[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    header[10..12].copy_from_slice(&(KIND_BATCH << 12).to_le_bytes());
    header[12..16].copy_from_slice(&lag(sequence, durable).to_le_bytes());
    header[16..24].copy_from_slice(&sequence.to_le_bytes());
    header[24..28].copy_from_slice(&records.to_le_bytes());
    let crc = crc32c(records_crc, &header[4..]) ^ salt;
    header[..4].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Bytes of the frame header or anchor that begins `bytes`, behind which the next record stands; `None` where neither does.
#[inline]
pub(crate) fn bytes_before_record(bytes: &[u8]) -> Option<usize> {
    match kind_number(bytes)? {
        KIND_BATCH => Some(FRAME_HEADER_BYTES),
        KIND_ANCHOR => Some(ANCHOR_BYTES),
        _ => None,
    }
}

/// What the first twelve bytes of a record say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordShape {
    pub(crate) kind: Kind,
    pub(crate) keyspace: u16,
    pub(crate) header_bytes: usize,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
    /// How far back the sequence stands, in bytes.
    distance: usize,
}

impl RecordShape {
    /// Reads the lengths of the record that begins `bytes`. `None` where no record does.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Option<RecordShape> {
        let lengths = u32_at(bytes, 4)?;
        let tag = u16_at(bytes, 10)?;
        let number = tag >> 12;
        let value_bytes = (lengths & ((1 << VALUE_LENGTH_BITS) - 1)) as usize;
        if value_bytes > INLINE_VALUE_BYTES_MAX {
            return None;
        }
        let beside = (lengths >> VALUE_LENGTH_BITS) as usize;
        let (kind, header_bytes, distance) = match number {
            SHORT_PUT => (Kind::Put, SHORT_HEADER_BYTES, 0),
            SHORT_COMPRESSED_PUT => (Kind::CompressedPut, SHORT_HEADER_BYTES, 0),
            _ if number & STANDALONE != 0 => {
                (Kind::from_number(number & !STANDALONE)?, STANDALONE_HEADER_BYTES, beside)
            }
            _ => (Kind::from_number(number)?, RECORD_HEADER_BYTES, beside),
        };
        let (keyspace, key_bytes) = (tag & KEYSPACE_MASK, usize::from(u16_at(bytes, 8)?));
        let distance = distance * ALIGNMENT;
        Some(RecordShape { kind, keyspace, header_bytes, key_bytes, value_bytes, distance })
    }

    /// Bytes of the record without its padding.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.header_bytes + self.key_bytes + self.value_bytes
    }

    /// Whether the record is a frame of its own.
    pub(crate) fn is_standalone(&self) -> bool {
        self.header_bytes != RECORD_HEADER_BYTES
    }

    /// The sequence in the first bytes of a record that is a frame of its own.
    pub(crate) fn own_sequence(&self, bytes: &[u8]) -> Option<u64> {
        if self.header_bytes == SHORT_HEADER_BYTES {
            return short_sequence(bytes);
        }
        u64_at(bytes, SEQUENCE_AT as usize)
    }

    /// Whether the record is of this keyspace and a key of this length: what can be told before the key is read.
    #[inline]
    pub(crate) fn may_be(&self, keyspace: u16, key: &[u8]) -> bool {
        self.keyspace == keyspace && self.key_bytes == key.len()
    }

    /// Where the record of the commit's sequence begins, for a record at `offset`: itself, the frame header or an
    /// anchor. Of the last two the sequence stands [`SEQUENCE_AT`] bytes behind.
    pub(crate) fn sequence_base(&self, offset: u64) -> Option<u64> {
        offset.checked_sub(self.distance as u64)
    }
}

/// A record as it stands in a segment. Its lengths fit the bytes it was parsed from; its checksum is looked at by
/// [`Record::is_intact`] only, since finding a key does not need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) shape: RecordShape,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    header: &'a [u8],
    /// Key and value, one behind the other.
    content: &'a [u8],
}

impl<'a> Record<'a> {
    /// Parses the record that begins `bytes`, whose lengths must fit in them.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        Record::of_shape(RecordShape::parse(bytes)?, bytes)
    }

    /// The record that begins `bytes`, whose shape has been read.
    #[inline]
    pub(crate) fn of_shape(shape: RecordShape, bytes: &'a [u8]) -> Option<Record<'a>> {
        let (header, content) = bytes.get(..shape.bytes())?.split_at_checked(shape.header_bytes)?;
        let (key, value) = content.split_at_checked(shape.key_bytes)?;
        Some(Record { shape, key, value, header, content })
    }

    /// The CRC of the record without salt.
    #[inline]
    fn crc(&self) -> u32 {
        crc32c(crc32c(0, self.content), self.header.get(4..).unwrap_or_default())
    }

    /// Whether the record's checksum is right at this place.
    #[inline]
    pub(crate) fn is_intact(&self, salt: u32) -> bool {
        u32_at(self.header, 0) == Some(self.crc() ^ salt) || is_planted(Sabotage::SkipChecksum)
    }

    /// Bytes that the record takes in the log, padding included.
    pub(crate) fn stored_bytes(&self) -> usize {
        aligned(self.shape.bytes())
    }

    /// The record as one to be written anew.
    pub(crate) fn again(&self) -> NewRecord<'a> {
        NewRecord { kind: self.shape.kind, keyspace: self.shape.keyspace, key: self.key, value: self.value }
    }
}

/// Where a large value stands, as the value of a large put says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LargePointer {
    pub(crate) serial: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

impl LargePointer {
    pub(crate) fn encode(&self) -> [u8; LARGE_POINTER_BYTES] {
        let mut bytes = [0; LARGE_POINTER_BYTES];
        bytes[..8].copy_from_slice(&self.serial.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<LargePointer> {
        if bytes.len() != LARGE_POINTER_BYTES {
            return None;
        }
        Some(LargePointer {
            serial: u64_at(bytes, 0)?,
            offset: u64_at(bytes, 8)?,
            length: u32_at(bytes, 16)?,
            crc: u32_at(bytes, 20)?,
        })
    }

    /// Bytes that the value takes in its segment, header and padding included.
    pub(crate) fn stored_bytes(&self) -> u64 {
        aligned(LARGE_HEADER_BYTES + self.length as usize) as u64
    }
}

/// Whether `bytes`, which begin with the header of a large value, are the value that `pointer` names, at this place.
pub(crate) fn large_is_intact(bytes: &[u8], pointer: &LargePointer, salt: u32) -> bool {
    let Some((header, value)) = bytes.split_at_checked(LARGE_HEADER_BYTES) else { return false };
    crc32c(0, value) == pointer.crc && large_header_is_intact(header, pointer, salt)
}

/// Whether `header` stands before the value that `pointer` names, at this place, if the value has the pointer's CRC.
pub(crate) fn large_header_is_intact(header: &[u8], pointer: &LargePointer, salt: u32) -> bool {
    large_owner(header).is_some_and(|owner| header == large_header(pointer.length, owner, pointer.crc, salt))
}

/// The hash of the key that a large value was written for, as its header says; 0 in values of format version 1.
pub(crate) fn large_owner(header: &[u8]) -> Option<u64> {
    u64_at(header, 8)
}

/// The length of the large value that follows a header, its checksum not looked at.
pub(crate) fn large_length(header: &[u8]) -> Option<u32> {
    u32_at(header, 4)
}

/// The header that stands before a large value with this CRC. `owner` is the hash of its keyspace and key.
pub(crate) fn large_header(length: u32, owner: u64, value_crc: u32, salt: u32) -> [u8; LARGE_HEADER_BYTES] {
    let mut header = [0; LARGE_HEADER_BYTES];
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..].copy_from_slice(&owner.to_le_bytes());
    let crc = crc32c(value_crc, &header[4..]) ^ salt;
    header[..4].copy_from_slice(&crc.to_le_bytes());
    header
}

/// One commit as it stands in a log segment, its checksums found to be right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) sequence: u64,
    pub(crate) lag: u32,
    /// Bytes that it takes, padding included.
    pub(crate) bytes: usize,
    records: Records<'a>,
}

impl<'a> Frame<'a> {
    /// How long the frame that begins `bytes` says it is. `None` where none can begin.
    pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
        match kind_number(bytes)? {
            KIND_BATCH => Some(FRAME_HEADER_BYTES + u32_at(bytes, 4)? as usize),
            kind if kind & STANDALONE != 0 => Some(aligned(RecordShape::parse(bytes)?.bytes())),
            _ => None,
        }
    }

    /// The frame that begins `bytes`, which stand at `offset` of a segment with this salt. `None` where there is none,
    /// or a checksum is wrong.
    pub(crate) fn parse(bytes: &'a [u8], offset: u64, salt: Salt) -> Option<Frame<'a>> {
        let bytes = bytes.get(..Frame::length(bytes)?)?;
        if kind_number(bytes)? == KIND_BATCH {
            Frame::parse_batch(bytes, offset, salt)
        } else {
            Frame::parse_standalone(bytes, offset, salt)
        }
    }

    /// [`Frame::parse`] of bytes whose checksums were found to be right before: they are not looked at again.
    pub(crate) fn parse_known(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let bytes = bytes.get(..Frame::length(bytes)?)?;
        let is_batch = kind_number(bytes)? == KIND_BATCH;
        let records = Records { bytes, at: if is_batch { FRAME_HEADER_BYTES } else { 0 }, base: 0 };
        let (sequence, lag) = claim(bytes)?;
        Some(Frame { sequence, lag, bytes: bytes.len(), records })
    }

    fn parse_standalone(bytes: &'a [u8], offset: u64, salt: Salt) -> Option<Frame<'a>> {
        let record = Record::parse(bytes)?;
        if record.shape.distance != 0 || !record.is_intact(salt.at(offset)) {
            return None;
        }
        let records = Records { bytes, at: 0, base: 0 };
        let (sequence, lag) = claim(bytes)?;
        Some(Frame { sequence, lag, bytes: bytes.len(), records })
    }

    fn parse_batch(bytes: &'a [u8], offset: u64, salt: Salt) -> Option<Frame<'a>> {
        let (sequence, lag) = claim(bytes)?;
        let records = Records { bytes, at: FRAME_HEADER_BYTES, base: 0 };
        let mut walk = records;
        let (mut crc, mut count) = (0, 0_u32);
        while let Some(step) = walk.step()? {
            let place = salt.at(offset + step.at as u64);
            match step.record {
                Some(record)
                    if !record.shape.is_standalone() && record.shape.distance == step.at - step.base =>
                {
                    if !record.is_intact(place) && !is_planted(Sabotage::TakeTornBatches) {
                        return None;
                    }
                    crc = crc32c(crc, &record.crc().to_le_bytes());
                    count += 1;
                }
                None if bytes.get(step.at..step.at + ANCHOR_BYTES)? == anchor(sequence, place) => {}
                _ => return None,
            }
        }
        let stored = u32_at(bytes, 0)? ^ salt.at(offset);
        let is_whole =
            crc32c(crc, bytes.get(4..FRAME_HEADER_BYTES)?) == stored && u32_at(bytes, 24)? == count;
        if !is_whole && !is_planted(Sabotage::TakeTornBatches) {
            return None;
        }
        Some(Frame { sequence, lag, bytes: bytes.len(), records })
    }

    /// The durable watermark that was known when the frame was written.
    pub(crate) fn watermark(&self) -> u64 {
        self.sequence.saturating_sub(u64::from(self.lag))
    }

    /// The records in order, each with its offset from the frame's beginning.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, Record<'a>)> + use<'a> {
        let mut walk = self.records;
        std::iter::from_fn(move || {
            // The walk was done once in full when the frame was found, so it ends where the frame does.
            while let Some(Some(step)) = walk.step() {
                if let Some(record) = step.record {
                    return Some((step.at, record));
                }
            }
            None
        })
    }
}

/// A walk over the records and anchors of a frame.
#[derive(Debug, Clone, Copy)]
struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the nearest frame header or anchor begins.
    base: usize,
}

struct Step<'a> {
    at: usize,
    base: usize,
    /// `None` for an anchor.
    record: Option<Record<'a>>,
}

impl<'a> Records<'a> {
    /// The next record or anchor: `Some(None)` at the end, `None` where the bytes are neither.
    fn step(&mut self) -> Option<Option<Step<'a>>> {
        if self.at == self.bytes.len() {
            return Some(None);
        }
        let (at, rest) = (self.at, self.bytes.get(self.at..)?);
        if kind_number(rest)? == KIND_ANCHOR {
            self.base = at;
            self.at = at + ANCHOR_BYTES;
            return Some(Some(Step { at, base: at, record: None }));
        }
        let record = Record::parse(rest)?;
        self.at = at + record.stored_bytes();
        if self.at > self.bytes.len() {
            return None;
        }
        Some(Some(Step { at, base: self.base, record: Some(record) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of format version 1 have 0 where the owner stands since version 2.
    #[test]
    fn a_large_value_is_intact_whoever_owns_it_and_no_bit_of_it_is_left_unchecked() {
        let value = b"the value";
        for owner in [0, 1, u64::MAX] {
            let pointer = LargePointer { serial: 7, offset: 64, length: 9, crc: crc32c(0, value) };
            let bytes = [&large_header(9, owner, pointer.crc, 0x5a5a)[..], value].concat();
            assert!(large_is_intact(&bytes, &pointer, 0x5a5a));
            assert_eq!(large_owner(&bytes), Some(owner));
            assert!(!large_is_intact(&bytes, &pointer, 0x5a5b), "at another place");
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(!large_is_intact(&damaged, &pointer, 0x5a5a), "bit {bit}");
            }
        }
    }

    /// Rounded down it would tell of commits as durable that are not.
    #[test]
    fn a_short_lag_is_never_less_than_the_lag_and_little_more() {
        let near = (0..32).flat_map(|bit| (0..3).map(move |less| (1_u64 << bit) + 1 - less));
        for lag in (0..10_000).chain(near).chain([u64::from(u32::MAX)]) {
            let lag = u32::try_from(lag).unwrap();
            let (short, found) = (short_lag(lag), lag_of_short(short_lag(lag)));
            assert!(short >> 11 == 0 && found >= lag, "{lag}: {found}");
            assert!(found - lag <= lag / 64, "{lag}: {found}");
            assert!(lag >= 128 || found == lag);
        }
    }

    #[test]
    fn every_kind_has_its_number_and_stands_alone_under_eight_more() {
        for kind in [Kind::Put, Kind::Tombstone, Kind::LargePut, Kind::Keyspace, Kind::CompressedPut] {
            let record = NewRecord { kind, keyspace: 3, key: b"k", value: b"v" };
            // The last sequence that fits a short one, and the first one that does not.
            for (sequence, is_short) in [(5, true), ((1 << 48) - 1, true), (1 << 48, false)] {
                let header = StandaloneHeader::new(&record, content_crc(b"k", b"v"), sequence, 4, 0);
                let number = kind.short_number().filter(|_| is_short).unwrap_or(kind.number() + 8);
                assert_eq!(u16::from(header.as_slice()[11] >> 4), number);
                let bytes = [header.as_slice(), b"kv"].concat();
                let parsed = Record::parse(&bytes).unwrap();
                assert!(parsed.shape.kind == kind && parsed.shape.is_standalone() && parsed.is_intact(0));
                assert_eq!(parsed.shape.own_sequence(&bytes), Some(sequence));
                assert_eq!(claim(&bytes).unwrap().0, sequence);
                assert_eq!(parsed.stored_bytes(), record.standalone_bytes(sequence));
            }
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert!([0, 5, 6].into_iter().all(|number| Kind::from_number(number).is_none()));
    }

    /// What comes after it is counted on from it.
    #[test]
    fn no_frame_has_a_sequence_that_no_log_gets_to() {
        let salt = Salt::new([7; 16], 1);
        let record = NewRecord { kind: Kind::Put, keyspace: 3, key: b"k", value: b"v" };
        for (sequence, is_one) in [(NUMBER_MAX - 1, true), (NUMBER_MAX, false), (u64::MAX, false)] {
            let header = StandaloneHeader::new(&record, content_crc(b"k", b"v"), sequence, 4, salt.at(64));
            let mut alone = [header.as_slice(), b"kv"].concat();
            alone.resize(aligned(alone.len()), 0);
            let empty = frame_header(0, 0, 0, sequence, 4, salt.at(64));
            for bytes in [&alone[..], &empty[..]] {
                let found = Frame::parse(bytes, 64, salt).map(|frame| frame.sequence);
                assert_eq!(found, is_one.then_some(sequence));
            }
        }
    }
}
