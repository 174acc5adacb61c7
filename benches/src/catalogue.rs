//! Which cases there are.

use crate::duel::Placement;
use crate::lab::Family;
use crate::local::Traffic;
use crate::role::{Closer, Ownership, Packaging, Role, Shape, Waiting};

/// Cases that are measured together.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether only `--full` has it.
    pub(crate) extra: bool,
}

pub(crate) enum Kind {
    Duel(Meeting),
    Local {
        traffic: Traffic,
        placement: Placement,
    },
    Core,
    Idle {
        count: usize,
    },
    Flood,
    /// A meeting without strangers' SYNs, and with so many a second.
    Siege(Meeting, u32),
}

/// What two ends do over a link, and what is told of it.
#[derive(Copy, Clone)]
pub(crate) struct Meeting {
    pub(crate) near: Role,
    pub(crate) far: Role,
    pub(crate) family: Family,
    pub(crate) shape: Shape,
    pub(crate) placement: Placement,
}

const PLACEMENTS: [(&str, Placement); 3] =
    [("across", Placement::Across), ("same", Placement::Same), ("unpinned", Placement::Unpinned)];

/// Idle connections beside an active one, in memory, and over a link, where the far end's descriptors bound them.
const IDLE: [usize; 4] = [0, 1_000, 10_000, 100_000];
const IDLE_OVER_A_LINK: [usize; 3] = [0, 1_000, 10_000];

/// SYNs a second over a link that carries data besides.
const SIEGE: u32 = 100_000;

/// All cases in the order of the table. Each varies one thing of the first of its kind.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    bulk(&mut cases);
    round_trips(&mut cases);
    connections(&mut cases);
    datagrams(&mut cases);
    for (name, traffic) in [("local/round_trip", Traffic::RoundTrips), ("local/bulk_64k", Traffic::Bulk)] {
        for (place, placement) in PLACEMENTS {
            let kind = Kind::Local { traffic, placement };
            cases.push(Case { name: format!("{name}/{place}"), kind, extra: false });
        }
    }
    for count in IDLE {
        cases.push(Case { name: format!("idle/{count}"), kind: Kind::Idle { count }, extra: false });
    }
    for count in IDLE_OVER_A_LINK {
        for (what, near, far) in [
            ("bulk_receive", Role::Sink, Role::Source),
            ("bulk_send", Role::Source, Role::Sink),
            ("round_trip", Role::PingPong, Role::Echo),
        ] {
            let shape = Shape { idle: count, ..Shape::default() };
            let (family, placement) = (Family::V4, Placement::Across);
            let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
            cases.push(Case { name: format!("idle_over_link/{count}/{what}"), kind, extra: false });
        }
    }
    cases.push(Case { name: "flood".into(), kind: Kind::Flood, extra: false });
    let receiving = Meeting {
        near: Role::Sink,
        far: Role::Source,
        family: Family::V4,
        shape: Shape::default(),
        placement: Placement::Across,
    };
    cases.push(Case { name: "siege".into(), kind: Kind::Siege(receiving, SIEGE), extra: false });
    cases.push(Case { name: "core".into(), kind: Kind::Core, extra: false });
    cases
}

fn bulk(cases: &mut Vec<Case>) {
    for (name, near, far, alone) in [
        ("bulk_receive", Role::Sink, Role::Source, Role::Gather),
        ("bulk_send", Role::Source, Role::Sink, Role::Scatter),
    ] {
        let mut add = |name: String, family, placement, shape, extra| {
            let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
            cases.push(Case { name, kind, extra });
        };
        for (version, family) in [("ipv4", Family::V4), ("ipv6", Family::V6)] {
            for (place, placement) in PLACEMENTS {
                add(format!("{name}/{version}/{place}"), family, placement, Shape::default(), false);
            }
        }
        for streams in [4, 64] {
            let shape = Shape { streams, ..Shape::default() };
            for (place, placement) in PLACEMENTS {
                let name = format!("{name}/{streams}_streams/{place}");
                add(name, Family::V4, placement, shape, placement != Placement::Across);
            }
        }
        for (what, chunk) in [("1k_writes", 1024), ("16k_writes", 16 * 1024)] {
            let shape = Shape { chunk, ..Shape::default() };
            for (place, placement) in PLACEMENTS {
                add(
                    format!("{name}/{what}/{place}"),
                    Family::V4,
                    placement,
                    shape,
                    placement != Placement::Across,
                );
            }
        }
        let shape = Shape { ownership: Ownership::Owned, ..Shape::default() };
        add(format!("{name}/owned/across"), Family::V4, Placement::Across, shape, false);
        let (family, shape) = (Family::V4, Shape { streams: 64, ..Shape::default() });
        let meeting = Meeting { near: alone, far, family, shape, placement: Placement::Across };
        let name = format!("{name}/64_streams/one_thread");
        cases.push(Case { name, kind: Kind::Duel(meeting), extra: false });
    }
}

