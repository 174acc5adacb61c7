//! `tapsock script`, as its users see it.

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::{OPENED, SOMEBODY, Scratch, has_kernel_link, run, stderr, stdout};
use rustix::process::geteuid;
use serde_json::Value;

const HANDSHAKE: &str = "
    0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0  bind(3, ..., ...) = 0
    +0  listen(3, 1) = 0
    +.1 < S 0:0(0) win 65535 <mss 1000>
    +0  > S. 0:0(0) ack 1 <mss 1460>
";

/// A directory with a script that passes, one that fails, and one that is for IPv6.
fn collection() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("set/inner")).unwrap();
    fs::write(scratch.path("set/good.pkt"), HANDSHAKE).unwrap();
    fs::write(scratch.path("set/inner/bad.pkt"), HANDSHAKE.replace("ack 1 <mss 1460>", "ack 1 <mss 1400>"))
        .unwrap();
    fs::write(scratch.path("set/only-v6.pkt"), HANDSHAKE).unwrap();
    fs::write(scratch.path("set/readme.txt"), "no script").unwrap();
    scratch
}

#[test]
fn a_failure_names_its_place_and_shows_both_packets() {
    let scratch = collection();
    let run = run(&["script", &scratch.text("set")]);
    let (text, bad) = (stdout(&run), scratch.text("set/inner/bad.pkt"));
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    assert!(
        text.starts_with(&format!("{bad}:6:9: [ipv4] options: expected <mss 1400>, actual <mss 1460>\n")),
        "{text}"
    );
    assert!(text.contains("  expected: S. 0:0(0) ack 1 <mss 1400>\n"), "{text}");
    assert!(text.contains("  actual:   S. 0:0(0) ack 1 win 64240 <mss 1460>\n"), "{text}");
    assert!(text.contains("     6 |     +0  > S. 0:0(0) ack 1 <mss 1400>\n"), "{text}");
    assert!(text.ends_with("\n1 passed, 1 failed, 1 skipped\n"), "{text}");
}

#[test]
fn scripts_run_in_each_family() {
    let scratch = collection();
    let good = scratch.text("set/good.pkt");
    let run = run(&["script", &good, "--ip", "ipv4,ipv4-mapped-ipv6,ipv6", "-j", "2"]);
    assert_eq!((run.status.code(), stdout(&run).as_str()), (Some(0), "3 passed, 0 failed, 0 skipped\n"));
}

#[test]
fn programs_read_an_object_a_line() {
    let scratch = collection();
    let run = run(&["script", "--json", &scratch.text("set")]);
    let lines: Vec<Value> = stdout(&run).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results: Vec<_> = lines.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["passed", "failed", "skipped"]);
    let bad = &lines[1];
    assert_eq!(
        (bad["file"].as_str(), bad["ip"].as_str()),
        (Some(&*scratch.text("set/inner/bad.pkt")), Some("ipv4"))
    );
    assert_eq!(bad["line"], 6);
    assert!(bad["reason"].as_str().unwrap().starts_with("options: expected <mss 1400>"), "{bad}");
    assert_eq!((&lines[0]["line"], &lines[0]["reason"]), (&Value::Null, &Value::Null));
}

#[test]
fn results_are_written_as_junit_and_packets_as_pcapng() {
    let scratch = collection();
    let (junit, pcaps) = (scratch.text("out.xml"), scratch.text("pcaps"));
    run(&["script", &scratch.text("set"), "--junit", &junit, "--pcap", &pcaps]);
    let text = fs::read_to_string(junit).unwrap();
    assert!(
        text.contains(
            "<testsuite name=\"tapsock script\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">"
        ),
        "{text}"
    );
    assert!(
        text.contains("<failure message=\"options: expected &lt;mss 1400&gt;, actual &lt;mss 1460&gt;\">"),
        "{text}"
    );
    let files: Vec<_> =
        fs::read_dir(pcaps).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])));
    // A SYN and its answer over bare IP, by their ports.
    let (good, port) = (files.iter().map(Vec::len).max().unwrap(), 8080u16.to_be_bytes());
    let largest = files.iter().find(|file| file.len() == good).unwrap();
    assert_eq!(largest.windows(2).filter(|bytes| *bytes == port).count(), 2);
}

