//! One connection whose peer is the test, and two whose wire is.

use core::time::Duration;
use std::collections::VecDeque;

use crate::buf::Rope;
use crate::counters::{Counter, Counters};
use crate::tcp::connection::{Opening, ReadError, SegmentSizes};
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{Connection, Options, SeqNumber, State};
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

pub(super) const MSS: u32 = 1000;
pub(super) const ISS: u32 = 1000;
pub(super) const IRS: u32 = 5000;

pub(super) fn seq(value: u32) -> SeqNumber {
    SeqNumber::new(value)
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn pattern(offset: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (offset.wrapping_add(n).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub(super) fn opening(iss: u32) -> Opening {
    let sizes = SegmentSizes { advertised: MSS as u16, path: MSS as u16, default: 536 };
    Opening { iss: seq(iss), timestamp_offset: 0, sizes }
}

/// Without options that would blur the figures.
pub(super) fn plain() -> Options {
    Options { timestamps: false, sack: false, window_scaling: false, ..Options::default() }
}

pub(super) fn sacking() -> Options {
    Options { sack: true, ..plain() }
}

/// A connection in virtual time, with the test as its peer.
pub(super) struct Lone {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pub(super) counters: Counters,
    /// What the peer has sent, counted from its first byte.
    peer_sent: u32,
}

impl Lone {
    pub(super) fn connecting(options: Options) -> Self {
        let now = Instant::from_secs(100);
        let connection = Connection::connect(now, opening(ISS), options);
        Lone { connection, now, counters: Counters::default(), peer_sent: 0 }
    }

    /// Established, with a peer that takes segments of [`MSS`] and offers `window`; a round trip took `rtt`.
    pub(super) fn established(options: Options, window: u16, rtt: Duration) -> Self {
        let sack = options.sack;
        let mut lone = Lone::connecting(options);
        assert_eq!(lone.poll().expect("a SYN").control, Some(Control::Syn));
        lone.pass(rtt);
        lone.give(Segment {
            ack: Some(seq(ISS + 1)),
            control: Some(Control::Syn),
            window: UnscaledWindow(window),
            options: TcpOptions { mss: Some(MSS as u16), sack_permitted: sack, ..TcpOptions::default() },
            ..Segment::new(seq(IRS))
        });
        assert_eq!(lone.poll().expect("an ACK").ack, Some(seq(IRS + 1)));
        assert_eq!(lone.connection.state(), State::Established);
        lone
    }

    pub(super) fn poll(&mut self) -> Option<Segment> {
        self.connection.poll_transmit(self.now, MSS as usize, &mut self.counters)
    }

    /// All that is to be sent now, as (offset from our first byte, length).
    pub(super) fn sent(&mut self) -> Vec<(u32, u32)> {
        let segments: Vec<Segment> = core::iter::from_fn(|| self.poll()).collect();
        segments.iter().map(|segment| ((segment.seq - seq(ISS + 1)) as u32, segment.len())).collect()
    }

    pub(super) fn give(&mut self, segment: Segment) {
        self.connection.on_segment(self.now, segment, &mut self.counters);
    }

    /// An acknowledgement of everything before `offset` from our first byte.
    pub(super) fn ack(&mut self, offset: u32, window: u16) {
        self.sack(offset, window, &[]);
    }

    pub(super) fn sack(&mut self, offset: u32, window: u16, blocks: &[(u32, u32)]) {
        let mut options = TcpOptions::default();
        options.sack.extend(blocks.iter().map(|(left, right)| (ISS + 1 + left, ISS + 1 + right)));
        self.give(Segment {
            ack: Some(seq(ISS + 1 + offset)),
            window: UnscaledWindow(window),
            options,
            ..Segment::new(seq(IRS + 1 + self.peer_sent))
        });
    }

    /// Data of the peer's at `offset` from its first byte.
    pub(super) fn data(&mut self, offset: u32, bytes: &[u8], control: Option<Control>) {
        let una = self.connection.acknowledged();
        let end = offset + bytes.len() as u32 + u32::from(control.is_some());
        if offset == self.peer_sent {
            self.peer_sent = end;
        }
        self.give(Segment {
            ack: Some(una),
            control,
            window: UnscaledWindow(60_000),
            payload: Rope::from(bytes),
            ..Segment::new(seq(IRS + 1 + offset))
        });
    }

    pub(super) fn write(&mut self, len: usize) {
        let written = self.connection.write(Rope::from(pattern(0, len))).expect("open");
        assert_eq!(written, len);
    }

    pub(super) fn read(&mut self) -> Result<Vec<u8>, ReadError> {
        self.connection.read(self.now, usize::MAX).map(|rope| rope.to_vec())
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.connection.on_timeout(self.now, &mut self.counters);
    }

    /// Lets time pass to the next deadline, and says how long that was.
    pub(super) fn pass_to_deadline(&mut self) -> Duration {
        let at = self.connection.poll_timeout().expect("something is awaited");
        let time = at.saturating_since(self.now);
        self.pass(time);
        time
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.counters[counter]
    }

    pub(super) fn stamped(value: u32, echo: u32) -> TcpOptions {
        TcpOptions { timestamps: Some(Timestamps { value, echo }), ..TcpOptions::default() }
    }
}

/// What the wire does to the `n`-th segment in a direction.
pub(super) type Fate = fn(u64) -> Loss;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    Pass,
    Drop,
    /// Arrives this much later than it should.
    Late(Duration),
    Twice,
}

/// Two connections and a wire with a delay.
pub(super) struct Pair {
    pub(super) ends: [Connection; 2],
    pub(super) now: Instant,
    pub(super) counters: [Counters; 2],
    /// In flight: when it arrives, whom it is for, the segment.
    wire: VecDeque<(Instant, usize, Segment)>,
    delay: Duration,
    sent: [u64; 2],
    fate: [Fate; 2],
    pub(super) max_payload: usize,
}

impl Pair {
    /// One connects, the other takes a simultaneous open's part or is accepted: here both connect.
    pub(super) fn simultaneous(options: [Options; 2], delay: Duration) -> Self {
        let now = Instant::from_secs(50);
        let [a, b] = options;
        let ends =
            [Connection::connect(now, opening(u32::MAX - 3000), a), Connection::connect(now, opening(77), b)];
        let pass: Fate = |_| Loss::Pass;
        Pair {
            ends,
            now,
            counters: [Counters::default(), Counters::default()],
            wire: VecDeque::new(),
            delay,
            sent: [0; 2],
            fate: [pass; 2],
            max_payload: MSS as usize,
        }
    }

    pub(super) fn with_fate(mut self, fate: [Fate; 2]) -> Self {
        self.fate = fate;
        self
    }

    fn flush(&mut self) {
        for side in 0..2 {
            let counters = &mut self.counters[side];
            while let Some(segment) = self.ends[side].poll_transmit(self.now, self.max_payload, counters) {
                self.sent[side] += 1;
                let at = self.now + self.delay;
                let (at, copies) = match (self.fate[side])(self.sent[side]) {
                    Loss::Pass => (at, 1),
                    Loss::Drop => (at, 0),
                    Loss::Late(time) => (at + time, 1),
                    Loss::Twice => (at, 2),
                };
                for _ in 0..copies {
                    let place = self.wire.partition_point(|(other, _, _)| *other <= at);
                    self.wire.insert(place, (at, 1 - side, segment.clone()));
                }
            }
        }
    }

    /// Does the next thing that happens. False where nothing will.
    pub(super) fn step(&mut self) -> bool {
        self.flush();
        let deadline = self.ends.iter().filter_map(Connection::poll_timeout).min();
        let arrival = self.wire.front().map(|(at, _, _)| *at);
        let Some(next) = deadline.into_iter().chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(next);
        if arrival.is_some_and(|at| at <= self.now)
            && let Some((_, side, segment)) = self.wire.pop_front()
        {
            self.ends[side].on_segment(self.now, segment, &mut self.counters[side]);
        } else {
            for side in 0..2 {
                self.ends[side].on_timeout(self.now, &mut self.counters[side]);
            }
        }
        self.flush();
        true
    }

    pub(super) fn run_until(&mut self, mut done: impl FnMut(&mut Pair) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            assert!(
                self.step(),
                "nothing will happen any more: {:?}",
                self.ends.each_ref().map(Connection::state)
            );
        }
        panic!("still not done at {:?}", self.now);
    }

    /// Sends `len` bytes from one side to the other, and checks them.
    pub(super) fn transfer(&mut self, from: usize, len: usize) {
        let (mut written, mut read) = (0, Vec::new());
        self.run_until(|pair| {
            if written < len && pair.ends[from].state() == State::Established {
                let room = pair.ends[from].free_space().min(len - written);
                let data = Rope::from(pattern(written as u32, room));
                written += pair.ends[from].write(data).expect("open");
            }
            match pair.ends[1 - from].read(pair.now, usize::MAX) {
                Ok(data) => read.extend(data.to_vec()),
                Err(ReadError::WouldBlock) => {}
                Err(error) => panic!("{error:?}"),
            }
            read.len() == len
        });
        assert!(read == pattern(0, len), "every byte is where it was");
    }
}
