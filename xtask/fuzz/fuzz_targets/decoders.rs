//! Bytes for one of the decoders, which the first byte chooses. Checksums are passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendb::simulation::{DECODERS, Sabotage};

fuzz_target!(init: Sabotage::BlindChecksums.plant(), |bytes: &[u8]| {
    if let Some((first, rest)) = bytes.split_first() {
        let (_, decode) = DECODERS[usize::from(*first) % DECODERS.len()];
        decode(rest);
    }
});
