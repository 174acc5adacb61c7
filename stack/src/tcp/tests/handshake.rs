use core::time::Duration;

use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::tcp::connection::{ReadError, WriteError};
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{Connection, Options, Shutdown, State};
use crate::wire::tcp_options::TcpOptions;

//= RFC 9293 MUST-14, type=test
//= RFC 7323 §2.2 MUST-3, type=test
//= RFC 7323 §2.3 MUST-1, type=test
//= RFC 7413 §2 MUST-1, type=test
#[test]
fn a_syn_offers_what_the_options_say() {
    let mut lone = Lone::connecting(Options::default());
    let syn = lone.poll().expect("a SYN");
    assert_eq!((syn.control, syn.seq, syn.ack), (Some(Control::Syn), seq(ISS), None));
    assert_eq!((syn.options.mss, syn.options.window_scale), (Some(1000), Some(7)));
    assert!(syn.options.sack_permitted && syn.options.timestamps.is_some());
    assert_eq!(syn.window, UnscaledWindow(65_000), "whole segments, never scaled");
    let syn = Lone::connecting(plain()).poll().expect("a SYN");
    assert_eq!(syn.options, TcpOptions { mss: Some(1000), ..TcpOptions::default() });
}

//= RFC 9293 MUST-10, type=test
#[test]
fn both_sides_may_open_at_once() {
    let mut pair = Pair::simultaneous([Options::default(), Options::default()], ms(10));
    pair.run_until(|pair| pair.ends.iter().all(|end| end.state() == State::Established));
    pair.transfer(0, 10_000);
    pair.transfer(1, 10_000);
}

//= RFC 9293 §3.10.7.3, type=test
//= RFC 9293 MUST-12, type=test
//= RFC 5961 §3.2 MUST-5, type=test
#[test]
fn a_reset_of_our_syn_refuses() {
    let mut lone = Lone::connecting(plain());
    lone.poll();
    let mut reset = Segment { control: Some(Control::Rst), ..Segment::new(seq(0)) };
    lone.give(reset.clone());
    assert_eq!(lone.connection.state(), State::SynSent, "without an acknowledgement it is not believed");
    reset.ack = Some(seq(ISS + 2));
    assert!(!lone.connection.is_refused(&reset), "a reset is never answered");
    lone.give(reset.clone());
    assert_eq!(lone.connection.state(), State::SynSent);
    reset.ack = Some(seq(ISS + 1));
    lone.give(reset);
    assert_eq!(lone.connection.state(), State::Closed);
    assert_eq!(lone.read(), Err(ReadError::Socket(SocketError::ConnectionRefused)));
    assert_eq!(lone.read(), Err(ReadError::NotConnected), "told once");
    assert_eq!(lone.count(Counter::TcpAttemptFails), 1);
}

/// An acknowledgement that fits, or data, is no SYN.
//= RFC 9293 §3.10.7.3, type=test
#[test]
fn what_is_no_syn_opens_nothing() {
    for control in [None, Some(Control::Fin)] {
        let mut lone = Lone::connecting(plain());
        lone.poll();
        lone.give(Segment { ack: Some(seq(ISS + 1)), control, ..Segment::new(seq(IRS)) });
        assert_eq!((lone.connection.state(), lone.count(Counter::TapsockTcpInNoSyn)), (State::SynSent, 1));
        assert!(lone.poll().is_none());
    }
}

//= RFC 9293 §3.10.7.3, type=test
#[test]
fn an_acknowledgement_of_something_else_is_refused_by_a_reset() {
    let mut lone = Lone::connecting(plain());
    lone.poll();
    let odd = Segment { ack: Some(seq(ISS + 7)), ..Segment::new(seq(3)) };
    assert!(lone.connection.is_refused(&odd));
    let reset = Connection::reset_for(&odd).expect("a reset");
    assert_eq!((reset.seq, reset.ack, reset.control), (seq(ISS + 7), None, Some(Control::Rst)));
}

