//! `tapsock ping` with the options of iputils' ping.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::code;
use crate::common::{Scratch, stderr, stdout, tapsock};

fn ping(args: &[&str]) -> Output {
    tapsock(&["ping", "--link", "memory"]).args(args).output().unwrap()
}

/// IPv4 headers of the echo requests in a capture, up to the TTL.
fn requests(capture: &std::path::Path) -> Vec<[u8; 12]> {
    let bytes = std::fs::read(capture).unwrap();
    // An Ethernet frame's type, then IPv4 without options with ICMP in it, and an echo request after its 20 bytes.
    let is_request =
        |bytes: &[u8]| bytes[..3] == [8, 0, 0x45] && bytes[11] == 1 && bytes[2 + 20..2 + 22] == [8, 0];
    bytes
        .windows(24)
        .filter(|window| is_request(window))
        .map(|window| window[..12].try_into().unwrap())
        .collect()
}

#[test]
fn requests_may_be_cut_or_not() {
    let scratch = Scratch::new();
    let dont_fragment = |how: &[&str]| {
        let capture = scratch.path("ping.pcapng");
        let args = ["-c", "1", "-Q", "0x20", "-t", "9", "--capture", capture.to_str().unwrap(), "10.7.0.1"];
        let output = ping(&[how, &args].concat());
        assert!(output.status.success(), "{how:?}: {}", stderr(&output));
        let headers = requests(&capture);
        assert_eq!(headers.len(), 1, "{how:?}");
        assert_eq!((headers[0][3], headers[0][10]), (0x20, 9), "{how:?}");
        headers[0][8] & 0x40 != 0
    };
    for (how, expected) in [
        (&["-M", "do"][..], true),
        (&["-M", "probe"], true),
        (&["-M", "dont"], false),
        (&["-M", "want"], true),
        (&[], true),
    ] {
        assert_eq!(dont_fragment(how), expected, "{how:?}");
    }
    let long = ping(&["-M", "do", "-c", "1", "-W", "1", "-s", "2000", "10.7.0.1"]);
    assert_eq!(code(&long), Some(1));
    assert!(stderr(&long).contains("ping: local error: message too long, mtu=1500"), "{}", stderr(&long));
    assert!(stdout(&long).contains("0 received, +1 errors, 100% packet loss"), "{}", stdout(&long));
}

#[test]
fn answers_are_shown_as_it_is_told_to() {
    let text = stdout(&ping(&["-D", "-a", "-v", "-p", "ff00", "-c", "1", "10.7.0.1"]));
    assert!(text.starts_with("PATTERN: 0xff00\nPING 10.7.0.1 "), "{text}");
    let line = text.lines().nth(2).unwrap();
    assert!(line.starts_with('[') && line.contains("] 64 bytes from 10.7.0.1: icmp_seq=1 ident="), "{line}");
    assert!(line.ends_with(" ms\x07"), "{line}");
    let preload = stdout(&ping(&["-l", "3", "-c", "3", "-i", "60", "10.7.0.1"]));
    assert!(preload.contains("3 packets transmitted, 3 received, 0% packet loss"), "{preload}");
    let adaptive = stdout(&ping(&["-A", "-c", "20", "10.7.0.1"]));
    assert!(adaptive.contains("icmp_seq=20") && adaptive.contains("ipg/ewma"), "{adaptive}");
}

#[test]
fn who_does_not_answer_is_told_of() {
    let late = ping(&["-O", "-c", "2", "-i", "0.2", "-W", "0.2", "10.7.0.77"]);
    assert_eq!(code(&late), Some(1));
    let text = stdout(&late);
    assert!(text.contains("no answer yet for icmp_seq=1"), "{text}");
    // The stack finds no such neighbour, and says so itself.
    let nobody = ping(&["-c", "1", "-W", "20", "10.7.0.77"]);
    let text = stdout(&nobody);
    assert!(text.contains("From 10.7.0.2 icmp_seq=1 Destination Host Unreachable"), "{text}");
    assert!(text.contains("1 packets transmitted, 0 received, +1 errors, 100% packet loss"), "{text}");
    assert_eq!(code(&nobody), Some(1));
}

#[test]
fn a_signal_asks_how_it_stands() {
    let args = ["ping", "-i", "0.05", "--link", "memory", "10.7.0.1"];
    let mut command = tapsock(&args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    // It is kept: who stops reading ends the command.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("icmp_seq=2"));
    kill_process(pid, Signal::QUIT).unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = told.find(|line| line.as_ref().unwrap().contains("packets")).unwrap().unwrap();
    assert!(line.contains(" packets, ") && line.contains("min/avg/ewma/max = "), "{line}");
    assert_eq!(child.try_wait().unwrap(), None, "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_makes_no_sense_is_an_error_of_the_command_line() {
    for args in
        [&["-M", "maybe"][..], &["-p", "xyz"], &["-Q", "256"], &["-l", "0"], &["-A", "-f"], &["-c", "0"]]
    {
        let output = ping(&[args, &["10.7.0.1"]].concat());
        assert_eq!(code(&output), Some(2), "{args:?}: {}", stderr(&output));
    }
    assert!(stdout(&ping(&["-V"])).starts_with("tapsock-ping "));
}
