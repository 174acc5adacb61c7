use super::*;

const ETH: InterfaceId = InterfaceId(1);
const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

struct Bench {
    claims: Claims,
    random: Random,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Bench { claims: Claims::default(), random: Random::new(5), now: Instant::from_secs(1) }
    }

    fn actions(&mut self) -> Vec<ClaimAction> {
        core::iter::from_fn(|| self.claims.poll_action()).collect()
    }

    /// Goes on to the next question.
    fn probe(&mut self) -> Vec<ClaimAction> {
        let done = self.step();
        if done.is_empty() { self.step() } else { done }
    }

    /// Goes on to the next deadline, and says what is done there.
    fn step(&mut self) -> Vec<ClaimAction> {
        self.now = self.now.max(self.claims.poll_timeout().expect("something is due"));
        self.claims.handle_timeout(self.now, &mut self.random);
        self.actions()
    }

    fn hear(&mut self, operation: ArpOperation, sender: &str, target: &str) -> Vec<ClaimAction> {
        let packet = ArpPacket {
            operation,
            sender_hardware: THEIRS,
            sender_ip: sender.parse().unwrap(),
            target_hardware: EthernetAddress::default(),
            target_ip: target.parse().unwrap(),
        };
        self.claims.on_arp(self.now, ETH, &packet);
        self.actions()
    }
}

fn ten() -> (IpCidr, Ipv4Addr) {
    ("10.0.0.1/24".parse().unwrap(), Ipv4Addr::new(10, 0, 0, 1))
}

//= RFC 5227 §2.1, type=test
//= RFC 5227 §2.3, type=test
//= RFC 5227 §2.1 MUST-1, type=test
//= RFC 5227 §2.3 MUST-1, type=test
#[test]
fn an_address_that_is_free_is_ours_after_three_questions() {
    let (cidr, address) = ten();
    let mut bench = Bench::new();
    let began = bench.now;
    bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand);
    let mut last = began;
    for round in 0..3 {
        assert_eq!(bench.probe(), [ClaimAction::Probe { interface: ETH, address }]);
        let waited = bench.now.saturating_since(last);
        let expected = if round == 0 { Duration::ZERO..=PROBE_WAIT } else { PROBE_MIN..=PROBE_MAX };
        assert!(expected.contains(&waited), "{waited:?}");
        last = bench.now;
        assert!(bench.claims.is_tentative(ETH, address));
    }
    let announce = ClaimAction::Announce { interface: ETH, address };
    assert_eq!(bench.step(), [ClaimAction::Assign { interface: ETH, cidr }, announce]);
    assert_eq!(bench.now.saturating_since(last), ANNOUNCE_WAIT);
    last = bench.now;
    assert_eq!(bench.step(), [announce]);
    assert_eq!(bench.now.saturating_since(last), ANNOUNCE_INTERVAL);
    assert_eq!(bench.claims.poll_timeout(), None);
}

//= RFC 5227 §2.1.1, type=test
//= RFC 5227 §2.1.1 MUST-4, type=test
#[test]
fn an_address_that_somebody_has_is_not_taken() {
    let (cidr, address) = ten();
    let gone = [ClaimAction::GiveUp { interface: ETH, address, purpose: Purpose::ByHand }];
    for (operation, sender, target) in [
        (ArpOperation::Request, "10.0.0.1", "10.0.0.9"),
        (ArpOperation::Reply, "10.0.0.1", "10.0.0.9"),
        // Somebody else looks for it too.
        (ArpOperation::Request, "0.0.0.0", "10.0.0.1"),
    ] {
        let mut bench = Bench::new();
        bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand);
        bench.probe();
        assert_eq!(bench.hear(ArpOperation::Request, "10.0.0.7", "10.0.0.1"), [], "a question");
        assert_eq!(bench.hear(ArpOperation::Request, "0.0.0.0", "10.0.0.2"), []);
        assert_eq!(bench.hear(operation, sender, target), gone);
        assert_eq!(bench.claims.poll_timeout(), None);
    }
}

//= RFC 5227 §2.4, type=test
//= RFC 5227 §1.3 MUST-1, type=test
//= RFC 5227 §2.4 MUST-1, type=test
//= RFC 5227 §2.4 MUST-2, type=test
//= RFC 5227 §2.4 MUST-5, type=test
#[test]
fn an_address_is_defended_once_in_ten_seconds() {
    let (cidr, address) = ten();
    let mut bench = Bench::new();
    bench.claims.defend((ETH, OURS), cidr, Purpose::Lease);
    let announce = ClaimAction::Announce { interface: ETH, address };
    assert_eq!(bench.step(), [announce]);
    assert_eq!(bench.step(), [announce]);
    assert_eq!(bench.hear(ArpOperation::Request, "0.0.0.0", "10.0.0.1"), [], "ARP answers that");
    assert_eq!(bench.hear(ArpOperation::Request, "10.0.0.1", "10.0.0.9"), [announce]);
    bench.now += DEFEND_INTERVAL;
    assert_eq!(bench.hear(ArpOperation::Request, "10.0.0.1", "10.0.0.9"), [announce]);
    bench.now += DEFEND_INTERVAL / 2;
    let gone = ClaimAction::GiveUp { interface: ETH, address, purpose: Purpose::Lease };
    assert_eq!(bench.hear(ArpOperation::Reply, "10.0.0.1", "10.0.0.9"), [gone]);
    assert_eq!(bench.hear(ArpOperation::Reply, "10.0.0.1", "10.0.0.9"), []);
}

