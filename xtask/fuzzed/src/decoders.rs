//! Bytes for one of the decoders, which the first byte chooses.

use opendb::simulation::DECODERS;

/// Decodes them. Whether that came to something.
#[must_use]
pub fn take(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return false };
    let decoder = DECODERS.get(usize::from(*first) % DECODERS.len());
    decoder.is_some_and(|(_, decode)| decode(rest))
}

/// The bytes that this decoder makes these of; `None` where there is no such decoder.
#[must_use]
pub fn bytes_for(decoder: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let at = DECODERS.iter().position(|(name, _)| *name == decoder)?;
    Some([&[u8::try_from(at).ok()?], bytes].concat())
}
