//! The target [`tapsock_fuzz::frames`]. See there, and the crate for how it is run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsock_fuzz::frames::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tapsock_fuzz::launch::main("frames", tapsock_fuzz::frames::run, tapsock_fuzz::frames::seeds())
}
