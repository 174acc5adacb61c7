//! Where nobody answers, or says no.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock_driver::Namespace;
use tapsock_tests::bench::{Bench, DEVICE, Family, Setup};
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
