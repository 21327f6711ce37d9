//! A batch frame under construction.
//!
//! Records are encoded as they are added. What depends on the frame's place and number (salts, anchors' sequence, the
//! frame header) is filled in by [`FrameBuilder::seal`], which is all that is left to do under the commit lock.

use crate::checksum::{Salt, crc32c};
use crate::record::{
    ANCHOR_BYTES, ANCHOR_REACH_BYTES, FRAME_HEADER_BYTES, Kind, LARGE_POINTER_BYTES, LargePointer, NewRecord,
    RECORD_HEADER_BYTES, Record, aligned, anchor, content_crc, frame_header, push_record,
};

/// A record's place in the frame and its unsalted checksum.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    crc: u32,
}

/// The records of one commit, encoded.
#[derive(Debug, Default)]
pub(crate) struct FrameBuilder {
    /// The frame without its header. Offsets into it are [`FRAME_HEADER_BYTES`] less than offsets in the frame.
    body: Vec<u8>,
    records: Vec<Place>,
    anchors: Vec<usize>,
    /// Offset in the frame of the last anchor, or 0 for the frame header.
    base: usize,
}

impl FrameBuilder {
    /// Bytes of the whole frame, header included.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body.len()
    }

    /// Bytes that the frame would at most have with one more record of these lengths.
    pub(crate) fn frame_bytes_with(&self, key_bytes: usize, value_bytes: usize) -> usize {
        self.frame_bytes() + ANCHOR_BYTES + aligned(RECORD_HEADER_BYTES + key_bytes + value_bytes)
    }

    /// Adds a record and returns its number.
    pub(crate) fn push(&mut self, record: &NewRecord<'_>) -> usize {
        if self.frame_bytes() - self.base > ANCHOR_REACH_BYTES {
            self.base = self.frame_bytes();
            self.anchors.push(self.base);
            self.body.resize(self.body.len() + ANCHOR_BYTES, 0);
        }
        let at = self.frame_bytes();
        let crc = push_record(&mut self.body, record, at - self.base);
        self.records.push(Place { at, crc });
        self.records.len() - 1
    }

    /// Adds a put whose value stands in a large-value segment; the place is told later by [`Self::point`].
    pub(crate) fn push_large(&mut self, keyspace: u16, key: &[u8]) -> usize {
        let value = &[0; LARGE_POINTER_BYTES];
        self.push(&NewRecord { kind: Kind::LargePut, keyspace, key, value })
    }

    /// Tells where the value of a large put stands.
    pub(crate) fn point(&mut self, number: usize, pointer: &LargePointer) {
        let Some(place) = self.records.get_mut(number) else { return };
        let start = place.at - FRAME_HEADER_BYTES;
        let Some(record) = Record::parse(self.body.get(start..).unwrap_or_default()) else { return };
        let value = start + RECORD_HEADER_BYTES + record.key.len();
        let content = content_crc(record.key, &pointer.encode());
        place.crc = crc32c(content, &self.body[start + 4..start + RECORD_HEADER_BYTES]);
        self.body[value..value + LARGE_POINTER_BYTES].copy_from_slice(&pointer.encode());
    }

    /// The records in order, each with its offset in the frame.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, Record<'_>)> {
        self.records.iter().filter_map(|place| {
            let record = Record::parse(self.body.get(place.at - FRAME_HEADER_BYTES..)?)?;
            Some((place.at, record))
        })
    }

    /// Fills in what depends on the frame's place and number. Returns its header and its body.
    pub(crate) fn seal(
        &mut self,
        sequence: u64,
        durable: u64,
        salt: Salt,
        offset: u64,
    ) -> ([u8; FRAME_HEADER_BYTES], &[u8]) {
        for at in &self.anchors {
            let bytes = anchor(sequence, salt.at(offset + *at as u64));
            let start = at - FRAME_HEADER_BYTES;
            self.body[start..start + ANCHOR_BYTES].copy_from_slice(&bytes);
        }
        let mut records_crc = 0;
        for place in &self.records {
            records_crc = crc32c(records_crc, &place.crc.to_le_bytes());
            let stored = place.crc ^ salt.at(offset + place.at as u64);
            let start = place.at - FRAME_HEADER_BYTES;
            self.body[start..start + 4].copy_from_slice(&stored.to_le_bytes());
        }
        let (body, count) = (self.body.len() as u32, self.records.len() as u32);
        (frame_header(body, count, records_crc, sequence, durable, salt.at(offset)), &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Frame, SEQUENCE_AT, SHORT_HEADER_BYTES, STANDALONE_HEADER_BYTES, StandaloneHeader};

    fn salt() -> Salt {
        Salt::new([3; 16], 9)
    }

    fn put<'a>(key: &'a [u8], value: &'a [u8]) -> NewRecord<'a> {
        NewRecord { kind: Kind::Put, keyspace: 5, key, value }
    }

    fn standalone(key: &[u8], value: &[u8], offset: u64) -> Vec<u8> {
        let salt = salt().at(offset);
        let header = StandaloneHeader::new(&put(key, value), content_crc(key, value), 77, 70, salt);
        let mut bytes = [header.as_slice(), key, value].concat();
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn batch(records: usize, value_bytes: usize, offset: u64) -> Vec<u8> {
        let mut builder = FrameBuilder::default();
        for n in 0..records {
            builder.push(&put(&(n as u32).to_le_bytes(), &vec![n as u8; value_bytes]));
        }
        let (header, body) = builder.seal(77, 70, salt(), offset);
        [&header[..], body].concat()
    }

    #[test]
    fn a_standalone_record_reads_back_and_keeps_its_promised_overhead() {
        for value_bytes in 0..40 {
            let value = vec![1; value_bytes];
            let bytes = standalone(b"key", &value, 64);
            assert_eq!(bytes.len(), put(b"key", &value).standalone_bytes(77));
            assert!(bytes.len() - 3 - value_bytes <= 25, "more than 25 bytes beside key and value");
            let frame = Frame::parse(&bytes, 64, salt()).unwrap();
            assert_eq!((frame.sequence, frame.watermark(), frame.bytes), (77, 70, bytes.len()));
            let (at, record) = frame.records().next().unwrap();
            assert_eq!(
                (at, record.shape.keyspace, record.key, record.value),
                (0, 5, &b"key"[..], &value[..])
            );
            assert_eq!((record.shape.is_standalone(), record.shape.sequence_base(64)), (true, Some(64)));
            assert_eq!(frame.records().count(), 1);
        }
    }

    #[test]
    fn a_batch_reads_back_with_its_anchors_in_reach_and_keeps_its_promised_overhead() {
        for value_bytes in [0, 1, 3, 100, 5000, 20_000] {
            let bytes = batch(600, value_bytes, 64);
            let overhead = bytes.len() - 600 * (4 + value_bytes);
            assert!(overhead <= 600 * 20 + 32 + ANCHOR_BYTES * (1 + bytes.len() / (8 << 10)));
            let frame = Frame::parse(&bytes, 64, salt()).unwrap();
            let mut count = 0_u32;
            for (at, record) in frame.records() {
                assert_eq!(record.key, count.to_le_bytes());
                assert!(record.value.len() == value_bytes && record.is_intact(salt().at(64 + at as u64)));
                let base = record.shape.sequence_base(64 + at as u64).unwrap() as usize - 64;
                assert!(at - base <= ANCHOR_REACH_BYTES);
                let sequence = base + SEQUENCE_AT as usize;
                assert_eq!(bytes[sequence..sequence + 8], 77_u64.to_le_bytes());
                count += 1;
            }
            assert_eq!(count, 600);
        }
    }

    #[test]
    fn no_frame_is_found_where_a_covered_bit_is_flipped() {
        for (bytes, padding) in [(standalone(b"key", b"value value", 64), 0), (batch(3, 9, 64), 7)] {
            for at in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[at / 8] ^= 1 << (at % 8);
                if let Some(frame) = Frame::parse(&damaged, 64, salt()) {
                    // Only padding is not covered: the content must be what it was.
                    let values: Vec<_> = frame.records().map(|(_, record)| record.value.to_vec()).collect();
                    let whole = Frame::parse(&bytes, 64, salt()).unwrap();
                    let expected: Vec<_> = whole.records().map(|(_, record)| record.value.to_vec()).collect();
                    assert!(padding > 0 && values == expected, "bit {at} flipped and not noticed");
                }
            }
        }
    }

    #[test]
    fn no_frame_is_found_cut_short_or_elsewhere() {
        for bytes in [standalone(b"key", b"value", 64), batch(40, 9, 64)] {
            for length in 0..bytes.len() {
                assert!(Frame::parse(&bytes[..length], 64, salt()).is_none());
            }
            assert!(Frame::parse(&bytes, 72, salt()).is_none());
            assert!(Frame::parse(&bytes, 64, Salt::new([3; 16], 10)).is_none());
        }
    }

    #[test]
    fn a_large_put_is_pointed_after_it_was_added() {
        let mut builder = FrameBuilder::default();
        builder.push(&put(b"a", b"1"));
        let number = builder.push_large(2, b"big");
        let pointer = LargePointer { serial: 4, offset: 64, length: 2 << 20, crc: 12 };
        builder.point(number, &pointer);
        let (header, body) = builder.seal(5, 0, salt(), 640);
        let bytes = [&header[..], body].concat();
        let frame = Frame::parse(&bytes, 640, salt()).unwrap();
        let (_, record) = frame.records().nth(1).unwrap();
        assert_eq!((record.shape.kind, record.key), (Kind::LargePut, &b"big"[..]));
        assert_eq!(LargePointer::parse(record.value), Some(pointer));
    }

    #[test]
    fn header_sizes_are_the_ones_of_the_format() {
        assert_eq!((RECORD_HEADER_BYTES, SHORT_HEADER_BYTES), (12, 18));
        assert_eq!((STANDALONE_HEADER_BYTES, FRAME_HEADER_BYTES), (24, 32));
        assert_eq!(ANCHOR_REACH_BYTES, 16_376);
    }
}
