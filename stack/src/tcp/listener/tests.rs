use super::*;
use crate::counters::Counter;
use crate::tcp::connection::Connection;
use crate::tcp::connection::SegmentSizes;
use crate::tcp::segment::{Control, UnscaledWindow};
use crate::wire::tcp_options::{TcpOptions, Timestamps};

fn seq(value: u32) -> SeqNumber {
    SeqNumber::new(value)
}

fn opening() -> Opening {
    let sizes = SegmentSizes { advertised: 1460, path: 1460, default: 536 };
    Opening { iss: seq(100), timestamp_offset: 0, sizes }
}

fn syn() -> Segment {
    let options = TcpOptions {
        mss: Some(1200),
        window_scale: Some(3),
        timestamps: Some(Timestamps { value: 50, echo: 0 }),
        ..TcpOptions::default()
    };
    Segment { control: Some(Control::Syn), window: UnscaledWindow(4000), options, ..Segment::new(seq(500)) }
}

/// The only one has the place 0, whose key is 7 and whose listener 3.
fn queue_with_one(now: Instant) -> SynQueue<u8> {
    let mut queue = SynQueue::new();
    let (place, answer) = queue.on_syn(now, (7, 3), &syn(), opening(), &Options::default());
    assert_eq!((place, queue.key(0), queue.listener(0)), (0, Some(&7), Some(3)));
    assert_eq!((answer.seq, answer.ack, answer.control), (seq(100), Some(seq(501)), Some(Control::Syn)));
    assert_eq!(answer.options.window_scale, Some(7));
    assert!(!answer.options.sack_permitted, "it was not offered");
    assert_eq!(answer.options.timestamps.map(|stamp| stamp.echo), Some(50));
    queue
}

fn take(queue: &mut SynQueue<u8>, now: Instant, segment: &Segment) -> Step {
    queue.on_segment(now, 0, segment, &Options::default(), &mut Counters::default())
}

fn acknowledging(ack: u32) -> Segment {
    let timestamps = Some(Timestamps { value: 60, echo: 0 });
    let options = TcpOptions { timestamps, ..TcpOptions::default() };
    Segment { ack: Some(seq(ack)), options, ..Segment::new(seq(501)) }
}

#[test]
fn the_acknowledgement_completes_and_the_connection_begins_where_it_ended() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    let later = Instant::from_millis(1030);
    let Step::Complete(accepted) = take(&mut queue, later, &acknowledging(101)) else {
        panic!("a good acknowledgement")
    };
    assert!(queue.key(0).is_some(), "the accept queue may be full");
    let connection = Connection::accept(later, accepted, Options::default());
    let info = connection.info();
    assert_eq!(info.snd_mss, 1188);
    assert_eq!(info.rtt, Some(Duration::from_millis(30)));
    assert_eq!(info.snd_wscale.shift(), 3);
}

/// The acknowledgement is lost, and the second segment of data comes before the first.
#[test]
fn what_overtakes_does_not_make_old_what_it_overtook() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    let data = |offset: u32, value: u32| Segment {
        options: TcpOptions { timestamps: Some(Timestamps { value, echo: 0 }), ..TcpOptions::default() },
        payload: crate::buf::Rope::from(vec![7; 100]),
        seq: seq(501 + offset),
        ..acknowledging(101)
    };
    let Step::Complete(accepted) = take(&mut queue, now, &data(100, 5000)) else {
        panic!("a good acknowledgement")
    };
    let mut connection = Connection::accept(now, accepted, Options::default());
    let mut counters = Counters::default();
    connection.on_segment(now, data(100, 5000), &mut counters);
    connection.on_segment(now, data(0, 4000), &mut counters);
    assert_eq!(counters[Counter::TcpExtPAWSEstab], 0);
    assert_eq!(connection.read(now, usize::MAX).expect("data").len(), 200);
}

#[test]
fn a_wrong_acknowledgement_is_reset_and_the_record_stays() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    assert!(matches!(take(&mut queue, now, &acknowledging(105)), Step::Refuse));
    assert!(queue.key(0).is_some());
}

