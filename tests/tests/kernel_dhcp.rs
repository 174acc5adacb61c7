//! A host that is given its address by a real server, in the namespace at the other end of the link.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::BorrowedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tapsock::Host;
use tapsock::net::TcpStream;
use tapsock_driver::drops::LinkDrops;
use tapsock_driver::tap::Tap;
use tapsock_driver::{KernelEnd, Link, Namespace, RecvHalf, SendHalf};
use tapsock_stack::wire::offload::{LinkCaps, Transmit};
use tapsock_tests::bench::skipped_for;
use tapsock_tests::programs::{Beside, find};
use tapsock_tests::sides::PATIENCE;

fn network() -> Option<(Namespace, Tap)> {
    let namespace = Namespace::create().map_or_else(skipped_for, Some)?;
    let end = KernelEnd::new("tap0").address("10.7.0.1/24".parse().unwrap());
    let tap = namespace.open_tap(&end).map_or_else(skipped_for, Some)?;
    Some((namespace, tap))
}

/// RFC 2131 with dnsmasq: an address from its range, and what it says of the network.
//= RFC 2131 §3.1 MUST-1, type=test
//= RFC 2131 §3.1 MUST-2, type=test
//= RFC 2131 §4.3.2 MUST-1, type=test
//= RFC 2131 §4.4.1 MUST-1, type=test
//= RFC 2131 §4.4, type=test
//= RFC 1122 §3.2.2.9 MAY-1, type=test
#[test]
fn dnsmasq_gives_an_address_and_what_goes_with_it() {
    let Some(program) = find("dnsmasq") else { return };
    let Some((namespace, tap)) = network() else { return };
    let mut command = namespace.command(program);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0"]);
    command.args(["--interface=tap0", "--bind-interfaces", "--dhcp-authoritative", "--leasefile-ro"]);
    command.args(["--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m", "--no-ping", "--user=", "--group="]);
    command.args(["--dhcp-option=option:router,10.7.0.1", "--dhcp-option=option:dns-server,10.7.0.53"]);
    command.args(["--dhcp-option=option:mtu,1400", "--domain=example.org", "--pid-file="]);
    command.arg("--dhcp-option=option:classless-static-route,192.0.2.0/24,10.7.0.2,0.0.0.0/0,10.7.0.1");
    let _server = Beside::start(command.stdin(Stdio::null()).stdout(Stdio::null())).unwrap();
    let host = Host::builder().link(tap).dhcp().start().unwrap();
    let lease = host.wait_for_lease(PATIENCE).unwrap();
    let last = lease.address.to_string();
    let last: u8 = last.strip_prefix("10.7.0.").unwrap().strip_suffix("/24").unwrap().parse().unwrap();
    assert!((50..=60).contains(&last), "{last}");
    assert_eq!(lease.server.to_string(), "10.7.0.1");
    assert_eq!(lease.name_servers, ["10.7.0.53".parse::<std::net::Ipv4Addr>().unwrap()]);
    assert_eq!((lease.mtu, lease.domain.as_deref()), (Some(1400), Some("example.org")));
    let mut routes: Vec<_> = lease.routes.iter().map(|(to, by)| format!("{to} via {by}")).collect();
    routes.sort();
    assert_eq!(routes, ["0.0.0.0/0 via 10.7.0.1", "192.0.2.0/24 via 10.7.0.2"]);
    let times = lease.times.unwrap();
    assert_eq!(times.end.saturating_since(times.renewal), Duration::from_secs(60));
    let tap0 = host.interfaces().into_iter().nth(1).unwrap();
    assert_eq!(["0.0.0.0", "::"].map(|family| tap0.mtu_of(family.parse().unwrap())), [1400; 2]);

    let listener = namespace.tcp_listen("10.7.0.1:0".parse().unwrap()).unwrap();
    let mut ours = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
    let (mut theirs, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), lease.address.address);
    ours.write_all(b"leased").unwrap();
    drop(ours);
    let mut heard = String::new();
    theirs.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "leased");
}

