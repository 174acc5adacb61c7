//! Floods: what they cost in memory, that what is shed is counted, and that whoever is connected goes on.

use core::net::Ipv4Addr;
use core::time::Duration;

use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};
use tapsock_stack::buf::{Checksum, Chunk, Frame};
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::neighbor::MAX_WAITING_BYTES;
use tapsock_stack::stack::TcpId;
use tapsock_stack::tcp::State;

use crate::shuttle::Shuttle;
use crate::wire::{ETH, LINKS, at, station};

/// Segments of a flood in a millisecond: half a million a second.
const PER_MILLI: u32 = 500;
/// How long it goes on, in milliseconds of virtual time.
const MILLIS: u32 = 200;

/// A host may hold so much more than what is named in each test. What waits for neighbours that nobody finds is charged up
/// to [`MAX_WAITING_BYTES`], in queues that grow by doubling.
const SLACK: i64 = 2 * MAX_WAITING_BYTES as i64 + 256 * 1024;

const BACKLOG: usize = 128;
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Who is attacked: a host with a connection that runs, and another of the same peer.
struct Scene {
    shuttle: Shuttle,
    flow: (TcpId, TcpId),
    victim: (TcpId, TcpId),
}

/// What came of a flood.
struct Outcome {
    /// Bytes that the connection that runs has moved meanwhile.
    moved: usize,
    /// Bytes that the attacked host holds more than before.
    held: i64,
    /// Frames that it has sent to whoever floods it.
    answers: u32,
}

impl Scene {
    fn new() -> Self {
        let mut shuttle = Shuttle::new(LINKS[0], 20_000);
        let ends = shuttle.connect(at("10.0.0.2", 2000), 2);
        let mut scene = Scene { shuttle, flow: ends[0], victim: ends[1] };
        scene.talk(Duration::from_millis(300));
        scene
    }

    /// Floods host 1 by what `segment` makes, while the other connection goes on.
    fn flood(&mut self, mut segment: impl FnMut(u32) -> Option<Frame>) -> Outcome {
        let mut outcome = Outcome { moved: 0, held: 0, answers: 0 };
        let mut answers = Vec::with_capacity(4 * PER_MILLI as usize);
        for milli in 0..MILLIS {
            let (now, server) = (self.shuttle.now, &mut self.shuttle.stacks[1]);
            let memory = allocation_counter::measure(|| {
                for serial in milli * PER_MILLI..(milli + 1) * PER_MILLI {
                    let Some(frame) = segment(serial) else { break };
                    server.receive(now, ETH, frame);
                    while let Some((_, answer)) = server.poll_transmit(now) {
                        answers.push(answer);
                    }
                }
            });
            outcome.answers += answers.len() as u32;
            answers.drain(..).for_each(|answer| self.shuttle.send(1, answer));
            outcome.held += memory.bytes_current;
            outcome.moved += self.talk(Duration::from_millis(1));
        }
        outcome
    }

    /// Writes all that there is room for, and reads all that comes, for so long.
    fn talk(&mut self, time: Duration) -> usize {
        let (shuttle, (here, there)) = (&mut self.shuttle, self.flow);
        let (end, mut moved) = (shuttle.now + time, 0);
        loop {
            let room = shuttle.stacks[0].tcp_free_space(here).min(1 << 16);
            if room > 0 {
                shuttle.write_all(0, here, room);
            }
            let more = shuttle.step(end);
            let read = shuttle.read_all(1, there, 1 << 16);
            moved += read;
            if !more && read == 0 {
                shuttle.now = end;
                return moved;
            }
        }
    }

    /// A segment of the peer's on a connection, `ahead` bytes after what is expected next.
    fn header(&self, (here, there): (TcpId, TcpId), ahead: u32) -> TcpHeader {
        let [client, server] = &self.shuttle.stacks;
        let (from, to) = (client.tcp_local(here).unwrap().port(), server.tcp_local(there).unwrap().port());
        let connection = server.tcp(there).unwrap();
        let next = connection.received_end().value();
        let mut header = TcpHeader::new(from, to, next.wrapping_add(ahead), 1024);
        (header.ack, header.acknowledgment_number) = (true, connection.acknowledged().value());
        let stamp = client.tcp_timestamp(self.shuttle.now, here).unwrap();
        header.set_options(&[TcpOptionElement::Timestamp(stamp, 0)]).unwrap();
        header
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.shuttle.stacks[1].counters()[counter]
    }
}

/// A frame to host 1.
fn frame(from: Ipv4Addr, tcp: TcpHeader, payload: &[u8]) -> Option<Frame> {
    let builder = PacketBuilder::ethernet2(station(0).0, station(1).0)
        .ipv4(from.octets(), SERVER.octets(), 64)
        .tcp_header(tcp);
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut bytes, payload).unwrap();
    Some(Frame { bytes: Chunk::from(bytes), checksum: Checksum::Unverified, gso_size: None })
}

/// What the connection moves where nobody floods.
fn in_peace() -> usize {
    let moved = Scene::new().flood(|_| None).moved;
    assert!(moved > 10_000_000, "{moved} bytes");
    moved
}

