//! The client's states, by what it is told and how long it waits.

use super::*;

const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

struct Fixture {
    client: DhcpClient,
    random: Random,
    now: Instant,
}

/// What a client did, in short.
#[derive(Debug, Eq, PartialEq)]
enum Did {
    Broadcast(RequestKind),
    Sent(RequestKind, Ipv4Addr),
    Probed,
    Configured(Ipv4Addr),
    Withdrew,
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn kind(message: &[u8]) -> RequestKind {
    let kinds = [RequestKind::Discover, RequestKind::Request, RequestKind::Decline, RequestKind::Release];
    kinds.into_iter().find(|kind| *kind as u8 == message[242]).unwrap()
}

impl Fixture {
    fn new() -> Self {
        let mut random = Random::new(7);
        let client = DhcpClient::new(Instant::ZERO, HARDWARE, None, &mut random);
        Fixture { client, random, now: Instant::ZERO }
    }

    fn did(&mut self) -> Vec<Did> {
        let did = |action| match action {
            DhcpAction::Broadcast(message) => Did::Broadcast(kind(&message)),
            DhcpAction::Send { to, message, .. } => Did::Sent(kind(&message), to),
            DhcpAction::Probe(_) => Did::Probed,
            DhcpAction::Configure(lease) => Did::Configured(lease.ip()),
            DhcpAction::Withdraw => Did::Withdrew,
        };
        core::iter::from_fn(|| self.client.poll_action()).map(did).collect()
    }

    /// Lets time pass until something is due, and returns how much.
    fn wait(&mut self) -> Duration {
        let due = self.client.poll_timeout().expect("something to wait for");
        let waited = due.saturating_since(self.now);
        self.now = due;
        self.client.handle_timeout(self.now, &mut self.random);
        waited
    }

    fn reply(&self, kind: ReplyKind, address: &str, lease: u64) -> Reply {
        Reply {
            kind,
            transaction: self.client.transaction,
            hardware: HARDWARE,
            address: ip(address),
            server: ip("10.0.0.1"),
            prefix_len: Some(24),
            routers: vec![ip("10.0.0.1")],
            routes: Vec::new(),
            name_servers: Vec::new(),
            domain: None,
            mtu: None,
            lease: Some(secs(lease)),
            renewal: None,
            rebinding: None,
        }
    }

    fn hear(&mut self, kind: ReplyKind, address: &str, lease: u64) -> bool {
        let reply = self.reply(kind, address, lease);
        self.client.on_reply(self.now, reply, &mut self.random)
    }

    /// Nobody says that the address is taken.
    fn pass_probes(&mut self) {
        for _ in 0..PROBES {
            self.wait();
        }
    }

    /// A client that has 10.0.0.9 for a thousand seconds.
    fn bound() -> Self {
        let mut fixture = Fixture::new();
        assert!(fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000));
        assert!(fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000));
        fixture.pass_probes();
        fixture.did();
        fixture
    }
}

/// The options of a message, by their numbers.
fn options(message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut rest, mut found) = (&message[240..], Vec::new());
    while let [kind, len, data @ ..] = rest
        && *kind != 255
    {
        found.push((*kind, data[..usize::from(*len)].to_vec()));
        rest = &data[usize::from(*len)..];
    }
    found
}

/// What a client says in its states: the message, and to whom.
fn said(fixture: &mut Fixture) -> Vec<(Vec<u8>, Ipv4Addr)> {
    let message = |action| match action {
        DhcpAction::Broadcast(message) => Some((message, Ipv4Addr::BROADCAST)),
        DhcpAction::Send { to, message, .. } => Some((message, to)),
        _ => None,
    };
    core::iter::from_fn(|| fixture.client.poll_action()).filter_map(message).collect()
}