//= RFC 3927 §2.1, type=test
//= RFC 3927 §2.2.1, type=test
//= RFC 5227 §2.1.1 MUST-5, type=test
//= RFC 5227 §2.1.1 MUST-6, type=test
#[test]
fn another_address_is_chosen_and_slower_after_ten() {
    let mut bench = Bench::new();
    bench.claims.begin_link_local((ETH, OURS));
    let mut seen = Vec::new();
    for round in 1..=12u32 {
        let address = bench.claims.link_local(ETH).unwrap();
        assert!(address.is_link_local() && !matches!(address.octets()[2], 0 | 255), "{address}");
        assert!(!seen.contains(&address), "{address} again");
        seen.push(address);
        bench.probe();
        bench.hear(ArpOperation::Reply, &address.to_string(), "10.0.0.9");
        let waits = bench.claims.poll_timeout().unwrap().saturating_since(bench.now);
        assert_eq!(waits >= RATE_LIMIT_INTERVAL, round >= MAX_CONFLICTS, "{round}: {waits:?}");
    }
    // Who starts again tries the same ones.
    let mut again = Bench::new();
    again.claims.begin_link_local((ETH, OURS));
    assert_eq!(again.claims.link_local(ETH), Some(seen[0]));
    again.claims.begin_link_local((InterfaceId(2), THEIRS));
    assert_ne!(again.claims.link_local(InterfaceId(2)), Some(seen[0]));
}

#[test]
fn each_claim_keeps_its_time() {
    let mut bench = Bench::new();
    let addresses: Vec<Ipv4Addr> = (0..100).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n)).collect();
    for address in &addresses {
        assert!(bench.claims.begin((ETH, OURS), IpCidr::new((*address).into(), 8), Purpose::ByHand));
    }
    assert!(bench.claims.forget(ETH, addresses[7]));
    assert_eq!(bench.hear(ArpOperation::Reply, "10.0.0.9", "10.0.0.1").len(), 1, "that one is gone");
    let mut assigned = Vec::new();
    while let Some(at) = bench.claims.poll_timeout() {
        assert!(at == Instant::ZERO || at >= bench.now, "never in the past");
        let done = bench.step();
        let waiting = bench.claims.claims.values().filter(|claim| claim.at.is_some());
        assert_eq!(bench.claims.deadlines.len(), waiting.count());
        for action in done {
            if let ClaimAction::Assign { cidr, .. } = action {
                assigned.push(cidr.address);
            }
        }
    }
    assigned.sort();
    let left = addresses.iter().filter(|address| !matches!(address.octets()[3], 7 | 9));
    assert_eq!(assigned, left.map(|address| IpAddr::V4(*address)).collect::<Vec<_>>());
}

/// A deadline costs no more where there are as many claims as there can be.
#[test]
fn a_deadline_looks_at_no_other_claim() {
    let steps = |bench: &mut Bench| {
        let looks = bench.claims.looks;
        while bench.claims.poll_timeout().is_some() {
            bench.step();
        }
        bench.claims.looks - looks
    };
    let (cidr, address) = ten();
    let mut bench = Bench::new();
    bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand);
    let alone = steps(&mut bench);
    assert_eq!(alone, 1 + 3 + 2, "a wait, three questions and two announcements");
    assert!(bench.claims.forget(ETH, address));
    bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand);
    for number in 1..MAX_CLAIMS as u32 {
        let cidr = IpCidr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + number)), 8);
        assert!(bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand));
    }
    assert_eq!(steps(&mut bench), alone * MAX_CLAIMS, "each at times of its own");
}

#[test]
fn claims_are_bounded() {
    let mut bench = Bench::new();
    for number in 0..MAX_CLAIMS as u32 {
        let cidr = IpCidr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), 8);
        assert!(bench.claims.begin((ETH, OURS), cidr, Purpose::ByHand));
    }
    let more = "10.9.0.1/8".parse().unwrap();
    assert!(!bench.claims.begin((ETH, OURS), more, Purpose::ByHand));
    assert!(bench.claims.forget(ETH, Ipv4Addr::new(10, 0, 0, 0)));
    bench.claims.forget_interface(ETH);
    assert_eq!(bench.claims.poll_timeout(), None);
}
