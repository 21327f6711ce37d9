//! Calls of all kinds, held against a map: `opendb_fuzzed::operations`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendb_fuzzed::{TARGETS, Target};

const TARGET: Target = TARGETS[2];

fuzz_target!(init: TARGET.prepare(), |bytes: &[u8]| {
    let _was_valid = (TARGET.take)(bytes);
});