#[test]
fn a_flood_of_syns_is_answered_by_cookies_of_which_nothing_is_kept() {
    let mut scene = Scene::new();
    scene.shuttle.listen(at("10.0.0.2", 2001), BACKLOG);
    let outcome = scene.flood(|serial| {
        let from = Ipv4Addr::new(10, 0, 0, 3 + (serial % 250) as u8);
        let port = 1024 + (serial / 250) as u16;
        let mut syn = TcpHeader::new(port, 2001, serial.wrapping_mul(2_654_435_761), 64_240);
        syn.syn = true;
        frame(from, syn, &[])
    });
    assert!(outcome.moved >= in_peace() / 2, "{} bytes", outcome.moved);
    let half_open = scene.shuttle.stacks[1].tcp_census().half_open;
    assert!(half_open <= BACKLOG + 1, "{half_open}");
    assert!(outcome.held <= 160 * (BACKLOG as i64 + 1) + SLACK, "{} bytes", outcome.held);
    let cookies = scene.counted(Counter::TcpExtSyncookiesSent);
    assert!(cookies >= u64::from(PER_MILLI * MILLIS) - 2 * BACKLOG as u64, "{cookies} cookies");
    assert_eq!(scene.counted(Counter::TcpExtTCPReqQFullDoCookies), cookies);
}

/// The senders are of our link, and none is there.
#[test]
fn a_flood_from_ever_new_neighbours_asks_for_few_of_them() {
    let mut scene = Scene::new();
    scene.shuttle.listen(at("10.0.0.2", 2001), BACKLOG);
    scene.shuttle.stacks[1].add_address(ETH, "10.200.0.2/8".parse().unwrap()).unwrap();
    let outcome = scene.flood(|serial| {
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 1)) + serial);
        let mut syn = TcpHeader::new(1024, 2001, serial, 64_240);
        syn.syn = true;
        frame(from, syn, &[])
    });
    assert!(outcome.moved >= in_peace() / 2, "{} bytes", outcome.moved);
    // The whole cache, and a thousand a second beyond it.
    let most = 1024 + 64 + MILLIS + 1;
    assert!(outcome.answers <= 2 * most, "{} frames", outcome.answers);
    let (held_back, all) = (scene.counted(Counter::TapsockNeighborHeldBack), u64::from(PER_MILLI * MILLIS));
    assert!(held_back >= all - u64::from(most), "{held_back} of {all}");
}

#[test]
fn tiny_segments_fill_no_more_than_the_buffer() {
    let mut scene = Scene::new();
    let header = scene.header(scene.victim, 0);
    let most = i64::from(scene.shuttle.stacks[1].config().tcp_options().receive_buffer_max.unwrap());
    let outcome = scene.flood(|serial| {
        let mut tiny = header.clone();
        tiny.sequence_number = tiny.sequence_number.wrapping_add(serial);
        frame(PEER, tiny, b"x")
    });
    assert!(outcome.moved >= in_peace() / 2, "{} bytes", outcome.moved);
    assert!(outcome.held <= most + SLACK, "{} bytes", outcome.held);
    let readable = scene.shuttle.stacks[1].tcp(scene.victim.1).unwrap().readable();
    assert!(readable > 1000 && readable < (PER_MILLI * MILLIS) as usize, "{readable} bytes were taken");
    assert!(outcome.answers <= PER_MILLI * MILLIS / 2, "every second at the most: {}", outcome.answers);
}

#[test]
fn segments_out_of_order_are_kept_up_to_a_number() {
    let mut scene = Scene::new();
    let header = scene.header(scene.victim, 1);
    let outcome = scene.flood(|serial| {
        let mut early = header.clone();
        early.sequence_number = early.sequence_number.wrapping_add(2 * (serial % 20_000));
        frame(PEER, early, b"x")
    });
    assert!(outcome.moved >= in_peace() / 2, "{} bytes", outcome.moved);
    // A thousand blocks of a byte, each in a frame of its own.
    assert!(outcome.held <= 1024 * 512 + SLACK, "{} bytes", outcome.held);
    let dropped = scene.counted(Counter::TcpExtTCPOFODrop);
    assert!(dropped >= 18_000, "{dropped} were dropped");
    assert!(
        outcome.answers <= PER_MILLI * MILLIS / 10,
        "what is dropped is not answered: {}",
        outcome.answers
    );
}

#[test]
fn segments_that_make_no_sense_end_nothing_and_are_hardly_answered() {
    let mut scene = Scene::new();
    let header = scene.header(scene.flow, 0x8000_0000);
    let outcome = scene.flood(|serial| {
        let mut bogus = header.clone();
        bogus.sequence_number = bogus.sequence_number.wrapping_add(serial << 8);
        match serial % 3 {
            0 => bogus.rst = true,
            1 => bogus.syn = true,
            _ => bogus.psh = true,
        }
        frame(PEER, bogus, b"x")
    });
    assert!(outcome.moved >= in_peace() / 2, "{} bytes", outcome.moved);
    assert!(outcome.held <= SLACK, "{} bytes", outcome.held);
    let state = scene.shuttle.stacks[1].tcp(scene.flow.1).unwrap().state();
    assert_eq!(state, State::Established);
    // As on Linux data is answered each time, for its sender is to know; the rest is challenged twice a second.
    assert!(outcome.answers <= PER_MILLI * MILLIS / 3 + MILLIS, "{} answers", outcome.answers);
}
