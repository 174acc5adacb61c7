use super::fixture::*;
use crate::buf::Rope;
use crate::counters::Counter;
use crate::error::SocketError;
use crate::tcp::connection::{ReadError, WriteError};
use crate::tcp::segment::{Control, Segment, UnscaledWindow};
use crate::tcp::{Connection, Options, State};
use crate::wire::tcp_options::TcpOptions;

//= RFC 9293 MUST-14, type=test
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
    let mut lone = Lone::connecting(plain());
    let mut waits = Vec::new();
    while lone.connection.state() == State::SynSent {
        if let Some(syn) = lone.poll() {
            assert_eq!((syn.control, syn.seq), (Some(Control::Syn), seq(ISS)));
        }
        waits.push(lone.pass_to_deadline().as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
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
