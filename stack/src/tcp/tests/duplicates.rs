//! What came twice is reported (RFC 2883).

use super::fixture::*;
use crate::counters::Counter;
use crate::tcp::Options;

/// The blocks of the next acknowledgement, as offsets from the peer's first byte.
fn reported(lone: &mut Lone) -> Vec<(u32, u32)> {
    let segment = lone.poll().expect("an acknowledgement");
    segment.options.sack.iter().map(|(left, right)| (left - IRS - 1, right - IRS - 1)).collect()
}

fn receiving() -> Lone {
    let mut lone = Lone::established(sacking(), 60_000, ms(20));
    lone.data(0, &pattern(0, 1000), None);
    assert_eq!(reported(&mut lone), []);
    lone
}

//= RFC 2883 §4, type=test
//= RFC 2883 §3 MUST-1, type=test
//= RFC 2883 §4 RULE-1, type=test
//= RFC 2883 §4 RULE-2, type=test
//= RFC 2883 §4 RULE-3, type=test
#[test]
fn a_segment_that_came_before_is_reported_once() {
    let mut lone = receiving();
    lone.data(0, &pattern(0, 1000), None);
    assert_eq!(reported(&mut lone), [(0, 1000)]);
    let counters = [Counter::TcpExtTCPDSACKOldSent, Counter::TcpExtDelayedACKLost];
    assert_eq!(counters.map(|counter| lone.count(counter)), [1, 1]);
    lone.data(1000, &pattern(1000, 1000), None);
    assert_eq!(reported(&mut lone), []);
}

//= RFC 2883 §4, type=test
//= RFC 2883 §4 RULE-3, type=test
#[test]
fn the_old_part_of_a_segment_is_reported() {
    let mut lone = receiving();
    lone.data(500, &pattern(500, 1000), None);
    assert_eq!(reported(&mut lone), [(500, 1000)]);
}

//= RFC 2883 §4, type=test
//= RFC 2883 §3 MUST-1, type=test
//= RFC 2883 §4 RULE-4, type=test
#[test]
fn what_waits_out_of_order_is_reported_before_its_block() {
    let mut lone = receiving();
    lone.data(3000, &pattern(3000, 2000), None);
    assert_eq!(reported(&mut lone), [(3000, 5000)]);
    lone.data(4000, &pattern(4000, 500), None);
    assert_eq!(reported(&mut lone), [(4000, 4500), (3000, 5000)]);
    lone.data(4500, &pattern(4500, 1000), None);
    assert_eq!(reported(&mut lone), [(4500, 5000), (3000, 5500)]);
    assert_eq!(lone.count(Counter::TcpExtTCPDSACKOfoSent), 2);
}

#[test]
fn nothing_is_reported_where_that_is_off_or_not_agreed_on() {
    let mut off = sacking();
    off.rare_mut().loss.dsack = false;
    for options in [off, Options { ..plain() }] {
        let mut lone = Lone::established(options, 60_000, ms(20));
        lone.data(0, &pattern(0, 1000), None);
        reported(&mut lone);
        lone.data(0, &pattern(0, 1000), None);
        assert_eq!(reported(&mut lone), []);
    }
}

//= RFC 2883 §4 RULE-5, type=test
#[test]
fn further_blocks_follow_what_came_twice() {
    let mut lone = receiving();
    for offset in [3000, 5000] {
        lone.data(offset, &pattern(offset, 1000), None);
        reported(&mut lone);
    }
    lone.data(0, &pattern(0, 1000), None);
    assert_eq!(reported(&mut lone), [(0, 1000), (5000, 6000), (3000, 4000)]);
}

/// Examples 5 and 6 of the RFC: two parts of a segment came before, and what lies between them did not.
//= RFC 2883 §4.2 RULE-1, type=test
#[test]
fn of_two_parts_that_came_twice_the_first_is_reported() {
    let mut lone = receiving();
    lone.data(2000, &pattern(2000, 500), None);
    assert_eq!(reported(&mut lone), [(2000, 2500)]);
    lone.data(500, &pattern(500, 2000), None);
    assert_eq!(reported(&mut lone), [(500, 1000)], "what is acknowledged");
    for offset in [4000, 5000] {
        lone.data(offset, &pattern(offset, 500), None);
        reported(&mut lone);
    }
    lone.data(4000, &pattern(4000, 1500), None);
    assert_eq!(reported(&mut lone), [(4000, 4500), (4000, 5500)], "what waits");
}
