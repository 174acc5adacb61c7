//! What a host makes of trouble on its link: frames that are lost are counted, and an interface that was down goes on.

mod common;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{PATIENCE, RIGHT, RIGHT6, builders, within};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use tapsock::net::{TcpListener, TcpStream, UdpSocket};
use tapsock::{Counter, Host};
use tapsock_driver::memory::{MemoryConfig, MemoryLink, MemorySwitch};
use tapsock_driver::unix::{Framing, UnixLink};
use tapsock_driver::{DropReason, KernelEnd, Link, LinkDrops, Namespace, OpenError, RecvHalf, SendHalf};
use tapsock_stack::wire::offload::{LinkCaps, Transmit};

#[test]
fn frames_that_the_link_drops_are_counted() {
    within(PATIENCE, || {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let link = UnixLink::from_fd(ours, Framing::Vnet, 1500).unwrap();
        let host = Host::builder().link(link).start().unwrap();
        let count = |counter| host.counters()[counter];
        // The first has a header that asks for a checksum past the end.
        let misdescribed = [&[1, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0][..], &[0; 60]].concat();
        send(&theirs, &misdescribed, SendFlags::empty()).unwrap();
        for len in [0, 12, 100_000] {
            send(&theirs, &vec![0; len], SendFlags::empty()).unwrap();
        }
        while count(Counter::TapsockLinkInTruncated) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((count(Counter::TapsockLinkInTruncated), count(Counter::TapsockLinkInTooShort)), (1, 2));
        assert_eq!(count(Counter::TapsockLinkInMisdescribed), 1);
        assert_eq!(count(Counter::TapsockLinkInHdrErrors), 0, "the stack never saw them");
    });
}

/// A link of somebody else's that counts what it drops.
struct Counting(MemoryLink, LinkDrops);

