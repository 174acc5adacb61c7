//! What a connection costs in each of the states in which there may be very many: bytes of all tables, by a counting
//! allocator.

use core::time::Duration;

use tapsock_stack::stack::{Linger, TcpId};
use tapsock_stack::tcp::SharedOptions;

use crate::shuttle::Shuttle;
use crate::wire::{ETH, LINKS, PAIRS, at};

const COUNT: usize = 10_000;

/// An established connection that is idle, with its part of every table: each end, on the average of both.
const IDLE_BUDGET: i64 = 840;

/// A half-open connection.
const HALF_OPEN_BUDGET: i64 = 160;

/// A connection in TIME-WAIT.
const TIME_WAIT_BUDGET: i64 = 128;

/// Longer than a connection waits before it holds itself to be idle, and less than what ends one.
const SILENCE: Duration = Duration::from_secs(3);

#[test]
fn an_idle_connection_is_small() {
    for (_, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        shuttle.connect(at(address, 1999), 1);
        let mut ends = Vec::new();
        let fresh = allocation_counter::measure(|| ends = shuttle.connect(at(address, 2000), COUNT));
        let ids = (ends.capacity() * size_of::<(TcpId, TcpId)>()) as i64;
        let each = (fresh.bytes_current - ids) / (2 * COUNT as i64);
        println!("{each} bytes for each end of a fresh connection");
        assert!(each <= IDLE_BUDGET, "{each} bytes for each end of a fresh connection");
        // A connection that was used holds no more, once it is idle again.
        let used = allocation_counter::measure(|| {
            for &pair in &ends {
                shuttle.ping_pong(pair, 1);
                shuttle.message(0, pair, 40_000);
                shuttle.message(1, (pair.1, pair.0), 40_000);
            }
            shuttle.wait(SILENCE);
        });
        let each = (fresh.bytes_current - ids + used.bytes_current) / (2 * COUNT as i64);
        println!("{each} bytes for each end of a used connection");
        assert!(each <= IDLE_BUDGET, "{each} bytes for each end of a used connection");
    }
}

/// Idle connections wake nobody, whether what came was read or not.
#[test]
fn a_connection_with_unread_data_lets_its_host_sleep() {
    let (_, address) = PAIRS[0];
    let mut shuttle = Shuttle::new(LINKS[0], 400);
    let (client, server) = shuttle.connect(at(address, 2000), 1)[0];
    shuttle.write_all(0, client, 100);
    // Neighbours are asked for once more meanwhile.
    shuttle.wait(10 * SILENCE);
    let next = shuttle.stacks.each_ref().map(|stack| stack.poll_timeout());
    let far = shuttle.now + 10 * SILENCE;
    assert!(next.into_iter().flatten().all(|at| at > far), "at {:?}: {next:?}", shuttle.now);
    assert_eq!(shuttle.read(1, server, 100), 100);
    let memory = allocation_counter::measure(|| shuttle.wait(SILENCE));
    assert!(memory.bytes_current < 0, "the queue is given back once it is empty: {memory:?}");
}

#[test]
fn a_half_open_connection_is_small() {
    for (_, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        // The hosts know each other.
        shuttle.connect(at(address, 1999), 1);
        shuttle.listen(at(address, 2000), COUNT);
        let options = SharedOptions::from(shuttle.stacks[0].config().tcp_options());
        let (now, mut held) = (shuttle.now, 0);
        for _ in 0..COUNT {
            shuttle.stacks[0].tcp_connect(now, None, at(address, 2000), options.clone()).unwrap();
            while let Some((_, syn)) = shuttle.stacks[0].poll_transmit(now) {
                let frame = shuttle.frame(syn);
                let server = &mut shuttle.stacks[1];
                let memory = allocation_counter::measure(|| {
                    server.receive(now, ETH, frame);
                    // Nobody answers what it sends.
                    while server.poll_transmit(now).is_some() {}
                });
                held += memory.bytes_current;
            }
        }
        assert_eq!(shuttle.stacks[1].tcp_census().half_open, COUNT);
        let each = held / COUNT as i64;
        assert!(each <= HALF_OPEN_BUDGET, "{each} bytes for each half-open connection");
    }
}

#[test]
fn a_connection_in_time_wait_is_small() {
    for (_, address) in PAIRS {
        let mut shuttle = Shuttle::new(LINKS[0], 400);
        shuttle.connect(at(address, 1999), 1);
        let memory = allocation_counter::measure(|| {
            let ends = shuttle.connect(at(address, 2000), COUNT);
            for (here, there) in ends {
                // The server closes first.
                let now = shuttle.now;
                shuttle.stacks[1].tcp_close(now, there, Linger::Background);
                shuttle.settle();
                let now = shuttle.now;
                shuttle.stacks[0].tcp_close(now, here, Linger::Background);
                shuttle.settle();
            }
            shuttle.wait(SILENCE);
        });
        assert_eq!(shuttle.stacks[1].tcp_census().time_wait, COUNT);
        let each = memory.bytes_current / COUNT as i64;
        assert!(each <= TIME_WAIT_BUDGET, "{each} bytes for each connection in TIME-WAIT");
    }
}
