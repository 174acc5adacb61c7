//! A program in C that uses the library as packetdrill does.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate whose library is built beside the tests.
use tapsock_packetdrill as _;

fn library() -> PathBuf {
    env::current_exe().unwrap().with_file_name("libtapsock_packetdrill.so")
}

/// Builds the program; `None` without a C compiler.
fn build(name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/handshake.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut compile = Command::new("cc");
    compile.args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]).arg(source).arg("-o").arg(&program);
    match compile.status() {
        Ok(status) => assert!(status.success(), "{compile:?}"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no cc on this machine");
            return None;
        }
        Err(error) => panic!("cc: {error}"),
    }
    Some(program)
}

/// Runs it, to its last line.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    assert_eq!(said, "all as it should be\n", "{complained}");
}

#[test]
fn a_program_speaks_to_the_host_by_packets_and_calls() {
    let Some(program) = build("handshake") else { return };
    run(Command::new(program).arg(library()));
}

#[test]
fn where_it_is_preloaded_libc_knows_its_sockets() {
    let Some(program) = build("handshake-preloaded") else { return };
    run(Command::new(program).env("LD_PRELOAD", library()).arg(library()).arg("preloaded"));
}

#[test]
fn flags_that_make_no_sense_end_the_process_with_the_reason() {
    let Some(program) = build("handshake-odd") else { return };
    let output = Command::new(program).arg(library()).arg("").arg("teleport home").output().unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(complained.contains("teleport"), "{complained}");
}
