//! Hosts for the tests: two on a wire in memory.

#![allow(dead_code)]

pub mod signals;

use std::net::IpAddr;
use std::time::Duration;

use tapsock::{Builder, Host};
use tapsock_driver::memory::{MemoryConfig, MemoryLink, Offload};

pub const LEFT: &str = "10.0.0.1";
pub const RIGHT: &str = "10.0.0.2";
pub const LEFT6: &str = "fd00::1";
pub const RIGHT6: &str = "fd00::2";

/// Longer than anything that is to happen takes, shorter than a person's patience.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Builders of two hosts on one wire.
pub fn builders(config: MemoryConfig) -> (Builder, Builder) {
    let (left, right) = MemoryLink::pair(config).unwrap();
    let host = |link, v4: &str, v6: &str| {
        Host::builder()
            .link(link)
            .address(format!("{v4}/24").parse().unwrap())
            .address(format!("{v6}/64").parse().unwrap())
            .seed(u64::from(v4.as_bytes()[7]))
    };
    (host(left, LEFT, LEFT6), host(right, RIGHT, RIGHT6))
}

/// Two hosts on one wire that takes 64 KiB frames.
pub fn pair() -> (Host, Host) {
    let (left, right) = builders(MemoryConfig::default());
    (left.start().unwrap(), right.start().unwrap())
}

/// Two hosts on a wire that takes frames of an MTU, whose checksums the stack fills in.
pub fn plain_pair() -> (Host, Host) {
    let (left, right) = builders(MemoryConfig { offload: Offload::Plain, ..MemoryConfig::default() });
    (left.start().unwrap(), right.start().unwrap())
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Runs `work` and fails where it takes longer than it should ever take.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || done.send(work()).unwrap());
    match finished.recv_timeout(limit) {
        Ok(value) => {
            thread.join().unwrap();
            value
        }
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("still not done after {limit:?}"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it sent its value"),
        },
    }
}
