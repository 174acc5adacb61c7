//! A second network behind the kernel, which forwards to it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tapsock_driver::Namespace;

use crate::bench::{Bench, DEVICE as BENCH_DEVICE, Family, KERNEL_V4, KERNEL_V6};
use crate::sides::PATIENCE;

/// The addresses there.
pub const FAR_V4: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
/// The addresses there.
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 2);
/// The router's device towards it.
pub const DEVICE: &str = "far0";
/// The kernel's bridge.
pub const BRIDGE: &str = "br0";

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
    await_address(&far, FAR_V6.into());
    far
}

/// The addresses of that host at the kernel's bridge.
pub fn addresses_at_bridge(number: u8) -> [IpAddr; 2] {
    let number = 10 + u16::from(number);
    [Ipv4Addr::new(10, 7, 0, number as u8).into(), Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, number).into()]
}

/// A bridge in the bench's namespace between our link and `hosts` namespaces, whose device is called `near0`; the bench's
/// kernel has its addresses there itself. `None`, with its reason printed, where the kernel has no bridges.
///
/// ```
/// use tapsock_tests::bench::Setup;
/// use tapsock_tests::far;
///
/// let Some(bench) = Setup::new().open() else { return };
/// let Some(hosts) = far::at_bridge(&bench, 1) else { return };
/// let listener = hosts[0].tcp_listen((far::addresses_at_bridge(0)[0], 80).into()).unwrap();
/// tapsock::net::TcpStream::connect(&bench.host, listener.local_addr().unwrap()).unwrap();
/// ```
///
/// # Panics
/// Where a step fails that works on each machine which allows the bench and has bridges.
pub fn at_bridge(bench: &Bench, hosts: u8) -> Option<Vec<Namespace>> {
    crate::programs::find("ip")?;
    let bridge = ["link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"];
    let made = bench.namespace.command("ip").args(bridge).status().expect("ip runs");
    if !made.success() {
        println!("skipped: the kernel has no bridges");
        return None;
    }
    let own = format!(
        "ip address flush dev {BENCH_DEVICE} && ip link set {BENCH_DEVICE} master {BRIDGE} && \
         ip address add {KERNEL_V4}/24 dev {BRIDGE} && ip address add {KERNEL_V6}/64 dev {BRIDGE} nodad && \
         ip link set {BRIDGE} up"
    );
    bench.run("sh", &["-c", &own]);
    let host = |number: u8| {
        let far = beside(&bench.namespace);
        let pid = far.helper_pid();
        let port = format!(
            "ip link add far{number} type veth peer name near0 netns {pid} && \
             ip link set far{number} master {BRIDGE} up"
        );
        bench.run("sh", &["-c", &port]);
        let [v4, v6] = addresses_at_bridge(number);
        let near = format!(
            "ip address add {v4}/24 dev near0 && ip address add {v6}/64 dev near0 nodad && ip link set near0 up"
        );
        let status = far.command("sh").args(["-c", &near]).status().expect("sh runs");
        assert!(status.success(), "{near}");
        await_address(&far, v6);
        far
    };
    Some((0..hosts).map(host).collect())
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
fn await_address(far: &Namespace, address: IpAddr) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = far.tcp_listen((address, 0).into()) {
        assert!(Instant::now() < deadline, "{address}: {error}");
        thread::sleep(Duration::from_millis(5));
    }
}