/// RFC 2131, table 5 and §4.3.6, message by message.
//= RFC 2131 §2 MUST-1, type=test
//= RFC 2131 §2 MUST-2, type=test
//= RFC 2131 §2 MUST-3, type=test
//= RFC 2131 §3.1 MUST-1, type=test
//= RFC 2131 §3.1 MUST-2, type=test
//= RFC 2131 §3.1 MUST-3, type=test
//= RFC 2131 §3.1 MUST-5, type=test
//= RFC 2131 §3.5 MUST-1, type=test
//= RFC 2131 §4.1 MUST-3, type=test
//= RFC 2131 §4.2 MUST-1, type=test
//= RFC 2131 §4.3.2 MUST-1, type=test
//= RFC 2131 §4.3.2 MUST-3, type=test
//= RFC 2131 §4.3.2 MUST-4, type=test
//= RFC 2131 §4.4.1 MUST-1, type=test
//= RFC 2131 §4.4.1 MUST-2, type=test
//= RFC 2131 §4.4.1 MUST-3, type=test
//= RFC 2131 §4.4.1 MUST-4, type=test
//= RFC 2131 §4.4.1 MUST-5, type=test
//= RFC 2131 §4.4.1 MUST-6, type=test
//= RFC 2131 §4.4.1 MUST-7, type=test
//= RFC 2131 §4.4.1 MUST-8, type=test
//= RFC 2131 §4.4.1 MUST-9, type=test
//= RFC 2131 §4.4.5 MUST-3, type=test
//= RFC 2131 §4.4.5 MUST-4, type=test
#[test]
fn each_message_holds_what_it_must_and_nothing_that_it_must_not() {
    const WANTED: u8 = 55;
    const SERVER: u8 = 54;
    const ADDRESS: u8 = 50;
    let mut fixture = Fixture::new();
    // The first question goes unanswered, so that the client has been asking for a while.
    let mut first = said(&mut fixture);
    fixture.wait();
    let discover = said(&mut fixture).remove(0);
    fixture.now += secs(3);
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    let request = said(&mut fixture).remove(0);
    fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000);
    fixture.pass_probes();
    said(&mut fixture);
    fixture.wait();
    let renewal = said(&mut fixture).remove(0);
    while fixture.now < Instant::ZERO + secs(900) {
        fixture.wait();
    }
    let rebinding = said(&mut fixture).pop().unwrap();
    fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000);
    fixture.client.release(fixture.now, &mut fixture.random);
    let release = said(&mut fixture).remove(0);
    let mut other = Fixture::new();
    other.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    other.hear(ReplyKind::Ack, "10.0.0.9", 1000);
    said(&mut other);
    other.client.on_arp(other.now, ip("10.0.0.9"), OTHER);
    let decline = said(&mut other).remove(0);
    let (server, all) = (ip("10.0.0.1"), Ipv4Addr::BROADCAST);
    // The message, to whom, its field for the client's address, and whether it names server, address and wishes.
    let table = [
        (first.remove(0), all, "0.0.0.0", [false, false, true]),
        (discover.clone(), all, "0.0.0.0", [false, false, true]),
        (request.clone(), all, "0.0.0.0", [true, true, true]),
        (renewal, server, "10.0.0.9", [false, false, true]),
        (rebinding, all, "10.0.0.9", [false, false, true]),
        (release, server, "10.0.0.9", [true, false, false]),
        (decline, all, "0.0.0.0", [true, true, false]),
    ];
    let wishes = options(&discover.0).into_iter().find(|(kind, _)| *kind == WANTED);
    for ((message, to), expected, client, named) in table {
        let what = kind(&message);
        assert_eq!(to, expected, "{what:?}");
        assert_eq!(message[12..16], ip(client).octets(), "{what:?}");
        assert_eq!(message[10..12], [0; 2], "{what:?}: flags");
        assert_eq!(message[28..34], HARDWARE.0, "{what:?}");
        let options = options(&message);
        let of = |kind| options.iter().find(|(found, _)| *found == kind).cloned();
        assert_eq!([SERVER, ADDRESS, WANTED].map(|kind| of(kind).is_some()), named, "{what:?}");
        assert_eq!(of(61).unwrap().1, [&[1][..], &HARDWARE.0].concat(), "{what:?}: who we are");
        assert_eq!((of(51), of(60)), (None, None), "{what:?}: neither a time nor a class is asked for");
        if named[2] {
            assert_eq!(of(WANTED), wishes, "{what:?}");
        } else {
            let allowed = [53, 61, SERVER, ADDRESS];
            assert!(options.iter().all(|(kind, _)| allowed.contains(kind)), "{what:?}: {options:?}");
            assert_eq!(message[8..10], [0; 2], "{what:?}: no seconds");
        }
        if named[1] {
            assert_eq!(of(ADDRESS).unwrap().1, [10, 0, 0, 9], "{what:?}");
        }
        if named[0] {
            assert_eq!(of(SERVER).unwrap().1, server.octets(), "{what:?}");
        }
        assert!(message[240..].contains(&255), "{what:?}: options have an end");
    }
    assert_ne!(discover.0[8..10], [0; 2], "it had been asking for some seconds");
    assert_eq!(request.0[8..10], discover.0[8..10], "as in the question that was answered");
}

