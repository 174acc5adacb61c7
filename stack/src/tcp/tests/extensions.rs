//! Requirements of RFC 2018, 5961, 6298 and 7323 that no other test asserts by itself.

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{CongestionKind, Options, State};
use crate::wire::tcp_options::TcpOptions;

/// The peer's SYN-ACK, with what it offers.
fn syn_ack(options: TcpOptions) -> Segment {
    Segment {
        ack: Some(seq(ISS + 1)),
        control: Some(Control::Syn),
        window: UnscaledWindow(60_000),
        options: TcpOptions { mss: Some(MSS as u16), ..options },
        ..Segment::new(seq(IRS))
    }
}

/// Established, where the peer has offered `theirs`.
fn agreed(ours: Options, theirs: TcpOptions) -> Lone {
    let mut lone = Lone::connecting(ours);
    lone.poll().expect("a SYN");
    lone.pass(ms(20));
    lone.give(syn_ack(theirs));
    lone.poll().expect("an ACK");
    assert_eq!(lone.connection.state(), State::Established);
    lone
}

fn stamping() -> Options {
    Options { timestamps: true, ..plain() }
}

/// Both stamp; the peer's clock stands at 700.
fn stamped() -> Lone {
    agreed(stamping(), Lone::stamped(700, 100_000))
}

fn data_at(offset: u32, options: TcpOptions) -> Segment {
    Segment {
        ack: Some(seq(ISS + 1)),
        window: UnscaledWindow(60_000),
        options,
        payload: Rope::from(&b"0123456789"[..]),
        ..Segment::new(seq(IRS + 1 + offset))
    }
}

/// The next segment, as soon as it is due.
fn answer(lone: &mut Lone) -> Segment {
    lone.poll().unwrap_or_else(|| {
        lone.pass_to_deadline();
        lone.poll().expect("an answer")
    })
}

/// The peer's timestamp that we hold to be the latest.
fn recent(lone: &Lone) -> Option<u32> {
    lone.connection.negotiated.timestamps.map(|state| state.recent)
}

//= RFC 7323 §2.2 MUST-1, type=test
//= RFC 7323 §2.3 MUST-2, type=test
//= RFC 7323 §2.3 MUST-3, type=test
//= RFC 7323 §2.3 MUST-4, type=test
//= RFC 7323 §2.3 MUST-5, type=test
//= RFC 7323 §2.3 MUST-6, type=test
//= RFC 7323 §2.3 MUST-8, type=test
#[test]
fn windows_are_scaled_where_both_say_so_each_by_the_shift_of_its_owner() {
    for (willing, shift, theirs, ours) in
        [(true, Some(3), 3, 7), (true, Some(15), 14, 7), (true, None, 0, 0), (false, Some(3), 0, 0)]
    {
        let options = Options { window_scaling: willing, ..plain() };
        let mut lone = agreed(options, TcpOptions { window_scale: shift, ..TcpOptions::default() });
        lone.ack(0, 50);
        assert_eq!(lone.connection.info().snd_wnd, 50 << theirs, "{shift:?}");
        lone.data(0, &[0; 1000], None);
        let told = u32::from(answer(&mut lone).window.0) << ours;
        assert_eq!(told, lone.connection.info().rcv_wnd, "{shift:?}");
    }
}

//= RFC 7323 §2.2 MUST-2, type=test
#[test]
fn a_scale_outside_of_a_syn_changes_nothing() {
    let offer = TcpOptions { window_scale: Some(3), ..TcpOptions::default() };
    let mut lone = agreed(Options { window_scaling: true, ..plain() }, offer);
    let late = TcpOptions { window_scale: Some(9), ..TcpOptions::default() };
    lone.give(Segment { window: UnscaledWindow(50), ..data_at(0, late) });
    assert_eq!((lone.read().expect("data").len(), lone.connection.info().snd_wnd), (10, 50 << 3));
}

//= RFC 7323 §3.2 MUST-3, type=test
#[test]
fn the_echo_of_a_segment_that_acknowledges_nothing_is_not_looked_at() {
    let mut lone = Lone::connecting(stamping());
    lone.poll();
    lone.give(Segment { ack: None, ..syn_ack(Lone::stamped(700, 0xdead_beef)) });
    assert_eq!((lone.connection.state(), recent(&lone)), (State::SynReceived, Some(700)));
    assert_eq!(answer(&mut lone).options.timestamps.map(|stamp| stamp.echo), Some(700));
}

