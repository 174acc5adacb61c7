//! Addresses that the host makes itself, beside the kernel, which does the same.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd;
use tapsock::net::UdpSocket;
use tapsock::resolve::EaiError;
use tapsock::{Counter, Host};
use tapsock_driver::{KernelEnd, Namespace};
use tapsock_tests::bench::{Bench, DEVICE, KERNEL_V6, OURS_V4, OURS_V6, Setup, skipped_for};
use tapsock_tests::programs::{self, Beside};
use tapsock_tests::sides::PATIENCE;

/// The kernel's address in the network that radvd tells of.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 1);
/// Somewhere behind it.
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 1);

/// The source of our packets to `to`; `None` where there is no way.
fn source(bench: &Bench, to: Ipv6Addr) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind(&bench.host, "[::]:0").unwrap();
    socket.connect(SocketAddr::new(to.into(), 9)).ok()?;
    match socket.local_addr().unwrap() {
        SocketAddr::V6(local) => Some(*local.ip()),
        SocketAddr::V4(_) => None,
    }
}

/// Waits until `done` gives something.
fn until<T>(mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "it does not come about");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The kernel as a default router that tells of a prefix for good.
const FOR_GOOD: &str = "AdvLinkMTU 1400;
    prefix 2001:db8:77::/64 { AdvOnLink on; AdvAutonomous on; };
    RDNSS 2001:db8:77::53 { };";

/// radvd as the router of the kernel's device, which tells of this.
fn radvd(bench: &Bench, name: &str, told: &str) -> Option<Beside> {
    let program = programs::find("radvd")?;
    bench.namespace.set_sysctl("net.ipv6.conf.all.forwarding", "1").unwrap();
    bench.run("ip", &["address", "add", &format!("{ROUTER}/64"), "dev", DEVICE, "nodad"]);
    bench.run("ip", &["address", "add", &format!("{FAR}/128"), "dev", "lo"]);
    let directory = std::env::temp_dir().join(format!("tapsock-radvd-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (config, pid) = (directory.join("radvd.conf"), directory.join("radvd.pid"));
    let text = format!(
        "interface {DEVICE} {{
            AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {told}
        }};"
    );
    fs::write(&config, text).unwrap();
    let mut command = bench.namespace.command(program.to_str().unwrap());
    command.args([
        "-n",
        "-m",
        "stderr",
        "-d",
        "0",
        "-C",
        config.to_str().unwrap(),
        "-p",
        pid.to_str().unwrap(),
    ]);
    let beside = Beside::start(&mut command).unwrap();
    Some(beside)
}

fn asking() -> Setup {
    Setup::new()
        .setting("net.ipv6.conf.all.accept_dad", "1")
        .setting("net.ipv6.conf.all.router_solicitations", "3")
        .setting("net.ipv6.conf.all.router_solicitation_interval", "1")
}

//= RFC 4862 §5.5.3, type=test
//= RFC 4861 §6.3.4, type=test
//= RFC 4861 §6.3.4 MUST-4, type=test
//= RFC 4861 §9 MUST-2, type=test
//= RFC 4862 §5.5 MUST-1, type=test
#[test]
fn radvd_gives_us_an_address_and_a_route() {
    let Some(bench) = asking().open() else { return };
    let Some(_router) = programs::find("ip").and_then(|_| radvd(&bench, "address", FOR_GOOD)) else { return };
    let ours = until(|| source(&bench, FAR).filter(|ours| ours.segments()[..4] == ROUTER.segments()[..4]));
    bench.run("ping", &["-6", "-c", "1", "-W", "5", &ours.to_string()]);
    assert_eq!(ours.segments()[5] & 0xff, 0xff, "it is made of the station's address: {ours}");
    // The MTU that it tells is IPv6's alone.
    let mtus = || {
        let link = bench.host.interfaces().into_iter().nth(1).unwrap();
        ["0.0.0.0", "::"].map(|family| link.mtu_of(family.parse().unwrap()))
    };
    assert_eq!(mtus(), [1500, 1400]);
    // And from us to what is behind the router.
    let port = bench.namespace.udp_bind(SocketAddr::new(FAR.into(), 0)).unwrap();
    let socket = UdpSocket::bind(&bench.host, "[::]:0").unwrap();
    socket.send_to(b"hello", port.local_addr().unwrap()).unwrap();
    port.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 16];
    let (len, from) = port.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"hello"[..], ours.into()));
    assert!(bench.count(Counter::Icmp6InRouterAdvertisements) > 0);
}