//= RFC 2131 §4.4.1, type=test
//= RFC 2131 §3.1, type=test
#[test]
fn an_address_is_offered_taken_probed_and_ours() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Discover)]);
    assert!(fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000));
    assert!(!fixture.hear(ReplyKind::Offer, "10.0.0.10", 1000), "the first offer is taken");
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Request)]);
    assert!(fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000));
    assert_eq!((fixture.did(), fixture.wait()), (vec![Did::Probed], PROBE_WAIT));
    assert_eq!((fixture.did(), fixture.wait()), (vec![Did::Probed], PROBE_WAIT));
    assert_eq!(fixture.did(), [Did::Configured(ip("10.0.0.9"))]);
    let lease = fixture.client.lease().unwrap();
    assert_eq!(lease.address.to_string(), "10.0.0.9/24");
    assert_eq!(lease.routes, [("0.0.0.0/0".parse().unwrap(), ip("10.0.0.1"))]);
    // From the request on, not from the answer.
    assert_eq!(lease.times.unwrap().end, Instant::ZERO + secs(1000));
}

//= RFC 2131 §4.1, type=test
//= RFC 2131 §4.1 MUST-10, type=test
#[test]
fn who_is_not_answered_asks_again_and_waits_longer_each_time() {
    let mut fixture = Fixture::new();
    let waits: Vec<f64> = (0..7).map(|_| fixture.wait().as_secs_f64()).collect();
    for (wait, about) in waits.iter().zip([4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((wait - about).abs() <= 1.0, "{waits:?}");
    }
    assert!(waits.iter().any(|wait| wait.fract() != 0.0), "not all hosts at once");
    assert_eq!(fixture.did().len(), 8);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let mut fixture = Fixture::new();
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    fixture.did();
    for _ in 1..MAX_REQUESTS {
        fixture.wait();
        assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Request)]);
    }
    fixture.wait();
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Discover)]);
}

/// Neither other clients nor the same one at another time ask by the same number.
//= RFC 2131 §4.1 MUST-11, type=test
#[test]
fn transactions_are_hardly_anothers() {
    let number_of = |message: &[u8]| u32::from_be_bytes(message[4..8].try_into().unwrap());
    let mut numbers = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let client = DhcpClient::new(Instant::ZERO, HARDWARE, None, &mut random);
        let mut fixture = Fixture { client, random, now: Instant::ZERO };
        let first = number_of(&said(&mut fixture)[0].0);
        fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
        assert_eq!(number_of(&said(&mut fixture)[0].0), first, "the same question still");
        fixture.hear(ReplyKind::Nak, "0.0.0.0", 0);
        numbers.extend([first, number_of(&said(&mut fixture)[0].0)]);
    }
    assert_eq!(numbers.len(), 200);
}

#[test]
fn what_was_not_asked_for_changes_nothing() {
    let mut fixture = Fixture::new();
    assert!(!fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000));
    let offer = fixture.reply(ReplyKind::Offer, "10.0.0.9", 1000);
    let other = Reply { hardware: OTHER, ..offer.clone() };
    assert!(!fixture.client.on_reply(fixture.now, other, &mut fixture.random));
    let other = Reply { transaction: offer.transaction ^ 1, ..offer };
    assert!(!fixture.client.on_reply(fixture.now, other, &mut fixture.random));
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    let ack = Reply { server: ip("10.0.0.2"), ..fixture.reply(ReplyKind::Ack, "10.0.0.9", 1000) };
    assert!(!fixture.client.on_reply(fixture.now, ack, &mut fixture.random), "another server's");
}

#[test]
fn a_refusal_starts_from_the_beginning() {
    let mut fixture = Fixture::new();
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    fixture.did();
    assert!(fixture.hear(ReplyKind::Nak, "0.0.0.0", 0));
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Discover)]);
}

//= RFC 2131 §4.4.1, type=test
//= RFC 5227 §2.1.1, type=test
//= RFC 2131 §3.1 MUST-4, type=test
//= RFC 2131 §4.4.1 MUST-10, type=test
//= RFC 5227 §1 MUST-1, type=test
//= RFC 5227 §2.1.1 MUST-4, type=test
#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut fixture = Fixture::new();
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    fixture.hear(ReplyKind::Ack, "10.0.0.9", 1000);
    fixture.did();
    fixture.client.on_arp(fixture.now, ip("10.0.0.8"), OTHER);
    fixture.client.on_arp(fixture.now, ip("10.0.0.9"), HARDWARE);
    assert_eq!(fixture.did(), [], "not the address, and not another's");
    fixture.client.on_arp(fixture.now, ip("10.0.0.9"), OTHER);
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Decline)]);
    assert_eq!(fixture.wait(), AFTER_DECLINE);
    assert_eq!(fixture.did(), [Did::Broadcast(RequestKind::Discover)]);
}