//= RFC 7323 §3.2 MUST-4, type=test
//= RFC 7323 §3.2 MUST-1, type=test
#[test]
fn everything_is_stamped() {
    let mut lone = stamped();
    lone.give(data_at(0, Lone::stamped(700, 100_000)));
    let mut seen = vec![answer(&mut lone)];
    lone.read().expect("data");
    lone.write(10);
    lone.connection.close(lone.now, &mut lone.counters);
    while seen.len() < 6 {
        seen.push(answer(&mut lone));
    }
    assert!(seen.iter().any(|segment| segment.control == Some(Control::Fin)));
    for segment in seen {
        assert_eq!(segment.options.timestamps.map(|stamp| stamp.echo), Some(700), "{segment:?}");
    }
}

//= RFC 7323 §3.2 MUST-5, type=test
#[test]
fn a_segment_without_the_timestamp_that_was_agreed_on_ends_nothing() {
    let mut lone = stamped();
    lone.give(data_at(0, TcpOptions::default()));
    assert_eq!(lone.connection.state(), State::Established);
    assert_eq!(recent(&lone), Some(700));
    // As Linux: it is taken.
    assert_eq!(lone.read().expect("data").len(), 10);
}

//= RFC 7323 §3.2 MUST-6, type=test
#[test]
fn timestamps_that_were_not_agreed_on_are_not_looked_at() {
    let mut lone = agreed(stamping(), TcpOptions::default());
    for (offset, value) in [(0, 700), (10, 5)] {
        lone.give(data_at(offset, Lone::stamped(value, 1)));
        assert_eq!(lone.read().expect("data").len(), 10);
        assert_eq!(answer(&mut lone).options.timestamps, None);
    }
}

//= RFC 7323 §4.1 MUST-1, type=test
//= RFC 7323 §5.4 MUST-1, type=test
//= RFC 7323 §5.4 MUST-2, type=test
#[test]
fn the_clock_of_timestamps_ticks_once_a_millisecond() {
    let mut lone = stamped();
    let mut read = |millis| {
        lone.pass(ms(millis));
        lone.give(data_at(0, Lone::stamped(700, 0)));
        answer(&mut lone).options.timestamps.expect("a timestamp").value
    };
    let first = read(0);
    assert_eq!([read(1), read(999), read(3_600_000)].map(|value| value - first), [1, 1000, 3_601_000]);
}

//= RFC 7323 §4.3 MUST-1, type=test
//= RFC 7323 §3.2 MUST-2, type=test
#[test]
fn what_fills_a_gap_is_echoed_and_what_came_early_is_not() {
    let mut lone = stamped();
    lone.give(data_at(10, Lone::stamped(720, 100_000)));
    assert_eq!(answer(&mut lone).options.timestamps.map(|stamp| stamp.echo), Some(700));
    lone.give(data_at(0, Lone::stamped(730, 100_000)));
    let filled = answer(&mut lone);
    assert_eq!(filled.ack, Some(seq(IRS + 1 + 20)));
    assert_eq!(filled.options.timestamps.map(|stamp| stamp.echo), Some(730));
}

//= RFC 7323 §5.3 MUST-3, type=test
#[test]
fn what_waits_for_a_gap_is_not_judged_by_its_timestamp_again() {
    let mut lone = stamped();
    lone.give(data_at(10, Lone::stamped(720, 100_000)));
    lone.give(data_at(0, Lone::stamped(9_730, 100_000)));
    assert_eq!(lone.read().expect("data").len(), 20);
    assert_eq!(lone.count(Counter::TcpExtPAWSEstab), 0);
}

//= RFC 7323 §5.2 MUST-2, type=test
//= RFC 7323 §5.2 MUST-3, type=test
#[test]
fn the_timestamp_of_a_reset_is_neither_judged_nor_kept() {
    let reset = |offset, value| Segment {
        control: Some(Control::Rst),
        payload: Rope::new(),
        ..data_at(offset, Lone::stamped(value, 100_000))
    };
    let mut lone = stamped();
    lone.give(reset(100, 9_000));
    assert_eq!((lone.connection.state(), recent(&lone)), (State::Established, Some(700)));
    lone.give(reset(0, 3));
    assert_eq!(lone.connection.state(), State::Closed);
    assert_eq!(lone.count(Counter::TcpExtPAWSEstab), 0);
}

//= RFC 7323 §5.3 MUST-1, type=test
//= RFC 7323 §5.3 MUST-2, type=test
#[test]
fn the_timestamp_is_judged_before_the_number() {
    let mut lone = stamped();
    lone.give(data_at(500_000, Lone::stamped(5, 100_000)));
    assert_eq!((lone.count(Counter::TcpExtPAWSEstab), lone.count(Counter::TcpExtTCPOutOfWindow)), (1, 0));
    assert_eq!(answer(&mut lone).ack, Some(seq(IRS + 1)));
}

