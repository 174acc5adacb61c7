//! One pair of link-local addresses on two links: two connections.

use core::net::{SocketAddr, SocketAddrV6};

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{ListenerId, Stack, TcpId};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::{LinkCaps, Medium};

const NOW: Instant = Instant::from_secs(1);
const LINKS: [InterfaceId; 2] = [InterfaceId(1), InterfaceId(2)];

/// A host at the end of `links` links that carry bare IP, with the address `own` on each.
fn host(seed: u64, links: usize, own: &str) -> Stack {
    let mut stack = Stack::new(Config::default(), seed, NOW);
    for name in ["tun0", "tun1"].into_iter().take(links) {
        let caps = LinkCaps::plain(Medium::Ip, 1500);
        let id = stack.add_interface(name, EthernetAddress([2, 0, 0, 0, 0, seed as u8]), caps).unwrap();
        stack.add_address(id, format!("{own}/64").parse().unwrap()).unwrap();
    }
    stack
}

/// Carries packets between `middle` and the two hosts at its links until nobody has any.
fn settle(middle: &mut Stack, ends: &mut [Stack; 2]) {
    loop {
        let mut any = false;
        while let Some((link, mut packet)) = middle.poll_transmit(NOW) {
            packet.complete_checksum();
            ends[usize::from(link.0) - 1].receive(NOW, LINKS[0], packet.to_frame());
            any = true;
        }
        for (end, link) in ends.iter_mut().zip(LINKS) {
            while let Some((_, mut packet)) = end.poll_transmit(NOW) {
                packet.complete_checksum();
                middle.receive(NOW, link, packet.to_frame());
                any = true;
            }
        }
        if !any {
            return;
        }
    }
}

fn listen(stack: &mut Stack) -> ListenerId {
    let address = LocalAddr::new("::".parse().unwrap(), 0);
    let options = stack.config().tcp_options();
    let bind = stack.bind(BindRequest { port: 2000, ..BindRequest::new(Transport::Tcp, address) }).unwrap();
    stack.tcp_listen(bind, 8, options).unwrap()
}

fn connect(stack: &mut Stack, link: InterfaceId, to: &str) -> TcpId {
    let own =
        LocalAddr::new(if to == "fe80::2" { "fe80::1" } else { "fe80::2" }.parse().unwrap(), link.index());
    let request = BindRequest { port: 3000, reuse_address: true, ..BindRequest::new(Transport::Tcp, own) };
    let bind = stack.bind(request).unwrap();
    let options = stack.config().tcp_options();
    let remote = SocketAddrV6::new(to.parse().unwrap(), 2000, 0, link.index());
    stack.tcp_connect(NOW, Some(bind), remote.into(), options).unwrap()
}

/// What the two connections read, after each peer wrote its link's number.
fn exchange(middle: &mut Stack, ends: &mut [Stack; 2], ours: [TcpId; 2], theirs: [TcpId; 2]) {
    for ((end, id), link) in ends.iter_mut().zip(theirs).zip(LINKS) {
        end.tcp_write(NOW, id, Rope::from(vec![link.0])).unwrap();
    }
    settle(middle, ends);
    for (id, link) in ours.into_iter().zip(LINKS) {
        assert_eq!(middle.tcp_read(NOW, id, 9).unwrap().to_vec(), [link.0]);
        let (Some(SocketAddr::V6(local)), Some(SocketAddr::V6(remote))) =
            (middle.tcp_local(id), middle.tcp_remote(id))
        else {
            panic!("both are IPv6")
        };
        assert_eq!((local.scope_id(), remote.scope_id()), (link.index(), link.index()));
    }
}

//= RFC 4007 §6, type=test
#[test]
fn two_links_have_each_a_connection_of_the_same_addresses_and_ports() {
    // From us to both, and from both to us.
    let (mut middle, mut ends) = (host(1, 2, "fe80::1"), [host(2, 1, "fe80::2"), host(3, 1, "fe80::2")]);
    let listeners = [listen(&mut ends[0]), listen(&mut ends[1])];
    let ours = LINKS.map(|link| connect(&mut middle, link, "fe80::2"));
    settle(&mut middle, &mut ends);
    let [one, two] = &mut ends;
    let theirs = [one.tcp_accept(listeners[0]).unwrap(), two.tcp_accept(listeners[1]).unwrap()];
    exchange(&mut middle, &mut ends, ours, theirs);

    let (mut middle, mut ends) = (host(1, 2, "fe80::1"), [host(2, 1, "fe80::2"), host(3, 1, "fe80::2")]);
    let listener = listen(&mut middle);
    let [one, two] = &mut ends;
    let theirs = [one, two].map(|end| connect(end, LINKS[0], "fe80::1"));
    settle(&mut middle, &mut ends);
    let ours = [(); 2].map(|()| middle.tcp_accept(listener).unwrap());
    exchange(&mut middle, &mut ends, ours, theirs);
}
