//! What ends a connection, and what is dropped, is counted as Linux counts.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::Linger;
use tapsock_stack::tcp::Shutdown;

use crate::wire::{LINKS, Wire};

fn counts<const N: usize>(wire: &Wire, host: usize, counters: [Counter; N]) -> [u64; N] {
    counters.map(|counter| wire.counter(host, counter))
}

const ENDS: [Counter; 4] = [
    Counter::TcpEstabResets,
    Counter::TcpExtTCPAbortOnData,
    Counter::TcpExtTCPAbortOnClose,
    Counter::TcpOutRsts,
];

#[test]
fn a_connection_that_is_reset_while_open_counts_at_both_ends() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, _there) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_close(now, here, Linger::Abort);
    wire.settle();
    assert_eq!(counts(&wire, 0, ENDS), [1, 1, 0, 1], "SO_LINGER of 0");
    assert_eq!(counts(&wire, 1, ENDS), [1, 0, 0, 0]);
}

#[test]
fn data_that_nobody_has_read_counts_apart() {
    for linger in [Linger::Background, Linger::Abort] {
        let mut wire = Wire::new(2, LINKS[0]);
        let (here, there) = wire.pair(1, "10.0.0.2");
        let now = wire.now;
        wire[1].tcp_write(now, there, Rope::from(&b"unread"[..])).unwrap();
        wire.settle();
        let now = wire.now;
        wire[0].tcp_close(now, here, linger);
        wire.settle();
        assert_eq!(counts(&wire, 0, ENDS), [1, 0, 1, 1], "{linger:?}");
    }
}

#[test]
fn an_orderly_end_is_no_reset() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    for (host, id) in [(0, here), (1, there)] {
        let now = wire.now;
        wire[host].tcp_shutdown(now, id, Shutdown::Write).unwrap();
        wire.settle();
        wire[host].tcp_close(now, id, Linger::Background);
    }
    wire.run_for(Duration::from_millis(100));
    assert_eq!(counts(&wire, 0, ENDS), [0; 4]);
    assert_eq!(counts(&wire, 1, ENDS), [0; 4]);
}

#[test]
fn a_window_that_closes_and_opens_again_is_counted() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    let (mut written, mut read) = (0, 0);
    // Until it fits no more, and nobody reads.
    for _ in 0..100 {
        let now = wire.now;
        let room = wire[0].tcp_free_space(here);
        written += wire[0].tcp_write(now, here, Rope::from(vec![7; room.min(1 << 16)])).unwrap();
        wire.run_for(Duration::from_millis(50));
    }
    let zero = [Counter::TcpExtTCPToZeroWindowAdv, Counter::TcpExtTCPFromZeroWindowAdv];
    assert_eq!(counts(&wire, 1, zero), [1, 0]);
    while read < written {
        let now = wire.now;
        read += wire[1].tcp_read(now, there, 1 << 16).map_or(0, |data| data.len());
        wire.run_for(Duration::from_millis(50));
    }
    let [to, from] = counts(&wire, 1, zero);
    assert!(to == from && to > 0, "{to}, {from}");
    assert!(wire.counter(0, Counter::TcpExtTCPPureAcks) > 0);
}
