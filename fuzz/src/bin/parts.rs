//! The target [`tapsock_fuzz::parts`]. See there, and the crate for how it is run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsock_fuzz::parts::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tapsock_fuzz::launch::main("parts", tapsock_fuzz::parts::run, tapsock_fuzz::parts::seeds())
}
