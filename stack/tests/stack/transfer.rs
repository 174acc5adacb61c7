//! Data over connections: every byte, both ways, whatever the link does.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::stack::{Linger, TcpId};
use tapsock_stack::tcp::connection::{ReadError, Shutdown};

use crate::packets::tcp_of;
use crate::wire::{Fate, LINKS, PAIRS, Wire};

const MIB: u64 = 1 << 20;

/// The bytes that stand at `offset` in every stream. No two stretches within 64 KiB look alike.
pub fn pattern(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// One direction of a connection, with how far it is.
pub struct Flow {
    from: (usize, TcpId),
    to: (usize, TcpId),
    total: u64,
    written: u64,
    read: u64,
    ended: bool,
}

impl Flow {
    pub fn new(from: (usize, TcpId), to: (usize, TcpId), total: u64) -> Self {
        Flow { from, to, total, written: 0, read: 0, ended: false }
    }

    /// One of which all was written already.
    pub fn resumed(from: (usize, TcpId), to: (usize, TcpId), total: u64) -> Self {
        Flow { written: total, ..Flow::new(from, to, total) }
    }

    /// Both directions of a connection between host 0 and host `there`.
    pub fn both((active, passive): (TcpId, TcpId), there: usize, total: u64) -> [Flow; 2] {
        let (here, there) = ((0, active), (there, passive));
        [Flow::new(here, there, total), Flow::new(there, here, total)]
    }

    pub fn read(&self) -> u64 {
        self.read
    }

    /// Writes and reads what goes now. True once the reader has all and has seen the end.
    pub fn turn(&mut self, wire: &mut Wire) -> bool {
        let (now, (host, id)) = (wire.now, self.from);
        while self.written < self.total {
            let len = wire[host].tcp_free_space(id).min((self.total - self.written) as usize).min(65_536);
            if len == 0 {
                break;
            }
            let data = Rope::from(pattern(self.written, len));
            assert_eq!(wire[host].tcp_write(now, id, data), Ok(len));
            self.written += len as u64;
            if self.written == self.total {
                wire[host].tcp_shutdown(now, id, Shutdown::Write).unwrap();
            }
        }
        let (host, id) = self.to;
        while !self.ended {
            match wire[host].tcp_read(now, id, 300_000) {
                Ok(data) if data.is_empty() => self.ended = true,
                Ok(data) => {
                    assert_eq!(data.to_vec(), pattern(self.read, data.len()), "at {}", self.read);
                    self.read += data.len() as u64;
                }
                Err(ReadError::WouldBlock) => break,
                Err(error) => panic!("{error:?} at {} of {}", self.read, self.total),
            }
        }
        if self.ended {
            assert_eq!(self.read, self.total);
        }
        self.ended
    }
}

/// Runs flows to their end. Panics where that takes longer than `limit`.
pub fn finish(wire: &mut Wire, flows: &mut [Flow], limit: Duration) {
    let end = wire.now + limit;
    let done = wire.run_until(end, |wire| {
        let ended = flows.iter_mut().filter_map(|flow| flow.turn(wire).then_some(())).count();
        ended == flows.len()
    });
    let progress: Vec<u64> = flows.iter().map(|flow| flow.read).collect();
    assert!(done, "{progress:?} bytes after {limit:?}");
}

#[test]
fn bulk_both_ways_on_every_link() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut wire = Wire::new(2, caps);
            let pair = wire.pair(1, address);
            let mut flows = Flow::both(pair, 1, 8 * MIB);
            finish(&mut wire, &mut flows, Duration::from_secs(10));
            for host in 0..2 {
                assert_eq!(wire.counter(host, Counter::TcpRetransSegs), 0, "{address}");
                assert_eq!(wire.counter(host, Counter::TcpInErrs), 0);
            }
        }
    }
}

#[test]
fn an_offloading_link_gets_few_large_frames() {
    let mut wire = Wire::new(2, LINKS[1]);
    let pair = wire.pair(1, "10.0.0.2");
    wire.sniffing = true;
    let mut flows = [Flow::new((0, pair.0), (1, pair.1), 8 * MIB)];
    finish(&mut wire, &mut flows, Duration::from_secs(10));
    let data = wire.seen.iter().filter(|(from, _)| *from == 0).count();
    assert!(data < 400, "{data} frames for 8 MiB: {} bytes each", 8 * MIB as usize / data);
    assert!(wire.counter(1, Counter::TcpInSegs) > 8 * MIB / 1460, "segments are counted, not frames");
}

#[test]
fn bulk_over_loopback() {
    for address in ["127.0.0.1", "127.3.2.1", "::1", "10.0.0.1", "fd00::1"] {
        let mut wire = Wire::new(1, LINKS[0]);
        let pair = wire.pair(0, address);
        let mut flows = Flow::both(pair, 0, 8 * MIB);
        finish(&mut wire, &mut flows, Duration::from_secs(10));
        assert_eq!(wire.counter(0, Counter::TcpRetransSegs), 0, "{address}");
        assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeouts), 0, "{address}");
        let discards =
            [Counter::IpOutDiscards, Counter::Ip6OutDiscards].map(|counter| wire.counter(0, counter));
        assert_eq!(discards, [0, 0], "{address}");
    }
}

#[test]
fn every_size_of_write_arrives_over_loopback() {
    // Around the largest segment that an IP packet on lo can hold.
    for len in [1, 65_400, 65_483, 65_484, 65_485, 65_495, 65_496, 65_535, 65_536, 131_000] {
        for address in ["127.0.0.1", "::1"] {
            let mut wire = Wire::new(1, LINKS[0]);
            let pair = wire.pair(0, address);
            let mut flows = [Flow::new((0, pair.0), (0, pair.1), len)];
            finish(&mut wire, &mut flows, Duration::from_secs(1));
            assert_eq!(wire.counter(0, Counter::TcpRetransSegs), 0, "{len} bytes to {address}");
        }
    }
}

