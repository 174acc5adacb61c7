//! Options of IPv4's header between us and the kernel: what either sends, the other hears.

use std::io::IoSliceMut;
use std::os::fd::AsFd;

use nix::sys::socket::SetSockOpt;
use nix::{libc, setsockopt_impl};
use rustix::net::RecvFlags;
use tapsock::SockAddr;
use tapsock::bsd::{
    self, AF_INET, IP_OPTIONS, IP_RECVOPTS, IPPROTO_UDP, RecvMessage, SO_RCVTIMEO, SOCK_DGRAM, SOCK_RAW,
    SOL_IP, SOL_SOCKET,
};
use tapsock_tests::bench::{Family, Setup};
use tapsock_tests::sides::{PATIENCE, Side};

#[derive(Copy, Clone, Debug)]
struct KernelOptions;
setsockopt_impl!(KernelOptions, SOL_IP, IP_OPTIONS, [u8; 12], nix::sys::socket::sockopt::SetStruct<[u8; 12]>);

/// Room for a record of two addresses.
const RECORD: [u8; 12] = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The record of a packet from `from` to the other.
fn recorded(from: Side) -> Vec<u8> {
    let own = |side| match tapsock_tests::bench::address(side, Family::V4) {
        std::net::IpAddr::V4(own) => own.octets(),
        std::net::IpAddr::V6(_) => unreachable!(),
    };
    [&[7, 11, 12][..], &own(from), &own(from.other()), &[0]].concat()
}

//= RFC 1122 §3.2.1.8 MUST-1, type=test
#[test]
fn the_kernel_hears_our_options() {
    let Some(bench) = Setup::new().open() else { return };
    let raw = bench.namespace.socket(AF_INET, SOCK_RAW, IPPROTO_UDP).unwrap();
    let timeout = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(&raw, timeout, Some(PATIENCE)).unwrap();
    let socket = bsd::socket(&bench.host, AF_INET, SOCK_DGRAM, 0).unwrap();
    bsd::setsockopt(&bench.host, socket, SOL_IP, IP_OPTIONS, &RECORD).unwrap();
    let to = SockAddr::from(bench.at(Side::Kernel, Family::V4, 9000));
    bsd::sendto(&bench.host, socket, b"hello", 0, Some(&to)).unwrap();
    let mut packet = [0; 100];
    let (len, _) = rustix::net::recv(&raw, &mut packet, RecvFlags::empty()).unwrap();
    assert_eq!((packet[0], &packet[20..32]), (0x48, &recorded(Side::Ours)[..]));
    assert_eq!(&packet[40..len], b"hello");
}

//= RFC 1122 §3.2.1.8 MUST-2, type=test
//= RFC 1122 §3.4 MUST-3, type=test
#[test]
fn we_hear_the_kernel_s_options() {
    let Some(bench) = Setup::new().open() else { return };
    let at = bench.at(Side::Ours, Family::V4, 9000);
    let socket = bsd::socket(&bench.host, AF_INET, SOCK_DGRAM, 0).unwrap();
    let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
    bsd::setsockopt(&bench.host, socket, SOL_SOCKET, SO_RCVTIMEO, &patience).unwrap();
    bsd::setsockopt(&bench.host, socket, SOL_IP, IP_RECVOPTS, &1i32.to_ne_bytes()).unwrap();
    bsd::bind(&bench.host, socket, &SockAddr::from(at)).unwrap();
    let kernel = bench.namespace.udp_bind(bench.at(Side::Kernel, Family::V4, 0)).unwrap();
    KernelOptions.set(&kernel.as_fd(), &RECORD).unwrap();
    kernel.send_to(b"hello", at).unwrap();
    let mut data = [0; 10];
    let mut parts = [IoSliceMut::new(&mut data)];
    let mut message = RecvMessage { iov: &mut parts, control_room: 100 };
    let received = bsd::recvmsg(&bench.host, socket, &mut message, 0).unwrap();
    assert_eq!(received.len, 5);
    // Length, level and type of the message stand before.
    assert_eq!(received.control[16..28], recorded(Side::Kernel)[..]);
}
