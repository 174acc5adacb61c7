//! How scripts are run: what the runner does with times, packets, calls, commands and code.

#[path = "common/drawing.rs"]
mod drawing;

use std::process::Command;

use tapsock_conformance::ast::{IpVersion, Setting};
use tapsock_conformance::parse_setting;
use tapsock_conformance::run::{Options, Report, TraceKind, Verdict, run};

/// A listener with a connection, as far as it was accepted.
const CONNECTED: &str = "`sysctl -q net.ipv4.tcp_timestamps=0`
 0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0  bind(3, ..., ...) = 0
+0  listen(3, 1) = 0
+.1 < S 0:0(0) win 65535 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0  > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 512
+0  accept(3, ..., ...) = 4
";

fn with(rest: &str, settings: &[Setting]) -> Report {
    let options = Options { settings: settings.to_vec(), ..Options::default() };
    run("s.pkt", &format!("{CONNECTED}{rest}"), IpVersion::V4, &options)
}

/// The reason why a script fails, and the line, counted from the first after the connection.
#[track_caller]
fn failure(rest: &str) -> (u32, String) {
    match with(rest, &[]).verdict {
        Verdict::Failed(failure) => (failure.at.line - 8, failure.reason),
        verdict => panic!("{verdict:?}"),
    }
}

#[track_caller]
fn passes(rest: &str) {
    assert_eq!(with(rest, &[]).verdict, Verdict::Passed);
}

#[test]
fn a_packet_may_be_off_by_the_tolerance_and_no_more() {
    passes("+.1 write(4, ..., 10) = 10\n+.004 > P. 1:11(10) ack 1");
    let (line, reason) = failure("+.1 write(4, ..., 10) = 10\n+.005 > P. 1:11(10) ack 1");
    assert_eq!(
        (line, reason.as_str()),
        (2, "the packet came at 0.300000 s; expected at 0.305000 s, tolerance 0.004000 s")
    );
    passes("+.1 write(4, ..., 10) = 10\n0.296~0.2965 > P. 1:11(10) ack 1");
    failure("+.1 write(4, ..., 10) = 10\n0.290~0.2955 > P. 1:11(10) ack 1");
    passes("+.1 write(4, ..., 10) = 10\n* > P. 1:11(10) ack 1");
}

#[test]
fn what_nobody_asks_for_is_passed_over_until_somebody_does() {
    passes("+.1 write(4, ..., 10) = 10");
    let (line, reason) = failure(
        "+.1 write(4, ..., 10) = 10\n+.1 < . 1:1(0) ack 11 win 512\n+0 write(4, ..., 20) = 20\n+0 > P. 11:31(20) ack 1",
    );
    assert_eq!((line, reason.as_str()), (4, "sequence number: expected 11, actual 1"));
}

#[test]
fn a_packet_that_never_comes_is_missed() {
    let (line, reason) = failure("+.1 > . 1:1(0) ack 1");
    assert_eq!((line, reason.as_str()), (1, "no packet was sent"));
}

#[test]
fn segments_may_be_cut_otherwise_unless_the_script_forbids_it() {
    let cut = "`ethtool -K tun0 tso off gso off`\n+.1 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1";
    assert_eq!(with(&format!("+0 {cut}"), &[]).verdict, Verdict::Passed);
    let strict = parse_setting("strict_segments", None).unwrap();
    let Verdict::Failed(failure) = with(&format!("+0 {cut}"), &[strict]).verdict else { panic!() };
    assert_eq!(failure.actual.as_deref(), Some(". 1:1001(1000) ack 1 win 502"));
}

#[test]
fn a_wrong_call_does_not_end_a_run_that_says_so() {
    let non_fatal = parse_setting("non_fatal", Some("syscall")).unwrap();
    let report = with("+0 write(4, ..., 10) = 11\n+0 > P. 1:11(10) ack 1", &[non_fatal]);
    assert_eq!(report.verdict, Verdict::Passed);
    let noted = report.trace.iter().filter(|entry| entry.kind == TraceKind::Note);
    assert_eq!(
        noted.map(|entry| entry.text.as_str()).collect::<Vec<_>>(),
        ["9:4: write: expected 11, actual 10"]
    );
}

#[test]
fn a_call_that_waits_ends_when_the_script_says() {
    passes("+0...0.2 read(4, ..., 100) = 10\n+.2 < P. 1:11(10) ack 1 win 512");
    let (line, reason) = failure("+0...0.1 read(4, ..., 100) = 10\n+.2 < P. 1:11(10) ack 1 win 512");
    assert_eq!((line, reason.as_str()), (1, "read still waits at 0.400000 s"));
    let (line, reason) = failure("+0...0.3 read(4, ..., 100) = 10\n+.2 < P. 1:11(10) ack 1 win 512");
    assert!(
        line == 1 && reason.starts_with("the call returned at 0.400000 s; expected at 0.500000 s"),
        "{reason}"
    );
}

#[test]
fn payload_has_to_be_what_was_written() {
    let (line, reason) = failure("+.1 write(4, \"abc\", 3) = 3\n+0 > P. 1:4(3) ack 1");
    assert_eq!((line, reason.as_str()), (2, "payload byte 0 is not what was written"));
}