impl Link for Counting {
    fn caps(&self) -> LinkCaps {
        self.0.caps()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn drops(&self) -> LinkDrops {
        self.1.clone()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        Box::new(self.0).split()
    }
}

#[test]
fn each_reason_of_a_link_has_a_counter_of_the_host() {
    let (link, _other_end) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let drops = LinkDrops::default();
    let host = Host::builder().link(Counting(link, drops.clone())).start().unwrap();
    let table = [
        (DropReason::InTruncated, Counter::TapsockLinkInTruncated),
        (DropReason::InTooShort, Counter::TapsockLinkInTooShort),
        (DropReason::InRefused, Counter::TapsockLinkInRefused),
        (DropReason::InMisdescribed, Counter::TapsockLinkInMisdescribed),
        (DropReason::OutDown, Counter::TapsockLinkOutDown),
        (DropReason::OutRefused, Counter::TapsockLinkOutRefused),
        (DropReason::OutUnfinished, Counter::TapsockLinkOutUnfinished),
        (DropReason::OutFull, Counter::TapsockLinkOutFull),
    ];
    assert_eq!(table.map(|(reason, _)| reason), DropReason::ALL);
    for (times, (reason, counter)) in (1..).zip(table) {
        (0..times).for_each(|_| drops.count(reason));
        assert_eq!(host.counters()[counter], times, "{reason:?}");
    }
    let others = host.counters();
    let named = table.map(|(_, counter)| others[counter]).iter().sum::<u64>();
    let all = others.iter().filter(|(counter, _)| counter.name().starts_with("TapsockLink"));
    assert_eq!(all.map(|(_, count)| count).sum::<u64>(), named, "each under one name");
}

/// A link that notes the addresses of the payload that it is given to send.
struct Noting<T>(T, Arc<Mutex<Vec<Range<usize>>>>);

impl Link for Noting<MemoryLink> {
    fn caps(&self) -> LinkCaps {
        self.0.caps()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn drops(&self) -> LinkDrops {
        self.0.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let Noting(link, noted) = *self;
        let (receive, send) = Box::new(link).split();
        (receive, Box::new(Noting(send, noted)))
    }
}

impl SendHalf for Noting<Box<dyn SendHalf>> {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        self.1.lock().unwrap().extend(transmit.payload.chunks().map(|chunk| addresses(chunk)));
        self.0.transmit(transmit)
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

fn addresses(bytes: &[u8]) -> Range<usize> {
    let Range { start, end } = bytes.as_ptr_range();
    start.addr()..end.addr()
}

#[test]
fn owned_bytes_lie_where_they_were_made_when_they_are_sent() {
    within(PATIENCE, || {
        let (near, far) = MemoryLink::pair(MemoryConfig::default()).unwrap();
        let noted = Arc::new(Mutex::new(Vec::new()));
        let host = |v4: &str, v6: &str| {
            Host::builder()
                .address(format!("{v4}/24").parse().unwrap())
                .address(format!("{v6}/64").parse().unwrap())
        };
        let left = host(common::LEFT, common::LEFT6).link(Noting(near, noted.clone())).start().unwrap();
        let right = host(RIGHT, RIGHT6).link(far).start().unwrap();
        let sent = Bytes::from(vec![7; 100_000]);
        let taken = |len: usize, what: &str| {
            let noted = std::mem::take(&mut *noted.lock().unwrap());
            let within = noted.iter().filter(|range| {
                let all = addresses(&sent);
                all.contains(&range.start) && range.end <= all.end
            });
            assert_eq!(within.map(Range::len).sum::<usize>(), len, "{what}: {noted:x?}");
        };
        for at in [RIGHT, RIGHT6] {
            let at = (at.parse::<std::net::IpAddr>().unwrap(), 0);
            let listener = TcpListener::bind(&right, at).unwrap();
            let mut client = TcpStream::connect(&left, listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            assert_eq!(client.send_bytes(sent.clone()).unwrap(), sent.len());
            server.read_exact(&mut vec![0; sent.len()]).unwrap();
            taken(sent.len(), "a stream");
            // What is told is told of copies too.
            client.write_all(&sent).unwrap();
            server.read_exact(&mut vec![0; sent.len()]).unwrap();
            taken(0, "what is written");

            let receiver = UdpSocket::bind(&right, at).unwrap();
            let sender = UdpSocket::bind(&left, if at.0.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
            let datagram = sent.slice(..1_200);
            sender.send_bytes_to(datagram.clone(), receiver.local_addr().unwrap()).unwrap();
            receiver.recv_from(&mut [0; 1_500]).unwrap();
            taken(1_200, "a datagram");
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            sender.send_bytes(datagram).unwrap();
            receiver.recv_from(&mut [0; 1_500]).unwrap();
            taken(1_200, "a datagram to the peer");
        }
    });
}

#[test]
fn a_network_may_be_on_the_link_itself() {
    within(PATIENCE, || {
        let (left, right) = builders(MemoryConfig::default());
        let left = left.route("10.9.0.0/16".parse().unwrap(), None).start().unwrap();
        let right = right
            .address("10.9.0.1/32".parse().unwrap())
            .route("10.0.0.1/32".parse().unwrap(), None)
            .start()
            .unwrap();
        let here = UdpSocket::bind(&left, "0.0.0.0:0").unwrap();
        let there = UdpSocket::bind(&right, "10.9.0.1:5000").unwrap();
        here.send_to(b"over the link", "10.9.0.1:5000").unwrap();
        let mut bytes = [0; 20];
        let (len, from) = there.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..len], from.ip()), (&b"over the link"[..], "10.0.0.1".parse().unwrap()));
    });
}

#[test]
fn who_waits_for_an_address_hears_that_the_link_is_gone() {
    within(PATIENCE, || {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let link = UnixLink::from_fd(ours, Framing::Vnet, 1500).unwrap();
        let host = Host::builder().link(link).dhcp().start().unwrap();
        let end = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(theirs);
        });
        let error = host.wait_for_lease(10 * PATIENCE).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(100), "ENETDOWN, not {error}");
        end.join().unwrap();
    });
}

