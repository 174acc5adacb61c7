//! Links of any MTU, and paths that carry less than the link.

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use tapsock::Counter;
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::bulk::{Fingerprint, bytes, transfer};
use tapsock_tests::far;
use tapsock_tests::sides::Side;

const MIB: u64 = 1 << 20;

fn bulk(setup: Setup) {
    let Some(bench) = setup.open() else { return };
    for family in setup.families() {
        for sender in Side::ALL {
            transfer(&bench, *family, sender, sender, 16 * MIB);
            transfer(&bench, *family, sender, sender.other(), 16 * MIB);
        }
    }
    // Nothing is too long for a link whose MTU both ends know.
    assert_eq!(bench.count(Counter::IcmpInDestUnreachs), 0);
    assert_eq!(bench.count(Counter::Icmp6InPktTooBigs), 0);
}

#[test]
fn mtu_576() {
    bulk(Setup::new().mtu(576));
}

#[test]
fn mtu_576_without_offloads() {
    bulk(Setup::new().mtu(576).without_offloads());
}

#[test]
fn mtu_1280() {
    bulk(Setup::new().mtu(1280));
}

#[test]
fn mtu_1500() {
    bulk(Setup::new().mtu(1500));
}

#[test]
fn mtu_9000() {
    bulk(Setup::new().mtu(9000));
}

#[test]
fn mtu_9000_without_offloads() {
    bulk(Setup::new().mtu(9000).without_offloads());
}

#[test]
fn mtu_65521() {
    bulk(Setup::new().mtu(65_521));
}

#[test]
fn mtu_65521_without_offloads() {
    bulk(Setup::new().mtu(65_521).without_offloads());
}

/// Sends over a connection to a host behind the kernel, whose second link narrows to `mtu` in the middle.
fn narrowed(bench: &Bench, family: Family, mtu: u16) {
    let far = far::behind(bench);
    let listener = far.tcp_listen((far::address(family), 0).into()).unwrap();
    let at = listener.local_addr().unwrap();
    let receiving = thread::spawn(move || {
        (0..2).map(|_| Fingerprint::of_stream(&mut listener.accept().unwrap().0).unwrap()).collect::<Vec<_>>()
    });
    let data = bytes(mtu.into(), 12 << 20);
    let (before, after) = data.split_at(4 << 20);
    let mut stream = bench.connect(Side::Ours, at).unwrap();
    stream.write_all(before).unwrap();
    bench.run("ip", &["link", "set", far::DEVICE, "mtu", &mtu.to_string()]);
    stream.write_all(after).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let told = match family {
        Family::V4 => Counter::IcmpInDestUnreachs,
        Family::V6 => Counter::Icmp6InPktTooBigs,
    };
    let messages = bench.count(told);
    assert!(messages > 0, "the router says what it can't carry");

    // What was learned stands for the connections to come.
    let mut second = bench.connect(Side::Ours, at).unwrap();
    second.write_all(&data).unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    let sent = Fingerprint::of_stream(&mut &data[..]).unwrap();
    assert_eq!(receiving.join().unwrap(), [sent, sent]);
    let more = bench.count(told) - messages;
    assert_eq!(more, 0, "messages for the second connection");
}

//= RFC 1191 §4, type=test
//= RFC 8201 §4 MUST-3, type=test
//= RFC 8201 §4 MUST-5, type=test
//= RFC 8201 §5.2 MUST-1, type=test
//= RFC 8201 §5.4 MUST-1, type=test
#[test]
fn a_path_that_narrows_on_the_way() {
    for family in Family::ALL {
        let Some(bench) = Setup::new().through_the_kernel().open() else { return };
        narrowed(&bench, family, 1300);
    }
}

#[test]
fn a_path_that_narrows_on_the_way_without_offloads() {
    for family in Family::ALL {
        let Some(bench) = Setup::new().without_offloads().through_the_kernel().open() else { return };
        narrowed(&bench, family, 1300);
    }
}

/// Below 552 bytes the path's MTU is not taken for true (`net.ipv4.route.min_pmtu`): the router cuts our packets.
#[test]
fn a_path_too_narrow_to_be_believed() {
    let Some(bench) = Setup::new().through_the_kernel().open() else { return };
    narrowed(&bench, Family::V4, 400);
}
