//! The memory that all connections of a host may take together (`net.ipv4.tcp_mem`): thousands of them fill it, and go on.

use core::time::Duration;

use tapsock_stack::counters::Counter;
use tapsock_stack::stack::{Linger, TcpId};

use crate::shuttle::Shuttle;
use crate::wire::{LINKS, at};

const COUNT: usize = 3000;

/// Pages of 4 KiB.
const LIMITS: &str = "100 200 300";
const LIMIT: u64 = 300;

/// What each peer sends, in bytes: three segments.
const EACH: usize = 4000;

fn crowd() -> (Shuttle, Vec<(TcpId, TcpId)>) {
    let mut shuttle = Shuttle::new(LINKS[0], 4 * COUNT);
    let ends = shuttle.connect(at("10.0.0.2", 2000), COUNT);
    shuttle.stacks[1].config_mut().set("net.ipv4.tcp_mem", LIMITS).unwrap();
    (shuttle, ends)
}

fn count(shuttle: &Shuttle, counter: Counter) -> u64 {
    shuttle.stacks[1].counters()[counter]
}

#[test]
fn what_a_crowd_sends_and_nobody_reads_is_bounded() {
    let (mut shuttle, ends) = crowd();
    for &(here, _) in &ends {
        shuttle.write_all(0, here, EACH);
        shuttle.settle();
    }
    shuttle.wait(Duration::from_secs(2));
    // Beyond the limit each gets one segment, so that it can go on.
    let held = shuttle.stacks[1].tcp_census().memory;
    assert!(held > LIMIT, "the limit was reached: {held}");
    assert!(held <= LIMIT + COUNT as u64, "{held} pages are charged");
    assert_eq!(count(&shuttle, Counter::TcpExtTCPMemoryPressures), 1);
    for counter in [Counter::TcpExtTCPRcvQDrop, Counter::TcpExtRcvPruned, Counter::TcpExtPruneCalled] {
        assert!(count(&shuttle, counter) > 0, "{counter:?}");
    }
    // Whoever reads goes on meanwhile.
    let (here, there) = ends[COUNT - 1];
    assert!(shuttle.read_all(1, there, 1 << 16) > 0);
    shuttle.wait(Duration::from_secs(3));
    assert!(shuttle.read_all(1, there, 1 << 16) > 0);
    shuttle.wait(Duration::from_secs(3));
    shuttle.read_all(1, there, 1 << 16);
    assert_eq!(shuttle.stacks[0].tcp(here).unwrap().unacknowledged(), 0);
    // Once all is read, all of it comes, and memory is not short any more.
    let mut read = 0;
    for _ in 0..40 {
        read += ends.iter().map(|&(_, there)| shuttle.read_all(1, there, 1 << 16)).sum::<usize>();
        shuttle.wait(Duration::from_secs(2));
    }
    assert_eq!(read, (COUNT - 1) * EACH);
    assert_eq!(shuttle.stacks[1].tcp_census().memory, 0);
    assert!(count(&shuttle, Counter::TcpExtTCPMemoryPressuresChrono) > 1000, "milliseconds");
}

#[test]
fn what_a_crowd_writes_is_bounded_and_goes_where_nobody_holds_it() {
    let (mut shuttle, ends) = crowd();
    // The peers are gone: nothing is acknowledged.
    let now = shuttle.now;
    let mut taken = 0;
    let last = ends[COUNT - 1].1;
    for &(_, there) in &ends {
        let data = shuttle.data(if there == last { 1000 } else { 60_000 });
        taken += shuttle.stacks[1].tcp_write(now, there, data).unwrap();
    }
    let held = shuttle.stacks[1].tcp_census().memory;
    assert!(held > LIMIT && held <= LIMIT + 2 * COUNT as u64, "{held} pages are charged for {taken} bytes");
    assert_eq!(shuttle.stacks[1].tcp_free_space(ends[COUNT - 2].1), 0);
    let first = ends[0].1;
    assert!(shuttle.stacks[1].tcp(first).unwrap().unacknowledged() > 8192);
    shuttle.stacks[1].tcp_close(now, first, Linger::Background);
    assert_eq!(count(&shuttle, Counter::TcpExtTCPAbortOnMemory), 1, "too large for an orphan");
    shuttle.stacks[1].tcp_close(now, last, Linger::Background);
    assert_eq!(count(&shuttle, Counter::TcpExtTCPAbortOnMemory), 1, "small enough");
}

#[test]
fn of_orphans_that_are_due_together_only_those_too_many_are_reset() {
    const ORPHANS: usize = 21;
    let mut shuttle = Shuttle::new(LINKS[0], 4 * ORPHANS);
    // No probe comes before the time-out.
    shuttle.stacks[1].config_mut().set("net.ipv4.tcp_early_retrans", "0").unwrap();
    let ends = shuttle.connect(at("10.0.0.2", 2000), ORPHANS);
    let now = shuttle.now;
    let stack = &mut shuttle.stacks[1];
    for &(_, there) in &ends {
        stack.tcp_close(now, there, Linger::Background);
    }
    // The peers are gone: nobody answers the FINs.
    while stack.poll_transmit(now).is_some() {}
    assert_eq!(stack.tcp_census().orphans, ORPHANS);
    stack.config_mut().set("net.ipv4.tcp_max_orphans", &(ORPHANS - 1).to_string()).unwrap();
    stack.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(stack.tcp_census().orphans, ORPHANS - 1);
    assert_eq!(count(&shuttle, Counter::TcpExtTCPAbortOnMemory), 1);
    assert_eq!(count(&shuttle, Counter::TcpExtTCPTimeouts), ORPHANS as u64 - 1, "the others try again");
}
