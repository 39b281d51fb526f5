//! Bytes for `countersign_fuzz::apt_hook`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("apt_hook"), |data: &[u8]| countersign_fuzz::apt_hook(data));