#[test]
fn a_failure_says_where_its_packets_are() {
    let scratch = collection();
    let output = stdout(&run(&["script", &scratch.text("set")]));
    let path = output.lines().find_map(|line| line.strip_prefix("  packets: ")).expect(&output);
    assert!(path.ends_with("inner-bad-pkt.ipv4.pcapng"), "{path}");
    assert!(fs::read(path).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    fs::remove_file(path).unwrap();
}

#[test]
fn two_runs_print_the_same() {
    let scratch = collection();
    let [first, second] =
        [0, 1].map(|_| stdout(&run(&["script", "-v", &scratch.text("set"), "--ip", "ipv4,ipv6"])));
    assert!(first.contains("  0.100000 < S 0:0(0) win 65535 <mss 1000>\n"), "{first}");
    assert_eq!(first, second);
}

#[test]
fn what_is_no_script_is_a_failure_with_its_place() {
    let scratch = Scratch::new();
    fs::write(scratch.path("odd.pkt"), "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 > Q 0:0(0)\n")
        .unwrap();
    let odd = run(&["script", &scratch.text("odd.pkt")]);
    assert_eq!(odd.status.code(), Some(1));
    assert!(
        stdout(&odd).starts_with(&format!("{}:2:6: [ipv4] 'Q' is no TCP flag", scratch.text("odd.pkt"))),
        "{}",
        stdout(&odd)
    );
    let missing = run(&["script", &scratch.text("none.pkt")]);
    assert!(stdout(&missing).ends_with("\n0 passed, 1 failed, 0 skipped\n"), "{}", stdout(&missing));
    let empty = run(&["script", &scratch.text("")]);
    assert_eq!(empty.status.code(), Some(1));
}

#[test]
fn the_kernel_is_judged_by_the_same_scripts() {
    if !has_kernel_link() {
        return;
    }
    let scratch = collection();
    // Whatever else the machine does.
    let patient = ["--on", "kernel", "-o", "tolerance_usecs=2000000"];
    let run = run(&[&["script", &scratch.text("set")][..], &patient].concat());
    let text = stdout(&run);
    let bad = format!(
        "{}:6:9: [ipv4] options: expected <mss 1400>, actual <mss 1460>\n",
        scratch.text("set/inner/bad.pkt")
    );
    assert!(text.starts_with(&bad), "{text} {}", stderr(&run));
    assert!(text.ends_with("\n1 passed, 1 failed, 1 skipped\n"), "{text}");
}

#[test]
fn both_are_compared_packet_by_packet() {
    if !has_kernel_link() {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.path("same.pkt"), HANDSHAKE).unwrap();
    let patient = ["--on", "both", "-o", "tolerance_usecs=2000000", "--ip", "ipv4,ipv6"];
    let same = run(&[&["script", &scratch.text("same.pkt")][..], &patient].concat());
    assert_eq!(stdout(&same), "2 passed, 0 failed, 0 skipped\n", "{}", stderr(&same));
    // What the script fails by on both is told as of one.
    fs::write(scratch.path("bad.pkt"), HANDSHAKE.replace("<mss 1460>", "<mss 1400>")).unwrap();
    let bad = run(&[&["script", &scratch.text("bad.pkt")][..], &patient].concat());
    assert!(
        stdout(&bad).contains("[ipv4] options: expected <mss 1400>, actual <mss 1460>\n"),
        "{}",
        stdout(&bad)
    );
}

#[test]
fn an_ordinary_user_judges_the_kernel_as_well() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    if !has_kernel_link() {
        return;
    }
    let scratch = Scratch::new();
    let settings =
        "`sysctl -q net.ipv4.tcp_timestamps=0; ip route change default dev tun0 initcwnd 3 || true`";
    fs::write(scratch.path("good.pkt"), format!("{settings}\n{HANDSHAKE}")).unwrap();
    let script = scratch.text("good.pkt");
    let patient = ["script", &script, "--on", "kernel", "--ip", "ipv4,ipv6", "-o", "tolerance_usecs=2000000"];
    let program = scratch.program();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", OPENED, SOMEBODY]).arg(&program).args(patient);
    let output = command.stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(77) {
        return println!("skipped: no TUN device can be made here: {}", stderr(&output));
    }
    assert_eq!(stdout(&output), "2 passed, 0 failed, 0 skipped\n", "{}", stderr(&output));
    // Where the device is root's alone the reason is told.
    let closed = "mount -t tmpfs tmpfs /dev/net && mknod -m 600 /dev/net/tun c 10 200 || exit 77";
    let opened = OPENED.split_once('\n').unwrap().1;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{closed}\n{opened}"), SOMEBODY]).arg(&program).args(patient);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("/dev/net/tun: Permission denied"), "{}", stdout(&output));
}

