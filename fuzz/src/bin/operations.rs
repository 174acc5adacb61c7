//! The target [`tapsock_fuzz::operations`]. See there, and the crate for how it is run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsock_fuzz::operations::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tapsock_fuzz::launch::main("operations", tapsock_fuzz::operations::run, tapsock_fuzz::operations::seeds())
}
