use super::*;

const MSS: u32 = 1000;

fn arrival(segment: u32) -> Arrival {
    Arrival {
        segment,
        options: 0,
        usual_options: 0,
        pushed: false,
        largest: 1460,
        window: 60_000,
        rto: Duration::from_secs(1),
    }
}

fn situation(nxt: u32) -> Situation {
    Situation {
        nxt: SeqNumber::new(nxt),
        edge_advances: true,
        has_gap: false,
        sack: true,
        rtt: Some(Duration::from_millis(10)),
        gap_wait: Duration::from_micros(500),
        compress: (44, Duration::from_millis(1)),
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A segment, which ends a write where it is small.
fn data(policy: &mut AckPolicy, millis: u64, segment: u32, nxt: u32) -> Option<Duration> {
    policy.on_data(at(millis), Arrival { pushed: segment < 500, ..arrival(segment) });
    policy.decide(situation(nxt))
}

/// One that has spent its quick acknowledgements, at 1 s.
fn past_the_start() -> AckPolicy {
    let mut policy = AckPolicy::new();
    policy.start(MSS, 60_000);
    for n in 0..u64::from(QUICK_ACKS) {
        assert_eq!(data(&mut policy, 900 + n, MSS, 0), None, "at once while it is young");
        policy.on_ack_sent(SeqNumber::new(0));
    }
    policy
}

//= RFC 9293 SHLD-19, type=test
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut policy = past_the_start();
    assert_eq!(data(&mut policy, 1000, MSS, 1000), Some(DELAY));
    assert_eq!(policy.owed(), Owed::Delayed);
    assert_eq!(data(&mut policy, 1001, MSS, 2000), None);
    assert_eq!(policy.owed(), Owed::Now);
    policy.on_ack_sent(SeqNumber::new(2000));
    // Where the window can't follow, reading sends it.
    policy.on_data(at(1002), arrival(2 * MSS));
    assert!(policy.decide(Situation { edge_advances: false, ..situation(4000) }).is_some());
    policy.on_read(SeqNumber::new(4000), false);
    assert_eq!(policy.owed(), Owed::Now);
}

#[test]
fn an_application_that_answers_makes_acknowledgements_wait() {
    let mut policy = AckPolicy::new();
    policy.on_data_sent(at(0));
    assert!(!policy.is_interactive(), "nothing came that this could answer");
    assert_eq!(data(&mut policy, 1, 64, 64), None);
    policy.on_data_sent(at(2));
    policy.on_ack_sent(SeqNumber::new(64));
    assert_eq!(data(&mut policy, 30, 64, 128), Some(DELAY));
    policy.on_ack_sent(SeqNumber::new(128));
    policy.quicken(60_000, QUICK_ACKS);
    assert_eq!(data(&mut policy, 40, 64, 192), None);
    // An answer that comes late is none.
    policy.on_ack_sent(SeqNumber::new(192));
    policy.on_data_sent(at(400));
    assert!(!policy.is_interactive());
}

/// Linux's `icsk_ack.ato`: it follows the distance between segments, doubles where nothing else was sent in time, and a
/// round trip bounds it.
//= RFC 9293 MUST-40, type=test
#[test]
fn the_wait_follows_the_traffic() {
    let mut policy = past_the_start();
    assert_eq!(data(&mut policy, 1000, 100, 100), Some(DELAY));
    assert!(policy.on_delay_passed(Duration::from_secs(1)));
    policy.on_ack_sent(SeqNumber::new(100));
    assert_eq!(policy.wait(), DELAY * 2);
    assert_eq!(data(&mut policy, 1050, 100, 200), Some(DELAY), "the round trip is short");
    assert_eq!(policy.wait(), Duration::from_millis(90), "half of it, and the distance");
    policy.on_data(at(1130), Arrival { pushed: true, ..arrival(100) });
    let far = Situation { rtt: Some(Duration::from_millis(300)), ..situation(300) };
    assert_eq!(policy.decide(far), Some(Duration::from_millis(125)));
    policy.set_interactive(true);
    assert!(policy.on_delay_passed(Duration::from_secs(1)));
    assert_eq!((policy.is_interactive(), policy.wait()), (false, DELAY));
    policy.on_ack_sent(SeqNumber::new(300));
    assert_eq!(data(&mut policy, 9000, 100, 400), None, "after a long silence at once");
}

#[test]
fn segments_behind_a_gap_are_reported_one_by_one_and_then_together() {
    let mut policy = past_the_start();
    let gap = Situation { has_gap: true, ..situation(0) };
    let report = |policy: &mut AckPolicy, situation| {
        policy.owe_late();
        let wait = policy.decide(situation);
        let now = policy.owed() == Owed::Now;
        if now {
            policy.on_ack_sent(SeqNumber::new(0));
        }
        (now, wait)
    };
    for _ in 0..3 {
        assert_eq!(report(&mut policy, gap), (true, None));
    }
    let wait = Duration::from_micros(500);
    for _ in 0..44 {
        assert_eq!(report(&mut policy, gap), (false, Some(wait)));
    }
    policy.owe_late();
    assert_eq!(policy.decide(gap), None, "enough of them");
    assert_eq!(policy.on_ack_sent(SeqNumber::new(0)), 44);
    assert_eq!(
        report(&mut policy, Situation { sack: false, ..gap }),
        (true, None),
        "without SACK each counts"
    );
    assert_eq!(report(&mut policy, gap), (false, Some(wait)));
    assert!(!policy.on_delay_passed(Duration::from_secs(1)));
    assert_eq!(policy.on_ack_sent(SeqNumber::new(0)), 0, "one goes out after all");
}

/// A small segment that ends a write is acknowledged when it is read, unless an answer is expected.
#[test]
fn what_ends_a_write_is_acknowledged_when_it_is_read() {
    for (interactive, count, drained, owed) in [
        (false, 1, true, Owed::Now),
        (false, 1, false, Owed::Delayed),
        (true, 1, true, Owed::Delayed),
        (true, 2, true, Owed::Now),
    ] {
        let mut policy = past_the_start();
        policy.set_interactive(interactive);
        for n in 0..count {
            policy.on_data(at(1000), Arrival { pushed: true, ..arrival(10) });
            policy.decide(situation(10 + n * 10));
        }
        policy.on_read(SeqNumber::new(count * 10), drained);
        assert_eq!(policy.owed(), owed, "interactive {interactive}, {count} segments, drained {drained}");
    }
}

#[test]
fn the_peers_segment_size_is_measured() {
    let mut policy = AckPolicy::new();
    policy.start(1460, 60_000);
    assert_eq!(policy.peer_mss(), 536);
    data(&mut policy, 1, 1400, 1400);
    assert_eq!(policy.peer_mss(), 1400);
    data(&mut policy, 2, 9000, 10_400);
    assert_eq!(policy.peer_mss(), 1460, "no more than we said we take");
    for (expected, segment) in [(1460, 700), (700, 700), (700, 600), (700, 300), (700, 300)] {
        policy.on_data(at(3), Arrival { pushed: segment == 300, ..arrival(segment) });
        assert_eq!(policy.peer_mss(), expected, "after {segment} bytes");
    }
}