#[test]
fn loss_is_made_good() {
    for caps in LINKS {
        for (_, address) in PAIRS {
            let mut wire = Wire::new(2, caps);
            let pair = wire.pair(1, address);
            let mut count = 0u32;
            wire.filter(move |_, frame| {
                let data = tcp_of(frame).is_some_and(|(_, len)| len > 0);
                count += u32::from(data);
                if data && count.is_multiple_of(17) { Fate::Lose } else { Fate::Pass }
            });
            let mut flows = Flow::both(pair, 1, 2 * MIB);
            finish(&mut wire, &mut flows, Duration::from_secs(60));
            let resent = [0, 1].map(|host| wire.counter(host, Counter::TcpRetransSegs));
            assert!(resent.iter().all(|count| *count > 0), "{resent:?}");
        }
    }
}

#[test]
fn a_slow_reader_closes_the_window_and_opens_it_again() {
    for caps in LINKS {
        let mut wire = Wire::new(2, caps);
        let pair = wire.pair(1, "10.0.0.2");
        let mut flow = Flow::new((0, pair.0), (1, pair.1), 400_000);
        while wire[0].tcp_info(pair.0).unwrap().notsent == 0 {
            let (now, free) = (wire.now, wire[0].tcp_free_space(pair.0));
            wire[0].tcp_write(now, pair.0, Rope::from(pattern(flow.written, free))).unwrap();
            flow.written += free as u64;
            wire.run_for(Duration::from_secs(30));
        }
        let held = wire[1].tcp(pair.1).unwrap().readable();
        assert!(held > 60_000, "the reader's buffer holds {held} bytes");
        assert_eq!(wire[1].tcp_info(pair.1).unwrap().rcv_wnd, 0, "the window is closed");
        assert!(wire.counter(0, Counter::TcpExtTCPWinProbe) >= 3);
        finish(&mut wire, &mut [flow], Duration::from_secs(10));
    }
}

#[test]
fn many_connections_take_turns() {
    let mut wire = Wire::new(2, LINKS[1]);
    let listener = wire.listen(1, "10.0.0.2", 2000, 100);
    let active: Vec<TcpId> = (0..50).map(|_| wire.connect(0, crate::wire::at("10.0.0.2", 2000))).collect();
    wire.settle();
    let mut flows: Vec<Flow> = Vec::new();
    for here in active {
        let local = wire[0].tcp_local(here);
        let there = wire[1].tcp_accept(listener).unwrap();
        // They arrive in the order in which they were opened.
        assert_eq!(wire[1].tcp_remote(there), local);
        flows.extend(Flow::both((here, there), 1, 300_000));
    }
    finish(&mut wire, &mut flows, Duration::from_secs(30));
}

/// However much a stream has to send, another one's turn comes after one frame of it, and no more than are asked for leave the
/// stack: what waits for the link is bounded by whoever polls, and the rest by the connection's own window.
#[test]
fn a_stream_that_could_fill_the_link_leaves_turns_to_others() {
    for caps in LINKS {
        let mut wire = Wire::new(2, caps);
        let (greedy, greedy_end) = wire.pair(1, "10.0.0.2");
        // Its congestion window grows to hundreds of segments.
        let mut flow = Flow::new((0, greedy), (1, greedy_end), 64 * MIB);
        let end = wire.now + Duration::from_secs(10);
        assert!(wire.run_until(end, |wire| flow.turn(wire) || flow.read > 2 * MIB));
        while wire[0].tcp(greedy).unwrap().unacknowledged() > 0 {
            wire.run_for(Duration::from_millis(1));
            let now = wire.now;
            while wire[1].tcp_read(now, greedy_end, 1 << 20).is_ok() {}
        }
        wire.run_for(Duration::from_millis(1));
        let window = wire[0].tcp_info(greedy).unwrap().snd_cwnd;
        assert!(window > 100, "the window is {window} segments");
        let modest: Vec<TcpId> = (0..3).map(|_| wire.pair(1, "10.0.0.2").0).collect();
        let now = wire.now;
        let room = wire[0].tcp_free_space(greedy);
        wire[0].tcp_write(now, greedy, Rope::from(vec![0; room])).unwrap();
        for id in &modest {
            wire[0].tcp_write(now, *id, Rope::from(&b"hello"[..])).unwrap();
        }
        let ports: Vec<u16> = core::iter::from_fn(|| wire[0].poll_transmit(now))
            .take(7)
            .map(|(_, transmit)| tcp_of(&transmit.to_frame()).expect("a segment").0.source_port)
            .collect();
        for id in &modest {
            let port = wire[0].tcp_local(*id).unwrap().port();
            let turn = ports.iter().position(|sender| *sender == port);
            assert!(turn.is_some_and(|turn| turn < 4), "{port} in {ports:?}");
        }
        let greedy_port = wire[0].tcp_local(greedy).unwrap().port();
        assert!(ports.iter().filter(|port| **port == greedy_port).count() > 1, "it has more: {ports:?}");
    }
}

#[test]
fn what_was_written_before_close_arrives() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let (here, there) = wire.pair(1, address);
        let now = wire.now;
        let len = wire[0].tcp_free_space(here);
        wire[0].tcp_write(now, here, Rope::from(pattern(0, len))).unwrap();
        wire[0].tcp_close(now, here, Linger::Background);
        let flow = Flow::resumed((0, here), (1, there), len as u64);
        finish(&mut wire, &mut [flow], Duration::from_secs(10));
    }
}
