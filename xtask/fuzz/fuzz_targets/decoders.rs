//! Bytes for one of the decoders, with checksums passed over: `opendb_fuzzed::decoders`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendb_fuzzed::{TARGETS, Target};

const TARGET: Target = TARGETS[0];

fuzz_target!(init: TARGET.prepare(), |bytes: &[u8]| {
    let _was_valid = (TARGET.take)(bytes);
});