//= RFC 2131 §4.4.5, type=test
//= RFC 2131 §4.1 MUST-1, type=test
//= RFC 2131 §4.4.5 MUST-5, type=test
#[test]
fn more_time_is_asked_for_of_the_server_then_of_all_and_then_the_address_is_gone() {
    let mut fixture = Fixture::bound();
    let mut log = Vec::new();
    while fixture.client.lease().is_some() {
        fixture.wait();
        log.push((fixture.now.saturating_since(Instant::ZERO).as_secs(), fixture.did()));
    }
    let asks = |to: &str| vec![Did::Sent(RequestKind::Request, ip(to))];
    let all = asks("255.255.255.255");
    assert_eq!(log[0], (500, asks("10.0.0.1")));
    assert_eq!(log[1], (687, asks("10.0.0.1")), "after half of what is left");
    assert!(
        log.iter().all(|(at, did)| *at >= 1000
            || *did == if *at < 875 { asks("10.0.0.1") } else { asks("255.255.255.255") }),
        "{log:?}"
    );
    assert!(log.iter().filter(|(_, did)| *did == all).count() >= 2, "{log:?}");
    let gone = vec![Did::Withdrew, Did::Broadcast(RequestKind::Discover)];
    assert_eq!(log.last().unwrap(), &(1000, gone));
}

//= RFC 2131 §4.4.5 MUST-6, type=test
#[test]
fn more_time_changes_nothing_but_the_time() {
    let mut fixture = Fixture::bound();
    fixture.wait();
    fixture.did();
    assert!(fixture.hear(ReplyKind::Ack, "10.0.0.9", 2000));
    assert_eq!(fixture.did(), []);
    assert_eq!(fixture.client.lease().unwrap().times.unwrap().end, Instant::ZERO + secs(2500));
    assert_eq!(fixture.wait(), secs(1000));
    assert!(fixture.hear(ReplyKind::Ack, "10.0.0.77", 2000), "a server may be of another mind");
    fixture.client.poll_action();
    assert_eq!(fixture.did(), [Did::Withdrew, Did::Configured(ip("10.0.0.77"))]);
}

#[test]
fn a_refusal_of_more_time_takes_the_address_away() {
    let mut fixture = Fixture::bound();
    fixture.wait();
    fixture.did();
    assert!(fixture.hear(ReplyKind::Nak, "0.0.0.0", 0));
    assert_eq!(fixture.did(), [Did::Withdrew, Did::Broadcast(RequestKind::Discover)]);
}

#[test]
fn a_lease_for_ever_is_not_asked_about() {
    let mut fixture = Fixture::new();
    fixture.hear(ReplyKind::Offer, "10.0.0.9", 1000);
    let ack = Reply { lease: None, ..fixture.reply(ReplyKind::Ack, "10.0.0.9", 0) };
    fixture.client.on_reply(fixture.now, ack, &mut fixture.random);
    fixture.pass_probes();
    assert_eq!((fixture.client.lease().unwrap().times, fixture.client.poll_timeout()), (None, None));
}

//= RFC 2131 §4.4.6, type=test
#[test]
fn what_is_needed_no_more_is_given_back() {
    let mut fixture = Fixture::bound();
    fixture.client.release(fixture.now, &mut fixture.random);
    let server = ip("10.0.0.1");
    assert_eq!(fixture.did(), [Did::Sent(RequestKind::Release, server), Did::Withdrew]);
    assert_eq!(fixture.client.poll_timeout(), None);
}

//= RFC 2131 §4.4.5 MUST-1, type=test
//= RFC 2131 §4.4.5 MUST-2, type=test
#[test]
fn senseless_times_are_not_a_servers_to_say() {
    let times = |renewal, rebinding| {
        let times = LeaseTimes::new(Instant::ZERO, secs(800), renewal, rebinding);
        [times.renewal, times.rebinding].map(|at| at.saturating_since(Instant::ZERO).as_secs())
    };
    assert_eq!(times(Some(secs(100)), Some(secs(200))), [100, 200]);
    assert_eq!(times(Some(secs(300)), Some(secs(200))), [400, 700]);
    assert_eq!(times(None, Some(secs(900))), [400, 700]);
    assert_eq!(times(Some(secs(500)), Some(secs(500))), [400, 700], "not at once");
    assert_eq!(times(Some(secs(500)), Some(secs(800))), [400, 700], "not with its end");
}
