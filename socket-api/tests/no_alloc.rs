//! What a host allocates: nothing for a round trip, and little for a connection that lies idle.

mod common;

use std::time::{Duration, Instant};

use allocation_counter::measure;
use common::{PATIENCE, RIGHT, builders, ip, within};
use tapsock::bsd::{self, AF_INET, MSG_DONTWAIT, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM};
use tapsock::{Driver, Errno, Host, SockAddr};
use tapsock_driver::memory::MemoryConfig;

/// Two hosts without threads: this one does everything, so that all is counted.
fn hosts() -> [Host; 2] {
    let (left, right) = builders(MemoryConfig::default());
    [left, right]
        .map(|builder| builder.driver(Driver::External).shutdown_timeout(Duration::ZERO).start().unwrap())
}

/// Lets both hosts do what there is to be done, until `call` has something to say.
fn turning<T>([left, right]: &[Host; 2], mut call: impl FnMut() -> Result<T, Errno>) -> T {
    loop {
        match call() {
            Err(Errno::AGAIN) => [left, right].iter().for_each(|host| host.turn().unwrap()),
            ended => return ended.unwrap(),
        }
    }
}

fn listener(host: &Host, backlog: i32) -> (i32, SockAddr) {
    let listener = bsd::socket(host, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
    bsd::bind(host, listener, &SockAddr::from(std::net::SocketAddr::from((ip(RIGHT), 0)))).unwrap();
    bsd::listen(host, listener, backlog).unwrap();
    (listener, bsd::getsockname(host, listener).unwrap())
}

/// A connection of the left host's to `listener` on the right one.
fn connected(hosts: &[Host; 2], (listener, address): &(i32, SockAddr)) -> [i32; 2] {
    let client = bsd::socket(&hosts[0], AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
    assert_eq!(bsd::connect(&hosts[0], client, address), Err(Errno::INPROGRESS));
    let server = turning(hosts, || bsd::accept(&hosts[1], *listener).map(|(server, _)| server));
    [client, server]
}

/// `rounds` times 64 bytes there and back.
fn ping_pong(hosts: &[Host; 2], sockets: [i32; 2], rounds: u32) {
    let mut bytes = [7; 128];
    for _ in 0..rounds {
        for (from, to) in [(0, 1), (1, 0)] {
            assert_eq!(bsd::send(&hosts[from], sockets[from], &bytes[..64], 0), Ok(64));
            let receive = || bsd::recv(&hosts[to], sockets[to], &mut bytes, MSG_DONTWAIT);
            assert_eq!(turning(hosts, receive), 64);
        }
    }
}

#[test]
fn round_trips_allocate_nothing() {
    within(PATIENCE, || {
        let hosts = hosts();
        let stream = connected(&hosts, &listener(&hosts[1], 1));
        let datagrams = [0, 1].map(|end| {
            let socket = bsd::socket(&hosts[end], AF_INET, SOCK_DGRAM, 0).unwrap();
            let own = if end == 0 { common::LEFT } else { RIGHT };
            bsd::bind(&hosts[end], socket, &SockAddr::from(std::net::SocketAddr::from((ip(own), 5_000))))
                .unwrap();
            socket
        });
        for (end, peer) in [(0, RIGHT), (1, common::LEFT)] {
            let peer = SockAddr::from(std::net::SocketAddr::from((ip(peer), 5_000)));
            bsd::connect(&hosts[end], datagrams[end], &peer).unwrap();
        }
        for (name, sockets) in [("TCP", stream), ("UDP", datagrams)] {
            ping_pong(&hosts, sockets, 1000);
            // Now and then a timer may find room for the first time; what each round allocates would be there each time.
            let fewest = (0..3).map(|_| measure(|| ping_pong(&hosts, sockets, 1000)).count_total).min();
            assert_eq!(fewest, Some(0), "{name}");
        }
    });
}

/// The whole way of bulk: the copies into and out of buffers, segments of 64 KiB, the outbox and the wire.
#[test]
fn a_stream_allocates_nothing_once_it_flows() {
    const CALL: usize = 64 * 1024;
    const CALLS: usize = 64;
    within(PATIENCE, || {
        let hosts = hosts();
        let [from, to] = connected(&hosts, &listener(&hosts[1], 1));
        let (data, mut into) = (vec![7; CALL], vec![0; CALL]);
        let mut stream = || {
            for _ in 0..CALLS {
                let mut sent = 0;
                while sent < CALL {
                    sent += turning(&hosts, || bsd::send(&hosts[0], from, &data[sent..], MSG_DONTWAIT));
                }
                let mut received = 0;
                while received < CALL {
                    let receive = || bsd::recv(&hosts[1], to, &mut into[received..], MSG_DONTWAIT);
                    received += turning(&hosts, receive);
                }
            }
        };
        stream();
        let fewest = (0..3).map(|_| measure(&mut stream).count_total).min();
        assert_eq!(fewest, Some(0));
    });
}

/// All that a host holds for it, from the descriptor to the connection.
#[test]
fn an_idle_connection_holds_at_most_a_kibibyte_an_end() {
    const MANY: usize = 2_000;
    within(PATIENCE, || {
        let hosts = hosts();
        let listener = listener(&hosts[1], 16);
        let mut pairs = Vec::with_capacity(MANY);
        // What is there once only is there.
        pairs.push(connected(&hosts, &listener));
        ping_pong(&hosts, pairs[0], 1);
        let fresh = measure(|| {
            while pairs.len() < MANY {
                pairs.push(connected(&hosts, &listener));
            }
        });
        let used = measure(|| {
            pairs.iter().for_each(|pair| ping_pong(&hosts, *pair, 1));
            // Until what is owed has been acknowledged, and what an idle connection needs no longer is given back.
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                hosts.iter().for_each(|host| host.turn().unwrap());
            }
        });
        let each = |bytes: i64| bytes / (2 * (MANY - 1) as i64);
        let (fresh, used) = (each(fresh.bytes_current), each(fresh.bytes_current + used.bytes_current));
        println!("{fresh} bytes an end, {used} after a round trip");
        assert!((1..=1024).contains(&fresh), "{fresh} bytes");
        assert!((1..=1024).contains(&used), "{used} bytes");
    });
}