#[test]
fn code_is_judged_where_it_stands() {
    passes("+0 %{ x = tcpi_snd_mss }%\n+0 %{ assert tcpi_snd_mss == x == 1000, x }%");
    let (line, reason) =
        failure("+0 %{\nassert tcpi_snd_mss == 999, 'mss=%d' % tcpi_snd_mss\n}%\n+0 write(4, ..., 1) = 77");
    assert_eq!((line, reason.as_str()), (2, "AssertionError: mss=1000"));
}

/// What is more than assertions, all blocks of it in order, with the variables of each.
#[test]
fn code_of_other_kinds_is_run_by_python() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3");
        return;
    }
    let block = "+0 %{ seen = [tcpi_snd_mss] }%\n+0 %{\nfor mss in seen:\n    seen = [mss // 4]\n}%\n";
    passes(&format!("{block}+0 %{{ assert seen == [tcpi_snd_mss // 4] }}%"));
    let (line, reason) = failure(&format!("{block}+0 %{{ assert seen == [], 'seen=%d' % seen[0] }}%"));
    assert_eq!((line, reason.as_str()), (6, "AssertionError: seen=250"));
    // Python complains, not the runner.
    let (line, reason) = failure("+0 %{ raise ValueError('of its own') }%");
    assert_eq!((line, reason.as_str()), (1, "ValueError: of its own"));
}

#[test]
fn commands_act_on_the_stack_and_have_to_succeed() {
    passes("+0 `sysctl -q net.ipv4.tcp_sack=0`\n+0 `grep 0 /proc/sys/net/ipv4/tcp_sack`");
    passes("+0 `grep \" 01 \" /proc/net/tcp | grep \":1F90\"`");
    let (line, _) = failure("+0 `grep \" 0B \" /proc/net/tcp`");
    assert_eq!(line, 1);
    let report = with("+0 `sysctl -q net.ipv4.tcp_no_such_thing=1`", &[]);
    assert_eq!(report.notes, ["no such setting: net.ipv4.tcp_no_such_thing"]);
}

#[test]
fn a_file_that_a_command_made_is_sent() {
    passes(
        "+0 `/bin/dd bs=1 count=5 if=/dev/zero of=/tmp/f status=none`\n+0 open(\"/tmp/f\", O_RDONLY) = 5\n+0 sendfile(4, 5, [0], 5) = 5\n+0 > P. 1:6(5) ack 1\n+0 open(\"/tmp/g\", O_RDONLY) = -1 ENOENT (No such file or directory)",
    );
}

#[test]
fn numbers_of_closed_sockets_are_free_again() {
    passes(
        "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+0 close(4) = -1 EBADF (Bad file descriptor)\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n+0 connect(3, ..., ...) = -1 EISCONN (Transport endpoint is already connected)",
    );
}

#[test]
fn flows_are_told_apart_by_their_ports() {
    let script = "
 0  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0  bind(3, ..., ...) = 0
+0  listen(3, 5) = 0
+.1 < 5001 > 8080 S 0:0(0) win 65535 <mss 1000>
+0  > 8080 > 5001 S. 0:0(0) ack 1 <mss 1460>
+0  < 5002 > 8080 S 700:700(0) win 65535 <mss 1000>
+0  > 8080 > 5002 S. 0:0(0) ack 701 <mss 1460>
+0  < 5001 > 8080 . 1:1(0) ack 1 win 65535
+0  accept(3, ..., ...) = 4
+0  < 5002 > 8080 . 1:1(0) ack 1 win 65535
+0  accept(3, ..., ...) = 5
+0  write(4, ..., 100) = 100
+0  > 8080 > 5001 P. 1:101(100) ack 1
+0  write(5, ..., 50) = 50
+0  > 8080 > 5002 P. 1:51(50) ack 1
";
    assert_eq!(run("s.pkt", script, IpVersion::V4, &Options::default()).verdict, Verdict::Passed);
}

#[test]
fn a_command_at_the_end_runs_come_what_may() {
    let report = with("+0 write(4, ..., 1) = 2\n`sysctl -q net.ipv4.tcp_no_such_thing=1`", &[]);
    assert!(matches!(report.verdict, Verdict::Failed(_)));
    assert_eq!(report.notes, ["no such setting: net.ipv4.tcp_no_such_thing"]);
}

/// Whatever comes, in whatever order, each script runs to its end, and twice in the same way. With `TAPSOCK_DRAWN=FOLDER` those
/// of `TAPSOCK_SEED` and after stand there, for `tapsock script --on both -o non_fatal=packet,syscall FOLDER`.
#[test]
fn drawn_scripts_run_to_their_end() {
    const COUNT: u64 = 200;
    let seed = std::env::var("TAPSOCK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("TAPSOCK_SEED={seed}");
    let settings = vec![parse_setting("non_fatal", Some("packet,syscall")).unwrap()];
    let options = Options { settings, ..Options::default() };
    for seed in seed..seed + COUNT {
        let (name, text) = (format!("{seed}.pkt"), drawing::draw(seed));
        if let Ok(folder) = std::env::var("TAPSOCK_DRAWN") {
            std::fs::write(std::path::Path::new(&folder).join(&name), &text).unwrap();
        }
        let [first, second] = [0, 1].map(|_| run(&name, &text, IpVersion::V4, &options));
        assert_eq!(first.verdict, Verdict::Passed, "{text}");
        assert!(first.trace == second.trace, "{text}");
    }
}
