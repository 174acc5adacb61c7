//! TCP without one of its extensions, as either end may want it.

use tapsock::bsd::{self, SOL_TCP, TCP_INFO};
use tapsock_tests::bench::{Family, Setup};
use tapsock_tests::bulk::transfer;
use tapsock_tests::sides::{Side, Stream};

const MIB: u64 = 1 << 20;
const EXTENSIONS: [&str; 3] = ["net.ipv4.tcp_sack", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_window_scaling"];

/// What both ends agreed to: the bits of `tcpi_options`.
const TIMESTAMPS: u8 = 1;
const SACK: u8 = 2;
const WINDOW_SCALING: u8 = 4;
const ALL: u8 = TIMESTAMPS | SACK | WINDOW_SCALING;
/// Where they stand in `struct tcp_info`.
const OPTIONS: usize = 5;

/// Sends over connections of both sides, all of which are to have agreed to `extensions` and no others.
fn bulk(setup: &Setup, extensions: u8) {
    let Some(bench) = setup.open() else { return };
    for family in Family::ALL {
        for connects in Side::ALL {
            let (client, server) = bench.pair(family, connects);
            let ((Stream::Ours(ours), _) | (_, Stream::Ours(ours))) = (&client, &server) else {
                panic!("one end is ours")
            };
            let info = bsd::getsockopt(&bench.host, ours.socket_id().unwrap(), SOL_TCP, TCP_INFO).unwrap();
            assert_eq!(info.as_bytes()[OPTIONS] & ALL, extensions, "{family:?}, {connects:?} connects");
        }
        for sender in Side::ALL {
            transfer(&bench, family, sender, sender, 16 * MIB);
            transfer(&bench, family, sender, sender.other(), 16 * MIB);
        }
    }
}

#[test]
fn the_kernel_without_sack() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_sack", "0"), ALL & !SACK);
}

#[test]
fn the_kernel_without_timestamps() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_timestamps", "0"), ALL & !TIMESTAMPS);
}

#[test]
fn the_kernel_without_window_scaling() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_window_scaling", "0"), ALL & !WINDOW_SCALING);
}

#[test]
fn the_kernel_without_any_of_them() {
    bulk(&EXTENSIONS.iter().fold(Setup::new(), |setup, name| setup.sysctl(name, "0")), 0);
}

#[test]
fn ours_without_one_of_them() {
    for (name, extension) in EXTENSIONS.into_iter().zip([SACK, TIMESTAMPS, WINDOW_SCALING]) {
        bulk(&Setup::new().setting(name, "0"), ALL & !extension);
    }
}

#[test]
fn the_kernel_with_other_congestion_controls() {
    for algorithm in ["reno", "bbr"] {
        // Machines differ in what they have and allow; that this one has none other is no failure of ours.
        let setup = Setup::new().congestion_control(algorithm);
        bulk(&setup, ALL);
    }
}