/// The setting is the stack's alone there: in a network namespace Linux has none of that name.
const PARTED: &str = "`sysctl -q net.ipv4.tcp_timestamps=0; sysctl -q net.ipv4.tcp_max_orphans=0 || true`
    0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0  bind(3, ..., ...) = 0
    +0  listen(3, 1) = 0
    +.1 < S 0:0(0) win 65535 <mss 1000>
    +0  > S. 0:0(0) ack 1 <mss 1460>
    +.1 < . 1:1(0) ack 1 win 65535
    +0  accept(3, ..., ...) = 4
    +0  close(4) = 0
    +0  > F. 1:1(0) ack 1
    +.1 < F. 1:1(0) ack 2 win 65535
    +0  > . 2:2(0) ack 2
";

#[test]
fn where_both_part_is_said_with_what_each_sends() {
    if !has_kernel_link() {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.path("parted.pkt"), PARTED).unwrap();
    let path = scratch.text("parted.pkt");
    let run = run(&["script", &path, "--on", "both", "-o", "tolerance_usecs=2000000"]);
    assert_eq!(run.status.code(), Some(1));
    let text = stdout(&run);
    let lines: Vec<&str> = text.lines().collect();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let head = format!("{path}:11:1: [ipv4] the stack parts from Linux {}, which sends 0.", release.trim());
    assert!(lines[0].starts_with(&head), "{text}");
    assert!(lines[0].ends_with(" > . 2:2(0) ack 2 win 64239"), "{text}");
    assert!(lines[1].starts_with("  expected: 0."), "{text}");
    assert!(lines[1].ends_with(" > . 2:2(0) ack 2 win 64239"), "{text}");
    assert_eq!(lines[2], "  actual:   0.200000 > R. 2:2(0) ack 1 win 64240");
    assert_eq!(lines[3], "    11 |     +.1 < F. 1:1(0) ack 2 win 65535");
    assert!(lines[4].starts_with("  packets: "), "{text}");
    assert_eq!(lines[5], "0 passed, 1 failed, 0 skipped");
}

/// Calls of which none is ever to end, though the script says of no end.
const WAITING: [(&str, &str); 4] = [
    ("accept", "+0 accept(3, ..., ...) = 4"),
    ("connect", "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n+0 connect(4, ..., ...) = 0"),
    ("poll", "+0 poll([{fd=3, events=POLLIN, revents=0}], 1, -1) = 0"),
    (
        "recv",
        "+0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 4\n+0 bind(4, ..., ...) = 0\n+0 recv(4, ..., 10, 0) = 10",
    ),
];

#[test]
fn a_call_that_waits_without_an_end_fails_and_says_how_long_it_had() {
    let scratch = Scratch::new();
    let targets: &[&str] = if has_kernel_link() { &["stack", "kernel"] } else { &["stack"] };
    for (name, call) in WAITING {
        let listener = HANDSHAKE.split_inclusive('\n').take(4).collect::<String>();
        fs::write(scratch.path(&format!("{name}.pkt")), format!("{listener}{call}\n")).unwrap();
    }
    for on in targets {
        let run = run(&["script", "--json", "-j", "4", "--on", on, &scratch.text("")]);
        let lines: Vec<Value> =
            stdout(&run).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), WAITING.len(), "{on}: {}", stderr(&run));
        for (line, (name, _)) in lines.iter().zip(WAITING.iter()) {
            let reason = line["reason"].as_str().unwrap_or_default();
            assert!(reason.starts_with(&format!("{name} did not return in 2.004 s; ")), "{on}: {line}");
        }
    }
}

#[test]
fn a_script_may_say_that_it_is_not_for_the_kernel() {
    let scratch = Scratch::new();
    fs::write(scratch.path("apart.pkt"), format!("// Not on the kernel: it has no such thing.\n{HANDSHAKE}"))
        .unwrap();
    for (on, tally) in [
        ("stack", "1 passed, 0 failed, 0 skipped\n"),
        ("kernel", "0 passed, 0 failed, 1 skipped\n"),
        ("both", "0 passed, 0 failed, 1 skipped\n"),
    ] {
        assert_eq!(stdout(&run(&["script", &scratch.text("apart.pkt"), "--on", on])), tally, "{on}");
    }
    let told = run(&["script", &scratch.text("apart.pkt"), "--on", "kernel", "--json"]);
    let told: Value = serde_json::from_str(stdout(&told).trim()).unwrap();
    assert_eq!(told["reason"], "not on the kernel: it has no such thing.");
}
