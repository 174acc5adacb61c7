//! In the steady state no frame costs an allocation.

use std::net::SocketAddr;

use allocation_counter::measure;
use tapsock_driver::memory::{MemoryConfig, MemoryLink};
use tapsock_driver::unix::{Framing, UnixLink};
use tapsock_driver::{Link, RecvSlot};
use tapsock_stack::buf::{Chunk, HeaderBlock, Rope};
use tapsock_stack::wire::offload::Transmit;

mod common;

use common::{allowed, kernel_end, namespace};

/// Frames of each size, some of which are held for a while, as a receive queue does.
fn frames() -> Vec<Transmit> {
    [60, 1500, 9000, 60_000]
        .map(|len| {
            let mut headers = HeaderBlock::new();
            headers.prepend(14)[12] = 0x88;
            let mut payload = Rope::new();
            (0..3).for_each(|_| payload.push_back(Chunk::from(vec![7; len / 3])));
            Transmit { headers, payload, checksum: None, segmentation: None }
        })
        .to_vec()
}

/// Allocations of a thousand rounds, after others that warmed the pools.
fn allocations(left: impl Link + 'static, right: impl Link + 'static) -> u64 {
    let (_keep, mut send) = Box::new(left).split();
    let (mut receive, _keep) = Box::new(right).split();
    let mut slot = RecvSlot::new();
    let frames = frames();
    let mut held = std::collections::VecDeque::with_capacity(64);
    let mut run = |rounds| {
        for _ in 0..rounds {
            for frame in &frames {
                send.transmit(frame).unwrap();
                held.push_back(receive.receive(&mut slot).unwrap());
                if held.len() > 50 {
                    held.pop_front();
                }
            }
        }
    };
    run(1000);
    measure(|| run(1000)).count_total
}

#[test]
fn a_wire_in_memory() {
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    assert_eq!(allocations(left, right), 0);
}

#[test]
fn a_pair_of_sockets() {
    let (left, right) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
    assert_eq!(allocations(left, right), 0);
}

#[test]
fn a_device() {
    let Some(namespace) = namespace() else { return };
    let Some(tap) = allowed(namespace.open_tap(&kernel_end())) else {
        return;
    };
    let (mut receive, mut send) = Box::new(tap).split();
    let socket = namespace.udp_bind("10.7.0.1:7".parse().unwrap()).unwrap();
    socket.set_broadcast(true).unwrap();
    let everybody: SocketAddr = "10.7.0.255:7".parse().unwrap();
    let (mut slot, frames) = (RecvSlot::new(), frames());
    let mut run = |rounds| {
        for _ in 0..rounds {
            frames.iter().for_each(|frame| send.transmit(frame).unwrap());
            socket.send_to(&[1; 1000], everybody).unwrap();
            while receive.receive(&mut slot).is_ok() {}
        }
    };
    run(100);
    assert_eq!(measure(|| run(100)).count_total, 0);
}
