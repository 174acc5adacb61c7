//! TCP without one of its extensions, as either end may want it.

use tapsock_tests::bench::{Family, Setup};
use tapsock_tests::bulk::transfer;
use tapsock_tests::sides::Side;

const MIB: u64 = 1 << 20;
const EXTENSIONS: [&str; 3] = ["net.ipv4.tcp_sack", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_window_scaling"];

fn bulk(setup: &Setup) {
    let Some(bench) = setup.open() else { return };
    for family in Family::ALL {
        for sender in Side::ALL {
            transfer(&bench, family, sender, sender, 16 * MIB);
            transfer(&bench, family, sender, sender.other(), 16 * MIB);
        }
    }
}

#[test]
fn the_kernel_without_sack() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_sack", "0"));
}

#[test]
fn the_kernel_without_timestamps() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_timestamps", "0"));
}

#[test]
fn the_kernel_without_window_scaling() {
    bulk(&Setup::new().sysctl("net.ipv4.tcp_window_scaling", "0"));
}

#[test]
fn the_kernel_without_any_of_them() {
    bulk(&EXTENSIONS.iter().fold(Setup::new(), |setup, name| setup.sysctl(name, "0")));
}

#[test]
fn ours_without_one_of_them() {
    for name in EXTENSIONS {
        bulk(&Setup::new().setting(name, "0"));
    }
}

#[test]
fn the_kernel_with_other_congestion_controls() {
    for algorithm in ["reno", "bbr"] {
        // Machines differ in what they have and allow; that this one has none other is no failure of ours.
        let setup = Setup::new().congestion_control(algorithm);
        bulk(&setup);
    }
}
