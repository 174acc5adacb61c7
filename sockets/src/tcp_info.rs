//! The bytes of `struct tcp_info` (`linux/tcp.h`), which `TCP_INFO` gives.
//!
//! What this stack does not count is 0.

use core::time::Duration;

use tapsock_stack::tcp::State;
use tapsock_stack::tcp::fast_open::Failure;
use tapsock_stack::tcp::info::Info;
use tapsock_stack::tcp::recovery::Phase;
use tapsock_stack::tcp::send::busy::Times;
use tapsock_stack::time::Instant;

/// Length of the structure, in bytes, as of Linux 6.18.
const LEN: usize = 280;

/// Of a socket that has no connection.
pub(crate) fn without_connection(now: Instant) -> Vec<u8> {
    let mut bytes = unpaced();
    bytes[STATE] = CLOSE;
    bytes[FLAGS] = APP_LIMITED;
    // As Linux: since the host was started.
    for at in [LAST_DATA_SENT, LAST_DATA_RECV, LAST_ACK_RECV] {
        put(&mut bytes, at, millis_since(now, Instant::ZERO));
    }
    put(&mut bytes, RTTVAR, INITIAL_RTO / 4);
    put(&mut bytes, MIN_RTT, u32::MAX);
    put(&mut bytes, RTO, INITIAL_RTO);
    put(&mut bytes, SND_MSS, 536);
    put(&mut bytes, SND_SSTHRESH, INFINITE_SSTHRESH);
    put(&mut bytes, SND_CWND, 10);
    put(&mut bytes, REORDERING, REORDERING_DEFAULT);
    bytes
}

/// Of a listener for whom `waiting` of `backlog` connections wait.
pub(crate) fn of_listener(waiting: usize, backlog: usize) -> Vec<u8> {
    let mut bytes = unpaced();
    bytes[STATE] = LISTEN;
    put(&mut bytes, UNACKED, u32::try_from(waiting).unwrap_or(u32::MAX));
    put(&mut bytes, SACKED, u32::try_from(backlog).unwrap_or(u32::MAX));
    put(&mut bytes, SND_CWND, 10);
    put(&mut bytes, REORDERING, REORDERING_DEFAULT);
    bytes
}

/// Of nobody whose rate is bounded.
fn unpaced() -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    for at in [PACING_RATE, MAX_PACING_RATE] {
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_ne_bytes());
    }
    bytes
}

