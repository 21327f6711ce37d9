//! A file of a database taken to pieces, each of which a decoder is for.

use crate::checksum::Salt;
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentKind};
use crate::record::{Frame, Kind, LARGE_HEADER_BYTES, LargePointer, Record};
use crate::record::{aligned, large_header, large_length, large_owner, u64_at};

/// Bytes of a large value that are kept.
const LARGE_BYTES: u32 = 64;

/// Some bytes, and what they are.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The name of the decoder.
    pub decoder: &'static str,
    /// What tells it apart from other pieces of that decoder.
    pub kind: &'static str,
    /// What is decoded.
    pub bytes: Vec<u8>,
}

impl Piece {
    fn new(decoder: &'static str, kind: &'static str, bytes: &[u8]) -> Piece {
        Piece { decoder, kind, bytes: bytes.to_vec() }
    }
}

/// The pieces of a file with this name. Checksums have to be blind, also when it was written: the salt of a place is not asked for.
#[must_use]
pub fn pieces(name: &str, bytes: &[u8]) -> Vec<Piece> {
    match name.rsplit('.').next() {
        Some("MANIFEST") => vec![Piece::new("manifest", "whole", bytes)],
        Some("DURABLE") => vec![Piece::new("mark", "whole", bytes)],
        Some("checkpoint") => vec![Piece::new("checkpoint", "whole", bytes)],
        Some("run") => vec![Piece::new("run", "whole", bytes)],
        Some("hint") => vec![Piece::new("hint", "whole", bytes)],
        Some("moves") => vec![Piece::new("moves", "whole", bytes.get(..lists_bytes(bytes)).unwrap_or(bytes))],
        Some("segment") => of_segment(bytes),
        _ => Vec::new(),
    }
}

fn of_segment(bytes: &[u8]) -> Vec<Piece> {
    let Some(header) = SegmentHeader::decode(bytes) else { return Vec::new() };
    let (head, mut rest) = bytes.split_at(SEGMENT_HEADER_BYTES.min(bytes.len()));
    let mut pieces = Vec::new();
    if header.kind == SegmentKind::Large {
        pieces.push(Piece::new("segment header", "large", head));
        pieces.extend(of_large_value(rest));
        return pieces;
    }
    pieces.push(Piece::new("segment header", "log", head));
    while let Some(frame) = Frame::parse(rest, 0, Salt::new([0; 16], 0)) {
        let (bytes, behind) = rest.split_at(frame.bytes.min(rest.len()));
        for (at, record) in frame.records() {
            pieces.extend(of_record(bytes.get(at..).unwrap_or_default(), &record));
        }
        let is_one = frame.records().next().is_some_and(|(at, _)| at == 0);
        pieces.push(Piece::new("frames", if is_one { "standalone" } else { "batch" }, bytes));
        rest = behind;
    }
    pieces
}

fn of_record(bytes: &[u8], record: &Record<'_>) -> Vec<Piece> {
    let kind = match (record.shape.kind, record.shape.is_standalone()) {
        (Kind::Put, true) => "standalone put",
        (Kind::Put, false) => "put",
        (Kind::Tombstone, true) => "standalone tombstone",
        (Kind::Tombstone, false) => "tombstone",
        (Kind::LargePut, _) => "large put",
        (Kind::Keyspace, _) => "keyspace",
        (Kind::CompressedPut, _) => "compressed put",
    };
    let whole = bytes.get(..aligned(record.shape.bytes())).unwrap_or(bytes);
    let mut pieces = vec![Piece::new("record", kind, whole)];
    match record.shape.kind {
        Kind::Keyspace => pieces.push(Piece::new("settings", "whole", record.value)),
        Kind::CompressedPut => pieces.push(Piece::new("compressed value", "whole", record.value)),
        Kind::Put | Kind::Tombstone | Kind::LargePut => {}
    }
    pieces
}

/// Bytes of the lists of moves that stand one behind the other.
fn lists_bytes(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = u64_at(bytes, end + 16).filter(|length| *length > 0) {
        end = end.saturating_add(length as usize);
    }
    end
}

/// The beginning of the value that begins `bytes`, as if it were the whole, behind a pointer to it.
fn of_large_value(bytes: &[u8]) -> Option<Piece> {
    let (length, owner) = (large_length(bytes)?.min(LARGE_BYTES), large_owner(bytes)?);
    let value = bytes.get(LARGE_HEADER_BYTES..)?.get(..length as usize)?;
    let pointer = LargePointer { serial: 1, offset: 0, length, crc: 0 };
    let header = large_header(length, owner, 0, 0);
    Some(Piece::new("large value", "beginning", &[&pointer.encode()[..], &header, value].concat()))
}
