//! Where nobody answers, or says no.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd::*;
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::Namespace;
use tapsock_tests::bench::{Bench, DEVICE, Family, Setup};
use tapsock_tests::calls::{Calls, KernelCalls, OurCalls};
use tapsock_tests::differential::ControlMessage;
use tapsock_tests::far;
use tapsock_tests::programs;
use tapsock_tests::sides::Side;

const EACCES: i32 = 13;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;
/// Sooner than any retransmission that would be needed else gives up, later than the slowest machine answers.
const SOON: Duration = Duration::from_secs(20);

/// The errno of a call, and how long it took.
fn timed<T>(call: impl FnOnce() -> io::Result<T>) -> (Option<i32>, Duration) {
    let begin = Instant::now();
    let result = call();
    (result.err().and_then(|error| error.raw_os_error()), begin.elapsed())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

//= RFC 1122 §3.2.2.1 MUST-1, type=test
#[test]
fn a_closed_port_refuses() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        for side in Side::ALL {
            let (errno, took) = timed(|| bench.connect(side, bench.at(side.other(), family, 9)));
            assert_eq!(errno, Some(ECONNREFUSED), "{side:?} {family:?}");
            assert!(took < SOON, "{took:?}");
        }
    }
}

//= RFC 4861 §7.2.2 MUST-5, type=test
#[test]
fn a_neighbour_that_is_not_there() {
    let Some(bench) = Setup::new().open() else { return };
    let cases =
        ["10.7.0.99", "fd07::99"].into_iter().flat_map(|address| Side::ALL.map(|side| (address, side)));
    thread::scope(|scope| {
        for (address, side) in cases {
            let bench = &bench;
            scope.spawn(move || {
                let (errno, took) = timed(|| bench.connect(side, SocketAddr::new(ip(address), 80)));
                assert_eq!(errno, Some(EHOSTUNREACH), "{side:?} {address}");
                // It is asked for three times, a second apart: RFC 4861 §10.
                assert!(took > Duration::from_secs(2) && took < SOON, "{side:?} {address}: {took:?}");
            });
        }
    });
}

#[test]
fn no_route() {
    let Some(bench) = Setup::new().open() else { return };
    for address in ["192.0.2.1", "2001:db8::1"] {
        for side in Side::ALL {
            let (errno, took) = timed(|| bench.connect(side, SocketAddr::new(ip(address), 80)));
            assert_eq!(errno, Some(ENETUNREACH), "{side:?} {address}");
            assert!(took < SOON, "{took:?}");
        }
    }
}

/// What the two stacks say when they connect to `address` through the router.
fn through_the_router(bench: &Bench, far: &Namespace, address: IpAddr) -> [Option<i32>; 2] {
    let at = SocketAddr::new(address, 80);
    let ours = timed(|| TcpStream::connect(&bench.host, at));
    let kernels = timed(|| far.tcp_connect(at));
    for (_, took) in [ours, kernels] {
        assert!(took < SOON, "{address}: {took:?}");
    }
    [ours.0, kernels.0]
}

//= RFC 1122 §3.2.2 MUST-3, type=test
//= RFC 4443 §3.1 MUST-3, type=test
#[test]
fn a_router_that_says_no() {
    let Some(bench) = Setup::new().through_the_kernel().open() else { return };
    let far = far::behind(&bench);
    for route in
        ["unreachable 10.9.0.0/24", "prohibit 10.10.0.0/24", "unreachable fd09::/64", "prohibit fd10::/64"]
    {
        bench.run("sh", &["-c", &format!("ip route add {route}")]);
    }
    let cases = [
        ("192.0.2.1", ENETUNREACH),
        ("10.9.0.1", EHOSTUNREACH),
        ("10.10.0.1", EHOSTUNREACH),
        ("2001:db8::1", ENETUNREACH),
        // The kernel's "no route" covers this too.
        ("fd09::1", ENETUNREACH),
        ("fd10::1", EACCES),
    ];
    for (address, errno) in cases {
        let said = through_the_router(&bench, &far, ip(address));
        assert_eq!(said, [Some(errno); 2], "{address}: ours, the kernel's");
    }
}

/// What asks for a report of an error, and for what is told beside it.
const TOLD: [(i32, i32); 10] = [
    (SOL_IP, IP_RECVERR),
    (SOL_IP, IP_PKTINFO),
    (SOL_IP, IP_RECVTTL),
    (SOL_IP, IP_RECVTOS),
    (SOL_IP, IP_RECVORIGDSTADDR),
    (SOL_IPV6, IPV6_RECVERR),
    (SOL_IPV6, IPV6_RECVPKTINFO),
    (SOL_IPV6, IPV6_RECVHOPLIMIT),
    (SOL_IPV6, IPV6_RECVTCLASS),
    (SOL_IPV6, IPV6_RECVORIGDSTADDR),
];

