//! What answers mean, and which are believed. The table is what glibc 2.36 makes of the same answers.

use super::*;

const ONE_SERVER: &str = "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n";

const NO: Deed = Deed::Nx;
const FAILS: Deed = Deed::Rcode(Rcode::SERVFAIL);

/// What the server does with A, with AAAA, and what comes of it: which addresses, or the error.
type Row = (Deed, Deed, Result<&'static [&'static str], EaiError>);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (Deed::Good,  Deed::Good, Ok(&["192.0.2.1", "2001:db8::1"])),
    (Deed::Good, NO, Ok(&["192.0.2.1"])),
    (NO, Deed::Good, Ok(&["2001:db8::1"])),
    (Deed::Good, FAILS, Ok(&["192.0.2.1"])),
    (FAILS, Deed::Good, Ok(&["2001:db8::1"])),
    (Deed::Good, Deed::Rcode(Rcode::REFUSED), Ok(&["192.0.2.1"])),
    (Deed::Good, Deed::Silent, Ok(&["192.0.2.1"])),
    (NO, NO, Err(EaiError::NoName)),
    (NO, Deed::NoData, Err(EaiError::NoName)),
    (Deed::NoData, NO, Err(EaiError::NoName)),
    (FAILS, NO, Err(EaiError::NoName)),
    (NO, Deed::Silent, Err(EaiError::NoName)),
    (Deed::Rcode(Rcode::REFUSED), NO, Err(EaiError::NoName)),
    (Deed::NoData, Deed::NoData, Err(EaiError::NoData)),
    (Deed::NoData, FAILS, Err(EaiError::NoData)),
    (Deed::NoData, Deed::Silent, Err(EaiError::NoData)),
    (FAILS, FAILS, Err(EaiError::Again)),
    (Deed::Rcode(Rcode::REFUSED), Deed::Rcode(Rcode::REFUSED), Err(EaiError::Again)),
    (Deed::Rcode(Rcode::NOTIMP), Deed::Rcode(Rcode::NOTIMP), Err(EaiError::Again)),
    (Deed::Rcode(Rcode::FORMERR), Deed::Rcode(Rcode::FORMERR), Err(EaiError::NoName)),
    (Deed::Silent, Deed::Silent, Err(EaiError::Again)),
    (Deed::Unreachable, Deed::Silent, Err(EaiError::Again)),
    (Deed::Circle, Deed::Circle, Err(EaiError::Again)),
];

#[test]
fn answers_and_errors_are_those_of_glibc() {
    for (a, aaaa, expected) in TABLE {
        let deed = |asked: &Asked| if asked.kind == Rtype::A { *a } else { *aaaa };
        let (outcome, _) =
            run(&mut resolver(ONE_SERVER), &mut Instant::ZERO.clone(), "a.example", &BOTH, deed);
        let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(addresses(&outcome), expected, "{a:?} {aaaa:?}");
    }
}

#[test]
fn one_family_is_asked_for_alone() {
    let (outcome, asked) =
        run(&mut resolver(ONE_SERVER), &mut Instant::ZERO.clone(), "a.example", &BOTH[1..], |_| Deed::Good);
    assert_eq!(addresses(&outcome).unwrap(), ["2001:db8::1"]);
    assert_eq!(asked, ["a.example/AAAA@192.0.2.53"]);
}

#[test]
fn aliases_lead_to_the_canonical_name_and_not_for_ever() {
    let (outcome, asked) =
        run(&mut resolver(ONE_SERVER), &mut Instant::ZERO.clone(), "a.example", &BOTH, |_| {
            Deed::Chain(CHAIN_MAX)
        });
    assert_eq!(outcome.unwrap().canonical, format!("c{CHAIN_MAX}.example"));
    assert_eq!(asked.len(), 2);
    let (outcome, _) = run(&mut resolver(ONE_SERVER), &mut Instant::ZERO.clone(), "a.example", &BOTH, |_| {
        Deed::Chain(CHAIN_MAX + 1)
    });
    assert_eq!(outcome, Err(EaiError::Again));
}

#[test]
fn an_alias_without_more_is_asked_for_under_its_other_name_and_not_for_ever() {
    let deed = |asked: &Asked| if asked.name == "a.example" { Deed::Alias("b.example") } else { Deed::Good };
    let mut resolver = resolver(ONE_SERVER);
    let mut now = Instant::from_secs(1);
    let (outcome, _) = run(&mut resolver, &mut now, "a.example", &BOTH, deed);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.canonical.as_str(), outcome.addresses.len()), ("b.example", 2));
    // It is known under the first name, for as long as the alias holds.
    let (_, asked) = run(&mut resolver, &mut now, "a.example", &BOTH, deed);
    assert!(asked.is_empty(), "{asked:?}");
    now += Duration::from_secs(30);
    let (_, asked) = run(&mut resolver, &mut now, "a.example", &BOTH, deed);
    assert_eq!(asked[0], "a.example/A@192.0.2.53");

    let round =
        |asked: &Asked| Deed::Alias(if asked.name == "a.example" { "b.example" } else { "a.example" });
    let (outcome, asked) = run(&mut resolver, &mut Instant::from_secs(90), "a.example", &BOTH, round);
    assert_eq!(outcome, Err(EaiError::Again));
    assert!(asked.len() <= 4 * CHAIN_MAX + 4, "{}", asked.len());
}

