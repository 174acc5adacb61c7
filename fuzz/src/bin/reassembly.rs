//! The target [`tapsock_fuzz::reassembly`]. See there, and the crate for how it is run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsock_fuzz::reassembly::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tapsock_fuzz::launch::main("reassembly", tapsock_fuzz::reassembly::run, tapsock_fuzz::reassembly::seeds())
}
