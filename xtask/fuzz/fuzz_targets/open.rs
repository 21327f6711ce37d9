//! A directory of any files, with checksums passed over: `opendb_fuzzed::directory`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendb_fuzzed::{TARGETS, Target};

const TARGET: Target = TARGETS[1];

fuzz_target!(init: TARGET.prepare(), |bytes: &[u8]| {
    let _was_valid = (TARGET.take)(bytes);
});
