//! A host with several links.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{PATIENCE, within};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::{Builder, Counter, Driver, Host};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tapsock_stack::iface::MAX_INTERFACES;

fn wire() -> (MemoryLink, MemoryLink) {
    MemoryLink::pair(MemoryConfig::default()).unwrap()
}

/// A host at the network of that number, with the router as its gateway.
fn host(net: u8, link: MemoryLink) -> Host {
    let host = Host::builder().link(link).address(format!("10.0.{net}.2/24").parse().unwrap());
    host.gateway(format!("10.0.{net}.1").parse().unwrap()).seed(net.into()).start().unwrap()
}

/// A router at these links: 10.0.1.1, 10.0.2.1 and on.
fn router(links: Vec<MemoryLink>) -> Builder {
    (1..).zip(links).fold(Host::builder().setting("net.ipv4.ip_forward", "1"), |host, (net, link)| {
        let address = format!("10.0.{net}.1/24").parse().unwrap();
        host.link(link).interface_name(&format!("eth{net}")).address(address)
    })
}

/// Carries `len` bytes from one host to the other.
fn carry(from: &Host, to: &Host, address: &str, len: usize) {
    let listener = TcpListener::bind(to, (address, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let receiving = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let sent: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    let mut stream = TcpStream::connect(from, at).unwrap();
    stream.write_all(&sent).unwrap();
    drop(stream);
    assert!(receiving.join().unwrap() == sent, "other bytes than were sent");
}

#[test]
fn a_host_routes_between_its_links() {
    within(PATIENCE, || {
        let (left, left_end) = wire();
        let (right, right_end) = wire();
        let router = router(vec![left_end, right_end]).start().unwrap();
        let (left, right) = (host(1, left), host(2, right));
        carry(&left, &right, "10.0.2.2", 4 << 20);
        carry(&right, &left, "10.0.1.2", 4 << 20);
        assert!(router.counters()[Counter::IpForwDatagrams] > 100);
        // It is a host at both besides.
        carry(&left, &router, "10.0.1.1", 1 << 20);
        carry(&router, &right, "10.0.2.2", 1 << 20);
        carry(&left, &router, "10.0.2.1", 1 << 20);
        assert_eq!(router.counters()[Counter::TapsockLinkOutFull], 0);
    });
}

#[test]
fn an_event_loop_sees_to_all_links() {
    within(PATIENCE, || {
        let (left, left_end) = wire();
        let (right, right_end) = wire();
        let router = router(vec![left_end, right_end]).driver(Driver::External).start().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let ends = done.clone();
        let turns = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                router.turn().unwrap();
                let nap = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                poll(&mut [PollFd::new(&router.as_fd().unwrap(), PollFlags::IN)], Some(&nap)).unwrap();
            }
            router
        });
        let (left, right) = (host(1, left), host(2, right));
        carry(&left, &right, "10.0.2.2", 8 << 20);
        done.store(true, Ordering::Relaxed);
        assert!(turns.join().unwrap().counters()[Counter::IpForwDatagrams] > 100);
    });
}

#[test]
fn a_link_that_takes_nothing_holds_up_no_other() {
    within(PATIENCE, || {
        let (stuck, _nobody_reads) = wire();
        let (good, end) = wire();
        let router = router(vec![stuck, end]).shutdown_timeout(Duration::from_millis(50)).start().unwrap();
        let socket = UdpSocket::bind(&router, "0.0.0.0:0").unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while router.counters()[Counter::TapsockLinkOutFull] == 0 {
            sent += 1;
            assert!(sent < 10_000, "what nobody takes is kept without end");
            if let Err(error) = socket.send_to(b"to nobody", "10.0.1.255:9") {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        }
        carry(&host(2, good), &router, "10.0.2.1", 1 << 20);
    });
}

/// As many as there may be interfaces beside `lo`, all of which but one take nothing: the host polls both halves of each.
#[test]
fn a_host_has_so_many_links_and_no_more() {
    within(PATIENCE, || {
        let most = u8::try_from(MAX_INTERFACES).unwrap() - 1;
        let config = MemoryConfig { capacity: 8, ..MemoryConfig::default() };
        let wires = |count: u8| (0..count).map(|_| MemoryLink::pair(config).unwrap()).unzip();
        let (links, mut ends): (Vec<_>, Vec<_>) = wires(most);
        let router = router(links).shutdown_timeout(Duration::from_millis(50)).start().unwrap();
        let socket = UdpSocket::bind(&router, "0.0.0.0:0").unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        for net in 1..most {
            for _ in 0..64 {
                // Where a link takes nothing, it has been tried.
                let _ = socket.send_to(b"to nobody", format!("10.0.{net}.255:9").as_str());
            }
        }
        carry(&host(most, ends.pop().unwrap()), &router, &format!("10.0.{most}.1"), 1 << 20);

        let (links, _ends): (Vec<_>, Vec<_>) = wires(most + 1);
        let error = self::router(links).start().unwrap_err();
        assert!(error.to_string().contains("limit on interfaces"), "{error}");
    });
}

#[test]
fn a_link_that_goes_takes_no_other_with_it() {
    within(PATIENCE, || {
        let (gone, end_of_gone) = wire();
        let (good, end) = wire();
        let router = router(vec![end_of_gone, end]).start().unwrap();
        let good = host(2, good);
        let bound = UdpSocket::bind(&router, "10.0.1.1:5000").unwrap();
        bound.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(gone);
        let error = bound.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(100), "ENETDOWN, not {error}");
        carry(&good, &router, "10.0.2.1", 1 << 20);
        carry(&router, &good, "10.0.2.2", 1 << 20);
        let error = TcpStream::connect(&router, "10.0.1.2:80").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(100), "ENETDOWN, not {error}");
    });
}

#[test]
fn each_link_has_what_was_said_after_it() {
    let (one, _end) = wire();
    let (other, _other_end) = wire();
    // What is said before any link is the first one's.
    let host = Host::builder().address("10.0.1.1/24".parse().unwrap()).link(one).interface_name("one");
    let host = host.link(other).interface_name("other").address("10.0.2.1/24".parse().unwrap()).start();
    let host = host.unwrap();
    let shown: Vec<_> = host
        .interfaces()
        .iter()
        .filter_map(|interface| {
            let first = interface.addresses().iter().find(|own| own.cidr.address.is_ipv4())?;
            Some(format!("{} {}", interface.name(), first.cidr))
        })
        .collect();
    assert_eq!(shown, ["lo 127.0.0.1/8", "one 10.0.1.1/24", "other 10.0.2.1/24"]);
    let stations: Vec<_> = host.interfaces()[1..].iter().map(|interface| interface.hardware()).collect();
    assert_ne!(stations[0], stations[1]);
}

#[test]
fn two_links_of_one_name_are_refused() {
    let ((one, _end), (other, _other_end)) = (wire(), wire());
    let error = Host::builder().link(one).link(other).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("memory0"), "{error}");
}

#[test]
fn an_address_needs_a_link() {
    let error = Host::builder().address("10.0.0.1/24".parse().unwrap()).start().unwrap_err();
    assert_eq!(error.to_string(), "an address or a route, but no link");
}
