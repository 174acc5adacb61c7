//! Which link is taken, and the reasons why not a better one.

use std::os::unix::process::CommandExt;
use std::process::Command;

use tapsock_driver::auto::{FarEnd, LinkKind, Opened};

mod common;

use common::{kernel_end, namespace};

#[test]
fn the_best_link_is_taken_and_the_better_ones_are_explained() {
    let opened = Opened::best(&kernel_end()).unwrap();
    println!("takes {}; {:?}", opened.kind, opened.refused);
    let better = LinkKind::ALL.into_iter().take_while(|kind| *kind != opened.kind);
    let refused: Vec<_> = opened.refused.iter().map(|refusal| refusal.kind).collect();
    assert_eq!(refused, better.collect::<Vec<_>>());
    for refusal in &opened.refused {
        assert_ne!(refusal.errno, 0);
        assert!(refusal.reason.contains("os error"), "{refusal}");
        if refusal.reason.contains("/dev/net/tun") && refusal.errno == 13 {
            assert!(refusal.reason.contains("the device is closed to this user: mode 0"), "{refusal}");
        }
    }
    assert_eq!(opened.link.caps().mtu, 1500);
    match opened.far_end {
        FarEnd::Kernel(namespace) => {
            assert!(matches!(opened.kind, LinkKind::Tap | LinkKind::Veth));
            assert!(namespace.udp_bind("10.7.0.1:7".parse().unwrap()).is_ok());
        }
        FarEnd::Link(there) => assert_eq!(there.caps(), opened.link.caps()),
    }
}

#[test]
fn an_ordinary_user_gets_a_link_too() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let mut as_nobody = Command::new(std::env::current_exe().unwrap());
    as_nobody.args(["--exact", "the_best_link_is_taken_and_the_better_ones_are_explained", "--nocapture"]);
    match as_nobody.uid(NOBODY).gid(NOBODY).current_dir("/").output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            print!("{said}");
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => println!("skipped: another user may not run this program: {error}"),
    }
}

/// What the first test says in a namespace where `limits` of user_namespaces(7) are zero; `None` where they can't be
/// set.
fn best_without(limits: &[&str]) -> Option<String> {
    let namespace = namespace()?;
    let forbid: String = limits.iter().map(|limit| format!("echo 0 > /proc/sys/user/{limit} && ")).collect();
    let mut command = namespace.command("sh");
    command
        .args(["-c", &format!("{forbid}exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_best_link_is_taken_and_the_better_ones_are_explained", "--nocapture"]);
    let output = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if errors.contains("/proc/sys/user") {
        println!("skipped: {errors}");
        return None;
    }
    assert!(output.status.success(), "{said}{errors}");
    Some(said.into_owned())
}

#[test]
fn where_namespaces_are_refused_the_setting_is_named() {
    let Some(said) = best_without(&["max_user_namespaces", "max_net_namespaces"]) else {
        return;
    };
    assert!(said.contains("takes unix"), "{said}");
    let reason = "unshare (CLONE_NEWUSER|CLONE_NEWNET): No space left on device (os error 28); \
                  user.max_user_namespaces = 0 on this machine";
    assert_eq!(said.matches(reason).count(), 2, "{said}");
}

#[test]
fn root_needs_no_user_namespace() {
    let Some(said) = best_without(&["max_user_namespaces"]) else {
        return;
    };
    assert!(said.contains("takes tap") || said.contains("takes veth"), "{said}");
}

#[test]
fn a_small_mtu_leaves_ipv6_out_and_says_so() {
    for (mtu, left) in [(1279, vec!["fd07::1/64".parse().unwrap()]), (1280, vec![])] {
        for kind in [LinkKind::Tap, LinkKind::Veth] {
            match Opened::of_kind(kind, &kernel_end().mtu(mtu)) {
                Ok(opened) => {
                    assert_eq!((&opened.left_out, opened.link.caps().mtu), (&left, mtu));
                    let namespace = opened.far_end.namespace().unwrap();
                    assert!(namespace.udp_bind("10.7.0.1:7".parse().unwrap()).is_ok());
                    assert_eq!(namespace.udp_bind("[fd07::1]:7".parse().unwrap()).is_ok(), left.is_empty());
                }
                Err(error) => {
                    assert_ne!(error.errno(), 22, "{error}");
                    println!("skipped: {kind}: {error}");
                }
            }
        }
    }
    // Who asks for it himself is told what is wrong.
    let Some(namespace) = namespace() else { return };
    let error = namespace.open_veth(&kernel_end().mtu(1000)).unwrap_err();
    if error.errno() == 22 {
        assert!(error.to_string().ends_with("; IPv6 needs an MTU of 1280, this is 1000"), "{error}");
    }
}

#[test]
fn a_kind_can_be_forced() {
    for kind in LinkKind::ALL {
        match Opened::of_kind(kind, &kernel_end().mtu(1400)) {
            Ok(opened) => {
                assert_eq!((opened.kind, opened.link.caps().mtu), (kind, 1400));
                assert!(opened.refused.is_empty());
            }
            Err(error) => println!("skipped: {kind}: {error}"),
        }
    }
    assert!("ethernet".parse::<LinkKind>().unwrap_err().contains("tap, veth, unix, memory"));
}
