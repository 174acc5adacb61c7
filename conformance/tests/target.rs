//! The stack as the target of calls that go on beside what follows.

use core::time::Duration;

use tapsock_conformance::run::{Call, Network, Outcome, StackTarget, Target};
use tapsock_sockets::SockAddr;
use tapsock_sockets::constants::{AF_INET, SOCK_DGRAM, SOCK_STREAM};
use tapsock_stack::config::Config;

fn target() -> StackTarget {
    let network = Network {
        local: Some("192.168.0.1/16".parse().unwrap()),
        peers: "192.0.2.1/32".parse().unwrap(),
        mtu: 1500,
        segments: true,
    };
    StackTarget::new(&network, Config::default()).unwrap()
}

/// A call that returns at once.
fn called(target: &mut StackTarget, call: Call) -> Outcome {
    target.call(call, Duration::ZERO).unwrap()
}

fn socket(target: &mut StackTarget, kind: i32) -> i32 {
    called(target, Call::Socket { domain: AF_INET, kind, protocol: 0 }).value as i32
}

fn bytes(address: &str) -> Vec<u8> {
    SockAddr::V4(address.parse().unwrap()).as_bytes().to_vec()
}

#[test]
fn a_call_that_waits_has_sent_what_it_sends() {
    let mut target = target();
    let fd = socket(&mut target, SOCK_STREAM);
    let ticket = target.begin(Call::Connect { fd, address: bytes("192.0.2.1:8080") });
    // Without that any time passes.
    assert_eq!((target.sent().len(), target.take_end(ticket)), (1, None));
}

#[test]
fn several_calls_wait_and_end_by_themselves() {
    let mut target = target();
    let fds = [(); 2].map(|()| socket(&mut target, SOCK_DGRAM));
    let wait = |fd, millis| {
        let timeout = Some(Duration::from_millis(millis));
        Call::Poll { fds: vec![(fd, 1)], timeout }
    };
    let (late, soon) = (target.begin(wait(fds[0], 30)), target.begin(wait(fds[1], 10)));
    let now = target.now();
    assert!(target.advance(now + Duration::from_millis(20)));
    assert!(target.take_end(late).is_none());
    let (at, outcome) = target.take_end(soon).unwrap();
    assert_eq!((at - now, outcome.value), (Duration::from_millis(10), 0));
    // What is given up ends with what there is.
    target.give_up(late);
    assert_eq!(target.take_end(late).unwrap().1.value, 0);
    assert!(!target.has_ended());
}

#[test]
fn a_number_that_was_abandoned_is_free() {
    let mut target = target();
    let fd = socket(&mut target, SOCK_DGRAM);
    assert!(target.has(fd));
    let bind = |fd| Call::Bind { fd, address: bytes("192.168.0.1:5353") };
    assert_eq!(called(&mut target, bind(fd)), Outcome::returned(0));
    target.abandon(fd);
    assert!(!target.has(fd));
    let again = socket(&mut target, SOCK_DGRAM);
    assert_eq!((again, called(&mut target, bind(again))), (fd, Outcome::returned(0)));
}

#[test]
fn a_call_that_waits_for_too_long_is_given_up() {
    let mut target = target();
    let fd = socket(&mut target, SOCK_DGRAM);
    let poll = Call::Poll { fds: vec![(fd, 1)], timeout: Some(Duration::from_millis(30)) };
    let began = target.now();
    assert_eq!(target.call(poll.clone(), Duration::from_millis(20)), None);
    assert_eq!((target.now() - began, target.has_ended()), (Duration::from_millis(20), false));
    assert_eq!(target.call(poll, Duration::from_millis(40)).unwrap().value, 0);
}
