use super::*;
use NudState::{Delay, Failed, Incomplete, Permanent, Probe, Reachable, Stale};

const KNOWN: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const REACHABLE: Duration = Duration::from_secs(20);

fn timing() -> Timing {
    Timing { config: NeighborConfig::default(), reachable: REACHABLE }
}

fn secs(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// A neighbour that came into `state` at 100 s.
fn at_100(state: NudState) -> Nud {
    let mut nud = match state {
        Permanent => Nud::permanent(KNOWN),
        Incomplete | Failed => Nud::unresolved(secs(0)),
        _ => Nud::stale(KNOWN),
    };
    match state {
        Incomplete => drop(nud.on_wait(secs(100), &timing())),
        Reachable => nud.on_confirmation(secs(100), &timing()),
        Delay => drop(nud.on_send(secs(100), &timing())),
        Probe => {
            nud.on_send(secs(95), &timing());
            assert_eq!(nud.on_timeout(secs(100), &timing()), Expiry::Solicit(Some(KNOWN)));
        }
        Failed => {
            nud.on_wait(secs(97), &timing());
            for second in 98..=100 {
                nud.on_timeout(secs(second), &timing());
            }
        }
        Stale | Permanent => {}
    }
    assert_eq!(nud.state(secs(100)), state);
    nud
}

#[derive(Copy, Clone, Debug)]
enum Link {
    Absent,
    Same,
    Other,
}

//= RFC 4861 §7.2.5, type=test
//= RFC 4861 Appendix C, type=test
//= RFC 4861 §7.2.5 MUST-1, type=test
//= RFC 4861 §7.2.5 MUST-2, type=test
//= RFC 4861 §7.2.5 MUST-3, type=test
//= RFC 4861 §7.2.5 MUST-4, type=test
//= RFC 4861 §7.2.5 MUST-5, type=test
//= RFC 4861 §7.3.1 MUST-1, type=test
#[test]
fn advertisements() {
    use Link::{Absent, Other as Different, Same};
    let unchanged = |state| (state, Some(KNOWN));
    // state, solicited, override, link address; new state, link address, router flag taken
    let mut table = vec![
        (Incomplete, true, false, Same, (Reachable, Some(KNOWN)), true),
        (Incomplete, true, true, Same, (Reachable, Some(KNOWN)), true),
        (Incomplete, false, false, Same, (Stale, Some(KNOWN)), true),
        (Incomplete, false, true, Same, (Stale, Some(KNOWN)), true),
        (Incomplete, true, true, Absent, (Incomplete, None), true),
        (Incomplete, false, false, Absent, (Incomplete, None), true),
        (Failed, true, false, Same, (Reachable, Some(KNOWN)), true),
        (Failed, false, false, Same, (Stale, Some(KNOWN)), true),
        (Failed, true, true, Absent, (Failed, None), true),
        // The one difference between REACHABLE and the others.
        (Reachable, true, false, Different, (Stale, Some(KNOWN)), false),
        (Reachable, false, false, Different, (Stale, Some(KNOWN)), false),
    ];
    for state in [Stale, Delay, Probe] {
        table.push((state, true, false, Different, unchanged(state), false));
        table.push((state, false, false, Different, unchanged(state), false));
    }
    for state in [Reachable, Stale, Delay, Probe] {
        table.push((state, true, false, Same, (Reachable, Some(KNOWN)), true));
        table.push((state, true, true, Same, (Reachable, Some(KNOWN)), true));
        table.push((state, true, true, Different, (Reachable, Some(OTHER)), true));
        table.push((state, true, false, Absent, (Reachable, Some(KNOWN)), true));
        table.push((state, false, false, Same, unchanged(state), true));
        table.push((state, false, true, Same, unchanged(state), true));
        table.push((state, false, true, Different, (Stale, Some(OTHER)), true));
        table.push((state, false, true, Absent, unchanged(state), true));
    }
    for link in [Absent, Same, Different] {
        table.push((Permanent, true, true, link, unchanged(Permanent), false));
    }
    for (state, solicited, overrides, link, expected, router) in table {
        let mut nud = at_100(state);
        let link_address = match link {
            Absent => None,
            Same => Some(KNOWN),
            Different => Some(OTHER),
        };
        let advert = Advert { link_address, solicited, overrides, router: Some(true) };
        nud.on_advert(secs(100), &timing(), &advert);
        let row = format!("{state} solicited {solicited} override {overrides} {link:?}");
        assert_eq!((nud.state(secs(100)), nud.link_address()), expected, "{row}");
        assert_eq!(nud.is_router(), router, "{row}");
    }
}

//= RFC 4861 §7.2.3, type=test
//= RFC 4861 Appendix C, type=test
//= RFC 4861 §6.3.4 MUST-7, type=test
//= RFC 4861 §7.2.3 MUST-2, type=test
//= RFC 4861 §8.3 MUST-2, type=test
#[test]
fn solicitations_from_the_neighbour() {
    let same = [
        (Incomplete, Stale),
        (Failed, Stale),
        (Reachable, Reachable),
        (Stale, Stale),
        (Delay, Delay),
        (Probe, Probe),
        (Permanent, Permanent),
    ];
    for (state, expected) in same {
        let mut nud = at_100(state);
        nud.on_link_address(secs(100), KNOWN);
        assert_eq!((nud.state(secs(100)), nud.link_address()), (expected, Some(KNOWN)), "{state}");
    }
    for state in [Incomplete, Failed, Reachable, Stale, Delay, Probe] {
        let mut nud = at_100(state);
        nud.on_link_address(secs(100), OTHER);
        assert_eq!((nud.state(secs(100)), nud.link_address()), (Stale, Some(OTHER)), "{state}");
        assert_eq!(nud.deadline(), None, "{state}");
    }
    let mut by_hand = at_100(Permanent);
    by_hand.on_link_address(secs(100), OTHER);
    assert_eq!(by_hand.link_address(), Some(KNOWN));
}

//= RFC 4861 §7.3.1, type=test
//= RFC 4861 §7.3.3, type=test
//= RFC 1122 §3.3.1.4 SHLD-2, type=test
#[test]
fn upper_layers_confirm_what_has_a_link_address() {
    let table = [
        (Incomplete, Incomplete),
        (Failed, Failed),
        (Reachable, Reachable),
        (Stale, Reachable),
        (Delay, Reachable),
        (Probe, Reachable),
        (Permanent, Permanent),
    ];
    for (state, expected) in table {
        let mut nud = at_100(state);
        nud.on_confirmation(secs(100), &timing());
        assert_eq!(nud.state(secs(100)), expected, "{state}");
    }
    let mut nud = at_100(Reachable);
    nud.on_confirmation(secs(110), &timing());
    assert_eq!(nud.state(secs(129)), Reachable);
    assert_eq!(nud.state(secs(130)), Stale);
}

//= RFC 4861 §7.3.3, type=test
#[test]
fn sending() {
    let sent = |state, at| {
        let mut nud = at_100(state);
        (nud.on_send(secs(at), &timing()), nud.state(secs(at)), nud.deadline())
    };
    assert_eq!(sent(Reachable, 119), (Some(KNOWN), Reachable, None));
    // The reachable time is over: a packet finds a stale neighbour.
    assert_eq!(sent(Reachable, 120), (Some(KNOWN), Delay, Some(secs(125))));
    assert_eq!(sent(Stale, 100), (Some(KNOWN), Delay, Some(secs(105))));
    // More packets do not put the probe off.
    assert_eq!(sent(Delay, 104), (Some(KNOWN), Delay, Some(secs(105))));
    assert_eq!(sent(Probe, 100), (Some(KNOWN), Probe, Some(secs(101))));
    assert_eq!(sent(Permanent, 100), (Some(KNOWN), Permanent, None));
    assert_eq!(sent(Incomplete, 100), (None, Incomplete, Some(secs(101))));
    assert_eq!(sent(Failed, 100), (None, Failed, Some(secs(160))));
}

//= RFC 4861 §7.2.2, type=test
//= RFC 4861 §7.2.2 MUST-4, type=test
//= RFC 4861 §7.3.3 MUST-1, type=test
#[test]
fn resolution_gives_up_after_three_solicitations() {
    let mut nud = Nud::unresolved(secs(10));
    assert_eq!(nud.on_wait(secs(10), &timing()), Wait::Solicit);
    assert_eq!(nud.on_wait(secs(10), &timing()), Wait::Queue);
    assert_eq!(nud.on_timeout(Instant::from_millis(10_999), &timing()), Expiry::None);
    assert_eq!(nud.on_timeout(secs(11), &timing()), Expiry::Solicit(None));
    assert_eq!(nud.on_timeout(secs(12), &timing()), Expiry::Solicit(None));
    assert_eq!(nud.on_timeout(secs(13), &timing()), Expiry::Fail);
    assert_eq!(nud.state(secs(13)), Failed);
}

/// As on Linux: who begins to be there is found by the next packet.
#[test]
fn a_failed_neighbour_is_asked_again_by_the_next_packet() {
    let mut nud = Nud::unresolved(secs(0));
    for second in [0, 3, 6, 9, 12] {
        assert_eq!(nud.on_wait(secs(second), &timing()), Wait::Solicit);
        let said = [1, 2, 3].map(|more| nud.on_timeout(secs(second + more), &timing()));
        assert_eq!(said, [Expiry::Solicit(None), Expiry::Solicit(None), Expiry::Fail]);
    }
    // Without traffic the failure is forgotten.
    assert_eq!(nud.on_timeout(secs(74), &timing()), Expiry::None);
    assert_eq!(nud.on_timeout(secs(75), &timing()), Expiry::Forget);
}

//= RFC 4861 §7.3.3, type=test
//= RFC 4861 §7.3.3 MUST-1, type=test
//= RFC 1122 §3.3.1.4 MUST-1, type=test
//= RFC 1122 §3.3.1.4 SHLD-1, type=test
#[test]
fn an_unconfirmed_neighbour_is_probed_and_given_up() {
    let mut nud = at_100(Delay);
    assert_eq!(nud.on_timeout(secs(104), &timing()), Expiry::None);
    assert_eq!(nud.on_timeout(secs(105), &timing()), Expiry::Solicit(Some(KNOWN)));
    assert_eq!(nud.state(secs(105)), Probe);
    assert_eq!(nud.on_timeout(secs(106), &timing()), Expiry::Solicit(Some(KNOWN)));
    assert_eq!(nud.on_timeout(secs(107), &timing()), Expiry::Solicit(Some(KNOWN)));
    assert_eq!(nud.on_timeout(secs(108), &timing()), Expiry::Fail);
    // It may have another link address by now: all stations are asked at once.
    assert_eq!(nud.on_wait(secs(108), &timing()), Wait::Solicit);
}

/// So many questions to itself, so many to all, and no more.
//= RFC 7048 §3, type=test
#[test]
fn who_does_not_answer_probes_may_be_asked_for_among_all() {
    for (to_itself, to_all) in [(1, 2), (0, 0), (0, 1), (3, 0), (255, 1)] {
        let counts = NeighborConfig {
            max_unicast_solicit: to_itself,
            max_multicast_reprobe: to_all,
            ..NeighborConfig::default()
        };
        let timing = Timing { config: counts, reachable: REACHABLE };
        let mut nud = at_100(Delay);
        let mut asked = Vec::new();
        for second in 105.. {
            match nud.on_timeout(secs(second), &timing) {
                Expiry::Solicit(to) => asked.push(to),
                end => {
                    assert_eq!(end, Expiry::Fail);
                    break;
                }
            }
            // Meanwhile packets go where they went.
            assert_eq!(nud.on_send(secs(second), &timing), Some(KNOWN));
        }
        let all = usize::from(to_itself) + usize::from(to_all);
        let expected = [vec![Some(KNOWN); to_itself.into()], vec![None; to_all.into()]].concat();
        assert_eq!(asked, &expected[..all.min(255)], "{to_itself} and {to_all}");
        assert_eq!(nud.on_wait(secs(900), &timing), Wait::Solicit);
    }
}

#[test]
fn an_answer_to_a_probe_stops_it() {
    let mut nud = at_100(Probe);
    let answer = Advert { link_address: None, solicited: true, overrides: false, router: Some(false) };
    nud.on_advert(secs(101), &timing(), &answer);
    assert_eq!((nud.state(secs(101)), nud.deadline()), (Reachable, None));
    assert_eq!(nud.on_timeout(secs(102), &timing()), Expiry::None);
}

//= RFC 4861 Appendix D, type=test
//= RFC 4861 §7.2.3 MUST-3, type=test
//= RFC 4861 §7.2.5 MUST-6, type=test
//= RFC 4861 §7.3.3 MUST-2, type=test
//= RFC 4861 Appendix D MUST-1, type=test
#[test]
fn only_advertisements_speak_of_routers() {
    let mut nud = at_100(Stale);
    let advert = |router| Advert { link_address: Some(KNOWN), solicited: false, overrides: true, router };
    nud.on_advert(secs(100), &timing(), &advert(Some(true)));
    nud.on_link_address(secs(100), OTHER);
    nud.on_advert(secs(100), &timing(), &advert(None));
    assert!(nud.is_router());
    nud.on_advert(secs(100), &timing(), &advert(Some(false)));
    assert!(!nud.is_router());
}
