//! Bytes for `countersign_fuzz::checkpoint`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("checkpoint"), |data: &[u8]| countersign_fuzz::checkpoint(data));