#[test]
fn three_hosts_on_a_switch() {
    within(PATIENCE, || {
        let switch = MemorySwitch::new(MemoryConfig::default());
        let address = |host: usize| format!("10.0.0.{}", host + 1);
        let mut hosts: Vec<Host> = (0..3)
            .map(|host| {
                let own = format!("{}/24", address(host)).parse().unwrap();
                Host::builder().link(switch.port().unwrap()).address(own).start().unwrap()
            })
            .collect();
        let listeners: Vec<TcpListener> = (0..3)
            .map(|host| TcpListener::bind(&hosts[host], format!("{}:2000", address(host))).unwrap())
            .collect();
        let talk = |hosts: &[Host], from: usize, to: usize| {
            let mut client = TcpStream::connect(&hosts[from], format!("{}:2000", address(to))).unwrap();
            let (mut server, peer) = listeners[to].accept().unwrap();
            assert_eq!(peer.ip().to_string(), address(from));
            client.write_all(&[from as u8; 100_000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut came = Vec::new();
            server.read_to_end(&mut came).unwrap();
            assert!(came == [from as u8; 100_000], "from {from} to {to}");
        };
        let received = |host: &Host| host.counters()[Counter::IpInReceives];
        for (from, to, other) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
            talk(&hosts, from, to);
            let before = received(&hosts[other]);
            talk(&hosts, from, to);
            talk(&hosts, to, from);
            // But for the ends of earlier connections nothing of this comes there.
            assert!(received(&hosts[other]) - before < 10, "the switch has learnt who is where");
        }
        let last = hosts.pop().unwrap();
        last.shutdown();
        drop(last);
        talk(&hosts, 0, 1);
        assert_eq!(switch.dropped(), 0);
    });
}

/// A host on the link that `open` makes in a namespace, before, while and after the interface `name` is down.
fn goes_on_after_it_was_down<L: Link + 'static>(
    name: &str,
    open: impl Fn(&Namespace, &KernelEnd) -> Result<L, OpenError>,
) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|place| place.join("ip").is_file()) {
        return println!("skipped: ip is not installed");
    }
    let kernel_end = KernelEnd::new("tap0").address("10.7.0.1/24".parse().unwrap());
    let opened = Namespace::create().and_then(|namespace| Ok((open(&namespace, &kernel_end)?, namespace)));
    let (link, namespace) = match opened {
        Ok(opened) => opened,
        Err(error) => return println!("skipped: {error}"),
    };
    let host = Host::builder().link(link).address("10.7.0.2/24".parse().unwrap()).start().unwrap();
    let ours = UdpSocket::bind(&host, "10.7.0.2:7000").unwrap();
    let kernels = namespace.udp_bind("10.7.0.1:7000".parse().unwrap()).unwrap();
    kernels.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let crosses = || {
        let mut bytes = [0; 8];
        let sent = ours.send_to(b"frame", "10.7.0.1:7000");
        sent.is_ok() && kernels.recv(&mut bytes).is_ok_and(|len| &bytes[..len] == b"frame")
    };
    let wait_until_it_crosses = || {
        let deadline = Instant::now() + PATIENCE;
        while !crosses() {
            assert!(Instant::now() < deadline, "no datagram comes to the kernel");
        }
    };
    let set = |state: &str| {
        let mut ip = namespace.command("ip");
        assert!(ip.args(["link", "set", name, state]).status().unwrap().success());
    };
    wait_until_it_crosses();
    set("down");
    assert!(!crosses());
    assert!(host.counters()[Counter::TapsockLinkOutDown] > 0);
    set("up");
    wait_until_it_crosses();
    kernels.send_to(b"back", "10.7.0.2:7000").unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 8];
    let (len, _) = ours.recv_from(&mut bytes).expect("the kernel's datagram comes in time");
    assert_eq!(&bytes[..len], b"back");
}

#[test]
fn a_device_that_was_down_goes_on() {
    goes_on_after_it_was_down("tap0", |namespace, kernel_end| namespace.open_tap(kernel_end));
}

#[test]
fn an_interface_that_was_down_goes_on() {
    goes_on_after_it_was_down("tap0-ts", |namespace, kernel_end| namespace.open_veth(kernel_end));
}
