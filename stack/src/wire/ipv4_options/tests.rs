use proptest::prelude::*;

use super::*;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const TIME: [u8; 4] = [0x80, 1, 2, 3];

fn answered(options: &[u8]) -> Vec<u8> {
    let parsed = Ipv4Options::parse(options).unwrap();
    let host = Host { ours: OURS, is_ours: |address| address == OURS, time: u32::from_be_bytes(TIME) };
    let mut received = options.to_vec();
    parsed.record(&mut received, Step::Receive, &host);
    let answer = parsed.answer(&received, &host);
    answer.bytes[..usize::from(answer.len)].to_vec()
}

fn pointer(options: &[u8]) -> Option<u8> {
    Ipv4Options::parse(options).err().map(|error| error.pointer)
}

//= RFC 791 §3.1, type=test
//= RFC 1122 §3.2.2.6, type=test
#[test]
fn a_route_is_recorded_twice() {
    let ours = OURS.octets();
    let recorded = [&[7, 15, 12][..], &ours, &ours, &[0; 4]].concat();
    assert_eq!(answered(&[&[7, 15, 4][..], &[0; 12]].concat()), recorded);
    let full = [&[7, 15, 16][..], &[1; 12]].concat();
    assert_eq!(answered(&full), full);
    let last = [&[1, 7, 11, 8][..], &[9; 4], &[0; 4]].concat();
    assert_eq!(answered(&last), [&[7, 11, 12][..], &[9; 4], &ours].concat());
}

//= RFC 791 §3.1, type=test
#[test]
fn timestamps_are_given_as_they_are_asked_for() {
    let ours = OURS.octets();
    let alone = [&[68, 12, 5, 0][..], &[0; 8]].concat();
    assert_eq!(answered(&alone), [&[68, 12, 13, 0][..], &TIME, &TIME].concat());
    let with_address = [&[68, 12, 5, 1][..], &[0; 8]].concat();
    assert_eq!(answered(&with_address), [&[68, 12, 13, 1][..], &ours, &TIME].concat());
    let of_us = [&[68, 12, 5, 3][..], &ours, &[0; 4]].concat();
    assert_eq!(answered(&of_us), [&[68, 12, 13, 3][..], &ours, &TIME].concat());
    for others in
        [[&[68, 12, 5, 3, 10, 0, 0, 9][..], &[0; 4]].concat(), [&[68, 12, 5, 2][..], &[0; 8]].concat()]
    {
        assert_eq!(answered(&others), others);
    }
    let full = [&[68, 12, 13, 0][..], &[0; 8]].concat();
    assert_eq!(answered(&full), [&[68, 12, 13, 0x10][..], &[0; 8]].concat());
}

/// The pointers are those of Linux 6.18.
//= RFC 1122 §3.2.1.8, type=test
//= RFC 1122 §3.2.1.8c MUST-4, type=test
#[test]
fn what_makes_no_sense_is_pointed_at() {
    let table: [(&[u8], Option<u8>); 17] = [
        (&[1, 1, 1, 0], None),
        (&[0, 0x1e, 1, 2], None),
        (&[0x1e, 4, 1, 2], None),
        (&[0x9e, 4, 1, 2], None),
        (&[0x1e, 1, 1, 2], Some(20)),
        (&[0x1e, 0, 1, 2], Some(20)),
        (&[0x1e, 8, 1, 2], Some(20)),
        (&[1, 1, 1, 0x1e], Some(23)),
        (&[7, 2, 0, 0], Some(21)),
        (&[7, 7, 3, 0, 0, 0, 0, 0], Some(22)),
        (&[7, 14, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Some(22)),
        (&[7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0, 0], Some(27)),
        (&[68, 8, 4, 0, 0, 0, 0, 0], Some(22)),
        (&[68, 12, 13, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0], Some(23)),
        (&[68, 8, 5, 0, 0, 0, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0], Some(28)),
        (&[148, 3, 0, 0], Some(21)),
        (&[131, 7, 8, 1, 2, 3, 4, 137, 7, 8, 1, 2, 3, 4, 0, 0], Some(27)),
    ];
    for (options, expected) in table {
        assert_eq!(pointer(options), expected, "{options:?}");
    }
}

#[test]
fn source_routes_are_found() {
    for kind in [131, 137] {
        let options = [1, kind, 7, 4, 10, 0, 0, 9];
        assert!(Ipv4Options::parse(&options).unwrap().source_route);
        assert_eq!(answered(&options), [], "and not sent back");
    }
}

//= RFC 791 §3.1, type=test
#[test]
fn only_some_options_stand_in_each_fragment() {
    let options = AnswerOptions::new(&[1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0]).unwrap();
    let copied = options.copied();
    assert_eq!(&copied.bytes[..copied.len()], [148, 4, 0, 0]);
    assert!(AnswerOptions::default().copied().is_empty());
}

#[test]
fn options_stand_behind_the_fixed_header() {
    let mut headers = HeaderBlock::new();
    headers.prepend(8).fill(7);
    Ipv4Header::default().prepend_to(8, &mut headers);
    AnswerOptions::new(&[148, 4, 0, 0, 1]).unwrap().insert_into(&mut headers);
    let header = Ipv4Header::parse(&headers).unwrap();
    assert_eq!((header.header_len, header.total_len), (28, 36));
    assert_eq!(headers[20..], [148, 4, 0, 0, 1, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
    assert_eq!(AnswerOptions::new(&[0; 41]), None);
}

proptest! {
    #[test]
    fn any_options_can_be_read_and_answered(options in prop::collection::vec(any::<u8>(), 0..=40)) {
        if let Ok(parsed) = Ipv4Options::parse(&options) {
            let host = Host { ours: OURS, is_ours: |address: Ipv4Addr| address.octets()[0].is_multiple_of(2), time: 7 };
            let mut received = options.clone();
            parsed.record(&mut received, Step::Receive, &host);
            let answer = parsed.answer(&received, &host);
            prop_assert!(answer.len() <= MAX_LEN);
            let again = Ipv4Options::parse(&answer.bytes[..usize::from(answer.len)]);
            prop_assert!(!again.is_ok_and(|again| again.source_route));
        }
    }
}
