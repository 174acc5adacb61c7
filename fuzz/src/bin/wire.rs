//! The target [`tapsock_fuzz::wire`]. See there, and the crate for how it is run.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tapsock_fuzz::wire::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tapsock_fuzz::launch::main("wire", tapsock_fuzz::wire::run, tapsock_fuzz::wire::seeds())
}