fn round_trips(cases: &mut Vec<Case>) {
    let mut add = |name: String, placement, shape, extra| {
        let (near, far, family) = (Role::PingPong, Role::Echo, Family::V4);
        let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
        cases.push(Case { name: format!("round_trip/{name}"), kind, extra });
    };
    for (place, placement) in PLACEMENTS {
        add(place.into(), placement, Shape::default(), false);
    }
    let spinning = Shape { waiting: Waiting::Spins, ..Shape::default() };
    add("spinning".into(), Placement::Across, spinning, false);
    for (how, waiting) in [
        ("epoll", Waiting::Polls),
        ("tokio", Waiting::Tasks),
        ("own_loop", Waiting::Turns),
        ("own_tokio", Waiting::TurnsOfTasks),
    ] {
        let shape = Shape { waiting, ..Shape::default() };
        for (place, placement) in PLACEMENTS {
            add(format!("{how}/{place}"), placement, shape, placement == Placement::Unpinned);
        }
    }
    for message in [1, 16_384] {
        let shape = Shape { message, ..Shape::default() };
        add(format!("{message}_bytes/across"), Placement::Across, shape, false);
        add(format!("{message}_bytes/same"), Placement::Same, shape, true);
    }
    // What one that says little hears of what others do: the far side measures.
    for streams in [1, 8] {
        let shape = Shape { streams: streams + 1, ..Shape::default() };
        let meeting = Meeting {
            near: Role::Answer,
            far: Role::Press,
            family: Family::V4,
            shape,
            placement: Placement::Across,
        };
        cases.push(Case {
            name: format!("round_trip/beside_{streams}_received"),
            kind: Kind::Duel(meeting),
            extra: false,
        });
    }
    let mut add = |name: String, placement, shape, extra| {
        let (near, far, family) = (Role::PingPong, Role::Echo, Family::V4);
        let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
        cases.push(Case { name: format!("round_trip/{name}"), kind, extra });
    };
    let many = Shape { streams: 64, ..Shape::default() };
    for (place, placement) in PLACEMENTS {
        add(format!("64_connections/{place}"), placement, many, placement != Placement::Across);
    }
    let (near, far, family, placement) = (Role::Volley, Role::Echo, Family::V4, Placement::Across);
    let kind = Kind::Duel(Meeting { near, far, family, shape: many, placement });
    cases.push(Case { name: "round_trip/64_connections/one_thread".into(), kind, extra: false });
}

fn connections(cases: &mut Vec<Case>) {
    for (side, near, far) in [("server", Role::Serve, Role::Request), ("client", Role::Request, Role::Serve)]
    {
        for (closes, closer) in [("server_closes", Closer::Server), ("client_closes", Closer::Client)] {
            for (clients, streams) in [("1_client", 1), ("8_clients", 8)] {
                let shape = Shape { streams, closer, ..Shape::default() };
                let (family, placement) = (Family::V4, Placement::Across);
                let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
                let name = format!("connect_close/{side}/{closes}/{clients}");
                cases.push(Case { name, kind, extra: false });
            }
        }
    }
}

fn datagrams(cases: &mut Vec<Case>) {
    for (name, near, far) in
        [("udp_receive", Role::Catch, Role::Spray), ("udp_send", Role::Spray, Role::Catch)]
    {
        for message in [64, 1472] {
            for (how, packaging) in [("plain", Packaging::Single), ("merged", Packaging::Merged)] {
                let shape = Shape { message, packaging, ..Shape::default() };
                let (family, placement) = (Family::V4, Placement::Across);
                let kind = Kind::Duel(Meeting { near, far, family, shape, placement });
                cases.push(Case { name: format!("{name}/{message}_bytes/{how}"), kind, extra: false });
            }
        }
    }
}