//= RFC 2018 §2 MUST-1, type=test
//= RFC 2018 §4 MUST-1, type=test
#[test]
fn sack_is_spoken_where_both_syns_permit_it_and_permitted_in_syns_alone() {
    for (permitted, blocks) in [(true, 1), (false, 0)] {
        let offer = TcpOptions { sack_permitted: permitted, ..TcpOptions::default() };
        let mut lone = agreed(sacking(), offer);
        lone.data(10, b"0123456789", None);
        let early = answer(&mut lone);
        assert_eq!((early.ack, early.options.sack.len()), (Some(seq(IRS + 1)), blocks));
        lone.write(10);
        let data = lone.poll().expect("data");
        assert!(!early.options.sack_permitted && !data.options.sack_permitted);
    }
}

//= RFC 5961 §4.2 MUST-1, type=test
//= RFC 5961 §4.2 MUST-2, type=test
//= RFC 5961 §4.2 MUST-3, type=test
#[test]
fn a_syn_of_any_number_is_challenged_and_the_reset_that_follows_is_believed() {
    for offset in [-70_000, -1, 0, 500, 70_000] {
        let mut lone = Lone::established(plain(), 60_000, ms(10));
        let number = seq((IRS + 1).wrapping_add_signed(offset));
        lone.give(Segment { control: Some(Control::Syn), ..Segment::new(number) });
        assert_eq!(lone.connection.state(), State::Established, "{offset}");
        let challenge = lone.poll().expect("a challenge");
        assert_eq!((challenge.seq, challenge.ack), (seq(ISS + 1), Some(seq(IRS + 1))), "{offset}");
        // Who knows nothing of the connection answers so.
        lone.give(Segment { control: Some(Control::Rst), ..Segment::new(seq(IRS + 1)) });
        assert_eq!(lone.connection.state(), State::Closed, "{offset}");
    }
}

//= RFC 6298 §3 MUST-3, type=test
#[test]
fn each_round_trip_is_measured() {
    let mut lone = Lone::established(plain(), 60_000, ms(20));
    for round in 1..20 {
        lone.write(1000);
        assert_eq!(lone.sent().len(), 1);
        lone.pass(ms(20 + round));
        let before = lone.connection.info().rtt;
        lone.ack(1000 * round as u32, 60_000);
        assert!(lone.connection.info().rtt > before, "{round}: each is longer than those before");
    }
}

//= RFC 6298 §4 MUST-1, type=test
#[test]
fn a_steady_round_trip_leaves_room_for_the_clock() {
    let mut lone = Lone::established(plain(), 60_000, ms(20));
    for round in 1..100 {
        lone.write(1000);
        lone.sent();
        lone.pass(ms(20));
        lone.ack(1000 * round, 60_000);
    }
    let info = lone.connection.info();
    assert!(info.rto >= info.rtt.expect("it is measured") + ms(1), "{:?}", info.rto);
}

//= RFC 6298 §5 MUST-1, type=test
#[test]
fn nothing_is_sent_again_before_its_time() {
    let mut lone = Lone::established(plain(), 60_000, ms(20));
    lone.write(1000);
    lone.sent();
    lone.pass(ms(15));
    lone.write(1000);
    assert_eq!(lone.sent(), [(1000, 1000)]);
    let sent = lone.now;
    lone.pass(ms(5));
    lone.ack(1000, 60_000);
    let rto = lone.connection.info().rto;
    while lone.count(Counter::TcpExtTCPTimeouts) == 0 {
        lone.pass_to_deadline();
    }
    assert_eq!(lone.sent(), [(1000, 1000)]);
    assert!(lone.now.saturating_since(sent) >= rto, "its timer began with the last acknowledgement");
}

//= RFC 6298 §5.7 MUST-1, type=test
//= RFC 5681 §3.1 MUST-7, type=test
///
/// As Linux: one that was lost once may be lost by chance, and changes nothing of the window.
#[test]
fn after_lost_syns_one_segment_goes_first_and_waits_for_three_seconds() {
    for (congestion, lost) in
        [(CongestionKind::Reno, 1), (CongestionKind::Reno, 2), (CongestionKind::Cubic, 2)]
    {
        let mut lone = Lone::connecting(Options { congestion, syn_linear_timeouts: 0, ..plain() });
        lone.poll();
        for time in 0..lost {
            assert_eq!(lone.pass_to_deadline(), ms(1000 << time));
            assert_eq!(lone.poll().expect("again").control, Some(Control::Syn));
        }
        lone.pass(ms(20));
        lone.give(syn_ack(TcpOptions::default()));
        lone.write(5000);
        let segments = lone.sent().iter().filter(|(_, len)| *len > 0).count();
        assert_eq!(segments, if lost == 1 { 5 } else { 1 });
        assert_eq!(lone.connection.info().rto, ms(3000));
    }
}