//= RFC 9293 MUST-22, type=test
#[test]
fn syns_are_repeated_with_doubling_waits_and_then_given_up() {
    for (linear, expected) in
        [(0, vec![1, 2, 4, 8, 16, 32, 64]), (4, vec![1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64])]
    {
        let mut lone = Lone::connecting(Options { syn_linear_timeouts: linear, ..plain() });
        let mut waits = Vec::new();
        while lone.connection.state() == State::SynSent {
            if let Some(syn) = lone.poll() {
                assert_eq!((syn.control, syn.seq), (Some(Control::Syn), seq(ISS)));
            }
            waits.push(lone.pass_to_deadline().as_secs());
        }
        assert_eq!(waits, expected);
        assert_eq!(lone.count(Counter::TcpExtTCPSynRetrans), waits.len() as u64 - 1);
        assert_eq!(lone.count(Counter::TcpExtTCPAbortOnTimeout), 1);
        assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
    }
}

#[test]
fn nothing_is_written_before_the_connection_is_open() {
    let mut lone = Lone::connecting(plain());
    assert_eq!(lone.connection.write(Rope::from(&b"x"[..])), Err(WriteError::NotConnected));
    assert_eq!(lone.read(), Err(ReadError::WouldBlock));
}

//= RFC 9293 MUST-15, type=test
#[test]
fn a_peer_that_names_no_segment_size_gets_the_default() {
    let mut lone = Lone::connecting(plain());
    lone.poll();
    lone.give(Segment {
        ack: Some(seq(ISS + 1)),
        control: Some(Control::Syn),
        window: UnscaledWindow(9000),
        ..Segment::new(seq(IRS))
    });
    assert_eq!(lone.connection.mss(), 536);
    assert_eq!(lone.count(Counter::TcpAttemptFails), 0);
}

//= RFC 9293 MUST-56, type=test
#[test]
fn a_hard_error_ends_an_attempt_and_an_open_connection_goes_on() {
    let mut lone = Lone::connecting(plain());
    lone.connection.on_unreachable(SocketError::HostUnreachable, &mut lone.counters);
    assert_eq!(lone.connection.state(), State::Closed);
    let mut lone = Lone::established(plain(), 9000, ms(10));
    lone.connection.on_unreachable(SocketError::HostUnreachable, &mut lone.counters);
    assert_eq!(lone.connection.state(), State::Established);
}

/// A connection whose SYN has crossed the peer's, which offered a window of 5000 bytes and a scale.
fn crossed(options: Options) -> Lone {
    let mut lone = Lone::connecting(options);
    assert_eq!(lone.poll().expect("a SYN").control, Some(Control::Syn));
    lone.give(crossing(None));
    assert_eq!(lone.connection.state(), State::SynReceived);
    let answer = lone.poll().expect("a SYN-ACK");
    assert_eq!((answer.control, answer.ack), (Some(Control::Syn), Some(seq(IRS + 1))));
    lone
}

/// The peer's SYN or SYN-ACK.
fn crossing(ack: Option<u32>) -> Segment {
    Segment {
        ack: ack.map(seq),
        control: Some(Control::Syn),
        window: UnscaledWindow(5000),
        options: TcpOptions { mss: Some(1000), window_scale: Some(7), ..TcpOptions::default() },
        ..Segment::new(seq(IRS))
    }
}

fn acknowledgement() -> Segment {
    Segment { ack: Some(seq(ISS + 1)), window: UnscaledWindow(50), ..Segment::new(seq(IRS + 1)) }
}

//= RFC 7323 §2.2, type=test
//= RFC 7323 §2.2 MUST-3, type=test
//= RFC 7323 §2.3 MUST-5, type=test
#[test]
fn the_window_of_a_syn_is_never_scaled() {
    let scaling = || Options { window_scaling: true, ..plain() };
    let mut both = crossed(scaling());
    both.give(crossing(Some(ISS + 1)));
    let mut with_data = Lone::connecting(scaling());
    with_data.poll();
    with_data.give(Segment { payload: Rope::from(&b"hello"[..]), ..crossing(Some(ISS + 1)) });
    assert!(with_data.read().is_err(), "as Linux: data behind a SYN has to come again");
    assert_eq!(with_data.poll().and_then(|ack| ack.ack), Some(seq(IRS + 1)));
    let mut usual = Lone::connecting(scaling());
    usual.poll();
    usual.give(crossing(Some(ISS + 1)));
    for mut lone in [both, with_data, usual] {
        assert_eq!(lone.connection.state(), State::Established);
        assert_eq!(lone.connection.info().snd_wnd, 5000);
        lone.give(Segment {
            ack: Some(seq(ISS + 1)),
            window: UnscaledWindow(50),
            ..Segment::new(seq(IRS + 6))
        });
        assert_eq!(lone.connection.info().snd_wnd, 50 << 7, "but every later one is");
    }
    let mut plain_ack = crossed(scaling());
    plain_ack.give(acknowledgement());
    assert_eq!(plain_ack.connection.info().snd_wnd, 50 << 7);
}

