//! Bytes for `countersign_fuzz::sshsig`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: countersign_fuzz::write_seeds("sshsig"), |data: &[u8]| countersign_fuzz::sshsig(data));
