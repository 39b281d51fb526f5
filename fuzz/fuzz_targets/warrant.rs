//! Bytes for `countersign_fuzz::warrant`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("warrant"), |data: &[u8]| countersign_fuzz::warrant(data));
