//! Bytes for `countersign_fuzz::note`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("note"), |data: &[u8]| countersign_fuzz::note(data));
