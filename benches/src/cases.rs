//! How a round of each case is run.

use std::io;
use std::time::Duration;

use tapsock::Host;

use crate::catalogue::{Case, Kind, Meeting};
use crate::crowd;
use crate::duel::{Counters, Duel, Placement, Sample};
use crate::instructions;
use crate::lab::{Contender, Lab, Tuning};
use crate::local::{self, Traffic};
use crate::memory::{MERGED, SINGLE, Wire};
use crate::report::{Better, Cost, Row, Values};
use crate::role::{Role, Shape};

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
            Kind::Duel(meeting) => match meeting.near {
                Role::Source | Role::Sink | Role::Scatter | Role::Gather => self.bulk(&case.name, meeting),
                Role::PingPong | Role::Volley | Role::Echo | Role::Answer | Role::Press => {
                    self.round_trip(&case.name, meeting)
                }
                Role::Serve | Role::Request => self.connect_close(&case.name, meeting),
                Role::Catch | Role::Spray => self.datagrams(&case.name, meeting),
            },
            Kind::Local { traffic, placement } => self.local(&case.name, traffic, placement),
            Kind::Core => self.core(&case.name),
            Kind::Idle { count } => Ok(crowd::idle(&case.name, count, self.effort.rounds)),
            Kind::Siege(meeting, rate) => self.siege(&case.name, meeting, rate),
            Kind::Flood => Ok(crowd::floods(&case.name, self.effort.rounds)),
        }
    }

    fn bulk(&mut self, name: &str, meeting: Meeting) -> io::Result<Vec<Row>> {
        let mut row = Row { cost: Cost::Gigabyte, ..Row::new(name, "Gbit/s", Better::More) };
        let mut fairness = Row::new(format!("{name}/fairness"), "Jain", Better::More);
        self.rounds(meeting, self.effort.time, |contender, sample| {
            // What counts is what has arrived.
            let receives = matches!(meeting.near, Role::Sink | Role::Gather);
            let sink = if receives { sample.near } else { sample.far };
            values(&mut row, contender).0.push(sink.bytes as f64 * 8.0 / sink.seconds / 1e9);
            values(&mut fairness, contender).0.push(sink.fairness);
            costs(&mut row, contender, sample, sink.bytes);
        })?;
        Ok(if meeting.shape.streams > 1 { vec![row, fairness] } else { vec![row] })
    }

    fn round_trip(&mut self, name: &str, meeting: Meeting) -> io::Result<Vec<Row>> {
        let quantiles = ["p50", "p99", "p99.9"];
        let mut rows = quantiles.map(|what| Row::new(format!("{name}/{what}"), "µs", Better::Less));
        let mut rate = Row::new(format!("{name}/rate"), "1/s", Better::More);
        self.rounds(meeting, self.effort.time / 2, |contender, sample| {
            let asks = if meeting.near == Role::Answer { sample.far } else { sample.near };
            for (row, value) in rows.iter_mut().zip([asks.p50, asks.p99, asks.p999]) {
                values(row, contender).0.push(value);
            }
            values(&mut rate, contender).0.push(asks.count as f64 / asks.seconds);
            costs(&mut rows[0], contender, sample, asks.count);
        })?;
        let several = matches!(meeting.near, Role::PingPong | Role::Volley) && meeting.shape.streams > 1;
        Ok(rows.into_iter().chain(several.then_some(rate)).collect())
    }

    fn connect_close(&mut self, name: &str, meeting: Meeting) -> io::Result<Vec<Row>> {
        let mut row = Row::new(name, "1/s", Better::More);
        self.rounds(meeting, self.effort.time, |contender, sample| {
            let client = if meeting.near == Role::Request { sample.near } else { sample.far };
            values(&mut row, contender).0.push(client.count as f64 / client.seconds);
            costs(&mut row, contender, sample, client.count);
        })?;
        Ok(vec![row])
    }

    fn datagrams(&mut self, name: &str, meeting: Meeting) -> io::Result<Vec<Row>> {
        let mut row = Row::new(name, "1/s", Better::More);
        self.rounds(meeting, self.effort.time, |contender, sample| {
            // What counts is what has arrived.
            let catcher = if meeting.near == Role::Catch { sample.near } else { sample.far };
            values(&mut row, contender).0.push(catcher.count as f64 / catcher.seconds);
            costs(&mut row, contender, sample, catcher.count);
        })?;
        Ok(vec![row])
    }

    /// What strangers' SYNs leave of what a link carries.
    fn siege(&mut self, name: &str, meeting: Meeting, rate: u32) -> io::Result<Vec<Row>> {
        let row = |what: &str, unit| Row::new(format!("{name}/{what}"), unit, Better::More);
        let (mut sent, mut received) = (row("strangers", "1/s"), row("received", "Gbit/s"));
        let mut left = row("left", "part");
        let besieged = Meeting { shape: Shape { siege: rate, ..meeting.shape }, ..meeting };
        for _ in 0..self.effort.rounds {
            let mut alone = Vec::new();
            self.round(meeting, self.effort.time, |contender, sample| {
                alone.push((contender, sample.near.bytes as f64 / sample.near.seconds));
            })?;
            self.round(besieged, self.effort.time, |contender, sample| {
                let bytes = sample.near.bytes as f64 / sample.near.seconds;
                values(&mut sent, contender).0.push(sample.far.count as f64);
                values(&mut received, contender).0.push(bytes * 8.0 / 1e9);
                let alone = alone.iter().find(|(other, _)| *other == contender);
                values(&mut left, contender).0.extend(alone.map(|(_, alone)| bytes / alone));
            })?;
        }
        Ok(vec![sent, received, left])
    }

    /// All contenders in turn, round by round.
    fn rounds(
        &mut self,
        meeting: Meeting,
        time: Duration,
        mut take: impl FnMut(Contender, Sample),
    ) -> io::Result<()> {
        (0..self.effort.rounds).try_for_each(|_| self.round(meeting, time, &mut take))
    }

    /// All contenders in turn.
    fn round(
        &mut self,
        meeting: Meeting,
        time: Duration,
        mut take: impl FnMut(Contender, Sample),
    ) -> io::Result<()> {
        for contender in Contender::ALL {
            let wanted = self.effort.only.is_none_or(|only| only == contender);
            if !wanted || contender == Contender::Plain && meeting.shape != Shape::default() {
                continue;
            }
            // Each has ports of its own, so that nobody meets the others' TIME-WAIT.
            let port = self.next_port;
            self.next_port += meeting.shape.streams as u16;
            let Meeting { near, far, family, shape, placement } = meeting;
            let duel = Duel { near, far, family, shape, placement, time, port };
            let lab = match &mut self.lab {
                Some(lab) => lab,
                none => none.insert(Lab::new(self.effort.tuning.clone())?),
            };
            if let Some(sample) = duel.run(lab, contender, self.effort.counters)? {
                take(contender, sample);
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

    fn core(&self, name: &str) -> io::Result<Vec<Row>> {
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
        let mut rows = Vec::from(rows);
        let counted = instructions::of_a_frame()?;
        if counted.is_empty() {
            eprintln!("instructions are not counted: there is no valgrind");
        }
        rows.extend(counted.into_iter().map(|(what, count)| {
            let mut row = Row::new(format!("{name}/{what}/instructions"), "instr", Better::Less);
            row.ours.0.push(count);
            row
        }));
        Ok(rows)
    }
}

/// Notes the CPU time of both ends, for each of `count` bytes or operations.
fn costs(row: &mut Row, contender: Contender, sample: Sample, count: u64) {
    let (near, far) = (row.cost.of(sample.near.cpu, count), row.cost.of(sample.far.cpu, count));
    match contender {
        Contender::Tapsock => {
            row.cpu.0.push(near);
            row.far_cpu.0.push(far);
        }
        Contender::Veth => row.veth_cpu.0.push(near),
        Contender::Device => row.device_cpu.0.push(near),
        Contender::Copying => row.copying_cpu.0.push(near),
        Contender::Plain | Contender::Smoltcp => {}
    }
}

fn values(row: &mut Row, contender: Contender) -> &mut Values {
    match contender {
        Contender::Tapsock => &mut row.ours,
        Contender::Plain => &mut row.plain,
        Contender::Veth => &mut row.veth,
        Contender::Smoltcp => &mut row.smoltcp,
        Contender::Device => &mut row.device,
        Contender::Copying => &mut row.copying,
    }
}
