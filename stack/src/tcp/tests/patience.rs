//! How long a peer that does not answer, or takes nothing, is borne with.

use super::fixture::*;
use crate::error::SocketError;
use crate::tcp::{KeepAlive, Options, State};

/// What the owner does where a deadline has come: time stands still until nothing is due.
fn pass_until_nothing_is_due(lone: &mut Lone) -> u128 {
    let waited = lone.pass_to_deadline().as_millis();
    for _ in 0..5 {
        if lone.connection.poll_timeout().is_some_and(|at| at <= lone.now) {
            lone.pass(ms(0));
        }
    }
    waited
}

fn impatient(millis: u64) -> Options {
    let mut options = plain();
    options.rare_mut().user_timeout = Some(ms(millis));
    options
}

#[test]
fn what_is_corked_goes_out_however_impatient_the_user_is() {
    let mut lone = Lone::established(Options { cork: true, ..impatient(100) }, 60_000, ms(10));
    lone.write(10);
    assert_eq!(lone.sent(), []);
    pass_until_nothing_is_due(&mut lone);
    assert_eq!(lone.sent(), [(0, 10)]);
    lone.ack(10, 60_000);
    assert_eq!(lone.connection.state(), State::Established);
}

//= RFC 9293 MUST-21, type=test
#[test]
fn patience_with_silence_begins_with_the_first_retransmission() {
    for (limit, expected) in [(100, &[220, 100][..]), (700, &[220, 440, 260])] {
        let mut lone = Lone::established(impatient(limit), 60_000, ms(20));
        lone.write(10);
        assert_eq!(lone.sent(), [(0, 10)]);
        let mut waits = vec![pass_until_nothing_is_due(&mut lone)];
        assert_eq!(lone.sent(), [(0, 10)], "sent again once at least");
        while lone.connection.state() == State::Established {
            waits.push(pass_until_nothing_is_due(&mut lone));
            lone.sent();
        }
        assert_eq!(waits, expected);
        assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
    }
}

#[test]
fn patience_with_a_closed_window_begins_with_the_first_probe() {
    let mut lone = Lone::established(impatient(100), 0, ms(20));
    lone.write(10);
    assert_eq!(lone.sent(), []);
    assert_eq!(pass_until_nothing_is_due(&mut lone), 220);
    assert!(lone.poll().is_some(), "a probe");
    lone.ack(0, 0);
    assert_eq!(pass_until_nothing_is_due(&mut lone), 100);
    assert_eq!(lone.connection.take_error(), Some(SocketError::TimedOut));
}

#[test]
fn a_peer_silent_to_keepalives_is_told_of_by_what_the_path_said() {
    let keep_alive = KeepAlive { enabled: true, probes: 1, idle_secs: 60, interval_secs: 5 };
    let mut lone = Lone::established(Options { keep_alive, ..plain() }, 60_000, ms(10));
    lone.pass_to_deadline();
    lone.connection.on_unreachable(SocketError::HostUnreachable, &mut lone.counters);
    lone.pass_to_deadline();
    assert_eq!(lone.connection.take_error(), Some(SocketError::HostUnreachable));
}
