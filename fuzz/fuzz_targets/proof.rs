//! Bytes for `countersign_fuzz::proof`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("proof"), |data: &[u8]| countersign_fuzz::proof(data));