#[test]
fn only_an_exact_reset_forgets() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    let reset = |value| Segment { control: Some(Control::Rst), ..Segment::new(seq(value)) };
    assert!(matches!(take(&mut queue, now, &reset(500)), Step::Drop));
    let challenge = take(&mut queue, now, &reset(510));
    assert!(matches!(challenge, Step::Answer(_)), "RFC 5961 §3.2: {challenge:?}");
    assert!(matches!(take(&mut queue, now, &reset(501)), Step::Reset));
}

#[test]
fn a_syn_inside_the_window_is_refused_and_forgets() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    let again = |value| Segment { control: Some(Control::Syn), ..Segment::new(seq(value)) };
    assert!(matches!(take(&mut queue, now, &again(500)), Step::Answer(_)), "it is the same");
    assert!(matches!(take(&mut queue, now, &again(510)), Step::RefuseAndReset));
}

//= RFC 9293 MUST-22, type=test
#[test]
fn syn_acks_are_repeated_and_then_given_up() {
    let options = Options { synack_retries: 9, ..Options::default() };
    let start = Instant::from_secs(1);
    let mut queue = queue_with_one(start);
    let mut waits = Vec::new();
    let mut now = start;
    loop {
        let at = queue.poll_timeout().expect("one waits");
        waits.push(at.saturating_since(now).as_secs());
        now = at;
        match queue.pop_due(now, |_| Some(&options)) {
            Some((0, Due::Resend(answer))) => assert_eq!(answer.control, Some(Control::Syn)),
            Some((0, Due::GivenUp)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
    assert!(queue.poll_timeout().is_none());
    queue.remove(0);
    assert!(queue.is_empty());
}

#[test]
fn a_record_made_anew_does_not_inherit_deadlines() {
    let options = Options::default();
    let mut queue = queue_with_one(Instant::from_secs(1));
    assert_eq!(queue.remove(0), Some((7, 3)));
    queue.on_syn(Instant::from_millis(1900), (7, 3), &syn(), opening(), &options);
    assert!(queue.pop_due(Instant::from_millis(2100), |_| Some(&options)).is_none());
    assert!(queue.pop_due(Instant::from_millis(2900), |_| Some(&options)).is_some());
}

#[test]
fn what_the_syn_ack_said_holds_whatever_the_listener_is_set_to_since() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    let Step::Complete(accepted) = take(&mut queue, now, &acknowledging(101)) else {
        panic!("a good acknowledgement")
    };
    let since =
        Options { receive_buffer: 32_768, receive_buffer_max: None, timestamps: false, ..Options::default() };
    let info = Connection::accept(now, accepted, since).info();
    assert_eq!((info.rcv_wscale.shift(), info.timestamps), (7, true));
}

#[test]
fn repeated_segments_are_not_answered_without_end() {
    let now = Instant::from_secs(1);
    let mut queue = queue_with_one(now);
    assert!(matches!(take(&mut queue, now, &syn()), Step::Answer(_)));
    assert!(matches!(take(&mut queue, now, &syn()), Step::Drop));
    assert!(matches!(take(&mut queue, Instant::from_millis(1500), &syn()), Step::Answer(_)));
    let (at_once, mut counters) =
        (Options { invalid_ratelimit_ms: 0, ..Options::default() }, Counters::default());
    let now = Instant::from_millis(1500);
    assert!(matches!(queue.on_segment(now, 0, &syn(), &at_once, &mut counters), Step::Answer(_)));
    assert!(matches!(queue.on_segment(now, 0, &syn(), &Options::default(), &mut counters), Step::Drop));
    assert_eq!(counters[Counter::TcpExtTCPACKSkippedSynRecv], 1);
}

//= RFC 7323 §2.3, type=test
#[test]
fn only_the_window_of_the_syn_ack_is_not_scaled() {
    let now = Instant::from_secs(1);
    for (offered, expected) in [(Some(3), 65_152), (None, 65_160)] {
        let mut queue = SynQueue::new();
        let options = TcpOptions { window_scale: offered, ..syn().options };
        let syn = Segment { options, ..syn() };
        let (_, answer) = queue.on_syn(now, (7, 3), &syn, opening(), &Options::default());
        assert_eq!(answer.window, UnscaledWindow(65_160));
        let Step::Answer(challenge) = take(&mut queue, now, &Segment::new(seq(99_999_999))) else {
            panic!("what lies outside of the window is answered")
        };
        let window = u32::from(challenge.window.0) << answer.options.window_scale.unwrap_or(0);
        assert_eq!(window, expected);
    }
}

fn deferring(count: u8) -> Options {
    let mut options = Options::default();
    options.rare_mut().defer_accept = count;
    options
}

/// `TCP_DEFER_ACCEPT`: the bare acknowledgement completes nothing, data does.
#[test]
fn data_may_be_waited_for() {
    let now = Instant::from_secs(1);
    let (mut queue, mut counters) = (queue_with_one(now), Counters::default());
    let mut give = |segment: &Segment| queue.on_segment(now, 0, segment, &deferring(1), &mut counters);
    assert!(matches!(give(&acknowledging(101)), Step::Drop));
    let data = Segment { payload: crate::buf::Rope::from(&b"x"[..]), ..acknowledging(101) };
    assert!(matches!(give(&data), Step::Complete(_)));
    assert_eq!(counters[Counter::TcpExtTCPDeferAcceptDrop], 1);
}

/// The peer, that thinks itself connected, is told nothing again until the last time; then its acknowledgement will do.
#[test]
fn data_is_not_waited_for_for_ever() {
    let options = deferring(3);
    let mut queue = queue_with_one(Instant::from_secs(1));
    let give = |queue: &mut SynQueue<u8>, now| {
        queue.on_segment(now, 0, &acknowledging(101), &deferring(3), &mut Counters::default())
    };
    assert!(matches!(give(&mut queue, Instant::from_secs(1)), Step::Drop));
    for (at, repeated) in [(2, false), (4, false), (8, true)] {
        let due = queue.poll_timeout().expect("one waits");
        assert_eq!(due, Instant::from_secs(at));
        match queue.pop_due(due, |_| Some(&options)) {
            Some((0, Due::Nothing)) => assert!(!repeated, "{at}"),
            Some((0, Due::Resend(_))) => assert!(repeated, "{at}"),
            other => panic!("{other:?} after {at} s"),
        }
    }
    assert!(matches!(give(&mut queue, Instant::from_secs(8)), Step::Complete(_)));
}

/// A peer that has never answered is told again as ever.
#[test]
fn waiting_for_data_does_not_change_how_often_a_syn_ack_is_sent() {
    let options = Options { synack_retries: 2, ..deferring(9) };
    let mut queue = queue_with_one(Instant::from_secs(1));
    let mut pop =
        || queue.pop_due(queue.poll_timeout().expect("one waits"), |_| Some(&options)).map(|(_, due)| due);
    assert!(matches!(pop(), Some(Due::Resend(_))));
    assert!(matches!(pop(), Some(Due::Resend(_))));
    assert!(matches!(pop(), Some(Due::GivenUp)));
}

/// Whoever leaves, and in whatever order, the others are told again in theirs.
#[test]
fn those_that_leave_break_no_line() {
    let (options, start) = (Options::default(), Instant::from_secs(1));
    for gone in [vec![0], vec![2], vec![4], vec![1, 2], vec![4, 3], vec![0, 1, 2, 3, 4]] {
        let mut queue = SynQueue::new();
        for key in 0..5u64 {
            let at = start + Duration::from_millis(key);
            queue.on_syn(at, (key, (key % 2) as u32), &syn(), opening(), &options);
        }
        assert_eq!(queue.of(1).collect::<Vec<_>>(), [1, 3]);
        for &place in &gone {
            assert_eq!(queue.remove(place), Some((u64::from(place), place % 2)));
        }
        let mut told = Vec::new();
        for _ in 0..2 {
            let late = start + Duration::from_secs(100);
            while let Some((place, due)) = queue.pop_due(late, |_| Some(&options)) {
                told.push(place);
                assert!(matches!(due, Due::Resend(_)));
                if told.len() > 10 {
                    break;
                }
            }
        }
        let left: Vec<u32> = (0..5).filter(|place| !gone.contains(place)).collect();
        assert_eq!(told, left, "without {gone:?}");
        assert_eq!(queue.poll_timeout().is_some(), !left.is_empty());
    }
}
