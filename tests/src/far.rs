//! A second network behind the kernel, which forwards to it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tapsock_driver::Namespace;

use crate::bench::{Bench, Family};
use crate::sides::PATIENCE;

/// The addresses there.
pub const FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
/// The addresses there.
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 2);
/// The router's device towards it.
pub const DEVICE: &str = "far0";

/// Makes the kernel of `bench` a router, with a network of its own behind it. The stack must have the kernel for its
/// gateway: [`Setup::through_the_kernel`](crate::bench::Setup::through_the_kernel).
///
/// ```
/// use tapsock_tests::bench::{Family, Setup};
/// use tapsock_tests::far;
///
/// let Some(bench) = Setup::new().through_the_kernel().open() else { return };
/// let namespace = far::behind(&bench);
/// let listener = namespace.tcp_listen((far::address(Family::V4), 80).into()).unwrap();
/// tapsock::net::TcpStream::connect(&bench.host, listener.local_addr().unwrap()).unwrap();
/// ```
///
/// # Panics
/// Where a step fails that works on each machine which allows the bench.
pub fn behind(bench: &Bench) -> Namespace {
    let far = beside(&bench.namespace);
    for forwarding in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        bench.namespace.set_sysctl(forwarding, "1").expect("it forwards");
    }
    // One message a packet, however many there are: without its limit the errors are the same each time.
    bench.namespace.set_sysctl("net.ipv4.icmp_ratelimit", "0").expect("no limit of messages");
    let pid = far.helper_pid();
    let router = format!(
        "ip link add {DEVICE} type veth peer name near0 netns {pid} && ip link set {DEVICE} up && \
         ip address add 10.8.0.1/24 dev {DEVICE} && ip address add fd08::1/64 dev {DEVICE} nodad"
    );
    bench.run("sh", &["-c", &router]);
    let host = format!(
        "ip address add {FAR_V4}/24 dev near0 && ip address add {FAR_V6}/64 dev near0 nodad && \
         ip link set near0 up && ip route add default via 10.8.0.1 && ip -6 route add default via fd08::1"
    );
    let status = far.command("sh").args(["-c", &host]).status().expect("sh runs");
    assert!(status.success(), "{host}");
    await_address(&far);
    far
}

/// The address of the host there.
pub fn address(family: Family) -> IpAddr {
    match family {
        Family::V4 => FAR_V4.into(),
        Family::V6 => FAR_V6.into(),
    }
}

/// A network namespace in the same user namespace, so that a device can have an end in each.
fn beside(namespace: &Namespace) -> Namespace {
    let mut holder = namespace
        .command("unshare")
        .args(["--net", "sh", "-c", "echo ready; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    let mut line = String::new();
    let output = holder.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("it says that it is there");
    assert_eq!(line, "ready\n");
    let joined = Namespace::of_process(holder.id());
    // It ends with its input. From here on the helper holds the namespace.
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    let joined = joined.expect("its namespaces can be joined");
    let up = joined.command("ip").args(["link", "set", "lo", "up"]).status().expect("ip runs");
    assert!(up.success(), "lo up");
    joined
}

/// The kernel takes an IPv6 address into use in the background.
fn await_address(far: &Namespace) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = far.tcp_listen((FAR_V6, 0).into()) {
        assert!(Instant::now() < deadline, "{FAR_V6}: {error}");
        thread::sleep(Duration::from_millis(5));
    }
}
