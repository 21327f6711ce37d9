//! The fixed parts of a run file: its header and its footer. `FORMAT.md`, section 8.

use crate::checksum::{Salt, crc32c};
use crate::record::{u32_at, u64_at};

/// What a run file begins with.
pub(super) const HEADER_BYTES: usize = 64;
/// What a run file ends with.
pub(super) const FOOTER_BYTES: usize = 64;

const HEADER_MAGIC: &[u8; 8] = b"OPENDBRN";
const FOOTER_MAGIC: &[u8; 8] = b"OPENDBRE";
const VERSION: u32 = 1;
/// Where the checksum of either stands.
const CHECKSUM_AT: usize = 60;

/// The header of a run file.
pub(super) fn header(identity: [u8; 16], number: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(HEADER_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    bytes[24..40].copy_from_slice(&identity);
    seal(&mut bytes, 0);
    bytes
}

/// Whether this is the header of that run.
pub(super) fn is_header(bytes: &[u8], identity: [u8; 16], number: u64) -> bool {
    // Reserved bytes may come to mean something that an old reader may ignore.
    is_sealed(bytes, 0)
        && bytes.starts_with(HEADER_MAGIC)
        && u32_at(bytes, 8) == Some(VERSION)
        && u64_at(bytes, 16) == Some(number)
        && bytes.get(24..40) == Some(&identity)
}

/// What a footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) number: u64,
    /// Where the blocks end and the directory begins.
    pub(super) directory_offset: u64,
    pub(super) entries: u64,
    pub(super) blocks: u32,
    /// The checksum of the directory, with the salt of its place.
    pub(super) directory_checksum: u32,
}

impl Footer {
    /// The footer that stands at `offset`.
    pub(super) fn encode(&self, salt: Salt, offset: u64) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(FOOTER_MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.directory_offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.entries.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.directory_checksum.to_le_bytes());
        seal(&mut bytes, salt.at(offset));
        bytes
    }

    /// Reads the footer that stands at `offset`; `None` where there is none.
    pub(super) fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<Footer> {
        if !is_sealed(bytes, salt.at(offset)) || !bytes.starts_with(FOOTER_MAGIC) {
            return None;
        }
        Some(Footer {
            number: u64_at(bytes, 8)?,
            directory_offset: u64_at(bytes, 16)?,
            entries: u64_at(bytes, 24)?,
            blocks: u32_at(bytes, 32)?,
            directory_checksum: u32_at(bytes, 36)?,
        })
    }
}

fn seal(bytes: &mut [u8; 64], salt: u32) {
    let checksum = crc32c(0, &bytes[..CHECKSUM_AT]) ^ salt;
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
}

fn is_sealed(bytes: &[u8], salt: u32) -> bool {
    let Some(sealed) = bytes.first_chunk::<64>().filter(|sealed| sealed.len() == bytes.len()) else {
        return false;
    };
    u32_at(sealed, CHECKSUM_AT) == Some(crc32c(0, &sealed[..CHECKSUM_AT]) ^ salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_belongs_to_its_place() {
        let footer = Footer { number: 7, directory_offset: 64, entries: 5, blocks: 1, directory_checksum: 9 };
        let salt = Salt::new([3; 16], 7);
        let bytes = footer.encode(salt, 128);
        assert_eq!(Footer::decode(&bytes, salt, 128), Some(footer));
        assert_eq!(Footer::decode(&bytes, salt, 136), None);
        assert_eq!(Footer::decode(&bytes, Salt::new([3; 16], 8), 128), None);
        assert_eq!(Footer::decode(&bytes[..63], salt, 128), None);
    }

    #[test]
    fn a_header_belongs_to_its_run() {
        let bytes = header([3; 16], 7);
        assert!(is_header(&bytes, [3; 16], 7));
        assert!(!is_header(&bytes, [3; 16], 8) && !is_header(&bytes, [4; 16], 7));
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert!(!is_header(&changed, [3; 16], 7), "byte {at}");
        }
    }
}
