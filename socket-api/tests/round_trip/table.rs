//! Each call that waits, and what a round of it costs each end, as `docs/LOCKS.md` states it.

use std::time::Duration;

use tapsock::{Builder, Host};

use crate::rounds::{self, Round};

/// What one end's share of a round costs at most.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    pub ppolls: u64,
    pub reads: u64,
    pub writes: u64,
    /// Times that it wakes a thread that drives.
    pub kicks: u64,
    /// Sleeps of its thread that another thread ends.
    pub parks: u64,
    /// System calls beside those.
    pub others: u64,
}

/// One call that waits, in a round of which 64 bytes go there and back, unless it says otherwise.
pub struct Row {
    pub name: &'static str,
    /// What the other end does, where that costs something else.
    pub answer: Option<(&'static str, Cost)>,
    pub cost: Cost,
    /// Whether one host has both ends.
    pub local: bool,
    /// Both ends, for so many rounds.
    pub begin: fn([&Host; 2], u64) -> Round,
    pub set: fn(Builder) -> Builder,
    /// Frames that the wire takes until they are read.
    pub capacity: usize,
}

impl Row {
    const fn of(name: &'static str, cost: Cost, begin: fn([&Host; 2], u64) -> Round) -> Row {
        Row { name, answer: None, cost, local: false, begin, set: |builder| builder, capacity: 1000 }
    }

    /// One that parks, once for each message, and knows nothing of the link.
    const fn local(name: &'static str, begin: fn([&Host; 2], u64) -> Round) -> Row {
        let cost = Cost { parks: 1, ..cost(0, 0, 0) };
        Row { local: true, ..Row::of(name, cost, begin) }
    }

    const fn answered(self, name: &'static str, cost: Cost) -> Row {
        Row { answer: Some((name, cost)), ..self }
    }

    /// The other end's.
    pub fn answer_cost(&self) -> Cost {
        self.answer.map_or(self.cost, |(_, cost)| cost)
    }
}

const fn cost(ppolls: u64, reads: u64, writes: u64) -> Cost {
    Cost { ppolls, reads, writes, kicks: 0, parks: 0, others: 0 }
}

/// A sleep, a read and a write.
const ONE: Cost = cost(1, 1, 1);

/// Who looks at local sockets for more than one call sleeps on the link, or until whoever does so leaves: each message ends
/// two sleeps, and each of them takes a write and a read of an eventfd.
const BY_THE_LINK: Cost = Cost { parks: 1, others: 4, ..cost(2, 0, 0) };

pub const TABLE: &[Row] = &[
    Row::of("`send` + `recv`", ONE, rounds::send_and_recv),
    Row::of("the same over IPv6", ONE, rounds::send_and_recv_over_ipv6),
    Row::of("`sendmsg` + `recvmsg`", ONE, rounds::sendmsg_and_recvmsg),
    Row::of("`sendmmsg` + `recvmmsg`", ONE, rounds::sendmmsg_and_recvmmsg),
    Row::of("`writev` + `readv`", ONE, rounds::writev_and_readv),
    Row::of("`sendfile` + `recv`", Cost { others: 3, ..ONE }, rounds::sendfile_and_recv),
    Row::of("`send` + `poll` + `recv`", ONE, rounds::poll),
    Row::of("`send` + `poll` of four sockets + `recv`", ONE, rounds::poll_of_four),
    Row::of("`send` + `select` + `recv`", ONE, rounds::select),
    Row::of("`send` + `epoll_wait` + `recv`", ONE, rounds::epoll_wait),
    Row::of(
        "`send` + `poll` beside a real descriptor + `recv`",
        Cost { others: 7, ..ONE },
        rounds::poll_beside,
    ),
    Row::of(
        "`send` + `epoll_wait` beside a real descriptor + `recv`",
        Cost { others: 2, ..ONE },
        rounds::epoll_beside,
    ),
    Row::of("`sendto` + `recvfrom` (UDP)", ONE, rounds::sendto_and_recvfrom),
    Row {
        set: patient,
        capacity: 2,
        ..Row::of(
            "`sendto` behind a full link (UDP)",
            Cost { kicks: 1, ..cost(1, 0, 2) },
            rounds::behind_a_full_link,
        )
    }
    .answered("… and its `recvfrom`", cost(1, 2, 0)),
    Row::of("`send` + `recv` of a ping socket", ONE, rounds::ping_and_raw)
        .answered("… and `recv` of a raw one", ONE),
    Row::of("`connect`", cost(1, 1, 2), rounds::connect_and_accept)
        .answered("`accept`, from before the SYN", cost(2, 3, 1)),
    Row {
        set: small_windows,
        ..Row::of("`send` that waits for room, five segments", ONE, rounds::send_for_room)
    }
    .answered("… and its `recv` with MSG_WAITALL", cost(1, 2, 1)),
    Row::of("`close` that lingers", cost(1, 1, 2), rounds::lingering_close)
        .answered("… and `recv` of the end + `close`", cost(2, 3, 1)),
    Row::local("local `send` + `recv`, a stream", rounds::local_stream),
    Row::local("the same, datagrams", rounds::local_datagrams),
    Row::local("the same, records", rounds::local_records),
    Row { cost: BY_THE_LINK, ..Row::local("local `send` + `poll` + `recv`", rounds::local_poll) },
    Row { cost: BY_THE_LINK, ..Row::local("local `send` + `epoll_wait` + `recv`", rounds::local_epoll_wait) },
    Row {
        cost: Cost { parks: 1, others: 3, ..cost(0, 0, 0) },
        ..Row::local("local `connect` + `recv` of the end", rounds::local_connect_and_accept)
    }
    .answered("… and `accept` + `close`", Cost { parks: 1, ..cost(0, 0, 0) }),
];

/// What the last send leaves behind nobody sends but the background, which waits for the callers first.
fn patient(builder: Builder) -> Builder {
    builder.grace(Duration::from_millis(200))
}

/// Windows that a send of five segments fills.
fn small_windows(builder: Builder) -> Builder {
    patient(builder).setting("net.ipv4.tcp_rmem", "4096 32768 32768")
}
