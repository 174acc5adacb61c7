//! Each rule, with a segment that keeps it and one that breaks it.

use core::net::Ipv4Addr;

use tapsock_stack::buf::{Frame, HeaderBlock};
use tapsock_stack::wire::IpProtocol;
use tapsock_stack::wire::checksum::pseudo_header;
use tapsock_stack::wire::ipv4::Ipv4Header;
use tapsock_stack::wire::offload::Medium;
use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};
use tapsock_stack::wire::tcp_options::{TcpOptions, Timestamps};

use super::Observer;
use crate::node::{NodeId, Scrutiny};
use crate::packet::Packet;

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
const PORTS: [u16; 2] = [40_000, 80];
/// Initial sequence numbers: the client's wraps after a few bytes.
const ISNS: [u32; 2] = [u32::MAX - 5, 5_000];
const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags::FIN;

/// A segment in relative numbers, from the client (0) or the server (1).
#[derive(Clone)]
struct Seg {
    from: usize,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    window: u16,
    len: usize,
    options: TcpOptions,
}

fn seg(from: usize, flags: TcpFlags, seq: u32, ack: u32, window: u16, len: usize) -> Seg {
    Seg { from, flags, seq, ack, window, len, options: TcpOptions::default() }
}

impl Seg {
    fn sack(mut self, left: u32, right: u32) -> Self {
        let base = ISNS[1 - self.from];
        self.options.sack.push((base.wrapping_add(left), base.wrapping_add(right)));
        self
    }

    fn ts(mut self, value: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo: 0 });
        self
    }

    fn frame(&self) -> Frame {
        let (source, destination) = (ADDRESSES[self.from], ADDRESSES[1 - self.from]);
        let acknowledgment = match self.flags.contains(ACK) {
            true => ISNS[1 - self.from].wrapping_add(self.ack),
            false => 0,
        };
        let header = TcpHeader {
            source_port: PORTS[self.from],
            destination_port: PORTS[1 - self.from],
            sequence: ISNS[self.from].wrapping_add(self.seq),
            acknowledgment,
            flags: self.flags,
            window: self.window,
            urgent_pointer: 0,
            options: self.options.clone(),
            header_len: 0,
        };
        let mut headers = HeaderBlock::new();
        header.prepend_to(&mut headers);
        let payload = vec![7; self.len];
        let len = headers.len() + payload.len();
        let mut sum = pseudo_header(source.into(), destination.into(), IpProtocol::TCP, len as u32);
        sum.add_bytes(&headers);
        sum.add_bytes(&payload);
        headers.as_mut_slice()[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        Ipv4Header { source, destination, protocol: IpProtocol::TCP, ..Ipv4Header::default() }
            .prepend_to(len, &mut headers);
        Frame::from([&headers[..], &payload].concat())
    }
}

struct Bench(Observer);

impl Bench {
    /// After a handshake with MSS 1000, scale 2 and windows of 4000 bytes, with the options of `syn` in both SYNs.
    fn established(syn: TcpOptions) -> Self {
        let mut bench = Bench(Observer::new());
        let options = TcpOptions { mss: Some(1000), window_scale: Some(2), ..syn.clone() };
        bench.passes(Seg { options: options.clone(), ..seg(0, SYN, 0, 0, 4000, 0) });
        bench.passes(Seg { options, ..seg(1, SYN | ACK, 0, 1, 4000, 0) });
        bench.passes(Seg { options: TcpOptions { mss: None, ..syn }, ..seg(0, ACK, 1, 1, 1000, 0) });
        bench
    }

    fn new() -> Self {
        Bench::established(TcpOptions::default())
    }

    fn emit(&mut self, seg: &Seg, scrutiny: Scrutiny) -> Result<(), String> {
        let frame = seg.frame();
        let packet = Packet::parse(&frame.bytes, Medium::Ip);
        self.0.on_emission(NodeId(seg.from), scrutiny, &packet, &frame, Medium::Ip)
    }

    /// The segment is sent and is lost.
    fn lost(&mut self, seg: Seg) {
        self.emit(&seg, Scrutiny::Full).unwrap();
    }

    /// The segment is sent and arrives.
    fn passes(&mut self, seg: Seg) {
        self.lost(seg.clone());
        self.arrives(seg);
    }

    fn arrives(&mut self, seg: Seg) {
        let frame = seg.frame();
        let packet = Packet::parse(&frame.bytes, Medium::Ip);
        self.0.on_delivery(NodeId(1 - seg.from), &packet, &frame, Medium::Ip);
    }

    fn refuses(&mut self, seg: Seg, reason: &str) {
        let verdict = self.emit(&seg, Scrutiny::Full).expect_err("the segment breaks a rule");
        assert!(verdict.contains(reason), "{verdict:?} is not about {reason:?}");
    }
}

#[test]
fn an_honest_transfer_passes() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 900));
    bench.lost(seg(0, ACK, 901, 1, 1000, 900));
    bench.passes(seg(0, ACK, 1801, 1, 1000, 900));
    bench.passes(seg(1, ACK, 1, 901, 1000, 0).sack(1801, 2701));
    bench.passes(seg(0, ACK, 901, 1, 1000, 900));
    bench.passes(seg(1, ACK, 1, 2701, 1000, 0));
    bench.passes(seg(0, ACK | FIN, 2701, 1, 1000, 10));
    bench.passes(seg(1, ACK | FIN, 1, 2712, 1000, 0));
    bench.passes(seg(0, ACK, 2712, 2, 1000, 0));
}

