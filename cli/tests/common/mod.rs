//! Running the program, and what this machine allows.

#![allow(dead_code)] // each test takes what it needs

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tapsock_driver::auto::{FarEnd, Opened};
use tapsock_driver::{KernelEnd, Namespace};

/// The program.
pub fn tapsock(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapsock"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(args: &[&str]) -> Output {
    tapsock(args).output().expect("the program runs")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The object that `demo --json` prints.
pub fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// Names of the checks that ended so.
pub fn with_status<'a>(object: &'a Value, status: &str) -> Vec<&'a str> {
    let checks = object["checks"].as_array().expect("checks");
    let named = checks.iter().filter(|check| check["status"] == status);
    named.map(|check| check["name"].as_str().expect("a name")).collect()
}

/// Whether this machine lets this user have a link to the kernel; the test is to return where it does not.
pub fn has_kernel_link() -> bool {
    match Opened::best(&KernelEnd::new("tap0")) {
        Ok(Opened { far_end: FarEnd::Kernel(_), .. }) => true,
        Ok(opened) => {
            println!("skipped: no link to the kernel: {:?}", opened.refused);
            false
        }
        Err(refused) => panic!("{refused:?}"),
    }
}

/// An ordinary user.
pub const SOMEBODY: &str = "1000";

/// A TUN device for everybody, as ordinary distributions have it, in the place of this machine's; then somebody else.
pub const OPENED: &str = "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit 77
    exec setpriv --reuid \"$0\" --regid \"$0\" --clear-groups \"$@\"";

pub fn namespace() -> Option<Namespace> {
    Namespace::create().inspect_err(|error| println!("skipped: {error}")).ok()
}

/// A directory that everybody may use, and that goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tapsock-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A copy of the program where every user may run it.
    pub fn program(&self) -> PathBuf {
        let copy = self.path("tapsock");
        // By another process: one that another test starts meanwhile would hold the copy open for writing, and nobody runs
        // such a file.
        let copied =
            Command::new("install").args(["-m", "755", env!("CARGO_BIN_EXE_tapsock")]).arg(&copy).status();
        assert!(copied.unwrap().success());
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs beside the test, and is ended with it.
pub struct Beside {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Beside {
    /// One that tells on its standard output.
    pub fn start(args: &[&str]) -> Self {
        let mut child = tapsock(args).stdout(Stdio::piped()).spawn().unwrap();
        let from = child.stdout.take().unwrap();
        Beside { child, lines: lines(from) }
    }

    /// One that tells on its standard error; its standard output is for [`output`](Self::output).
    pub fn start_telling_on_stderr(args: &[&str], stdin: Stdio) -> Self {
        let mut command = tapsock(args);
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let from = child.stderr.take().unwrap();
        Beside { child, lines: lines(from) }
    }

    /// What follows `mark` in the next line that has it, up to a blank.
    pub fn word_after(&mut self, mark: &str) -> String {
        let line =
            self.lines.find(|line| line.contains(mark)).unwrap_or_else(|| panic!("no line with {mark:?}"));
        let rest = line.split_once(mark).unwrap().1.trim();
        rest.split(' ').next().unwrap().to_owned()
    }

    /// Its standard input, where that is piped.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    pub fn next_line(&mut self) -> Option<String> {
        self.lines.next()
    }

    /// Waits for its end: whether it succeeded, and its standard output.
    pub fn output(mut self) -> (bool, String) {
        let mut text = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            stdout.read_to_string(&mut text).unwrap();
        }
        (self.child.wait().unwrap().success(), text)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + 'static) -> Box<dyn Iterator<Item = String>> {
    Box::new(BufReader::new(from).lines().map_while(Result::ok))
}

/// Whether there is such a program on this machine.
pub fn has_program(name: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| Path::new(&directory).join(name).is_file())
    });
    if !found {
        println!("skipped: there is no {name} on this machine");
    }
    found
}