/// radvd tells of a resolver and of a domain: a short name is looked for there.
//= RFC 8106 §6.2, type=test
#[test]
fn names_are_looked_for_where_radvd_says() {
    let Some(bench) = asking().open() else { return };
    let told = format!("prefix 2001:db8:77::/64 {{ }}; RDNSS {ROUTER} {{ }}; DNSSL lab.example {{ }};");
    let Some(_router) = programs::find("ip").and_then(|_| radvd(&bench, "names", &told)) else { return };
    until(|| source(&bench, FAR).filter(|ours| ours.segments()[..4] == ROUTER.segments()[..4]));
    let server = bench.namespace.udp_bind(SocketAddr::new(ROUTER.into(), 53)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = bench.host.clone();
    let asks =
        thread::spawn(move || bsd::getaddrinfo(&host, Some("printer"), None, None).map(|found| found.len()));
    let mut question = [0; 512];
    let (len, from) = server.recv_from(&mut question).unwrap();
    let whole = b"\x07printer\x03lab\x07example\x00";
    assert!(question[..len].windows(whole.len()).any(|name| name == whole), "{:?}", &question[..len]);
    // There is none, there and elsewhere.
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut heard = Ok((len, from));
    while !asks.is_finished() {
        if let Ok((len, from)) = heard {
            (question[2], question[3]) = (0x81, 0x83);
            server.send_to(&question[..len], from).unwrap();
        }
        heard = server.recv_from(&mut question);
    }
    assert_eq!(asks.join().unwrap(), Err(EaiError::NoName));
}

/// The kernel is no default router but for one network, and all of it has an end.
//= RFC 4191 §2.3, type=test
//= RFC 4862 §5.5.4, type=test
//= RFC 4862 §5.5.4 MUST-4, type=test
#[test]
fn a_route_and_a_prefix_last_as_long_as_radvd_says() {
    let setup = asking().setting("net.ipv6.conf.all.accept_ra_rt_info_max_plen", "64");
    let Some(bench) = setup.open() else { return };
    let told = "AdvDefaultLifetime 0;
        prefix 2001:db8:77::/64 { AdvValidLifetime 8; AdvPreferredLifetime 7; };
        route 2001:db8:99::/64 { AdvRouteLifetime 8; RemoveRoute off; };";
    let Some(router) = programs::find("ip").and_then(|_| radvd(&bench, "lifetimes", told)) else { return };
    let formed = |ours: &Ipv6Addr| ours.segments()[..4] == ROUTER.segments()[..4];
    let ours = until(|| source(&bench, FAR).filter(formed));
    assert_eq!(source(&bench, "2001:db8:98::1".parse().unwrap()), None, "only that network is behind it");
    let is_ours = || UdpSocket::bind(&bench.host, SocketAddr::new(ours.into(), 0)).is_ok();
    // It is told no more.
    drop(router);
    until(|| source(&bench, FAR).is_none().then_some(()));
    until(|| (!is_ours()).then_some(()));
    assert_eq!(source(&bench, ROUTER), None, "the prefix is gone too");
}

//= RFC 7217 §5, type=test
//= RFC 8981 §3.4, type=test
//= RFC 7217 §5 MUST-1, type=test
#[test]
fn addresses_that_tell_nothing_of_the_station() {
    let setup = asking()
        .setting("net.ipv6.conf.all.addr_gen_mode", "2")
        .setting("net.ipv6.conf.all.stable_secret", "2001::1234")
        .setting("net.ipv6.conf.all.use_tempaddr", "2");
    let Some(bench) = setup.open() else { return };
    let Some(_router) = programs::find("ip").and_then(|_| radvd(&bench, "temporary", FOR_GOOD)) else {
        return;
    };
    let ours = until(|| source(&bench, FAR).filter(|ours| ours.segments()[..4] == ROUTER.segments()[..4]));
    bench.run("ping", &["-6", "-c", "1", "-W", "5", &ours.to_string()]);
    assert_ne!((ours.segments()[5] & 0xff, ours.segments()[6] >> 8), (0xff, 0xfe), "{ours}");
}

/// The kernel looks for an address that we have, and so do we for ours before.
//= RFC 4862 §5.4, type=test
#[test]
fn the_kernel_finds_our_address_taken() {
    let Some(bench) = asking().open() else { return };
    for setting in ["accept_dad", "dad_transmits"] {
        bench.namespace.set_sysctl(&format!("net.ipv6.conf.{DEVICE}.{setting}"), "1").unwrap();
    }
    if programs::find("ip").is_none() {
        return;
    }
    let ours = until(|| source(&bench, KERNEL_V6).filter(|ours| *ours == OURS_V6));
    bench.run("ip", &["address", "add", &format!("{ours}/64"), "dev", DEVICE]);
    until(|| {
        let shown = bench.run("ip", &["-6", "address", "show", "dev", DEVICE, "dadfailed"]);
        shown.contains(&format!("{ours}/")).then_some(())
    });
}

/// A host chooses itself an address of the link, and the kernel reaches it there.
//= RFC 3927 §2.1, type=test
#[test]
fn a_host_without_a_server_has_an_address_of_its_link() {
    if programs::find("ip").and_then(|_| programs::find("ping")).is_none() {
        return;
    }
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let end = KernelEnd::new(DEVICE).address("169.254.0.1/16".parse().unwrap());
    let tap = match namespace.open_tap(&end) {
        Ok(tap) => tap,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let host = Host::builder().link(tap).link_local().start().unwrap();
    let ours = until(|| {
        let interfaces = host.interfaces();
        let mut own = interfaces.iter().flat_map(|interface| interface.addresses());
        own.find_map(|own| match own.cidr.address {
            IpAddr::V4(own) if own.is_link_local() => Some(own),
            _ => None,
        })
    });
    let ping = namespace.command("ping").args(["-c", "1", "-W", "10", &ours.to_string()]).status().unwrap();
    assert!(ping.success(), "{ours}");
}

/// The kernel answers our questions for an IPv4 address that it has, and finds ours where nobody has it.
//= RFC 5227 §2.1, type=test
//= RFC 5227 §2.1.1, type=test
//= RFC 5227 §2.1 MUST-1, type=test
//= RFC 5227 §2.1.1 MUST-4, type=test
#[test]
fn an_ipv4_address_of_the_kernels_is_not_taken() {
    if programs::find("ip").is_none() {
        return;
    }
    for taken in [false, true] {
        let Some(bench) = Setup::new().setting("tapsock.ipv4_acd", "1").open() else { return };
        if taken {
            // Within the second before our first question, or before one of the later ones.
            bench.run("ip", &["address", "add", &format!("{OURS_V4}/32"), "dev", "lo"]);
        }
        let ours = || UdpSocket::bind(&bench.host, SocketAddr::new(OURS_V4.into(), 0)).is_ok();
        if taken {
            until(|| (bench.count(Counter::TapsockAddressConflicts) > 0).then_some(()));
            assert!(!ours());
        } else {
            until(|| ours().then_some(()));
            bench.run("ping", &["-4", "-c", "1", "-W", "5", &OURS_V4.to_string()]);
        }
    }
}