/// Of a connection whose packets have an IP header of `ip_header` bytes.
pub(crate) fn of_connection(info: &Info, times: &Times, ip_header: u32, now: Instant) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    bytes[STATE] = state(info.state);
    bytes[CA_STATE] = match info.phase {
        Phase::Open => CA_OPEN,
        Phase::Disorder => CA_DISORDER,
        Phase::Reduction => CA_CWR,
        Phase::Recovery => CA_RECOVERY,
        Phase::Loss => CA_LOSS,
    };
    bytes[RETRANSMITS] = info.retransmits;
    bytes[PROBES] = info.probes;
    bytes[BACKOFF] = info.backoff;
    let agreed = [
        (info.timestamps, 1),
        (info.sack, 2),
        (info.window_scaling, 4),
        (info.ecn, 8),
        (info.ecn_seen, 16),
        (info.syn_data, 32),
        (info.opened_early, 128),
    ];
    bytes[OPTIONS] = agreed.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum();
    let failure = match info.fast_open_failure {
        Failure::None => 0,
        Failure::NoCookie => 1,
        Failure::NotAcknowledged => 2,
        Failure::SynSentAgain => 3,
    };
    bytes[FLAGS] = failure << 1 | if info.delivery_rate_app_limited { APP_LIMITED } else { 0 };
    if info.window_scaling {
        bytes[WSCALE] = info.snd_wscale.shift() | info.rcv_wscale.shift() << 4;
    }
    for (at, value) in [
        (RTO, micros(info.rto)),
        (SND_MSS, info.snd_mss),
        (RCV_MSS, info.rcv_mss),
        (UNACKED, info.unacked),
        (SACKED, info.sacked),
        (LOST, info.lost),
        (RETRANS, info.resending),
        (PMTU, info.path + TCP_HEADER_LEN + ip_header),
        (ATO, micros(info.ato)),
        (LAST_DATA_SENT, millis_since(now, info.last_data_sent)),
        (LAST_DATA_RECV, millis_since(now, info.last_data_recv)),
        (LAST_ACK_RECV, millis_since(now, info.last_ack_recv)),
        (RCV_RTT, info.rcv_rtt.map_or(0, micros)),
        (RCV_SPACE, info.rcv_space),
        (DELIVERED_CE, info.delivered_marked),
        (RECEIVED_CE, info.marks.segments),
        (RECEIVED_E1_BYTES, info.marks.capable_too_bytes),
        (RECEIVED_E0_BYTES, info.marks.capable_bytes),
        (RECEIVED_CE_BYTES, info.marks.bytes),
        (REHASH, info.timeouts.rehashes),
        (TOTAL_RTO_TIME, u32::try_from(info.timeouts.time(now).as_millis()).unwrap_or(u32::MAX)),
        (SEGS_OUT, info.segs_out),
        (SEGS_IN, info.segs_in),
        (DATA_SEGS_IN, info.data_segs_in),
        (DATA_SEGS_OUT, info.data_segs_out),
        (RCV_OOOPACK, info.rcv_ooopack),
        (RCV_SSTHRESH, info.rcv_ssthresh),
        (RTT, info.rtt.map_or(0, micros)),
        (RTTVAR, micros(info.rttvar)),
        (SND_SSTHRESH, info.snd_ssthresh),
        (SND_CWND, info.snd_cwnd),
        (ADVMSS, info.advmss),
        (REORDERING, info.reordering),
        (TOTAL_RETRANS, info.total_resent),
        (DELIVERED, info.delivered),
        (DSACK_DUPS, info.duplicates),
        (REORD_SEEN, info.reorder_seen),
        (NOTSENT_BYTES, info.notsent),
        (MIN_RTT, info.min_rtt.map_or(u32::MAX, micros)),
        (SND_WND, info.snd_wnd),
        (RCV_WND, info.rcv_wnd),
    ] {
        put(&mut bytes, at, value);
    }
    for (at, value) in [(TOTAL_RTO, info.timeouts.total()), (TOTAL_RTO_RECOVERIES, info.timeouts.recoveries)]
    {
        bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    for (at, value) in [
        (PACING_RATE, info.pacing_rate),
        (MAX_PACING_RATE, info.max_pacing_rate),
        (BYTES_ACKED, info.bytes_acked),
        (BYTES_RECEIVED, info.bytes_received),
        (DELIVERY_RATE, info.delivery_rate),
        (BUSY_TIME, long_micros(times.busy)),
        (RWND_LIMITED, long_micros(times.peer)),
        (SNDBUF_LIMITED, long_micros(times.buffer)),
        (BYTES_SENT, info.bytes_sent),
        (BYTES_RETRANS, info.bytes_retrans),
    ] {
        bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// The state by its number in `netinet/tcp.h`.
fn state(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        // Linux's TIME-WAIT is no longer the socket's state.
        State::TimeWait | State::Closed => CLOSE,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

fn millis_since(now: Instant, then: Instant) -> u32 {
    u32::try_from(now.saturating_since(then).as_millis()).unwrap_or(u32::MAX)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn long_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
/// Linux's `enum tcp_ca_state`.
const CA_OPEN: u8 = 0;
const CA_DISORDER: u8 = 1;
const CA_CWR: u8 = 2;
const CA_RECOVERY: u8 = 3;
const CA_LOSS: u8 = 4;
/// `TCP_INFINITE_SSTHRESH`, in segments.
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;
/// The first retransmission time-out, in microseconds.
const INITIAL_RTO: u32 = 1_000_000;
/// `net.ipv4.tcp_reordering`, in segments.
const REORDERING_DEFAULT: u32 = 3;
const TCP_HEADER_LEN: u32 = 20;

// Where the fields are, in bytes; each is named as in Linux.
const STATE: usize = 0;
const CA_STATE: usize = 1;
const RETRANSMITS: usize = 2;
const PROBES: usize = 3;
const BACKOFF: usize = 4;
const OPTIONS: usize = 5;
const WSCALE: usize = 6;
/// The rate is the application's (one bit), and why a fast open failed (two).
const FLAGS: usize = 7;
const APP_LIMITED: u8 = 1;
const RTO: usize = 8;
const ATO: usize = 12;
const SND_MSS: usize = 16;
const RCV_MSS: usize = 20;
const UNACKED: usize = 24;
const SACKED: usize = 28;
const LOST: usize = 32;
const RETRANS: usize = 36;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECV: usize = 52;
const LAST_ACK_RECV: usize = 56;
const PMTU: usize = 60;
const RCV_SSTHRESH: usize = 64;
const RTT: usize = 68;
const RTTVAR: usize = 72;
const SND_SSTHRESH: usize = 76;
const SND_CWND: usize = 80;
const ADVMSS: usize = 84;
const REORDERING: usize = 88;
const TOTAL_RETRANS: usize = 100;
const PACING_RATE: usize = 104;
const MAX_PACING_RATE: usize = 112;
const RCV_RTT: usize = 92;
const RCV_SPACE: usize = 96;
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
const SEGS_OUT: usize = 136;
const SEGS_IN: usize = 140;
const NOTSENT_BYTES: usize = 144;
const DATA_SEGS_IN: usize = 152;
const DATA_SEGS_OUT: usize = 156;
const RCV_OOOPACK: usize = 224;
const MIN_RTT: usize = 148;
const DELIVERY_RATE: usize = 160;
const BUSY_TIME: usize = 168;
const RWND_LIMITED: usize = 176;
const SNDBUF_LIMITED: usize = 184;
const DELIVERED: usize = 192;
const DELIVERED_CE: usize = 196;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;
const DSACK_DUPS: usize = 216;
const REORD_SEEN: usize = 220;
const SND_WND: usize = 228;
const RCV_WND: usize = 232;
const REHASH: usize = 236;
const TOTAL_RTO: usize = 240;
const TOTAL_RTO_RECOVERIES: usize = 242;
const TOTAL_RTO_TIME: usize = 244;
const RECEIVED_CE: usize = 248;
const RECEIVED_E1_BYTES: usize = 264;
const RECEIVED_E0_BYTES: usize = 268;
const RECEIVED_CE_BYTES: usize = 272;
