//! The cases, and how a round of each is run.

use std::io;
use std::time::Duration;

use tapsock::Host;

use crate::duel::{Counters, Duel, Placement, Sample};
use crate::lab::{Contender, Family, Lab, Tuning};
use crate::local::{self, Traffic};
use crate::memory::{Cost, MERGED, SINGLE, Wire};
use crate::report::{Better, Row, Values};
use crate::role::Role;

/// Idle connections beside the active one.
const IDLE: usize = 10_000;
/// Bytes moved over the wire in memory in a round.
const CORE_BYTES: [u64; 2] = [256 << 20, 8 << 30];
const CORE_TRIPS: u32 = 200_000;
/// The first port that is listened on.
const FIRST_PORT: u16 = 5_000;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How long one measurement with a device takes.
    pub(crate) time: Duration,
    /// The one contender that runs; all, unless set.
    pub(crate) only: Option<Contender>,
    pub(crate) counters: Counters,
    pub(crate) tuning: Tuning,
}

/// Cases that are measured together.
pub(crate) struct Case {
    pub(crate) name: String,
    kind: Kind,
}

enum Kind {
    Bulk { near: Role, far: Role, family: Family, placement: Placement },
    RoundTrip { placement: Placement },
    ConnectClose { near: Role, far: Role },
    Local { traffic: Traffic, placement: Placement },
    Core,
    Idle,
}

/// All cases in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, kind| cases.push(Case { name, kind });
    for (name, near, far) in
        [("bulk_receive", Role::Sink, Role::Source), ("bulk_send", Role::Source, Role::Sink)]
    {
        for (version, family) in [("ipv4", Family::V4), ("ipv6", Family::V6)] {
            for (place, placement) in PLACEMENTS {
                add(format!("{name}/{version}/{place}"), Kind::Bulk { near, far, family, placement });
            }
        }
    }
    for (place, placement) in PLACEMENTS {
        add(format!("round_trip/{place}"), Kind::RoundTrip { placement });
    }
    add("connect_close/server".into(), Kind::ConnectClose { near: Role::Serve, far: Role::Request });
    add("connect_close/client".into(), Kind::ConnectClose { near: Role::Request, far: Role::Serve });
    for (name, traffic) in [("local/round_trip", Traffic::RoundTrips), ("local/bulk_64k", Traffic::Bulk)] {
        for (place, placement) in PLACEMENTS {
            add(format!("{name}/{place}"), Kind::Local { traffic, placement });
        }
    }
    add("idle".into(), Kind::Idle);
    add("core".into(), Kind::Core);
    cases
}

const PLACEMENTS: [(&str, Placement); 3] =
    [("across", Placement::Across), ("same", Placement::Same), ("unpinned", Placement::Unpinned)];

/// Runs cases, with the lab that those with a device share.
pub(crate) struct Runner {
    effort: Effort,
    lab: Option<Lab>,
    next_port: u16,
}

impl Runner {
    pub(crate) fn new(effort: Effort) -> Self {
        Runner { effort, lab: None, next_port: FIRST_PORT }
    }

