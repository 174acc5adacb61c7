//! Namespaces: what they give, and what they leave alone.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tapsock_driver::{KernelEnd, Namespace};

mod common;

use common::{allowed, kernel_end, namespace};

/// The namespaces, user and groups of a process or thread.
fn identity(of: &str) -> Vec<String> {
    let mut identity: Vec<_> = ["user", "net", "mnt", "pid"]
        .iter()
        .map(|kind| fs::read_link(format!("{of}/ns/{kind}")).unwrap().display().to_string())
        .collect();
    let status = fs::read_to_string(format!("{of}/status")).unwrap();
    let kept = ["Uid:", "Gid:", "Groups:", "CapEff:", "SigBlk:", "Threads:"];
    identity.extend(
        status.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))).map(str::to_owned),
    );
    identity
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the test `name` of this file in a process of its own, whose threads and descriptors are all its own.
fn alone(name: &str) -> bool {
    if std::env::var_os("TAPSOCK_TEST_ALONE").is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("TAPSOCK_TEST_ALONE", "1")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    false
}

#[test]
fn the_caller_stays_as_it_is() {
    if !alone("the_caller_stays_as_it_is") {
        return;
    }
    let (ready, wait) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv());
    let before = identity("/proc/thread-self");
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let open = descriptors();
    let Some(namespace) = namespace() else { return };
    let inside = fs::read_link(format!("/proc/{}/ns/net", namespace.helper_pid())).unwrap();
    assert_ne!(inside.display().to_string(), before[1]);
    let link = allowed(namespace.open_veth(&kernel_end()));
    assert_eq!(identity("/proc/thread-self"), before);
    assert_eq!(identity("/proc/self"), before);
    let helper = namespace.helper_pid();
    drop((link, namespace));
    assert!(!exists(helper), "the helper has ended and is no zombie");
    assert_eq!(descriptors(), open);
    drop(ready);
    let _ = other.join();
}

#[test]
fn it_ends_with_its_last_clone_and_leaves_no_device() {
    let Some(namespace) = namespace() else { return };
    let helper = namespace.helper_pid();
    let link = allowed(namespace.open_veth(&KernelEnd::new("tapleft0")));
    let clone = namespace.clone();
    drop(namespace);
    assert!(exists(helper));
    assert!(clone.device("lo").is_ok());
    drop((clone, link));
    assert!(!exists(helper));
    assert!(!fs::read_to_string("/proc/net/dev").unwrap().contains("tapleft0"), "nor had we one");
}

