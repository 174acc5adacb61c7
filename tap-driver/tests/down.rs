//! Interfaces that go down and come back: frames are lost meanwhile, and counted; the link is not.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock_driver::drops::{DropReason, LinkDrops};
use tapsock_driver::{Link, Namespace, RecvHalf, RecvSlot};
use tapsock_stack::buf::Rope;

mod common;

use common::{KERNEL_V4, OURS_V4, Packet, Station, allowed, has_ip, kernel_end, namespace};

/// How long it may take until traffic goes on.
const PATIENCE: Duration = Duration::from_secs(10);

fn ip(namespace: &Namespace, args: &[&str]) {
    assert!(namespace.command("ip").args(args).status().unwrap().success(), "ip {args:?}");
}

/// A TAP device and a veth pair, each with the name of the interface that our descriptor belongs to.
fn over_each_link(test: impl Fn(&Namespace, &str, LinkDrops, Station)) {
    if !has_ip() {
        return;
    }
    let Some(over_tap) = namespace() else { return };
    if let Some(tap) = allowed(over_tap.open_tap(&kernel_end())) {
        let peer = over_tap.device("tap0").unwrap().hardware;
        test(&over_tap, "tap0", tap.drops(), Station::new(tap, peer));
    }
    let Some(over_veth) = namespace() else { return };
    if let Some(veth) = allowed(over_veth.open_veth(&kernel_end())) {
        let peer = over_veth.device("tap0").unwrap().hardware;
        let name = veth.name().to_owned();
        test(&over_veth, &name, veth.drops(), Station::new(veth, peer));
    }
}

/// What the descriptor has to say beside that there are frames.
fn trouble(half: &dyn RecvHalf) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(half.poll_fd().unwrap(), PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).unwrap();
    fds[0].revents()
}

fn expect_nothing(station: &mut Station) {
    let mut slot = RecvSlot::new();
    for _ in 0..100 {
        match station.receive.receive(&mut slot) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                return;
            }
        }
    }
}

/// A datagram each way, tried until it comes: what a device is given before its carrier is there is lost.
fn expect_traffic(namespace: &Namespace, station: &mut Station) {
    let at = SocketAddr::new(KERNEL_V4.into(), 7000);
    let socket = namespace.udp_bind(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = [0; 10];
    loop {
        station.transmit(&station.udp(9, at, Rope::from(&b"up"[..]), None));
        if socket.recv(&mut bytes).is_ok_and(|len| &bytes[..len] == b"up") {
            break;
        }
        assert!(Instant::now() < deadline, "what we send does not arrive");
    }
    socket.send_to(b"again", SocketAddr::new(OURS_V4.into(), 9)).unwrap();
    station.expect("the kernel's datagram", |_, packet| match packet {
        Packet::Udp { to_port: 9, payload, .. } => (payload == b"again").then_some(()),
        _ => None,
    });
}

#[test]
fn an_interface_that_was_down_goes_on() {
    over_each_link(|namespace, name, drops, mut station| {
        expect_traffic(namespace, &mut station);
        for round in 1..=2 {
            ip(namespace, &["link", "set", name, "down"]);
            expect_nothing(&mut station);
            assert!(trouble(&*station.receive).is_empty(), "{name}: {:?}", trouble(&*station.receive));
            let to = SocketAddr::new(KERNEL_V4.into(), 7000);
            station.transmit(&station.udp(9, to, Rope::from(&b"lost"[..]), None));
            assert_eq!((drops.of(DropReason::OutDown), station.send.dropped()), (round, round), "{name}");
            assert!(trouble(&*station.receive).is_empty(), "{name}");

            ip(namespace, &["link", "set", name, "up"]);
            expect_nothing(&mut station);
            expect_traffic(namespace, &mut station);
            assert_eq!((drops.sent(), drops.received()), (round, 0), "{name}");
        }
    });
}

#[test]
fn a_sender_may_be_the_first_to_find_the_interface_down() {
    over_each_link(|namespace, name, drops, mut station| {
        ip(namespace, &["link", "set", name, "down"]);
        let to = SocketAddr::new(KERNEL_V4.into(), 7000);
        for _ in 0..3 {
            station.transmit(&station.udp(9, to, Rope::from(&b"lost"[..]), None));
        }
        assert_eq!(drops.of(DropReason::OutDown), 3, "{name}");
        ip(namespace, &["link", "set", name, "up"]);
        expect_traffic(namespace, &mut station);
    });
}

#[test]
fn an_interface_that_is_removed_ends_the_link_at_once() {
    over_each_link(|namespace, name, _, mut station| {
        // The receiver looks all the while, so that it may be told in the middle of the removal.
        let remover = {
            let (namespace, name) = (namespace.clone(), name.to_owned());
            std::thread::spawn(move || ip(&namespace, &["link", "delete", &name]))
        };
        let deadline = Instant::now() + PATIENCE;
        let mut slot = RecvSlot::new();
        loop {
            match station.receive.receive(&mut slot) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                _ => assert!(Instant::now() < deadline, "{name}: receiving does not tell"),
            }
        }
        remover.join().unwrap();
        let to = SocketAddr::new(KERNEL_V4.into(), 7000);
        let frame = station.udp(9, to, Rope::from(&b"x"[..]), None);
        assert_ne!(station.send.transmit(&frame).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn an_interface_that_is_removed_while_it_is_down_is_noticed_when_we_send() {
    over_each_link(|namespace, name, _, mut station| {
        ip(namespace, &["link", "set", name, "down"]);
        expect_nothing(&mut station);
        ip(namespace, &["link", "delete", name]);
        let to = SocketAddr::new(KERNEL_V4.into(), 7000);
        let frame = station.udp(9, to, Rope::from(&b"x"[..]), None);
        assert!(station.send.transmit(&frame).is_err(), "{name}");
    });
}
