//! Segments and datagrams cost no allocation once things run.

use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{Family, Stack, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::offload::Transmit;
use tapsock_stack::wire::{EtherType, EthernetHeader};

use crate::shuttle::{Flow, Shuttle};
use crate::wire::{LINKS, PAIRS, at, station};

#[test]
fn bulk_allocates_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let gso = caps.gso_max > 0;
            let mut shuttle = Shuttle::new(caps, if gso { 400 } else { 8000 });
            let (here, there) = shuttle.connect(at(address, 2000), 1)[0];
            // A rope of three chunks needs no allocation: two segments of 1448 bytes touch no more.
            let piece = if gso { usize::MAX } else { 2 * 1448 };
            let segments = if gso { 1000 * 44 } else { 1000 };
            for (from, sender, receiver) in [(0, here, there), (1, there, here)] {
                let flow = Flow { from, sender, receiver, piece };
                shuttle.stream(&flow, 20 * segments * 1448);
                let count = allocation_counter::measure(|| shuttle.stream(&flow, segments * 1448));
                assert_eq!(count.count_total, 0, "{count:?} from host {from} to {address}, {caps:?}");
            }
        }
    }
}

#[test]
fn a_long_read_allocates_once_and_not_for_each_segment() {
    let mut shuttle = Shuttle::new(LINKS[0], 8000);
    let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
    shuttle.message(0, (here, there), 10_000);
    shuttle.write_all(0, here, 40_000);
    shuttle.settle();
    let count = allocation_counter::measure(|| assert_eq!(shuttle.read(1, there, usize::MAX), 40_000));
    assert!(count.count_total <= 5, "{count:?} for 28 segments");
}

#[test]
fn ping_pong_allocates_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut shuttle = Shuttle::new(caps, 400);
            let ends = shuttle.connect(at(address, 2000), 1)[0];
            shuttle.ping_pong(ends, 100);
            let count = allocation_counter::measure(|| shuttle.ping_pong(ends, 1000));
            assert_eq!(count.count_total, 0, "{count:?} to {address}, {caps:?}");
        }
    }
}

#[test]
fn requests_of_some_segments_allocate_nothing() {
    for caps in LINKS {
        let mut shuttle = Shuttle::new(caps, 400);
        let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
        let round = |shuttle: &mut Shuttle| {
            shuttle.message(0, (here, there), 10_000);
            shuttle.message(1, (there, here), 10_000);
        };
        (0..20).for_each(|_| round(&mut shuttle));
        let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
        assert_eq!(count.count_total, 0, "{count:?}, {caps:?}");
    }
}

#[test]
fn a_queue_that_fills_and_empties_keeps_its_room() {
    let mut shuttle = Shuttle::new(LINKS[0], 400);
    let (here, there) = shuttle.connect(at("10.0.0.2", 2000), 1)[0];
    let round = |shuttle: &mut Shuttle| {
        shuttle.write_all(0, here, 10_000);
        shuttle.settle();
        assert_eq!(shuttle.read_all(1, there, 2 * 1448), 10_000);
    };
    (0..20).for_each(|_| round(&mut shuttle));
    let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
    assert_eq!(count.count_total, 0, "{count:?}");
}

#[test]
fn datagrams_allocate_nothing() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut shuttle = Shuttle::new(caps, 400);
            let to = at(address, 5000);
            let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
            let server = shuttle.stacks[1].udp_open(family);
            let request =
                BindRequest { port: 5000, ..BindRequest::new(Transport::Udp, LocalAddr::from(to.ip())) };
            let bind = shuttle.stacks[1].bind(request).unwrap();
            shuttle.stacks[1].udp_bind(server, bind);
            let client = shuttle.stacks[0].udp_open(family);
            shuttle.stacks[0].udp_connect(client, Some(to)).unwrap();
            let options = UdpSendOptions::default();
            let round = |shuttle: &mut Shuttle| {
                for _ in 0..20 {
                    let (now, data) = (shuttle.now, shuttle.data(64));
                    shuttle.stacks[0].udp_send(now, client, data, None, options).unwrap();
                }
                shuttle.settle();
                for _ in 0..20 {
                    let datagram = shuttle.stacks[1].udp_recv(server).unwrap();
                    let (now, from) = (shuttle.now, Some(datagram.from));
                    shuttle.stacks[1].udp_send(now, server, datagram.payload, from, options).unwrap();
                }
                shuttle.settle();
                for _ in 0..20 {
                    shuttle.stacks[0].udp_recv(client).unwrap();
                }
            };
            shuttle.settle();
            (0..10).for_each(|_| round(&mut shuttle));
            let count = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut shuttle)));
            assert_eq!(count.count_total, 0, "{count:?} to {address}, {caps:?}");
        }
    }
}

/// Raw sockets that see the segments too: one that nobody reads, whose queue is full, and others that want none.
#[test]
fn segments_that_raw_sockets_see_allocate_nothing() {
    for (local, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        let family = if at(address, 0).is_ipv4() { Family::V4 } else { Family::V6 };
        let now = shuttle.now;
        let open = |stack: &mut Stack| stack.raw_open(family, 6).unwrap();
        let [unread, elsewhere] = [(); 2].map(|()| open(&mut shuttle.stacks[1]));
        shuttle.stacks[1].raw_mut(unread).unwrap().mail.receive_buffer = 4096;
        shuttle.stacks[1].raw_connect(elsewhere, Some(at(address, 0))).unwrap();
        let reader = open(&mut shuttle.stacks[0]);
        let ends = shuttle.connect(at(address, 2000), 1)[0];
        let round = |shuttle: &mut Shuttle| {
            shuttle.ping_pong(ends, 1);
            while shuttle.stacks[0].raw_recv(reader).is_ok() {}
        };
        (0..200).for_each(|_| round(&mut shuttle));
        let count = allocation_counter::measure(|| (0..1000).for_each(|_| round(&mut shuttle)));
        assert_eq!(count.count_total, 0, "{count:?} from {local} to {address}");
        assert!(shuttle.now > now && shuttle.stacks[1].raw_recv(unread).is_ok(), "segments were seen");
        assert!(shuttle.stacks[1].raw_recv(elsewhere).is_err());
    }
}

#[test]
fn arp_allocates_nothing_whatever_is_set_for_interfaces() {
    let mut config = Config::default();
    for n in 0..100 {
        config.set(&format!("net.ipv4.conf.eth{n}.arp_ignore"), "1").unwrap();
    }
    let mut stack = Stack::new(config, 1, Instant::ZERO);
    let eth = stack.add_interface("eth0", station(0), LINKS[0]).unwrap();
    stack.add_address(eth, "10.0.0.1/24".parse().unwrap()).unwrap();
    let request = ArpPacket {
        operation: ArpOperation::Request,
        sender_hardware: station(1),
        sender_ip: [10, 0, 0, 2].into(),
        target_hardware: Default::default(),
        target_ip: [10, 0, 0, 1].into(),
    };
    let mut headers = HeaderBlock::new();
    request.prepend_to(&mut headers);
    EthernetHeader { destination: station(0), source: station(1), ether_type: EtherType::Arp }
        .prepend_to(&mut headers);
    let frame = Transmit { headers, payload: Rope::new(), checksum: None, segmentation: None }.to_frame();
    let mut ask = |count: usize| {
        for _ in 0..count {
            stack.receive(Instant::ZERO, eth, frame.clone());
            assert!(stack.poll_transmit(Instant::ZERO).is_some(), "it answers");
        }
    };
    ask(10);
    let count = allocation_counter::measure(|| ask(1000));
    assert_eq!(count.count_total, 0, "{count:?}");
}
