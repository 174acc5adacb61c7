//! The plain path on the `tun-tap` crate. Build with `--features tun-tap`.

#![cfg(feature = "tun-tap")]

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tapsock_driver::Link;
use tapsock_driver::tap::Tap;
use tapsock_stack::buf::{Checksum, Rope};
use tapsock_stack::wire::offload::Medium;
use tun_tap::{Iface, Mode};

mod common;

use common::{KERNEL_V4, OURS_V4, Packet, Station, has_ip, namespace};

#[test]
fn datagrams_cross_both_ways_without_offloads() {
    if !has_ip() {
        return;
    }
    let Some(namespace) = namespace() else { return };
    let inside = namespace.clone();
    // `tun-tap` opens its device in the network of the thread that calls it.
    let opened = thread::spawn(move || {
        inside.enter_current_thread()?;
        Tap::try_from(Iface::without_packet_info("plain0", Mode::Tap)?)
    });
    let tap = match opened.join().unwrap() {
        Ok(tap) => tap,
        Err(error) => return println!("skipped: {error}"),
    };
    assert_eq!((tap.name(), tap.caps().mtu), ("plain0", 1500));
    assert_eq!((tap.caps().gso_max, tap.caps().fills_checksums), (0, false));
    let configure = format!("ip address add {KERNEL_V4}/24 dev plain0 && ip link set plain0 up");
    assert!(namespace.command("sh").args(["-c", &configure]).status().unwrap().success());

    let peer = namespace.device("plain0").unwrap().hardware;
    let mut station = Station::new(tap, peer);
    let kernel = SocketAddr::new(KERNEL_V4.into(), 7000);
    let socket = namespace.udp_bind(kernel).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(b"to the stack", SocketAddr::new(OURS_V4.into(), 9)).unwrap();
    let checksum = station.expect("a datagram", |frame, packet| match packet {
        Packet::Udp { to_port: 9, payload, .. } => (payload == b"to the stack").then_some(frame.checksum),
        _ => None,
    });
    assert_eq!(checksum, Checksum::Valid, "verified here");

    let unfinished = station.udp(9, kernel, Rope::from(&b"to the kernel"[..]), None);
    station.transmit(&unfinished);
    assert_eq!(station.send.dropped(), 1, "nobody would finish it");
    let mut finished = unfinished;
    finished.complete_checksum();
    station.transmit(&finished);
    let mut bytes = [0; 100];
    let len = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"to the kernel");
}

#[test]
fn a_tun_device_is_bare_ip_and_packet_information_is_refused() {
    let Some(namespace) = namespace() else { return };
    let opened = thread::spawn(move || -> io::Result<_> {
        namespace.enter_current_thread()?;
        let plain = Iface::without_packet_info("plain0", Mode::Tun)?;
        let with_information = Iface::new("info0", Mode::Tap)?;
        Ok((Tap::try_from(plain), Tap::try_from(with_information)))
    });
    match opened.join().unwrap() {
        Ok((plain, with_information)) => {
            assert_eq!(plain.unwrap().caps().medium, Medium::Ip);
            assert_eq!(with_information.unwrap_err().raw_os_error(), Some(22), "EINVAL");
        }
        Err(error) => println!("skipped: {error}"),
    }
}