#[test]
fn a_gap_is_found() {
    Bench::new().refuses(seg(0, ACK, 2, 1, 1000, 10), "a gap");
}

#[test]
fn nothing_follows_a_fin() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK | FIN, 1, 1, 1000, 10));
    bench.refuses(seg(0, ACK, 12, 1, 1000, 10), "after its FIN");
}

#[test]
fn the_acknowledgment_stays() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 10));
    bench.passes(seg(1, ACK, 1, 11, 1000, 0));
    bench.refuses(seg(1, ACK, 1, 5, 1010, 0), "acknowledgment 5 after 11");
}

#[test]
fn only_what_came_is_acknowledged() {
    let mut bench = Bench::new();
    bench.lost(seg(0, ACK, 1, 1, 1000, 10));
    bench.refuses(seg(1, ACK, 1, 11, 1000, 0), "only 1 came");
}

#[test]
fn only_what_came_is_selectively_acknowledged() {
    let mut bench = Bench::new();
    bench.lost(seg(0, ACK, 1, 1, 1000, 10));
    bench.passes(seg(0, ACK, 11, 1, 1000, 10));
    bench.refuses(seg(1, ACK, 1, 1, 1000, 0).sack(10, 21), "SACK block");
    bench.passes(seg(1, ACK, 1, 1, 1000, 0).sack(11, 21));
}

#[test]
fn the_right_edge_stays() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 100));
    bench.passes(seg(1, ACK, 1, 101, 975, 0));
    bench.refuses(seg(1, ACK, 1, 101, 974, 0), "right edge");
    let foreign = bench.emit(&seg(1, ACK, 1, 104, 974, 0), Scrutiny::Foreign);
    assert!(foreign.is_err_and(|why| why.contains("only 101 came")));
}

#[test]
fn a_foreign_host_may_round_its_window_down() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 103));
    bench.passes(seg(1, ACK, 1, 101, 975, 0));
    assert_eq!(bench.emit(&seg(1, ACK, 1, 103, 974, 0), Scrutiny::Foreign), Ok(()));
}

#[test]
fn the_window_holds_but_for_a_probe() {
    let mut bench = Bench::new();
    for start in (1..4000).step_by(1000) {
        bench.passes(seg(0, ACK, start, 1, 1000, 1000));
    }
    bench.refuses(seg(0, ACK, 4001, 1, 1000, 2), "window ends at 4001");
    let mut bench = Bench::new();
    for start in (1..4000).step_by(1000) {
        bench.passes(seg(0, ACK, start, 1, 1000, 1000));
    }
    bench.passes(seg(0, ACK, 4001, 1, 1000, 1));
}

#[test]
fn what_is_acknowledged_is_not_sent_again() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 100));
    bench.passes(seg(1, ACK, 1, 101, 1000, 0));
    bench.passes(seg(0, ACK, 100, 1, 1000, 0));
    bench.refuses(seg(0, ACK, 1, 1, 1000, 100), "is acknowledged");
}

#[test]
fn the_mss_counts_options() {
    let mut bench = Bench::established(TcpOptions {
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        ..Default::default()
    });
    bench.passes(seg(0, ACK, 1, 1, 1000, 988).ts(1));
    bench.refuses(seg(0, ACK, 989, 1, 1000, 989).ts(1), "MSS is 1000");
}

#[test]
fn timestamps_once_agreed_stay() {
    let mut bench = Bench::established(TcpOptions {
        timestamps: Some(Timestamps { value: 9, echo: 0 }),
        ..Default::default()
    });
    bench.passes(seg(0, ACK, 1, 1, 1000, 10).ts(10));
    bench.refuses(seg(0, ACK, 11, 1, 1000, 10), "no timestamp");
    bench.refuses(seg(0, ACK, 11, 1, 1000, 10).ts(9), "timestamp 9 after 10");
}

#[test]
fn wrong_checksums_are_found() {
    let mut bytes = seg(0, SYN, 0, 0, 4000, 0).frame().bytes.to_vec();
    bytes[36] ^= 1;
    let frame = Frame::from(bytes);
    let packet = Packet::parse(&frame.bytes, Medium::Ip);
    let verdict = Observer::new().on_emission(NodeId(0), Scrutiny::Full, &packet, &frame, Medium::Ip);
    assert!(verdict.unwrap_err().contains("wrong TCP checksum"));
}

#[test]
fn a_new_syn_begins_a_new_life() {
    let mut bench = Bench::new();
    bench.passes(seg(0, ACK, 1, 1, 1000, 500));
    bench.passes(seg(0, SYN, 100_000, 0, 4000, 0));
    bench.passes(seg(1, SYN | ACK, 200_000, 100_001, 4000, 0));
    bench.passes(seg(0, ACK, 100_001, 200_001, 4000, 0));
    bench.passes(seg(0, ACK, 100_001, 200_001, 4000, 100));
    bench.passes(seg(1, ACK, 200_001, 100_101, 4000, 0));
}