#[test]
fn it_ends_with_a_caller_that_is_killed() {
    if std::env::var_os("TAPSOCK_TEST_VICTIM").is_some() {
        let Some(namespace) = namespace() else { return };
        println!("helper {}", namespace.helper_pid());
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it_ends_with_a_caller_that_is_killed", "--nocapture"])
        .env("TAPSOCK_TEST_VICTIM", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(victim.stdout.take().unwrap());
    let helper = loop {
        let mut line = String::new();
        if std::io::BufRead::read_line(&mut output, &mut line).unwrap() == 0 || line.contains("skipped: ") {
            print!("{line}");
            victim.wait().unwrap();
            return;
        }
        if let Some((_, pid)) = line.trim().split_once("helper ") {
            break pid.parse().unwrap();
        }
    };
    assert!(exists(helper));
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the helper ends with its owner", || !exists(helper));
}

#[test]
fn it_outlives_the_thread_that_made_it() {
    let Some(namespace) = thread::spawn(namespace).join().unwrap() else {
        return;
    };
    thread::sleep(Duration::from_millis(50));
    assert!(namespace.device("lo").is_ok());
    assert!(namespace.udp_bind("127.0.0.1:0".parse().unwrap()).is_ok());
}

#[test]
fn it_goes_on_after_it_was_stopped() {
    let Some(namespace) = namespace() else { return };
    let helper = Pid::from_raw(namespace.helper_pid() as i32).unwrap();
    for signal in [Signal::STOP, Signal::CONT, Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(helper, signal).unwrap();
    }
    thread::sleep(Duration::from_millis(20));
    assert!(namespace.device("lo").is_ok());
}

#[test]
fn a_killed_helper_is_an_error_and_no_hang() {
    let Some(namespace) = namespace() else { return };
    kill_process(Pid::from_raw(namespace.helper_pid() as i32).unwrap(), Signal::KILL).unwrap();
    let error = namespace.udp_bind("127.0.0.1:0".parse().unwrap()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(3), "ESRCH");
    let status = namespace.command("true").status();
    assert!(status.unwrap().success(), "the namespace itself is still held");
}

#[test]
fn programs_run_inside_as_root() {
    let Some(namespace) = namespace() else { return };
    let script =
        "readlink /proc/self/ns/net; id -u; ls /sys/class/net > /dev/null; cat /proc/net/dev | wc -l";
    let output = namespace.command("sh").args(["-c", script]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let inside = fs::read_link(format!("/proc/{}/ns/net", namespace.helper_pid())).unwrap();
    let expected = [inside.to_str().unwrap(), "0", "3"];
    assert_eq!(output.lines().collect::<Vec<_>>(), expected, "lo alone, below two lines of headings");
}

#[test]
fn another_process_may_join_it() {
    let Some(namespace) = namespace() else { return };
    let Some(joined) = allowed(Namespace::of_process(namespace.helper_pid())) else {
        return;
    };
    let listener = namespace.tcp_listen("127.0.0.1:7777".parse().unwrap()).unwrap();
    let mut stream = joined.tcp_connect("127.0.0.1:7777".parse().unwrap()).unwrap();
    stream.write_all(b"from the other").unwrap();
    drop(stream);
    let mut received = String::new();
    listener.accept().unwrap().0.read_to_string(&mut received).unwrap();
    assert_eq!(received, "from the other");
    assert!(joined.command("true").status().unwrap().success());
    assert_eq!(Namespace::of_process(u32::MAX).unwrap_err().errno(), 2, "ENOENT");
}

#[test]
fn sockets_from_inside_speak_from_any_thread() {
    let Some(namespace) = namespace() else { return };
    let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
    let listener = namespace.tcp_listen(address).unwrap();
    let server = thread::spawn(move || listener.accept().unwrap().0.write_all(b"inside").unwrap());
    let mut received = String::new();
    namespace.tcp_connect(address).unwrap().read_to_string(&mut received).unwrap();
    assert_eq!(received, "inside");
    server.join().unwrap();
    let refused = namespace.tcp_connect("127.0.0.1:81".parse().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let missing = namespace.udp_bind("10.99.0.1:0".parse().unwrap()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_thread_of_roots_enters_and_others_are_refused() {
    let Some(namespace) = namespace() else { return };
    let inside = fs::read_link(format!("/proc/{}/ns/net", namespace.helper_pid())).unwrap();
    let entered = thread::spawn(move || {
        let result = namespace.enter_current_thread();
        (result, fs::read_link("/proc/thread-self/ns/net").unwrap())
    });
    match entered.join().unwrap() {
        (Ok(()), now) => assert_eq!(now, inside),
        (Err(error), now) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_ne!(now, inside);
        }
    }
}

#[test]
fn settings_are_read_and_written_inside() {
    let Some(namespace) = namespace() else { return };
    namespace.set_sysctl("net.ipv4.tcp_sack", "0").unwrap();
    assert_eq!(namespace.sysctl("net.ipv4.tcp_sack").unwrap(), "0");
    let outside = fs::read_to_string("/proc/sys/net/ipv4/tcp_sack").unwrap();
    assert_eq!(outside.trim(), "1", "the machine's own is not touched");
    let unknown = namespace.sysctl("net.ipv4.no_such_setting").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[test]
fn many_at_a_time() {
    let Some(first) = namespace() else { return };
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..5 {
                    let namespace = Namespace::create().unwrap();
                    let helper = namespace.helper_pid();
                    assert!(namespace.device("lo").is_ok());
                    drop(namespace);
                    assert!(!exists(helper), "no other helper keeps it alive");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(first.device("lo").is_ok());
}

#[test]
fn an_ordinary_user_gets_one_too() {
    let (user, name) = (65_534, "an_ordinary_user_gets_one_too");
    if rustix::process::geteuid().as_raw() == user {
        let Some(namespace) = namespace() else { return };
        let Some(_link) = allowed(namespace.open_veth(&kernel_end())) else {
            return;
        };
        let output = namespace.command("id").arg("-u").output().unwrap();
        assert_eq!(output.stdout, b"0\n");
        println!("as an ordinary user");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let mut as_nobody = Command::new(std::env::current_exe().unwrap());
    as_nobody.args(["--exact", name, "--nocapture"]).uid(user).gid(user).current_dir("/");
    match as_nobody.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            assert!(said.contains("as an ordinary user") || said.contains("skipped: "), "{said}");
            print!("{said}");
        }
        Err(error) => println!("skipped: another user may not run this program: {error}"),
    }
}
