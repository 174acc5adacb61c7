//! `tapsock demo`, as a program that reads its JSON sees it.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    OPENED, SOMEBODY, Scratch, has_kernel_link, has_program, namespace, object, run, stderr, stdout, tapsock,
    with_status,
};
use rustix::process::geteuid;

/// What it promises to take at most.
const PROMISE: Duration = Duration::from_secs(20);
/// Checks of one run.
const CHECKS: usize = 22;

#[test]
fn all_checks_with_the_kernel_are_ok() {
    if !has_kernel_link() {
        return;
    }
    let scratch = Scratch::new();
    let begin = Instant::now();
    let output = run(&["demo", "--quick", "--json", "--capture", &scratch.text("demo.pcapng")]);
    let took = begin.elapsed();
    let object = object(&output);
    assert!(output.status.success(), "{object:#}");
    assert_eq!(with_status(&object, "ok").len(), CHECKS, "{object:#}");
    assert!(["tap", "veth"].contains(&object["link"].as_str().unwrap()), "{object:#}");
    assert!(took < PROMISE, "{took:?}");
    let seconds = object["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= took.as_secs_f64(), "{seconds} of {took:?}");

    let check = |name: &str| {
        let checks = object["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(check("kernel-pings-us-ipv6")["answers"], 10);
    assert_eq!(check("kernel-fetches-from-us-ipv4")["sha256"], check("kernel-serves-us-ipv6")["sha256"]);
    assert_eq!(check("kernel-to-us-ipv4")["bytes"], 256 << 20);
    let v6 = check("kernel-from-us-ipv6");
    assert_eq!((&v6["bytes"], &v6["crc32"]), (&(64 << 20).into(), &check("kernel-to-us-ipv6")["crc32"]));
    assert!(check("kernel-from-us-ipv4")["gbit_per_s"].as_f64().unwrap() > 0.1);
    let trips = check("kernel-round-trips-from-us-ipv4");
    assert!(trips["p50_us"].as_f64().unwrap() <= trips["p99_us"].as_f64().unwrap());
    assert_eq!(check("kernel-is-refused-ipv4")["refused"], true);
}

#[test]
fn the_capture_holds_the_checks_and_not_the_bulk() {
    let scratch = Scratch::new();
    let output = run(&["demo", "--quick", "--json", "--capture", &scratch.text("demo.pcapng")]);
    let object = object(&output);
    let capture = fs::read(scratch.path("demo.pcapng")).unwrap();
    // A section header block, whose byte-order mark is at offset 8.
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert_eq!(u32::from_ne_bytes(capture[8..12].try_into().unwrap()), 0x1a2b_3c4d);
    assert!((4 << 20..32 << 20).contains(&capture.len()), "{} bytes", capture.len());
    assert!(object["capture"]["frames"].as_u64().unwrap() > 500, "{object:#}");
    let request = b"GET /noise/";
    assert!(capture.windows(request.len()).any(|bytes| bytes == request));
}

#[test]
fn a_small_mtu_leaves_ipv6_out_and_says_why() {
    if !has_kernel_link() {
        return;
    }
    let scratch = Scratch::new();
    let capture = scratch.text("demo.pcapng");
    let output = run(&["demo", "--quick", "--json", "--mtu", "1000", "--capture", &capture]);
    let object = object(&output);
    assert!(output.status.success(), "{object:#}");
    assert!(["tap", "veth"].contains(&object["link"].as_str().unwrap()), "{object:#}");
    let (ok, skipped) = (with_status(&object, "ok"), with_status(&object, "skipped"));
    assert!(!ok.is_empty() && ok.iter().all(|name| name.ends_with("-ipv4")), "{ok:?}");
    assert!(!skipped.is_empty() && skipped.iter().all(|name| name.ends_with("-ipv6")), "{skipped:?}");
    let checks = object["checks"].as_array().unwrap();
    let reasons = checks.iter().filter_map(|check| check["reason"].as_str());
    assert!(reasons.clone().count() == skipped.len());
    for reason in reasons {
        assert!(reason.contains("IPv6 needs an MTU of 1280"), "{reason}");
    }
}

/// AUTO takes the better one: here each is forced.
#[test]
fn each_link_to_the_kernel_passes_all_checks() {
    if !has_kernel_link() {
        return;
    }
    for link in ["tap", "veth"] {
        let scratch = Scratch::new();
        let capture = scratch.text("demo.pcapng");
        let output = run(&["demo", "--quick", "--json", "--link", link, "--capture", &capture]);
        let object = object(&output);
        if object["link"].is_null() {
            println!("skipped: no {link}: {object}");
            continue;
        }
        assert!(output.status.success(), "{object:#}");
        assert_eq!((&object["link"], &object["ok"]), (&link.into(), &true.into()), "{object:#}");
        assert_eq!(with_status(&object, "ok").len(), CHECKS, "{object:#}");
        assert!(object["capture"]["frames"].as_u64().unwrap() > 500, "{object:#}");
        assert_eq!(object["capture"]["frames_dropped"], 0, "{object:#}");
    }
}

#[test]
fn without_a_kernel_a_second_host_takes_its_place() {
    for link in ["memory", "unix"] {
        let scratch = Scratch::new();
        let output =
            run(&["demo", "--quick", "--json", "--link", link, "--capture", &scratch.text("demo.pcapng")]);
        let object = object(&output);
        assert!(output.status.success(), "{object:#}");
        assert_eq!(object["link"], link);
        let (ok, skipped) = (with_status(&object, "ok"), with_status(&object, "skipped"));
        assert_eq!((ok.len(), skipped.len()), (CHECKS, CHECKS), "{object:#}");
        assert!(ok.iter().all(|name| name.starts_with("host-")), "{ok:?}");
        assert!(skipped.iter().all(|name| name.starts_with("kernel-")), "{skipped:?}");
        let reason = object["checks"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("no kernel") && reason.contains(link), "{reason}");
    }
}

#[test]
fn an_ordinary_user_needs_no_more() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let scratch = Scratch::new();
    let mut command = Command::new(scratch.program());
    let somebody = SOMEBODY.parse().unwrap();
    command.args(["demo", "--quick", "--json"]).uid(somebody).gid(somebody);
    let output = command.current_dir(scratch.path("")).stdin(Stdio::null()).output().unwrap();
    let object = object(&output);
    assert!(output.status.success(), "{object:#}");
    assert_eq!(with_status(&object, "ok").len(), CHECKS, "{object:#}");
    let refused = object["refused"].as_array().unwrap();
    match object["link"].as_str().unwrap() {
        "tap" => assert!(refused.is_empty()),
        "veth" => {
            // The device is there and closed, or it is missing.
            assert_eq!((refused.len(), &refused[0]["link"]), (1, &"tap".into()), "{object:#}");
            assert!(refused[0]["reason"].as_str().unwrap().contains("/dev/net/tun"), "{object:#}");
        }
        _ => {
            println!("skipped: no link to the kernel: {refused:#?}");
            assert_eq!(refused.len(), 2, "{object:#}");
        }
    }
    assert!(scratch.path("tapsock-demo.pcapng").exists(), "the capture is in the current directory");
}

/// Where the device is everybody's, as ordinary distributions have it, an ordinary user's link is the TAP.
#[test]
fn an_ordinary_user_has_the_tap() {
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let scratch = Scratch::new();
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", OPENED, SOMEBODY])
        .arg(scratch.program())
        .args(["demo", "--quick", "--json"]);
    let output = command.current_dir(scratch.path("")).stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(77) {
        return println!("skipped: no TUN device can be made here: {}", stderr(&output));
    }
    let object = object(&output);
    assert!(output.status.success(), "{object:#}");
    assert_eq!(object["link"], "tap", "{object:#}");
    assert_eq!(with_status(&object, "ok").len(), CHECKS, "{object:#}");
}

#[test]
fn where_namespaces_are_refused_the_reason_is_told() {
    let Some(namespace) = namespace() else { return };
    let scratch = Scratch::new();
    // In a namespace of the test's own, where this is nobody else's setting.
    let mut forbidden = namespace.command("sh");
    forbidden.args(["-c", "echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\"", "sh"]);
    forbidden.arg(env!("CARGO_BIN_EXE_tapsock"));
    let output = forbidden
        .args(["demo", "--quick", "--json", "--capture", &scratch.text("demo.pcapng")])
        .output()
        .unwrap();
    if stderr(&output).contains("max_user_namespaces") && output.stdout.is_empty() {
        return println!("skipped: {}", stderr(&output));
    }
    let object = object(&output);
    assert!(output.status.success(), "{object:#}");
    assert_eq!(object["link"], "unix", "{object:#}");
    let reason = object["checks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("user.max_user_namespaces = 0"), "{reason}");
    assert_eq!(with_status(&object, "ok").len(), CHECKS, "{object:#}");
}

#[test]
fn people_get_lines() {
    let scratch = Scratch::new();
    let output = run(&["demo", "--quick", "--link", "memory", "--capture", &scratch.text("demo.pcapng")]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches('✓').count(), CHECKS, "{text}");
    for word in ["memory: a wire", "Gbit/s", "p99", "sha256", "Connection refused (os error 111)", "22 ok"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains('\x1b'), "no colours where nobody sees them: {text}");
}

#[test]
fn a_bar_is_drawn_for_who_watches() {
    // script(1) gives it a terminal.
    if !has_program("script") {
        return;
    }
    let scratch = Scratch::new();
    let program = env!("CARGO_BIN_EXE_tapsock");
    let demo = format!("{program} demo --quick --link memory --capture {}", scratch.text("demo.pcapng"));
    let typed = |line: &str| {
        let script = Command::new("script").args(["-qec", line, "/dev/null"]).stdin(Stdio::null()).output();
        stdout(&script.unwrap())
    };
    let watched = typed(&demo);
    assert!(watched.contains("/s") && watched.contains("22 ok"), "{watched:?}");
    assert!(watched.contains('\r') && watched.contains('\x1b'), "{watched:?}");
    let to_file = typed(&format!("{demo} > {}", scratch.text("lines")));
    assert_eq!(to_file, "");
    let lines = fs::read_to_string(scratch.path("lines")).unwrap();
    assert!(lines.contains("22 ok") && !lines.contains('\x1b'), "{lines:?}");
}

#[test]
fn a_check_that_fails_fails_the_command() {
    let scratch = Scratch::new();
    let deaf = ["--set", "net.ipv4.icmp_echo_ignore_all=1"];
    let output = tapsock(&[
        "demo",
        "--quick",
        "--json",
        "--link",
        "memory",
        "--capture",
        &scratch.text("demo.pcapng"),
    ])
    .args(deaf)
    .output()
    .unwrap();
    let object = object(&output);
    assert_eq!((output.status.code(), &object["ok"]), (Some(1), &false.into()), "{object:#}");
    assert_eq!(with_status(&object, "failed"), ["host-pings-us-ipv4"], "{object:#}");
    let check =
        object["checks"].as_array().unwrap().iter().find(|check| check["status"] == "failed").unwrap();
    assert_eq!((&check["reason"], &check["answers"]), (&"3 pings got no answer".into(), &0.into()));
}

#[test]
fn an_unknown_link_is_an_error_of_the_command_line() {
    let output = run(&["demo", "--link", "nosuch"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("tap, veth, unix, memory"), "{}", stderr(&output));
}
