//! C programs, built as their users build them: against the installed header and library, by pkg-config and cc.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The crate whose library is built beside the tests.
use tapsock_c as _;

/// `-Wall` and its kin: the header and the programs give no reason to complain.
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-O1"];

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where libtapsock is installed for these tests; `None` without a C compiler or pkg-config.
fn installed() -> Option<&'static Path> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    INSTALLED.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    for program in ["cc", "pkg-config"] {
        match Command::new(program).arg("--version").output() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("skipped: there is no {program} on this machine");
                return None;
            }
            Err(error) => panic!("{program}: {error}"),
        }
    }
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
    let mut install = Command::new(crate_root().join("install.sh"));
    run(install.env("PREFIX", &prefix).env("BUILD", beside_us()));
    Some(prefix)
}

/// The directory of this test's program, in which cargo has put the libraries that it was built with.
fn beside_us() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What pkg-config says of the installed library.
fn flags(prefix: &Path, which: &[&str]) -> Vec<String> {
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(which).arg("tapsock");
    let said = String::from_utf8(run(&mut ask).stdout).unwrap();
    said.split_whitespace().map(str::to_owned).collect()
}

/// Builds `source` as `name`, and gives the command that runs it.
fn build(source: &str, name: &str, flags: &[impl AsRef<OsStr>]) -> Command {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut compile = Command::new("cc");
    compile.args(STRICT).arg(crate_root().join(source)).arg("-o").arg(&program).args(flags);
    run(&mut compile);
    let mut command = Command::new(program);
    if let Some(prefix) = installed() {
        command.env("LD_LIBRARY_PATH", prefix.join("lib"));
    }
    command
}

fn said(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

#[test]
fn every_call_answers_as_the_kernels() {
    let Some(prefix) = installed() else { return };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("calls");
    // For paths. What an earlier run has left there is in the way.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    let mut kernels = build("tests/c/calls.c", "calls-kernel", &[] as &[&str]);
    let kernels = said(kernels.current_dir(&directory));
    let mut ours = flags(prefix, &["--cflags", "--libs"]);
    ours.push("-DTAPSOCK".to_owned());
    let ours = said(build("tests/c/calls.c", "calls-ours", &ours).current_dir(&directory));
    let mut lines = ours.lines().zip(kernels.lines()).enumerate();
    if let Some((number, (ours, kernels))) = lines.find(|(_, (ours, kernels))| ours != kernels) {
        panic!("line {}:\n  ours   {ours}\n  kernel {kernels}", number + 1);
    }
    assert_eq!(ours.lines().count(), kernels.lines().count());
}

#[test]
fn the_default_host_and_its_numbers() {
    let Some(prefix) = installed() else { return };
    let mut own = build("tests/c/own.c", "own", &flags(prefix, &["--cflags", "--libs"]));
    assert_eq!(said(&mut own), "all as it should be\n");
}

#[test]
fn the_header_is_for_cpp_and_strict_c_too() {
    let Some(prefix) = installed() else { return };
    let cflags = flags(prefix, &["--cflags"]);
    for standard in ["-std=c99", "-std=c17", "-std=gnu2x"] {
        let mut compile = Command::new("cc");
        compile.args(STRICT).args(["-pedantic", standard, "-fsyntax-only", "-x", "c"]);
        run(compile.arg(prefix.join("include/tapsock.h")).args(&cflags));
    }
    // A C++ compiler is not asked for: where it is missing, C's own has read the header.
    if Command::new("c++").arg("--version").output().is_ok() {
        let mut compile = Command::new("c++");
        run(compile
            .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++"])
            .arg(prefix.join("include/tapsock.h")));
    }
}

/// The first program in C of a page.
fn program_of(page: &str) -> &str {
    let start = page.find("```c\n").unwrap() + "```c\n".len();
    &page[start..start + page[start..].find("```").unwrap()]
}

#[test]
fn the_program_of_the_docs_is_a_program() {
    let Some(prefix) = installed() else { return };
    let page = fs::read_to_string(crate_root().join("../docs/c.md")).unwrap();
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs.c");
    fs::write(&source, program_of(&page)).unwrap();
    build(source.to_str().unwrap(), "docs", &flags(prefix, &["--cflags", "--libs"]));
}

#[test]
fn the_static_library_needs_what_pkg_config_says() {
    let Some(prefix) = installed() else { return };
    let all = flags(prefix, &["--cflags", "--libs", "--static"]);
    let linked = all.iter().map(|flag| if flag == "-ltapsock" { "-l:libtapsock.a" } else { flag });
    let linked: Vec<&str> = linked.collect();
    let mut own = build("tests/c/own.c", "own-static", &linked);
    assert_eq!(said(own.env_remove("LD_LIBRARY_PATH")), "all as it should be\n");
}

#[test]
fn the_example_serves_curl() {
    let Some(prefix) = installed() else { return };
    let mut daemon = build("examples/http_daemon.c", "http_daemon", &flags(prefix, &["--cflags", "--libs"]));
    let answer = said(&mut daemon);
    if answer.starts_with("skipped: ") {
        println!("{answer}");
    } else {
        assert_eq!(answer, "You said: GET /over/ipv4 HTTP/1.1\n");
    }
    // What the library is called where it is installed stays the same from release to release.
    let names: Vec<String> = fs::read_dir(prefix.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name == "libtapsock.so.0"), "{names:?}");
}
