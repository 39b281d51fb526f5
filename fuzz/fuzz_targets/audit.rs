//! Bytes for `countersign_fuzz::audit`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("audit"), |data: &[u8]| countersign_fuzz::audit(data));
