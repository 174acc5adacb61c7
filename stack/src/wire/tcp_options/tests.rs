use proptest::prelude::*;

use super::*;
use crate::wire::tests::tcp_options;

fn parse(bytes: &[u8]) -> TcpOptions {
    TcpOptions::parse(bytes)
}

fn mss(mss: u16) -> TcpOptions {
    TcpOptions { mss: Some(mss), ..TcpOptions::default() }
}

fn emitted(options: &TcpOptions) -> Vec<u8> {
    let mut bytes = [0xee; MAX_OPTIONS_LEN];
    let len = options.emit(&mut bytes);
    assert_eq!(len, options.emitted_len());
    bytes[..len].to_vec()
}

//= RFC 9293 MUST-6, type=test
#[test]
fn unknown_options_are_skipped_by_their_length() {
    assert_eq!(parse(&[254, 6, 2, 4, 9, 9, 2, 4, 5, 0xb4]), mss(1460));
    assert_eq!(parse(&[30, 2, 2, 4, 5, 0xb4]), mss(1460));
}

//= RFC 9293 MUST-7, type=test
#[test]
fn an_impossible_length_stops_the_reading_and_what_was_read_counts() {
    for bad in [&[254, 0][..], &[254, 1], &[254, 9, 0, 0], &[254], &[MSS, 4, 5], &[MSS]] {
        let bytes = [&[MSS, 4, 5, 0xb4][..], bad].concat();
        assert_eq!(parse(&bytes), mss(1460), "{bad:?}");
    }
    assert_eq!(parse(&[254, 0, MSS, 4, 5, 0xb4]), TcpOptions::default());
}

//= RFC 9293 MUST-64, type=test
//= RFC 9293 MUST-4, type=test
#[test]
fn options_may_begin_anywhere() {
    let options = parse(&[NOP, WINDOW_SCALE, 3, 7, SACK_PERMITTED, 2, NOP, MSS, 4, 5, 0xb4, END]);
    let expected = TcpOptions { window_scale: Some(7), sack_permitted: true, ..mss(1460) };
    assert_eq!(options, expected);
}

//= RFC 9293 MUST-4, type=test
#[test]
fn nothing_counts_after_the_end() {
    assert_eq!(parse(&[END, MSS, 4, 5, 0xb4]), TcpOptions::default());
}

