//! Epoll over sockets of both kinds: what is reported, how often, and who is woken for it.

#[path = "../common/mod.rs"]
mod common;

mod above;
mod inet;
mod kernel;
mod nested;
mod real;
mod select;
mod threads;

use tapsock::bsd::{self, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EpollEvent, SOCK_DGRAM, SOCK_STREAM};
use tapsock::{Errno, Host, SockAddr};

/// A host without a link.
fn host() -> Host {
    Host::builder().start().unwrap()
}

/// An instance on `host` that watches `ids`, each under its number as data.
fn watching(host: &Host, ids: &[i32], events: u32) -> i32 {
    let epoll = bsd::epoll_create1(host, 0).unwrap();
    ids.iter().for_each(|id| add(host, epoll, *id, events).unwrap());
    epoll
}

fn add(host: &Host, epoll: i32, id: i32, events: u32) -> Result<(), Errno> {
    bsd::epoll_ctl(host, epoll, EPOLL_CTL_ADD, id, Some(EpollEvent { events, data: id as u64 }))
}

fn modify(host: &Host, epoll: i32, id: i32, events: u32) -> Result<(), Errno> {
    bsd::epoll_ctl(host, epoll, EPOLL_CTL_MOD, id, Some(EpollEvent { events, data: id as u64 }))
}

/// What is ready within `timeout` milliseconds: data and events.
fn wait(host: &Host, epoll: i32, timeout: i32) -> Vec<(i32, u32)> {
    let mut events = [EpollEvent::default(); 16];
    let count = bsd::epoll_wait(host, epoll, &mut events, timeout).unwrap();
    events[..count].iter().map(|event| (event.data as i32, event.events)).collect()
}

/// What is ready at once.
fn now(host: &Host, epoll: i32) -> Vec<(i32, u32)> {
    wait(host, epoll, 0)
}

fn loopback() -> SockAddr {
    SockAddr::V4("127.0.0.1:0".parse().unwrap())
}

/// A listener of `host` over lo, and its address.
fn listener(host: &Host) -> (i32, SockAddr) {
    let listener = bsd::socket(host, bsd::AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::bind(host, listener, &loopback()).unwrap();
    bsd::listen(host, listener, 8).unwrap();
    (listener, bsd::getsockname(host, listener).unwrap())
}

/// Two ends of a connection over lo.
fn connection(host: &Host) -> (i32, i32) {
    let (listener, address) = listener(host);
    let client = bsd::socket(host, bsd::AF_INET, SOCK_STREAM, 0).unwrap();
    bsd::connect(host, client, &address).unwrap();
    let (server, _) = bsd::accept(host, listener).unwrap();
    bsd::close(host, listener).unwrap();
    for id in [client, server] {
        bsd::set_nonblocking(host, id, true).unwrap();
    }
    (client, server)
}

/// A UDP socket of `host` over lo, and its address.
fn udp(host: &Host) -> (i32, SockAddr) {
    let socket = bsd::socket(host, bsd::AF_INET, SOCK_DGRAM | bsd::SOCK_NONBLOCK, 0).unwrap();
    bsd::bind(host, socket, &loopback()).unwrap();
    (socket, bsd::getsockname(host, socket).unwrap())
}

/// Two local sockets that are connected to each other, and do not wait.
fn local_pair(host: &Host, kind: i32) -> [i32; 2] {
    bsd::socketpair(host, bsd::AF_UNIX, kind | bsd::SOCK_NONBLOCK, 0).unwrap()
}
