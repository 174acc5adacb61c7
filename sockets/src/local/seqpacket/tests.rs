use tapsock_stack::time::Instant;

use super::*;
use crate::local::ancillary::Credentials;
use crate::local::pair::{EndSetup, Shutdown, StampUnit};

const PROCESS: Credentials = Credentials { pid: 7, uid: 1, gid: 2 };
const A: Side = Side::First;
const B: Side = Side::Second;

fn pair() -> Pair<Records<u32>> {
    Pair::new(EndSetup::new(PROCESS), EndSetup::new(PROCESS))
}

fn send(pair: &mut Pair<Records<u32>>, side: Side, bytes: &[u8]) -> Result<usize, SendError> {
    pair.try_send(side, bytes.into(), &mut Ancillary::new(PROCESS))
}

/// Bytes, the full length, and whether it was truncated.
type Got = (Vec<u8>, usize, bool);

fn recv(pair: &mut Pair<Records<u32>>, side: Side, max: usize, peek: Peek) -> Result<Got, RecvError> {
    let mut bytes = Vec::new();
    let received = pair.try_recv(side, max, peek, &mut bytes)?;
    Ok((bytes, received.full_len, received.is_truncated()))
}

#[test]
fn records_keep_their_bounds_even_empty_ones() {
    let mut pair = pair();
    for record in [&b"abcdef"[..], b"", b"gh"] {
        assert_eq!(send(&mut pair, A, record), Ok(record.len()));
    }
    assert_eq!((pair.unread(B), pair.credit(A).charged()), (8, 3 * 768));
    assert_eq!(recv(&mut pair, B, 2, Peek::Yes), Ok((b"ab".to_vec(), 6, true)));
    assert_eq!(recv(&mut pair, B, 2, Peek::No), Ok((b"ab".to_vec(), 6, true)));
    assert_eq!(recv(&mut pair, B, 2, Peek::No), Ok((vec![], 0, false)));
    assert_eq!(recv(&mut pair, B, 2, Peek::No), Ok((b"gh".to_vec(), 2, false)));
    assert_eq!(recv(&mut pair, B, 2, Peek::No), Err(RecvError::WouldBlock));
    assert_eq!(pair.credit(A).charged(), 0);
}

#[test]
fn a_peek_with_an_offset_walks_over_the_records() {
    let mut pair = pair();
    pair.options_mut(B).peek_offset = 0;
    for record in [&b""[..], b"abc", b"", b"de"] {
        send(&mut pair, A, record).unwrap();
    }
    for (bytes, full_len) in [(&b""[..], 0), (b"ab", 3), (b"c", 1), (b"", 0), (b"de", 2)] {
        let truncated = bytes.len() < full_len;
        assert_eq!(recv(&mut pair, B, 2, Peek::Yes), Ok((bytes.to_vec(), full_len, truncated)));
    }
    assert_eq!(recv(&mut pair, B, 2, Peek::Yes), Err(RecvError::WouldBlock));
    recv(&mut pair, B, 9, Peek::No).unwrap();
    recv(&mut pair, B, 9, Peek::No).unwrap();
    assert_eq!(pair.options(B).peek_offset, 2);
}

#[test]
fn the_time_comes_with_a_record_whose_receiver_had_asked_for_it() {
    let mut pair = pair();
    let times = [7, 8].map(Instant::from_secs);
    let mut send = |asks, at| {
        pair.options_mut(B).stamps = asks;
        let mut ancillary = Ancillary { sent_at: Some(at), ..Ancillary::new(PROCESS) };
        pair.try_send(A, b"x"[..].into(), &mut ancillary).unwrap();
    };
    send(None, times[0]);
    send(Some(StampUnit::Micros), times[1]);
    for expected in [None, Some(times[1])] {
        for peek in [Peek::Yes, Peek::No] {
            assert_eq!(pair.try_recv(B, 9, peek, &mut Vec::new()).unwrap().sent_at, expected);
        }
    }
}

#[test]
fn handles_and_credentials_come_with_their_record() {
    let mut pair = pair();
    pair.options_mut(B).pass_credentials = true;
    let mut ancillary = Ancillary { rights: vec![1, 2], ..Ancillary::new(PROCESS) };
    pair.try_send(A, b""[..].into(), &mut ancillary).unwrap();
    for peek in [Peek::Yes, Peek::No] {
        let received = pair.try_recv(B, 9, peek, &mut Vec::new()).unwrap();
        assert_eq!((received.rights, received.credentials), (vec![1, 2], Some(PROCESS)));
    }
}

#[test]
fn a_record_goes_whole_or_not() {
    let mut pair = pair();
    pair.set_send_buffer(A, 4608);
    assert_eq!(send(&mut pair, A, &[0; 4577]), Err(SendError::TooLong));
    assert_eq!(send(&mut pair, A, &[0; 4576]), Ok(4576));
    let mut ancillary = Ancillary { rights: vec![1], ..Ancillary::new(PROCESS) };
    assert_eq!(pair.try_send(A, b"x"[..].into(), &mut ancillary), Err(SendError::WouldBlock));
    assert_eq!(ancillary.rights, [1]);
}

/// Unlike on a stream, as Linux 6.18 shows: the error comes before what was sent, and to a sender.
#[test]
fn closed_with_unread_records_the_peer_is_told_first() {
    for sends in [true, false] {
        let mut pair = pair();
        send(&mut pair, A, b"unread").unwrap();
        send(&mut pair, B, b"data").unwrap();
        assert!(pair.close(B).is_empty());
        if sends {
            assert_eq!(send(&mut pair, A, b"x"), Err(SendError::Reset));
            assert_eq!(send(&mut pair, A, b"x"), Err(SendError::BrokenPipe));
        } else {
            assert_eq!(recv(&mut pair, A, 9, Peek::No), Err(RecvError::Reset));
        }
        assert_eq!(recv(&mut pair, A, 9, Peek::No), Ok((b"data".to_vec(), 4, false)));
        assert_eq!(recv(&mut pair, A, 9, Peek::No), Ok((vec![], 0, false)));
    }
}

#[test]
fn one_empty_record_is_no_loss() {
    for (count, told) in [(1, false), (2, true)] {
        let mut pair = pair();
        (0..count).for_each(|_| assert_eq!(send(&mut pair, A, b""), Ok(0)));
        assert!(pair.close(B).is_empty());
        assert_eq!(pair.take_reset(A), told);
    }
}

#[test]
fn who_connects_shut_for_reading_can_be_sent_nothing() {
    let near = EndSetup { receive_shut: true, ..EndSetup::new(PROCESS) };
    let mut pair: Pair<Records<u32>> = Pair::new(near, EndSetup::new(PROCESS));
    assert_eq!(send(&mut pair, Side::Second, b""), Err(SendError::BrokenPipe));
    assert_eq!(send(&mut pair, Side::First, b"x"), Ok(1));
}

#[test]
fn shut_for_reading_the_peer_may_not_send() {
    let mut pair = pair();
    pair.shutdown(A, Shutdown::Read);
    assert_eq!(send(&mut pair, B, b""), Err(SendError::BrokenPipe));
    assert!(pair.wakes_sender(B) && pair.wakes_receiver(A, pair.arrivals(A)));
    assert!(pair.try_recv(A, 9, Peek::No, &mut Vec::new()).unwrap().sender.is_none());
}
