//! Bytes for `countersign_fuzz::icalendar`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("icalendar"), |data: &[u8]| countersign_fuzz::icalendar(data));
