use std::collections::VecDeque;

use super::*;
use crate::tcp::recovery::delivery::{Sent, Transmission};
use crate::tcp::recovery::rate::DeliveryRate;

const MSS: u32 = 1000;
const RTT: u64 = 20;

/// A path that delivers `speed` segments a millisecond, with 20 ms there and back, and a sender that always has data.
struct Path {
    bbr: Bbr,
    window: Window,
    rate: DeliveryRate,
    now: u64,
    speed: u32,
    extra_rtt: u64,
    /// Bytes that the pace allows.
    credit: u64,
    queue: VecDeque<Sent>,
    /// What was delivered, and when the sender hears of it.
    acks: VecDeque<(u64, Sent)>,
    delivered: u32,
    lost: u32,
    fresh_losses: u32,
    phase: Phase,
    /// The most segments in flight since this was set to 0.
    most: u32,
}

impl Path {
    fn new(speed: u32) -> Self {
        Path {
            bbr: Bbr::new(),
            window: Window::new(10),
            rate: DeliveryRate::default(),
            now: 0,
            speed,
            extra_rtt: 0,
            credit: 0,
            queue: VecDeque::new(),
            acks: VecDeque::new(),
            delivered: 0,
            lost: 0,
            fresh_losses: 0,
            phase: Phase::Open,
            most: 0,
        }
    }

    fn in_flight(&self) -> u32 {
        (self.queue.len() + self.acks.len()) as u32
    }

    fn send(&mut self) {
        let now = Instant::from_millis(self.now);
        self.credit = (self.credit + self.bbr.rate / 1000).min(64 * u64::from(MSS));
        while self.credit >= u64::from(MSS) && self.in_flight() < self.window.size {
            self.credit -= u64::from(MSS);
            if self.in_flight() == 0 {
                self.rate.begin_flight(now);
            }
            let last = Transmission { at: now, ..Transmission::default() };
            let progress = self.rate.progress(self.delivered);
            self.queue.push_back(Sent { last, resent: false, progress });
        }
        self.most = self.most.max(self.in_flight());
    }

    fn hear(&mut self) {
        let prior_in_flight = self.in_flight();
        let due = self.acks.iter().take_while(|(at, _)| *at <= self.now).count();
        let Some((_, newest)) = due.checked_sub(1).map(|last| self.acks[last]) else { return };
        self.acks.drain(..due);
        let (now, acked) = (Instant::from_millis(self.now), due as u32);
        self.delivered += acked;
        let rtt = now.saturating_since(newest.last.at);
        let rate = self.rate.on_ack(now, (self.delivered, acked), Some(newest), self.bbr.min_rtt);
        let sample = Delivery {
            now,
            delivered: self.delivered,
            acked,
            lost_total: self.lost,
            lost: core::mem::take(&mut self.fresh_losses),
            prior_in_flight,
            in_flight: self.in_flight(),
            phase: self.phase,
            rate,
            rtt: Some(rtt),
            late: false,
            srtt: Some(rtt),
            mss: MSS,
            due: now,
            dice: 3,
        };
        self.bbr.on_delivery(&mut self.window, &sample);
    }

    fn step(&mut self) {
        self.now += 1;
        for _ in 0..self.speed {
            if let Some(sent) = self.queue.pop_front() {
                self.acks.push_back((self.now + RTT + self.extra_rtt, sent));
            }
        }
        self.hear();
        self.send();
    }

    fn run(&mut self, millis: u64) {
        (0..millis).for_each(|_| self.step());
    }

    /// Runs until it is at `mode`, for ten seconds at most.
    fn run_to(&mut self, mode: Mode) {
        for _ in 0..11_000 {
            if self.bbr.mode == mode {
                return;
            }
            self.step();
        }
        panic!("not at {mode:?} but at {:?} after {} ms", self.bbr.mode, self.now);
    }
}

#[test]
fn startup_doubles_until_three_rounds_bring_no_more() {
    let mut path = Path::new(10);
    path.run(30);
    assert_eq!((path.bbr.pacing_gain, path.bbr.window_gain), (739, 739), "2.885");
    path.run_to(Mode::Drain);
    // From 10 segments a round trip to 200: five doublings, and three rounds without growth.
    assert!((100..400).contains(&path.now), "{} ms", path.now);
    let most = path.bbr.most().bytes(MSS);
    assert!((9_500_000..=10_500_000).contains(&most), "{most} bytes a second");
    assert!(path.most > 300, "STARTUP queues: {}", path.most);
}

#[test]
fn drain_empties_the_queue_that_startup_made() {
    let mut path = Path::new(10);
    path.run_to(Mode::Drain);
    path.step();
    assert_eq!(path.bbr.pacing_gain, 88, "1/2.885");
    path.run_to(Mode::ProbeBandwidth);
    let product = 10 * (RTT as u32 + 1);
    assert!(path.in_flight() <= product + 3 * path.bbr.burst + 4, "{} segments in flight", path.in_flight());
    assert_eq!(path.bbr.window_gain, 512);
}

