//! The settings of a keyspace as bytes: the value of a keyspace record. `FORMAT.md`, section 4, is the reference.

use crate::options::{Compression, KeyspaceOptions};

/// Bytes of the value of a keyspace record, as it is written.
const SETTINGS_BYTES: usize = 2;
/// The version of the settings of a keyspace.
const SETTINGS_VERSION: u8 = 1;

/// The value of a keyspace record.
pub(crate) fn encode_settings(settings: KeyspaceOptions) -> [u8; SETTINGS_BYTES] {
    let compression = match settings.compression {
        Compression::None => 0,
        Compression::Lz4 => 1,
    };
    [SETTINGS_VERSION, compression]
}

/// What the value of a keyspace record says; nothing at all was written by format version 1. `None` for what is neither.
pub(crate) fn parse_settings(value: &[u8]) -> Option<KeyspaceOptions> {
    let compression = match value {
        [] | [SETTINGS_VERSION, 0] => Compression::None,
        [SETTINGS_VERSION, 1] => Compression::Lz4,
        _ => return None,
    };
    Some(KeyspaceOptions { compression })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_and_nothing_else_is_taken_for_them() {
        for compression in [Compression::None, Compression::Lz4] {
            let settings = KeyspaceOptions { compression };
            assert_eq!(parse_settings(&encode_settings(settings)), Some(settings));
        }
        assert_eq!(parse_settings(&[]), Some(KeyspaceOptions::default()));
        for unknown in [&[1_u8][..], &[1, 2], &[2, 0], &[1, 0, 0]] {
            assert_eq!(parse_settings(unknown), None);
        }
    }
}
