//! More connections than there are descriptors for.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::Scratch;

/// Descriptors of the program.
const DESCRIPTORS: &str = "48";
/// Connections: more than that.
const CROWD: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// A program with few descriptors, and the lines of its standard error.
struct Short(Child, mpsc::Receiver<String>);

impl Short {
    fn start(args: &[&str]) -> Short {
        let mut command = Command::new("sh");
        let script = "ulimit -n \"$0\" && exec \"$@\"";
        command.args(["-c", script, DESCRIPTORS, env!("CARGO_BIN_EXE_tapsock")]).args(args);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let from = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || from.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Short(child, told)
    }

    fn line_with(&self, mark: &str) -> String {
        loop {
            let line = self.1.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {mark:?}"));
            if line.contains(mark) {
                return line;
            }
        }
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_published_site_outlives_a_crowd() {
    let scratch = Scratch::new();
    fs::write(scratch.path("hello"), "hello\n").unwrap();
    let directory = scratch.text("");
    let mut server = Short::start(&["serve", &directory, "--link", "memory", "--publish", "127.0.0.1:0"]);
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || lines.for_each(|line| drop(tell.send(line))));
    let published = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok())
        .find_map(|line| Some(line.split_once("http://127")?.1.trim_end_matches('/').to_owned()))
        .unwrap();
    let address: SocketAddr = format!("127{published}").parse().unwrap();
    let crowd: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect();
    server.line_with("Too many open files (os error 24)");
    drop(crowd);
    // Those that were closed meanwhile are accepted first, and may take this one's descriptors.
    let fetched = (0..600).any(|_| {
        let mut text = String::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut text)
        });
        let fetched = asked.is_ok() && text.ends_with("hello\n");
        if !fetched {
            thread::sleep(Duration::from_millis(100));
        }
        fetched
    });
    assert!(fetched, "it answers again");
    // Once for each time that it came to that, and not for each attempt.
    let said = server.1.try_iter().filter(|line| line.contains("Too many")).count();
    assert!(said <= 10, "{said} times more");
}

#[test]
fn nc_outlives_a_crowd() {
    let server = Short::start(&["nc", "-lkdv", "127.0.0.1", "0"]);
    let line = server.line_with("Listening on ");
    let address: SocketAddr = line.split_once("Listening on ").unwrap().1.parse().unwrap();
    let crowd: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect();
    drop(crowd);
    let last = TcpStream::connect(address).unwrap();
    server.line_with(&format!("Connection received from {}", last.local_addr().unwrap()));
}