#[test]
fn what_is_no_answer_to_the_question_changes_nothing() {
    let mut resolver = resolver(ONE_SERVER);
    let (now, server) = (Instant::ZERO, "192.0.2.53:53".parse().unwrap());
    let mut lookup = resolver.look_up(now, "a.example", &BOTH[..1]);
    let transmit = lookup.poll_transmit(&mut resolver).unwrap();
    let question = read_question(&transmit, &transmit.messages[0]);
    let right = answer(&question, &transmit.messages[0], Deed::Good).unwrap();
    let other = |name: &str, kind| Asked {
        name: name.to_owned(),
        kind,
        ..read_question(&transmit, &transmit.messages[0])
    };
    let mut strangers = vec![Vec::new(), right[..11].to_vec(), transmit.messages[0].clone()];
    for (at, bit) in [(0, 1), (1, 1), (2, 0x80), (2, 0x08), (5, 3), (14, 1), (right.len().min(24), 1)] {
        let mut wrong = right.clone();
        wrong[at] ^= bit;
        strangers.push(wrong);
    }
    for asked in [other("b.example", Rtype::A), other("a.example", Rtype::AAAA)] {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(u16::from_be_bytes([right[0], right[1]]));
        let mut builder = builder.question();
        builder.push((wire_name(&asked.name).unwrap(), asked.kind)).unwrap();
        strangers.push(answer(&asked, &builder.finish(), Deed::Good).unwrap());
    }
    for stranger in &strangers {
        lookup.on_message(&mut resolver, now, server, stranger);
        assert_eq!(lookup.outcome(), None, "{stranger:02x?}");
    }
    for from in ["192.0.2.53:54", "192.0.2.54:53", "[2001:db8::1]:53"] {
        lookup.on_message(&mut resolver, now, from.parse().unwrap(), &right);
        assert_eq!(lookup.outcome(), None, "{from}");
    }
    lookup.on_message(&mut resolver, now, server, &right);
    assert_eq!(addresses(lookup.outcome().unwrap()).unwrap(), ["192.0.2.1"]);
    // Afterwards nothing happens any more.
    lookup.on_message(&mut resolver, now, server, &right);
    lookup.on_timeout(&mut resolver, now + Duration::from_secs(99));
    assert!(lookup.poll_transmit(&mut resolver).is_none() && lookup.poll_timeout().is_none());
}

#[test]
fn the_numbers_of_questions_can_not_be_foreseen() {
    let mut resolver = resolver("nameserver 192.0.2.53\n");
    let mut ids = std::collections::HashSet::new();
    for n in 0..100 {
        let mut lookup = resolver.look_up(Instant::ZERO, &format!("n{n}"), &BOTH);
        let transmit = lookup.poll_transmit(&mut resolver).unwrap();
        ids.extend(transmit.messages.iter().map(|message| u16::from_be_bytes([message[0], message[1]])));
    }
    assert!(ids.len() > 190, "{}", ids.len());
}

#[test]
fn a_name_that_has_no_form_on_the_wire_is_unknown() {
    let label = "a".repeat(63);
    let fits = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    for (name, good) in [
        ("a", true),
        ("a_b.example.", true),
        (label.as_str(), true),
        (fits.as_str(), true),
        (&format!("{fits}a"), false),
        (&format!("{label}a"), false),
        ("", false),
        (".", false),
        ("..", false),
        ("a..b", false),
        (".a", false),
        ("a b", false),
        ("a\\046b", false),
        ("ä.example", false),
    ] {
        let (outcome, _) =
            run(&mut resolver(ONE_SERVER), &mut Instant::ZERO.clone(), name, &BOTH, |_| Deed::Good);
        assert_eq!(outcome.map_err(|error| (error, true)).is_ok(), good, "{name:?}");
    }
}

#[test]
fn strange_aliases_are_not_shown_as_the_name_of_a_host() {
    let name = wire_name("a.example").unwrap();
    let asked = message::question(7, &name, AddressType::A, message::Edns::Absent);
    let say = || {
        MessageBuilder::new_vec()
            .start_answer(&Message::from_octets(&asked[..]).unwrap(), Rcode::NOERROR)
            .unwrap()
    };
    let mut builder = say();
    let target: WireName = Name::vec_from_str("a\\032b.example").unwrap();
    alias(&mut builder, &name, &target);
    address(&mut builder, &target, Rtype::A);
    let reply = message::read(&builder.finish(), 7, &name, AddressType::A);
    let Some(Reply::Final(finding)) = reply else { panic!("{reply:?}") };
    let message::Answer::Addresses { canonical, .. } = finding.answer else { panic!() };
    assert_eq!(canonical.as_deref(), Some("a.example"));
}

#[test]
fn of_very_many_addresses_some_are_taken() {
    let name = wire_name("a.example").unwrap();
    let asked = message::question(7, &name, AddressType::A, message::Edns::Absent);
    let mut builder = MessageBuilder::new_vec()
        .start_answer(&Message::from_octets(&asked[..]).unwrap(), Rcode::NOERROR)
        .unwrap();
    for _ in 0..=message::ADDRESSES_MAX {
        address(&mut builder, &name, Rtype::A);
    }
    let Some(Reply::Final(finding)) = message::read(&builder.finish(), 7, &name, AddressType::A) else {
        panic!()
    };
    let message::Answer::Addresses { addresses, .. } = finding.answer else { panic!() };
    assert_eq!(addresses.len(), message::ADDRESSES_MAX);
}
