//! Whom is asked what, in which order, and how long.

use super::*;

fn deeds(asked: &Asked) -> Deed {
    match asked.name.rsplit('.').next().unwrap() {
        "good" => Deed::Good,
        "nodata" => Deed::NoData,
        "servfail" => Deed::Rcode(Rcode::SERVFAIL),
        "refused" => Deed::Rcode(Rcode::REFUSED),
        "silent" => Deed::Silent,
        _ => Deed::Nx,
    }
}

/// The name, the search list, what comes of it, and which names were asked for; as glibc 2.36 does it.
#[rustfmt::skip]
const SEARCHES: &[(&str, &str, Result<&str, EaiError>, &str)] = &[
    ("h", "nx nodata", Err(EaiError::NoData), "h.nx h.nodata h"),
    ("h", "nodata nx", Err(EaiError::NoData), "h.nodata h.nx h"),
    ("h", "servfail nx", Err(EaiError::Again), "h.servfail h.nx h"),
    ("h", "nx servfail", Err(EaiError::Again), "h.nx h.servfail h"),
    ("h", "nodata servfail", Err(EaiError::NoData), "h.nodata h.servfail h"),
    ("h", "servfail good", Ok("h.good"), "h.servfail h.good"),
    ("h", "silent good", Err(EaiError::NoName), "h.silent h"),
    ("h", "refused good", Err(EaiError::NoName), "h.refused h"),
    ("h", "nodata good", Ok("h.good"), "h.nodata h.good"),
    ("h", "nx good", Ok("h.good"), "h.nx h.good"),
    ("h.nodata", "nx good", Ok("h.nodata.good"), "h.nodata h.nodata.nx h.nodata.good"),
    ("h.servfail", "nx good", Ok("h.servfail.good"), "h.servfail h.servfail.nx h.servfail.good"),
    ("h.silent", "nx good", Ok("h.silent.good"), "h.silent h.silent.nx h.silent.good"),
    ("h.good", "nx good", Ok("h.good"), "h.good"),
    ("h.nx.", "nx good", Err(EaiError::NoName), "h.nx"),
    ("h.good.", "nx good", Ok("h.good"), "h.good"),
    ("h.nx", "servfail", Err(EaiError::Again), "h.nx h.nx.servfail"),
    ("h", "", Err(EaiError::NoName), "h"),
];

#[test]
fn the_search_list_is_glibcs() {
    for (name, search, expected, expected_names) in SEARCHES {
        let conf = format!("nameserver 192.0.2.53\nsearch {search}\noptions timeout:1 attempts:1\n");
        let (outcome, asked) = run(&mut resolver(&conf), &mut Instant::ZERO.clone(), name, &BOTH[..1], deeds);
        assert_eq!(outcome.map(|found| found.canonical), expected.map(str::to_owned), "{name} {search}");
        let names: Vec<&str> = asked.iter().map(|asked| asked.split('/').next().unwrap()).collect();
        assert_eq!(names.join(" "), *expected_names, "{name} {search}");
    }
}

#[test]
fn ndots_says_which_names_are_long() {
    let conf = "nameserver 192.0.2.53\nsearch good\noptions ndots:2\n";
    let (_, asked) = run(&mut resolver(conf), &mut Instant::ZERO.clone(), "a.b", &BOTH[..1], |_| Deed::Nx);
    assert_eq!(asked, ["a.b.good/A@192.0.2.53", "a.b/A@192.0.2.53"]);
    let (_, asked) = run(&mut resolver(conf), &mut Instant::ZERO.clone(), "a.b.c", &BOTH[..1], |_| Deed::Nx);
    assert_eq!(asked[0], "a.b.c/A@192.0.2.53");
}

const THREE: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";

#[test]
fn a_server_that_is_silent_is_waited_for_and_then_the_next_is_asked() {
    let conf = format!("{THREE}options timeout:2 attempts:2\n");
    let mut now = Instant::from_secs(100);
    let deed = |asked: &Asked| if asked.server == "192.0.2.3" { Deed::Good } else { Deed::Silent };
    let (outcome, asked) = run(&mut resolver(&conf), &mut now, "a.good", &BOTH[..1], deed);
    assert_eq!(addresses(&outcome).unwrap(), ["192.0.2.1"]);
    assert_eq!(asked, ["a.good/A@192.0.2.1", "a.good/A@192.0.2.2", "a.good/A@192.0.2.3"]);
    assert_eq!(now, Instant::from_secs(104));

    let mut now = Instant::from_secs(100);
    let (outcome, asked) = run(&mut resolver(&conf), &mut now, "a.good", &BOTH, |_| Deed::Silent);
    assert_eq!((outcome, asked.len()), (Err(EaiError::Again), 12));
    assert_eq!(now, Instant::from_secs(112), "three servers, two attempts, two seconds each");
}