    /// The congestion control of the kernel's sockets, where any were used.
    pub(crate) fn congestion(&self) -> Option<&'static str> {
        self.lab.as_ref().map(|lab| lab.congestion)
    }

    pub(crate) fn run(&mut self, case: &Case) -> io::Result<Vec<Row>> {
        match case.kind {
            Kind::Bulk { near, far, family, placement } => {
                self.bulk(&case.name, near, far, family, placement)
            }
            Kind::RoundTrip { placement } => self.round_trip(&case.name, placement),
            Kind::ConnectClose { near, far } => self.connect_close(&case.name, near, far),
            Kind::Local { traffic, placement } => self.local(&case.name, traffic, placement),
            Kind::Core => Ok(self.core(&case.name)),
            Kind::Idle => Ok(self.idle(&case.name)),
        }
    }

    fn bulk(
        &mut self,
        name: &str,
        near: Role,
        far: Role,
        family: Family,
        placement: Placement,
    ) -> io::Result<Vec<Row>> {
        let mut row = Row::new(name, "Gbit/s", Better::More);
        let time = self.effort.time;
        self.rounds(Duel { near, far, family, placement, time, port: 0 }, |contender, sample| {
            // What counts is what has arrived.
            let sink = if near == Role::Sink { sample.near } else { sample.far };
            values(&mut row, contender).0.push(sink.bytes as f64 * 8.0 / sink.seconds / 1e9);
            let per_gb = |cpu: f64| cpu * 1e9 / sink.bytes as f64;
            match contender {
                Contender::Tapsock => {
                    row.cpu.0.push(per_gb(sample.near.cpu));
                    row.far_cpu.0.push(per_gb(sample.far.cpu));
                }
                Contender::Veth => row.veth_cpu.0.push(per_gb(sample.near.cpu)),
                Contender::Smoltcp => {}
            }
        })?;
        Ok(vec![row])
    }

    fn round_trip(&mut self, name: &str, placement: Placement) -> io::Result<Vec<Row>> {
        let mut rows = ["p50", "p99"].map(|what| Row::new(format!("{name}/{what}"), "µs", Better::Less));
        let (near, far, family, time) = (Role::PingPong, Role::Echo, Family::V4, self.effort.time / 2);
        self.rounds(Duel { near, far, family, placement, time, port: 0 }, |contender, sample| {
            for (row, value) in rows.iter_mut().zip([sample.near.p50, sample.near.p99]) {
                values(row, contender).0.push(value);
            }
        })?;
        Ok(rows.into())
    }

    fn connect_close(&mut self, name: &str, near: Role, far: Role) -> io::Result<Vec<Row>> {
        let mut row = Row::new(name, "1/s", Better::More);
        let (family, placement, time) = (Family::V4, Placement::Across, self.effort.time);
        self.rounds(Duel { near, far, family, placement, time, port: 0 }, |contender, sample| {
            let client = if near == Role::Request { sample.near } else { sample.far };
            values(&mut row, contender).0.push(client.count as f64 / client.seconds);
        })?;
        Ok(vec![row])
    }

    /// All contenders in turn, round by round.
    fn rounds(&mut self, duel: Duel, mut take: impl FnMut(Contender, Sample)) -> io::Result<()> {
        for _ in 0..self.effort.rounds {
            for contender in Contender::ALL {
                if self.effort.only.is_some_and(|only| only != contender) {
                    continue;
                }
                // Each has a port of its own, so that nobody meets the others' TIME-WAIT.
                self.next_port += 1;
                let duel = Duel { port: self.next_port, ..duel };
                let lab = match &mut self.lab {
                    Some(lab) => lab,
                    none => none.insert(Lab::new(self.effort.tuning.clone())?),
                };
                if let Some(sample) = duel.run(lab, contender, self.effort.counters)? {
                    take(contender, sample);
                }
            }
        }
        Ok(())
    }

    /// The kernel's AF_UNIX stands in veth's column.
    fn local(&self, name: &str, traffic: Traffic, placement: Placement) -> io::Result<Vec<Row>> {
        let mut row = match traffic {
            Traffic::RoundTrips => Row::new(name, "µs", Better::Less),
            Traffic::Bulk => Row::new(name, "Gbit/s", Better::More),
        };
        let host = Host::builder().start()?;
        let runs = |contender| self.effort.only.is_none_or(|only| only == contender);
        for _ in 0..self.effort.rounds {
            if runs(Contender::Tapsock) {
                row.ours.0.push(local::ours(&host, traffic, placement, self.effort.time)?);
            }
            if runs(Contender::Veth) {
                row.veth.0.push(local::kernel(traffic, placement, self.effort.time)?);
            }
        }
        Ok(vec![row])
    }

    fn core(&self, name: &str) -> Vec<Row> {
        let row = |what: &str| Row::new(format!("{name}/{what}"), "ns", Better::Less);
        let mut rows = ["receive_1500", "send_1500", "receive_64k", "send_64k", "round_trip"].map(row);
        for _ in 0..self.effort.rounds {
            let costs = [SINGLE, MERGED].map(|caps| {
                let mut wire = Wire::new(caps);
                let flow = wire.open(1)[0];
                let bytes = CORE_BYTES[usize::from(caps.gso_max > 0)];
                wire.bulk(flow, bytes / 8);
                (wire.bulk(flow, bytes), wire.round_trips(flow, CORE_TRIPS))
            });
            let [(single, trip), (merged, _)] = costs;
            let figures = [single.receive_ns(), single.send_ns(), merged.receive_ns(), merged.send_ns()];
            for (row, figure) in rows.iter_mut().zip(figures.into_iter().chain([trip.as_nanos() as f64])) {
                row.ours.0.push(figure);
            }
        }
        rows.into()
    }

    fn idle(&self, name: &str) -> Vec<Row> {
        let units = [
            ("receive_alone", "ns"),
            ("receive_beside_10000", "ns"),
            ("send_alone", "ns"),
            ("send_beside_10000", "ns"),
            ("round_trip_alone", "ns"),
            ("round_trip_beside_10000", "ns"),
            ("fresh_connection", "bytes"),
            ("used_connection", "bytes"),
        ];
        let mut rows = units.map(|(what, unit)| Row::new(format!("{name}/{what}"), unit, Better::Less));
        for _ in 0..self.effort.rounds {
            let mut wire = Wire::new(SINGLE);
            let flow = wire.open(1)[0];
            let measure = |wire: &mut Wire| -> (Cost, Duration) {
                (wire.bulk(flow, CORE_BYTES[0]), wire.round_trips(flow, CORE_TRIPS / 4))
            };
            measure(&mut wire);
            let (alone, trip_alone) = measure(&mut wire);
            let mut idle = Vec::new();
            let memory = allocation_counter::measure(|| idle = wire.open(IDLE)).bytes_current;
            let flows = (IDLE * size_of_val(&flow)) as i64;
            let fresh = (memory - flows) as f64 / (2 * IDLE) as f64;
            let (beside, trip_beside) = measure(&mut wire);
            let more = allocation_counter::measure(|| {
                for flow in &idle {
                    wire.exchange_message(*flow);
                }
                wire.settle();
            });
            let used = fresh + more.bytes_current as f64 / (2 * IDLE) as f64;
            let trips = [trip_alone, trip_beside].map(|trip| trip.as_nanos() as f64);
            let figures = [
                alone.receive_ns(),
                beside.receive_ns(),
                alone.send_ns(),
                beside.send_ns(),
                trips[0],
                trips[1],
                fresh,
                used,
            ];
            for (row, figure) in rows.iter_mut().zip(figures) {
                row.ours.0.push(figure);
            }
        }
        rows.into()
    }
}

fn values(row: &mut Row, contender: Contender) -> &mut Values {
    match contender {
        Contender::Tapsock => &mut row.ours,
        Contender::Veth => &mut row.veth,
        Contender::Smoltcp => &mut row.smoltcp,
    }
}
