//! Bytes for `countersign_fuzz::proposal`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("proposal"), |data: &[u8]| countersign_fuzz::proposal(data));