#[test]
fn a_server_that_refuses_or_fails_costs_no_time_and_what_others_know_stays() {
    let mut now = Instant::from_secs(100);
    let deed = |asked: &Asked| match (asked.server.as_str(), asked.kind) {
        ("192.0.2.1", _) => Deed::Unreachable,
        ("192.0.2.2", Rtype::AAAA) => Deed::Rcode(Rcode::SERVFAIL),
        _ => Deed::Good,
    };
    let (outcome, asked) = run(&mut resolver(THREE), &mut now, "a.good", &BOTH, deed);
    assert_eq!(addresses(&outcome).unwrap(), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        asked,
        ["a.good/A@192.0.2.1", "a.good/A@192.0.2.2", "a.good/AAAA@192.0.2.2", "a.good/AAAA@192.0.2.3"]
    );
    assert_eq!(now, Instant::from_secs(100));
}

#[test]
fn with_rotate_each_name_begins_with_the_next_server() {
    let mut resolver = resolver(&format!("{THREE}options rotate\n"));
    let mut first = |name: &str| {
        let (_, asked) = run(&mut resolver, &mut Instant::ZERO.clone(), name, &BOTH[..1], |_| Deed::Good);
        asked[0].rsplit('@').next().unwrap().to_owned()
    };
    let firsts: Vec<_> = ["a", "b", "c", "d"].map(&mut first).into();
    assert_eq!(firsts, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]);
}

//= RFC 7766 §5, type=test
#[test]
fn what_does_not_fit_into_a_datagram_comes_by_tcp() {
    let mut now = Instant::ZERO;
    let (outcome, asked) =
        run(&mut resolver("nameserver 192.0.2.53\n"), &mut now, "a.good", &BOTH, |_| Deed::Long);
    assert_eq!(addresses(&outcome).unwrap(), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(asked[2..], ["a.good/A+tcp@192.0.2.53", "a.good/AAAA+tcp@192.0.2.53"]);
    assert_eq!(now, Instant::ZERO);

    let (_, asked) =
        run(&mut resolver("nameserver 192.0.2.53\noptions use-vc\n"), &mut now, "a.good", &BOTH[..1], |_| {
            Deed::Good
        });
    assert_eq!(asked, ["a.good/A+tcp@192.0.2.53"]);
}

//= RFC 6891 §6.2.2, type=test
//= RFC 6891 §6.2.3, type=test
#[test]
fn a_server_that_knows_no_edns_is_asked_without() {
    let (outcome, asked) = run(
        &mut resolver("nameserver 192.0.2.53\n"),
        &mut Instant::ZERO.clone(),
        "a.good",
        &BOTH[..1],
        |_| Deed::Old,
    );
    assert_eq!((outcome.is_ok(), asked.len()), (true, 2));
    let conf = "nameserver 192.0.2.53\noptions no-edns0\n";
    let (_, asked) =
        run(&mut resolver(conf), &mut Instant::ZERO.clone(), "a.good", &BOTH[..1], |_| Deed::Old);
    assert_eq!(asked.len(), 1);
}

//= RFC 2308 §5, type=test
#[test]
fn what_was_heard_is_remembered_while_it_is_true() {
    let mut resolver = resolver("nameserver 192.0.2.53\noptions attempts:1\n");
    let mut now = Instant::from_secs(1);
    for (name, seconds) in [("a.good", 60), ("a.nx", 20), ("a.nodata", 20), ("a.servfail", 0)] {
        let (first, asked) = run(&mut resolver, &mut now, name, &BOTH, deeds);
        assert_eq!(asked.len(), 2, "{name}");
        let start = now;
        for (later, expected) in [(seconds - 1, 0), (seconds, 2)] {
            now = start + Duration::from_secs(later.max(0) as u64);
            let (again, asked) = run(&mut resolver, &mut now, name, &BOTH, deeds);
            let expected = if seconds == 0 { 2 } else { expected };
            assert_eq!((again, asked.len()), (first.clone(), expected), "{name} after {later} s");
        }
    }
    assert_eq!(resolver.remembered(), 6);
    resolver.set_conf(ResolvConf::parse("nameserver 192.0.2.54\n", &[]));
    assert_eq!(resolver.remembered(), 0, "other servers may know other names");
}

#[test]
fn without_a_server_nobody_answers() {
    let (outcome, asked) = run(&mut resolver(""), &mut Instant::ZERO.clone(), "a.good", &BOTH, deeds);
    assert_eq!((outcome, asked.len()), (Err(EaiError::Again), 0));
}