/// A host that ends gives its address back, though it never had to know the server's station.
//= RFC 2131 §4.4.6, type=test
#[test]
fn a_host_that_ends_gives_its_address_back() {
    let Some(program) = find("dnsmasq") else { return };
    let Some((namespace, tap)) = network() else { return };
    let mut command = namespace.command(program);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0"]);
    command.args(["--interface=tap0", "--bind-interfaces", "--dhcp-authoritative", "--leasefile-ro"]);
    command.args(["--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m", "--no-ping", "--user=", "--group="]);
    command.args(["--pid-file=", "--log-dhcp", "--log-facility=-"]);
    let mut server = Beside::start(command.stdout(Stdio::null()).stderr(Stdio::piped())).unwrap();
    let log = BufReader::new(server.child().stderr.take().unwrap());
    let host = Host::builder().link(tap).dhcp().start().unwrap();
    let address = host.wait_for_lease(PATIENCE).unwrap().address.address.to_string();
    assert!(host.shutdown().is_complete());
    // It ends with the server.
    let mut lines = log.lines().map_while(Result::ok);
    let released = lines.find(|line| line.contains("DHCPRELEASE")).expect("it is told");
    assert!(released.contains(&address), "{released}");
}

/// What a link was seen to do, and is to do.
#[derive(Default)]
struct Watch {
    /// How often it is full yet before it takes a frame.
    full: AtomicUsize,
    /// Whether a DHCPRELEASE has gone.
    released: AtomicBool,
}

/// A device that may be full.
struct Filling<T>(T, Arc<Watch>);

impl Link for Filling<Tap> {
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
        let Filling(tap, watch) = *self;
        let (receiver, sender) = Box::new(tap).split();
        (receiver, Box::new(Filling(sender, watch)))
    }
}

impl SendHalf for Filling<Box<dyn SendHalf>> {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        let Filling(sender, watch) = self;
        if watch.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sender.transmit(transmit)?;
        // Behind the headers of Ethernet, IPv4 and UDP, and what is fixed of DHCP.
        let kind =
            transmit.to_frame().bytes.get(14 + 20 + 8 + 240..).is_some_and(|it| it.starts_with(&[53, 1, 7]));
        watch.released.fetch_or(kind, Ordering::SeqCst);
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.poll_fd()
    }

    fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

/// A host that ends on a link that is full waits until its address is given back.
#[test]
fn an_address_is_given_back_over_a_link_that_is_full() {
    let Some(program) = find("dnsmasq") else { return };
    let Some((namespace, tap)) = network() else { return };
    let mut command = namespace.command(program);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0"]);
    command.args(["--interface=tap0", "--bind-interfaces", "--dhcp-authoritative", "--leasefile-ro"]);
    command.args(["--dhcp-range=10.7.0.50,10.7.0.60,255.255.255.0,2m", "--no-ping", "--user=", "--group="]);
    let _server = Beside::start(command.arg("--pid-file=").stdout(Stdio::null())).unwrap();
    let watch = Arc::new(Watch::default());
    let link = Filling(tap, watch.clone());
    let host = Host::builder().link(link).dhcp().shutdown_timeout(PATIENCE).start().unwrap();
    host.wait_for_lease(PATIENCE).unwrap();
    // Its station is known then.
    let error = TcpStream::connect(&host, "10.7.0.1:9").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    watch.full.store(50, Ordering::SeqCst);
    assert!(host.shutdown().is_complete());
    assert!(watch.released.load(Ordering::SeqCst), "full {} times yet", watch.full.load(Ordering::SeqCst));
}

#[test]
fn where_no_server_is_a_host_waits_as_long_as_it_was_told() {
    let Some((_namespace, tap)) = network() else { return };
    let host = Host::builder().link(tap).dhcp().start().unwrap();
    let error = host.wait_for_lease(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(host.lease(), None);
    let error = Host::builder().dhcp().start().map(drop).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
