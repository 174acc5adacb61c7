//! `tapsock dump`, of captures and of a host that runs.

mod common;

use std::process::Command;

use common::{Beside, Scratch, has_program, run, stderr, stdout};

/// A capture of a few echoes and what goes with them.
fn captured(scratch: &Scratch, to: &str) -> String {
    let file = scratch.text("capture");
    let output = run(&["ping", "-c", "3", "-i", "0.01", "--link", "memory", "--capture", &file, to]);
    assert!(output.status.success(), "{}", stderr(&output));
    file
}

fn dump(args: &[&str]) -> String {
    let output = run(&[&["dump"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Lines without their times.
fn timeless(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned()).collect()
}

#[test]
fn lines_are_tcpdumps() {
    let scratch = Scratch::new();
    for (to, echo) in [("10.7.0.1", "icmp"), ("fd07::1", "icmp6")] {
        let file = captured(&scratch, to);
        let ours = timeless(&dump(&["-n", "-r", &file, echo, "or", "arp"]));
        assert!(ours.len() >= 8, "{ours:?}");
        let request = ours.iter().find(|line| line.contains("echo request")).unwrap();
        assert!(
            request.contains(&format!(" > {to}: ICMP")) && request.ends_with(", seq 1, length 64"),
            "{request}"
        );
        if !has_program("tcpdump") {
            continue;
        }
        let theirs =
            Command::new("tcpdump").args(["-n", "-r", &file, "icmp or icmp6 or arp"]).output().unwrap();
        let theirs = timeless(&stdout(&theirs));
        // What the options of neighbour discovery are said after its length.
        let ours: Vec<_> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| (ours, theirs.starts_with(ours.as_str())))
            .collect();
        assert!(ours.len() == theirs.len() && ours.iter().all(|(_, same)| *same), "{ours:?}\n{theirs:?}");
    }
}

#[test]
fn what_is_written_is_what_was_wanted() {
    let scratch = Scratch::new();
    let file = captured(&scratch, "10.7.0.1");
    let other = scratch.text("other");
    assert_eq!(dump(&["-r", &file, "-w", &other, "icmp", "and", "src", "10.7.0.2"]), "");
    let lines = dump(&["-n", "-r", &other]);
    assert_eq!(lines, dump(&["-n", "-r", &file, "icmp src 10.7.0.2"]));
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(dump(&["-n", "-r", &file, "-c", "1", "icmp"]).lines().count(), 1);
    let verbose = dump(&["-nvx", "-r", &file, "-c", "1", "icmp"]);
    assert!(
        verbose.contains(" IP (tos 0x0, ttl 64, id ")
            && verbose.contains("proto ICMP (1), length 84)\n    10.7.0.2 > 10.7.0.1: "),
        "{verbose}"
    );
    assert!(verbose.contains("\n\t0x0000:  4500 0054 "), "{verbose}");
    // The older form, by who writes it.
    let old = scratch.text("old");
    if has_program("tcpdump")
        && Command::new("tcpdump").args(["-r", &file, "-w", &old]).output().unwrap().status.success()
    {
        assert_eq!(timeless(&dump(&["-n", "-r", &old])), timeless(&dump(&["-n", "-r", &file])));
    }
}

#[test]
fn each_packet_is_an_object_too() {
    let scratch = Scratch::new();
    for (to, from, family) in [("10.7.0.1", "10.7.0.2", "inet"), ("fd07::1", "fd07::2", "inet6")] {
        let file = captured(&scratch, to);
        let text = dump(&["-jnx", "-r", &file]);
        let objects: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lines = timeless(&dump(&["-n", "-r", &file]));
        let texts: Vec<_> = objects.iter().map(|object| object["text"].as_str().unwrap()).collect();
        assert_eq!(texts, lines);
        let echoes = |kind: u8| objects.iter().filter(move |object| object["icmp_type"] == kind);
        let request = echoes(if family == "inet" { 8 } else { 128 }).next().unwrap();
        assert_eq!(
            (&request["family"], &request["src"], &request["dst"]),
            (&family.into(), &from.into(), &to.into())
        );
        assert_eq!((&request["payload"], &request["icmp_code"]), (&56.into(), &0.into()), "{request}");
        let (hops, header) = if family == "inet" { ("ttl", 20) } else { ("hoplimit", 40) };
        assert_eq!(
            (&request[hops], &request["length"]),
            (&64.into(), &(14 + header + 64).into()),
            "{request}"
        );
        assert_eq!(request["bytes"].as_str().map(str::len), Some(2 * (header + 64)), "{request}");
        assert!(
            request["lladdr"].is_string() && request["ifname"].is_string() && request["time_ns"].is_u64(),
            "{request}"
        );
    }
    let output = run(&["dump", "-j", "-w", "-"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn what_passes_a_running_host_is_shown() {
    let scratch = Scratch::new();
    let control = scratch.text("control");
    let mut ping =
        Beside::start(&["ping", "-i", "0.05", "--link", "memory", "--control", &control, "10.7.0.1"]);
    ping.word_after("icmp_seq=1");
    let output = run(&["dump", "-n", "-c", "4", "--control", &control, "icmp"]);
    assert_eq!(stderr(&output), "tapsock: listening; Ctrl-C ends it\n");
    let lines = timeless(&stdout(&output));
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("IP 10.7.0.") && line.contains(": ICMP echo re")),
        "{lines:?}"
    );
}

#[test]
fn what_is_no_capture_or_no_filter_is_said_to_be_none() {
    let scratch = Scratch::new();
    let file = scratch.text("file");
    let failed = |args: &[&str]| {
        let output = run(&[&["dump"], args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        stderr(&output)
    };
    std::fs::write(&file, "this is no capture, however long it may be").unwrap();
    assert!(failed(&["-r", &file]).contains("it is neither pcapng nor pcap"));
    std::fs::write(&file, "").unwrap();
    assert!(failed(&["-r", &file]).contains("it is empty"));
    assert!(failed(&["-r", &scratch.text("none")]).contains("No such file"));
    let text = failed(&["-r", &file, "vlan", "7"]);
    assert!(text.contains("filter: \"vlan\" is not understood") && text.contains("host ADDRESS"), "{text}");
    // Cut off anywhere, it is read as far as it goes.
    let whole = std::fs::read(captured(&scratch, "10.7.0.1")).unwrap();
    for len in (0..whole.len()).step_by(whole.len() / 20 + 1) {
        std::fs::write(&file, &whole[..len]).unwrap();
        let output = run(&["dump", "-n", "-r", &file]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{len}: {}", stderr(&output));
    }
}