#[test]
fn a_known_option_of_a_wrong_length_is_skipped() {
    for wrong in [
        &[MSS, 3, 5][..],
        &[MSS, 6, 5, 0xb4, 0, 0],
        &[MSS, 2],
        &[WINDOW_SCALE, 2],
        &[WINDOW_SCALE, 4, 1, 1],
        &[SACK_PERMITTED, 3, 0],
        &[TIMESTAMPS, 9, 0, 0, 0, 0, 0, 0, 0],
        &[TIMESTAMPS, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[SACK, 2],
        &[SACK, 9, 0, 0, 0, 0, 0, 0, 0],
        &[SACK, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let bytes = [wrong, &[MSS, 4, 5, 0xb4]].concat();
        assert_eq!(parse(&bytes), mss(1460), "{wrong:?}");
    }
}

#[test]
fn an_mss_of_zero_is_none() {
    assert_eq!(parse(&[MSS, 4, 0, 0]), TcpOptions::default());
}

#[test]
fn the_window_scale_is_reported_as_it_stands() {
    assert_eq!(parse(&[WINDOW_SCALE, 3, 255]).window_scale, Some(255));
}

#[test]
fn the_last_of_several_counts() {
    assert_eq!(parse(&[MSS, 4, 1, 1, MSS, 4, 2, 2]), mss(0x202));
}

#[test]
fn a_slice_longer_than_any_header_gives_four_blocks_at_most() {
    let mut bytes = vec![SACK, 82];
    bytes.extend([0; 80]);
    assert_eq!(parse(&bytes).sack.len(), MAX_SACK_BLOCKS);
}

#[test]
fn timestamps_read_the_same_wherever_they_stand() {
    let body = [0, 0, 0, 1, 0, 0, 0, 2];
    let expected = Some(Timestamps { value: 1, echo: 2 });
    for (before, after) in [
        (&[NOP, NOP][..], &[][..]),
        (&[][..], &[NOP, NOP][..]),
        (&[NOP, NOP], &[SACK_PERMITTED, 2]),
        (&[], &[]),
    ] {
        let options = parse(&[before, &[TIMESTAMPS, 10], &body, after].concat());
        assert_eq!(options.timestamps, expected);
        assert_eq!(options.sack_permitted, after.first() == Some(&SACK_PERMITTED));
    }
}

/// As tcp_options_write() of Linux has them on the wire.
//= RFC 2018 §3 RULE-2, type=test
#[test]
fn options_stand_in_linux_order() {
    let timestamps = Some(Timestamps { value: 0x0102_0304, echo: 0x0506_0708 });
    let syn = TcpOptions { window_scale: Some(7), sack_permitted: true, timestamps, ..mss(1460) };
    let all = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7];
    assert_eq!(emitted(&syn), all);

    let without_timestamps = TcpOptions { timestamps: None, ..syn.clone() };
    assert_eq!(emitted(&without_timestamps), [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7]);

    let data = TcpOptions { timestamps, ..TcpOptions::default() };
    assert_eq!(emitted(&data), [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);

    let sack = [(1, 2), (3, 4)].into_iter().collect();
    let duplicate_ack = TcpOptions { sack, ..TcpOptions::default() };
    let blocks = [1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    assert_eq!(emitted(&duplicate_ack), blocks);
}

//= RFC 2018 §3 RULE-2, type=test
#[test]
fn sack_blocks_that_do_not_fit_are_left_out_from_the_end() {
    let sack: SackBlocks = [(1, 2), (3, 4), (5, 6), (7, 8)].into_iter().collect();
    let timestamps = Some(Timestamps::default());
    let alone = TcpOptions { sack: sack.clone(), ..TcpOptions::default() };
    assert_eq!(parse(&emitted(&alone)).sack, sack);
    let with_timestamps = TcpOptions { timestamps, sack, ..TcpOptions::default() };
    assert_eq!(with_timestamps.emitted_len(), 40);
    assert_eq!(parse(&emitted(&with_timestamps)).sack[..], [(1, 2), (3, 4), (5, 6)]);
}

proptest! {
    //= RFC 9293 MUST-5, type=test
    #[test]
    fn what_is_written_reads_the_same(options in tcp_options()) {
        let bytes = emitted(&options);
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert!(bytes.len() <= MAX_OPTIONS_LEN);
        prop_assert_eq!(parse(&bytes), options);
    }
}

//= RFC 7413 §4.1.1, type=test
//= RFC 7413 §4.1.1 MUST-1, type=test
//= RFC 7413 §4.1.1 MUST-2, type=test
#[test]
fn fast_open_is_read_in_both_forms() {
    let option = |bytes: &[u8], form| {
        let cookie = FastOpenCookie::new(bytes).expect("a cookie");
        TcpOptions { fast_open: Some(FastOpenOption { cookie, form }), ..TcpOptions::default() }
    };
    let standard = |bytes: &[u8]| option(bytes, FastOpenForm::Standard);
    assert_eq!(parse(&[FAST_OPEN, 2]), standard(&[]));
    assert_eq!(parse(&[FAST_OPEN, 6, 1, 2, 3, 4, NOP, NOP]), standard(&[1, 2, 3, 4]));
    assert_eq!(parse(&[EXPERIMENT, 4, 0xf9, 0x89]), option(&[], FastOpenForm::Experimental));
    assert_eq!(parse(&[EXPERIMENT, 4, 0xf9, 0x88]), TcpOptions::default(), "another experiment");
    let after = |other: &[u8]| parse(&[&[FAST_OPEN, 6, 1, 2, 3, 4][..], other].concat());
    assert_eq!(
        after(&[FAST_OPEN, 7, 1, 2, 3, 4, 5]),
        standard(&[1, 2, 3, 4]),
        "of odd length: as if not there"
    );
    assert_eq!(after(&[FAST_OPEN, 4, 1, 2]), TcpOptions::default(), "too short, and the last one counts");
    assert_eq!(emitted(&standard(&[9; 4])), [FAST_OPEN, 6, 9, 9, 9, 9, NOP, NOP]);
    assert_eq!(
        emitted(&option(&[9; 4], FastOpenForm::Experimental)),
        [EXPERIMENT, 8, 0xf9, 0x89, 9, 9, 9, 9]
    );
    assert_eq!(emitted(&option(&[9; 6], FastOpenForm::Experimental))[8..], [9, 9, NOP, NOP]);
}

#[test]
fn a_cookie_that_does_not_fit_is_left_out() {
    let cookie = FastOpenCookie::new(&[7; 16]).expect("a cookie");
    let form = FastOpenForm::Experimental;
    let fits = TcpOptions { fast_open: Some(FastOpenOption { cookie, form }), ..mss(1460) };
    assert_eq!(emitted(&fits).len(), 24);
    let sack = [(1, 2), (3, 4)].into_iter().collect();
    let full = TcpOptions { sack, ..fits };
    assert_eq!(parse(&emitted(&full)).fast_open, None);
}
