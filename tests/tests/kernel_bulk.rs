//! Bulk data between us and the kernel: as much as it may be, both ways, checked by hash.

use tapsock::Counter;
use tapsock_tests::bench::{Bench, Family, Setup};
use tapsock_tests::bulk::{exchange, transfer};
use tapsock_tests::sides::Side;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// How often 1 GiB is sent: ten times with `TAPSOCK_LONG` in the environment.
fn times() -> u32 {
    if std::env::var_os("TAPSOCK_LONG").is_some() { 10 } else { 1 }
}

fn bulk(family: Family, sender: Side) {
    let Some(bench) = Setup::new().open() else { return };
    for _ in 0..times() {
        transfer(&bench, family, sender, sender, GIB);
    }
}

#[test]
fn to_the_kernel_over_ipv4() {
    bulk(Family::V4, Side::Ours);
}

#[test]
fn to_the_kernel_over_ipv6() {
    bulk(Family::V6, Side::Ours);
}

#[test]
fn from_the_kernel_over_ipv4() {
    bulk(Family::V4, Side::Kernel);
}

#[test]
fn from_the_kernel_over_ipv6() {
    bulk(Family::V6, Side::Kernel);
}

#[test]
fn both_ways_at_once() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        exchange(&bench, family, Side::Ours, 64 * MIB);
        exchange(&bench, family, Side::Kernel, 64 * MIB);
    }
}

/// Where TAP devices are closed to us this is what there is.
#[test]
fn over_veth() {
    let Some(bench) = Setup::new().over_veth().open() else { return };
    let amount = if times() > 1 { GIB } else { 64 * MIB };
    for family in Family::ALL {
        for sender in Side::ALL {
            transfer(&bench, family, sender, sender, amount);
        }
        exchange(&bench, family, Side::Ours, amount / 4);
    }
    assert_eq!(bench.count(Counter::TapsockLinkInMisdescribed), 0, "the kernel describes what it sends");
}

#[test]
fn without_offloads() {
    let Some(bench) = Setup::new().without_offloads().open() else { return };
    plain(&bench);
}

fn plain(bench: &Bench) {
    for sender in Side::ALL {
        transfer(bench, Family::V4, sender, sender, 32 * MIB);
        transfer(bench, Family::V6, sender, sender.other(), 16 * MIB);
    }
}

/// The plain path on the `tun-tap` crate: a device that can't carry anything but finished frames.
#[cfg(feature = "tun-tap")]
#[test]
fn over_a_device_of_tun_tap() {
    use tapsock_driver::Namespace;
    use tapsock_driver::tap::Tap;
    use tapsock_tests::bench::{DEVICE, KERNEL_V4, KERNEL_V6, skipped_for};
    use tapsock_tests::programs;
    use tun_tap::{Iface, Mode};

    let Some(_) = programs::find("ip") else { return };
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    let inside = namespace.clone();
    // `tun-tap` opens its device in the network of the thread that calls it.
    let opened = std::thread::spawn(move || {
        inside.enter_current_thread()?;
        Tap::try_from(Iface::without_packet_info(DEVICE, Mode::Tap)?)
    });
    let tap = match opened.join().unwrap() {
        Ok(tap) => tap,
        Err(error) => return println!("skipped: {error}"),
    };
    let configure = format!(
        "ip link set {DEVICE} txqueuelen 10000 && ip address add {KERNEL_V4}/24 dev {DEVICE} && \
         ip address add {KERNEL_V6}/64 dev {DEVICE} nodad && ip link set {DEVICE} up"
    );
    let bench = Setup::new().start(tap, namespace);
    bench.run("sh", &["-c", &configure]);
    plain(&bench);
}