#[test]
fn probing_goes_round_in_eight_phases() {
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    path.run(400);
    let mut gains = vec![path.bbr.pacing_gain];
    for _ in 0..400 {
        path.step();
        if gains.last() != Some(&path.bbr.pacing_gain) {
            gains.push(path.bbr.pacing_gain);
        }
    }
    let around = gains.windows(4).any(|gains| gains == [320, 192, 256, 320]);
    assert!(around, "faster, slower, as fast: {gains:?}");
    let rate = path.bbr.bandwidth().bytes(MSS);
    assert!((9_900_000..=10_200_000).contains(&rate), "{rate}");
    let before = path.delivered;
    path.run(1000);
    assert!(path.delivered - before > 9_700, "{} of 10,000 segments", path.delivered - before);
}

#[test]
fn a_faster_path_is_found_within_a_few_cycles() {
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    path.run(300);
    path.speed = 20;
    path.run(1500);
    let rate = path.bbr.most().bytes(MSS);
    assert!(rate > 19_000_000, "{rate}");
}

#[test]
fn the_round_trip_is_probed_each_ten_seconds() {
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    path.run(100);
    // From now on it is longer, so that the old one is never seen again.
    path.extra_rtt = 5;
    let before = path.window.size;
    path.run_to(Mode::ProbeRtt);
    assert!((9_900..10_500).contains(&path.now), "{} ms", path.now);
    assert_eq!(path.window.size, 4);
    path.run(60);
    let (began, mut most) = (path.now, 0);
    while path.bbr.mode == Mode::ProbeRtt {
        most = most.max(path.in_flight());
        path.step();
    }
    assert!(path.now - began >= 120, "it lasts 200 ms from where four are in flight");
    assert!(most <= 4, "{most} in flight");
    assert!(path.window.size >= before.min(400), "{} and {before}", path.window.size);
    assert!(path.bbr.min_rtt >= Some(Duration::from_millis(RTT + 5)), "{:?}", path.bbr.min_rtt);
}

#[test]
fn a_recovery_sends_one_for_one_and_gives_the_window_back() {
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    path.run(300);
    let before = path.window.size;
    path.window.prior = before;
    assert_eq!(path.bbr.threshold(&path.window), path.window.ssthresh);
    (path.phase, path.lost, path.fresh_losses) = (Phase::Recovery, 5, 5);
    path.step();
    assert!(path.window.size <= path.in_flight() + 10, "{} with {}", path.window.size, path.in_flight());
    path.run(60);
    path.phase = Phase::Open;
    path.step();
    assert!(path.window.size >= before, "{} and {before}", path.window.size);
}

#[test]
fn a_policer_is_recognized_by_losses_at_an_even_rate() {
    let mut policer = Policer::default();
    let mut path = Path::new(1);
    let sample = |path: &mut Path, millis: u64, delivered: u32, lost: u32| {
        (path.now, path.delivered) = (millis, delivered);
        let fresh = lost - path.lost;
        path.lost = lost;
        let now = Instant::from_millis(millis);
        Delivery {
            now,
            delivered,
            acked: 1,
            lost_total: lost,
            lost: fresh,
            prior_in_flight: 9,
            in_flight: 9,
            phase: Phase::Open,
            rate: None,
            rtt: None,
            late: false,
            srtt: None,
            mss: MSS,
            due: now,
            dice: 0,
        }
    };
    let mut verdicts = Vec::new();
    // A quarter is lost, in each of twenty round trips.
    for round in 0..20 {
        let sample = sample(&mut path, 100 * round, 100 * round as u32, 30 * round as u32);
        verdicts.push(policer.take(&sample, true, true));
    }
    assert!(verdicts.contains(&Verdict::Found), "{verdicts:?}");
    assert_eq!(policer.bandwidth().unwrap().bytes(MSS) / 10_000, 99, "a million bytes a second");
    for round in 20..80 {
        let sample = sample(&mut path, 100 * round, 100 * round as u32, 600);
        verdicts.push(policer.take(&sample, true, true));
    }
    assert!(verdicts.contains(&Verdict::Over), "it is looked for anew after 48 round trips");
}

#[test]
fn acknowledgements_that_come_together_are_allowed_for() {
    let mut aggregation = Aggregation::default();
    let bandwidth = Bandwidth::of(10, Duration::from_millis(1));
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    let rate = path.rate.on_ack(
        Instant::from_millis(path.now),
        (path.delivered, 0),
        path.queue.front().copied(),
        None,
    );
    for burst in 0..5 {
        let now = Instant::from_millis(1000 + 10 * burst);
        let sample = Delivery {
            now,
            delivered: 0,
            acked: 100,
            lost_total: 0,
            lost: 0,
            prior_in_flight: 0,
            in_flight: 0,
            phase: Phase::Open,
            rate,
            rtt: None,
            late: false,
            srtt: None,
            mss: MSS,
            due: now,
            dice: 0,
        };
        aggregation.take(&sample, bandwidth, 400, false);
    }
    let extra = aggregation.allowance(bandwidth);
    assert!((100..=101).contains(&extra), "{extra}: each time a hundred more than ten a millisecond");
}

#[test]
fn linux_sees_the_model_by_tcp_cc_info() {
    let mut path = Path::new(10);
    path.run_to(Mode::ProbeBandwidth);
    path.run(200);
    let [low, high, rtt, _, window_gain] = path.bbr.info(MSS);
    assert!((9_900_000..10_300_000).contains(&low), "{low}");
    assert_eq!((high, window_gain), (0, 512));
    assert!((20_000..=22_000).contains(&rtt), "{rtt}");
}