//= RFC 9293 §3.10.4, type=test
#[test]
fn what_is_shut_down_in_syn_received_ends_with_a_fin_once_the_syn_is_acknowledged() {
    let mut lone = crossed(plain());
    lone.connection.shutdown(Shutdown::Write).expect("the peer has sent SYN");
    assert!(lone.connection.is_unfinished() && lone.connection.is_write_closed());
    assert!(lone.poll().is_none(), "neither a FIN yet nor a reset");
    lone.give(acknowledgement());
    assert_eq!(lone.connection.state(), State::FinWait1);
    let fin = lone.poll().expect("a FIN");
    assert_eq!((fin.control, fin.seq), (Some(Control::Fin), seq(ISS + 1)));
    lone.ack(1, 5000);
    assert_eq!(lone.connection.state(), State::FinWait2);
}

/// As Linux does.
//= RFC 9293 §3.10.4, type=test
#[test]
fn who_closes_in_syn_received_sends_a_fin_at_once() {
    let mut lone = crossed(plain());
    lone.connection.close(lone.now, &mut lone.counters);
    let fin = lone.poll().expect("a FIN");
    assert_eq!((fin.control, fin.seq), (Some(Control::Fin), seq(ISS + 1)));
    lone.ack(1, 5000);
    assert_eq!(lone.connection.state(), State::FinWait2);
}

#[test]
fn a_syn_that_comes_again_in_syn_received_is_challenged_and_costs_no_patience() {
    let mut lone = crossed(Options { synack_retries: 2, ..plain() });
    let (mut challenges, mut syn_acks) = (0, 0);
    let start = lone.now;
    while lone.connection.state() == State::SynReceived {
        lone.pass(ms(100));
        lone.give(crossing(None));
        while let Some(answer) = lone.poll() {
            assert_eq!(answer.ack, Some(seq(IRS + 1)));
            assert_eq!(answer.window, UnscaledWindow(65_000), "the edge stays where it is");
            match answer.control {
                Some(Control::Syn) => syn_acks += 1,
                _ => challenges += 1,
            }
        }
    }
    assert_eq!(lone.now.saturating_since(start).as_secs(), 7, "1 + 2 + 4");
    assert_eq!((syn_acks, challenges), (2, 14), "one challenge in half a second");
    assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
}

#[test]
fn a_syn_ack_must_echo_a_timestamp_of_our_syn() {
    for (echo, taken) in [(-1, false), (0, true), (1000, true), (1001, false)] {
        let mut lone = Lone::connecting(Options { timestamps: true, ..plain() });
        let value = lone.poll().and_then(|syn| syn.options.timestamps).expect("a timestamp").value;
        lone.pass_to_deadline();
        assert_eq!(lone.poll().and_then(|syn| syn.options.timestamps).expect("again").value, value + 1000);
        lone.pass(ms(500));
        let options = Lone::stamped(7, value.wrapping_add_signed(echo));
        let answer = Segment { options, ..crossing(Some(ISS + 1)) };
        assert_eq!(lone.connection.is_refused(&answer), !taken, "{echo}");
        lone.give(answer);
        assert_eq!(lone.connection.state() == State::Established, taken, "{echo}");
        assert_eq!(lone.count(Counter::TcpExtPAWSActive), u64::from(!taken));
    }
}

/// What a SYN has announced stays what windows count in, whatever TCP_MAXSEG says later.
#[test]
fn the_announced_segment_size_stays() {
    let bounded = |bound| move |options: &mut Options| options.max_segment = Some(bound);
    let options = Options { max_segment: Some(600), ..plain() };
    let mut lone = Lone::connecting(options.clone());
    assert_eq!(lone.poll().unwrap().options.mss, Some(600));
    lone.connection.set_options(bounded(100), lone.now);
    lone.pass(Duration::from_secs(1));
    assert_eq!(lone.poll().unwrap().options.mss, Some(600), "the SYN again");
    let mut lone = Lone::established(options, 60_000, ms(10));
    lone.connection.set_options(bounded(100), lone.now);
    assert_eq!(lone.connection.info().advmss, 600);
}