/// The report of what a router refuses to pass on to `to`, a connection or a datagram: level, type and bytes of each control message, in which
/// `names` stand for addresses that the two stacks do not share, and nothing for the number of the interface.
fn report_of_refusal(
    calls: &mut dyn Calls,
    (domain, kind): (i32, i32),
    to: SocketAddr,
    names: &[(IpAddr, u8)],
) -> Vec<(i32, i32, Vec<u8>)> {
    let socket = calls.socket(domain, kind, 0).unwrap();
    for (level, name) in TOLD.iter().filter(|(level, _)| *level == SOL_IP || domain == AF_INET6) {
        calls.set_option(socket, *level, *name, 1).unwrap();
    }
    if kind == SOCK_STREAM {
        calls.connect(socket, Some(to)).unwrap_err();
    } else {
        calls.send(socket, b"hello", 0, Some(to)).unwrap();
        let patience = SOON.as_millis() as i32;
        assert_eq!(calls.poll(socket, 0, patience), Ok(PollMask::ERR.bits()));
    }
    let (_, control) = calls.recv_told(socket, 0, MSG_ERRQUEUE).unwrap();
    calls.close(socket).unwrap();
    let of_all = ControlMessage::all(&control).into_iter().map(|ControlMessage { level, kind, mut data }| {
        match (level, kind) {
            (SOL_IP, IP_PKTINFO) => data[..4].fill(0),
            (SOL_IPV6, IPV6_PKTINFO) => data[16..].fill(0),
            _ => {}
        }
        for (address, name) in names {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            for at in 0..=data.len().saturating_sub(octets.len()) {
                if data[at..].starts_with(&octets) {
                    data[at..at + octets.len()].fill(*name);
                }
            }
        }
        (level, kind, data)
    });
    of_all.collect()
}

/// Beside the error, be it a connection's, stands what the program asked to be told of packets: the router's message is one.
//= RFC 1122 §3.4 MUST-5, type=test
#[test]
fn what_is_told_beside_an_error() {
    let Some(bench) = Setup::new().through_the_kernel().open() else { return };
    let far = far::behind(&bench);
    for route in ["prohibit 10.10.0.0/24", "prohibit fd10::/64"] {
        bench.run("sh", &["-c", &format!("ip route add {route}")]);
    }
    const OWN: u8 = 0xaa;
    const ROUTER: u8 = 0xbb;
    let names = |side: [&str; 4]| {
        let [own, own_v6, router, router_v6] = side.map(ip);
        [(own, OWN), (own_v6, OWN), (router, ROUTER), (router_v6, ROUTER)]
    };
    let address = |side, family| bench.address(side, family).to_string();
    let near = Family::ALL.map(|family| [address(Side::Ours, family), address(Side::Kernel, family)]);
    let ours = names([&near[0][0], &near[1][0], &near[0][1], &near[1][1]]);
    let kernels = names(["10.8.0.2", "fd08::2", "10.8.0.1", "fd08::1"]);
    let cases = [(AF_INET, "10.10.0.1:80"), (AF_INET6, "[fd10::1]:80"), (AF_INET6, "[::ffff:10.10.0.1]:80")];
    for (domain, to) in cases {
        for kind in [SOCK_STREAM, SOCK_DGRAM] {
            let (sort, to) = ((domain, kind), to.parse().unwrap());
            let here = report_of_refusal(&mut OurCalls::new(&bench.host), sort, to, &ours);
            let there = report_of_refusal(&mut KernelCalls::new(&far), sort, to, &kernels);
            assert_eq!(here, there, "{to} {kind}: ours, the kernel's");
            assert!(here.len() >= 5, "all of them, and the error: {here:?}");
        }
    }
}

#[test]
fn a_neighbour_of_the_router_that_is_not_there() {
    let Some(bench) = Setup::new().through_the_kernel().open() else { return };
    let _far = far::behind(&bench);
    for address in ["10.8.0.99", "fd08::99"] {
        let (errno, took) = timed(|| TcpStream::connect(&bench.host, SocketAddr::new(ip(address), 80)));
        assert_eq!(errno, Some(EHOSTUNREACH), "{address}");
        assert!(took < SOON, "{took:?}");
    }
}

#[test]
fn a_link_that_goes_away() {
    let Some(_) = programs::find("ip") else { return };
    let Some(bench) = Setup::new().open() else { return };
    let (mut reader, _kernels) = bench.pair(Family::V4, Side::Ours);
    let (writer, _reads_nothing) = bench.pair(Family::V6, Side::Kernel);
    let listener = TcpListener::bind(&bench.host, "0.0.0.0:0").unwrap();
    let datagrams = UdpSocket::bind(&bench.host, (bench.address(Side::Ours, Family::V4), 0)).unwrap();
    thread::scope(|scope| {
        // One connected, and two that wait for whoever comes.
        let blocked = [
            scope.spawn(|| timed(|| reader.read(&mut [0]))),
            scope.spawn(|| timed(|| listener.accept())),
            scope.spawn(|| timed(|| datagrams.recv_from(&mut [0]))),
        ];
        bench.run("ip", &["link", "delete", DEVICE]);
        for call in blocked {
            let (errno, took) = call.join().unwrap();
            assert_eq!(errno, Some(ENETDOWN));
            assert!(took < SOON, "{took:?}");
        }
    });
    for family in Family::ALL {
        let (errno, took) = timed(|| TcpStream::connect(&bench.host, bench.at(Side::Kernel, family, 80)));
        assert_eq!(errno, Some(ENETDOWN), "{family:?}");
        assert!(took < SOON, "{took:?}");
    }
    let (errno, _) = timed(|| datagrams.send_to(b"x", bench.at(Side::Kernel, Family::V4, 80)));
    assert_eq!(errno, Some(ENETDOWN));
    // The host still speaks to itself, and closing waits for nobody.
    let begin = Instant::now();
    TcpStream::connect(&bench.host, ("127.0.0.1", listener.local_addr().unwrap().port())).unwrap();
    drop((reader, writer, listener, datagrams, bench));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}
