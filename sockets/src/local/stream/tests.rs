use super::*;
use crate::constants::SOMAXCONN;
use crate::local::pair::{EndSetup, Shutdown};
use crate::local::payload::Filling;
use tapsock_stack::buf::Rope;

const PROCESS: Credentials = Credentials { pid: 7, uid: 1, gid: 2 };
const A: Side = Side::First;
const B: Side = Side::Second;

fn pair() -> Pair<Stream<u32>> {
    Pair::new(EndSetup::new(PROCESS), EndSetup::new(PROCESS))
}

fn send(pair: &mut Pair<Stream<u32>>, side: Side, bytes: &[u8]) -> Result<usize, SendError> {
    pair.try_send(side, &mut bytes.into(), &mut Ancillary::new(PROCESS), Urgency::Normal)
}

fn send_urgent(pair: &mut Pair<Stream<u32>>, side: Side, bytes: &[u8]) -> Result<usize, SendError> {
    pair.try_send(side, &mut bytes.into(), &mut Ancillary::new(PROCESS), Urgency::LastByte)
}

fn recv(pair: &mut Pair<Stream<u32>>, side: Side, max: usize) -> Result<Vec<u8>, RecvError> {
    let mut call = Receiving::new(max);
    let mut bytes = Vec::new();
    match pair.try_recv(side, &mut call, &mut bytes) {
        Err(error) if call.is_empty() => Err(error),
        _ => Ok(bytes),
    }
}

#[test]
fn a_full_buffer_takes_a_part_and_goes_on_later() {
    let mut pair = pair();
    let data: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    let mut rope = Rope::from(&data[..]);
    let mut ancillary = Ancillary { rights: vec![5], ..Ancillary::new(PROCESS) };
    let mut payload = Payload::from(&mut rope);
    let sent = pair.try_send(A, &mut payload, &mut ancillary, Urgency::Normal);
    assert_eq!((sent, payload.len(), ancillary.rights.len()), (Ok(219_264), 80_736, 0));
    let again = pair.try_send(A, &mut payload, &mut ancillary, Urgency::Normal);
    assert_eq!((again, pair.wakes_sender(A)), (Err(SendError::WouldBlock), false));

    let mut received = Vec::new();
    let mut call = Receiving::new(400_000);
    call.wait_all = true;
    // The first piece brought a handle: a read ends behind it.
    assert_eq!(pair.try_recv(B, &mut call, &mut received), Ok(()));
    assert_eq!((call.len(), call.take_rights()), (36_544, vec![5]));
    let mut call = Receiving::new(data.len() - 36_544);
    call.wait_all = true;
    assert_eq!(pair.try_recv(B, &mut call, &mut received), Err(RecvError::WouldBlock));
    assert!(pair.wakes_sender(A) && !pair.wakes_receiver(B, pair.arrivals(B)));
    let seen = pair.arrivals(B);
    assert_eq!(pair.try_send(A, &mut payload, &mut ancillary, Urgency::Normal), Ok(80_736));
    assert!(pair.wakes_receiver(B, seen));
    assert_eq!(pair.try_recv(B, &mut call, &mut received), Ok(()));
    assert_eq!((received, pair.credit(A).charged()), (data, 0));
}

/// As Linux 6.18: `b'threefour'` comes as one, although only the second part brought a handle.
#[test]
fn a_read_ends_behind_handles() {
    let mut pair = pair();
    for (bytes, rights) in
        [(&b"one"[..], vec![]), (b"two", vec![1]), (b"three", vec![]), (b"four", vec![2, 3])]
    {
        let mut ancillary = Ancillary { rights, ..Ancillary::new(PROCESS) };
        pair.try_send(A, &mut bytes.into(), &mut ancillary, Urgency::Normal).unwrap();
    }
    assert_eq!(pair.rights(B).copied().collect::<Vec<_>>(), [1, 2, 3]);
    for (bytes, rights) in [(&b"onetwo"[..], vec![1]), (b"threefour", vec![2, 3])] {
        for peek in [true, false] {
            let mut call = Receiving::new(100);
            call.peek = peek;
            let mut sink = Vec::new();
            pair.try_recv(B, &mut call, &mut sink).unwrap();
            assert_eq!((&sink[..], call.take_rights()), (bytes, rights.clone()));
        }
    }
}

#[test]
fn bytes_without_a_byte_carry_no_handles() {
    let mut pair = pair();
    let mut ancillary = Ancillary { rights: vec![1], ..Ancillary::new(PROCESS) };
    assert_eq!(pair.try_send(A, &mut b""[..].into(), &mut ancillary, Urgency::Normal), Ok(0));
    assert_eq!((ancillary.rights.len(), pair.unread(B)), (1, 0));
}

#[test]
fn senders_are_told_apart_where_credentials_are_passed() {
    let mut pair = pair();
    send(&mut pair, A, b"unknown").unwrap();
    pair.options_mut(B).pass_credentials = true;
    send(&mut pair, A, b"aa").unwrap();
    send(&mut pair, A, b"bb").unwrap();
    let other = Credentials { pid: 9, ..PROCESS };
    let mut ancillary = Ancillary { explicit: Some(other), ..Ancillary::new(PROCESS) };
    pair.try_send(A, &mut b"cc"[..].into(), &mut ancillary, Urgency::Normal).unwrap();
    for (bytes, credentials) in [(&b"unknown"[..], Credentials::UNKNOWN), (b"aabb", PROCESS), (b"cc", other)]
    {
        let mut call = Receiving::new(100);
        let mut sink = Vec::new();
        pair.try_recv(B, &mut call, &mut sink).unwrap();
        assert_eq!((&sink[..], call.credentials()), (bytes, Some(credentials)));
    }
}

#[test]
fn who_is_not_accepted_yet_may_ask_for_credentials_later() {
    let mut pair: Pair<Stream<u32>> = Pair::pending(EndSetup::new(PROCESS), EndSetup::new(PROCESS));
    send(&mut pair, A, b"early").unwrap();
    pair.accept();
    send(&mut pair, A, b"late").unwrap();
    pair.options_mut(B).pass_credentials = true;
    for seen in [PROCESS, Credentials::UNKNOWN] {
        let mut call = Receiving::new(100);
        pair.try_recv(B, &mut call, &mut Vec::new()).unwrap();
        assert_eq!(call.credentials(), Some(seen));
    }
}

#[test]
fn low_water_and_wait_all_hold_a_call_that_waits() {
    let mut pair = pair();
    pair.options_mut(B).low_water = 5;
    send(&mut pair, A, b"abc").unwrap();
    let mut into = [0; 10];
    let mut filling = Filling::new(&mut into);
    let mut call = Receiving::new(10);
    assert_eq!(pair.try_recv(B, &mut call, &mut filling), Err(RecvError::WouldBlock));
    assert_eq!(call.len(), 3);
    send(&mut pair, A, b"de").unwrap();
    assert_eq!(pair.try_recv(B, &mut call, &mut filling), Ok(()));
    assert_eq!((filling.finish(), &into[..5]), (5, &b"abcde"[..]));

    send(&mut pair, A, b"abc").unwrap();
    let mut call = Receiving::new(10);
    call.wait_all = true;
    assert_eq!(pair.try_recv(B, &mut call, &mut Vec::new()), Err(RecvError::WouldBlock));
    pair.shutdown(A, Shutdown::Write);
    assert_eq!((pair.try_recv(B, &mut call, &mut Vec::new()), call.len()), (Ok(()), 3));
}

#[test]
fn closed_with_unread_bytes_the_peer_reads_on_and_is_told() {
    let mut pair = pair();
    send(&mut pair, A, b"unread").unwrap();
    send(&mut pair, B, b"data").unwrap();
    assert!(pair.close(B).is_empty());
    assert_eq!(format!("{:?}", pair.readiness(A)), "IN|OUT|ERR|HUP|RDNORM|WRNORM|WRBAND|RDHUP");
    assert_eq!((pair.credit(A).charged(), send(&mut pair, A, b"x")), (0, Err(SendError::BrokenPipe)));
    assert_eq!(recv(&mut pair, A, 9), Ok(b"data".to_vec()));
    assert_eq!(recv(&mut pair, A, 9), Err(RecvError::Reset));
    assert_eq!(recv(&mut pair, A, 9), Ok(vec![]));
    assert!(!pair.take_reset(A) && !pair.is_over());
    assert!(pair.close(A).is_empty() && pair.is_over());
}

/// Even where nothing was sent.
#[test]
fn closed_unaccepted_the_client_is_reset() {
    for rights in [vec![], vec![1]] {
        let mut pair: Pair<Stream<u32>> = Pair::pending(EndSetup::new(PROCESS), EndSetup::new(PROCESS));
        if !rights.is_empty() {
            let mut ancillary = Ancillary { rights: rights.clone(), ..Ancillary::new(PROCESS) };
            pair.try_send(A, &mut b"x"[..].into(), &mut ancillary, Urgency::Normal).unwrap();
        }
        assert_eq!(pair.close(B), rights);
        assert_eq!(recv(&mut pair, A, 9), Err(RecvError::Reset));
        assert_eq!(pair.close(B), [0u32; 0]);
    }
    let mut accepted: Pair<Stream<u32>> = Pair::pending(EndSetup::new(PROCESS), EndSetup::new(PROCESS));
    accepted.accept();
    assert!(accepted.close(B).is_empty());
    assert_eq!(recv(&mut accepted, A, 9), Ok(vec![]));
}

#[test]
fn each_direction_ends_at_both_ends() {
    let mut pair = pair();
    send(&mut pair, B, b"before").unwrap();
    pair.shutdown(A, Shutdown::Read);
    assert_eq!(send(&mut pair, B, b""), Err(SendError::BrokenPipe));
    assert_eq!(recv(&mut pair, A, 9), Ok(b"before".to_vec()));
    assert_eq!(recv(&mut pair, A, 9), Ok(vec![]));
    assert_eq!((send(&mut pair, A, b"x"), recv(&mut pair, B, 9)), (Ok(1), Ok(b"x".to_vec())));
    assert_eq!(recv(&mut pair, B, 9), Err(RecvError::WouldBlock));
}

#[test]
fn who_connects_shut_for_reading_can_be_sent_nothing() {
    let near = EndSetup { receive_shut: true, ..EndSetup::new(PROCESS) };
    let mut pair: Pair<Stream<u32>> = Pair::new(near, EndSetup::new(PROCESS));
    assert_eq!(send(&mut pair, Side::Second, b"x"), Err(SendError::BrokenPipe));
    assert_eq!(send(&mut pair, Side::Second, b""), Ok(0));
    assert_eq!(send(&mut pair, Side::First, b"x"), Ok(1));
}

#[test]
fn bytes_are_found_without_room_for_one() {
    let mut pair = pair();
    for peek in [true, false] {
        let mut call = Receiving::new(0);
        call.peek = peek;
        assert_eq!(pair.try_recv(Side::Second, &mut call, &mut Vec::new()), Err(RecvError::WouldBlock));
        assert!(!call.has_found());
    }
    send(&mut pair, Side::First, b"x").unwrap();
    for peek in [true, false] {
        let mut call = Receiving::new(0);
        call.peek = peek;
        assert_eq!(pair.try_recv(Side::Second, &mut call, &mut Vec::new()), Ok(()));
        assert!(call.has_found());
    }
}

#[test]
fn an_urgent_byte_is_a_barrier_and_read_apart() {
    let mut pair = pair();
    send(&mut pair, A, b"ab").unwrap();
    send_urgent(&mut pair, A, b"cX").unwrap();
    send(&mut pair, A, b"de").unwrap();
    assert_eq!((pair.unread(B), pair.is_at_mark(B)), (6, false));
    assert_eq!(recv(&mut pair, B, 9), Ok(b"abc".to_vec()));
    assert!(pair.is_at_mark(B) && pair.view(B).urgent);
    assert_eq!(pair.recv_urgent(B, Peek::Yes), Ok(b'X'));
    assert_eq!(pair.recv_urgent(B, Peek::No), Ok(b'X'));
    assert_eq!(pair.recv_urgent(B, Peek::No), Err(RecvError::NoUrgent));
    assert!(pair.is_at_mark(B) && !pair.view(B).urgent);
    assert_eq!(recv(&mut pair, B, 9), Ok(b"de".to_vec()));
    assert_eq!(
        (pair.credit(A).charged(), send_urgent(&mut pair, A, b"")),
        (0, Err(SendError::NothingUrgent))
    );
}

#[test]
fn an_urgent_byte_is_lost_or_stands_in_line() {
    for (inline, rest) in [(false, &b"de"[..]), (true, b"Xde")] {
        let mut pair = pair();
        pair.options_mut(B).urgent_inline = inline;
        send_urgent(&mut pair, A, b"abX").unwrap();
        send(&mut pair, A, b"de").unwrap();
        assert_eq!(recv(&mut pair, B, 9), Ok(b"ab".to_vec()));
        assert_eq!(recv(&mut pair, B, 9), Ok(rest.to_vec()));
        assert_eq!(pair.recv_urgent(B, Peek::No), Err(RecvError::NoUrgent));
        assert_eq!((pair.unread(B), pair.credit(A).charged()), (0, 0));
    }
}

/// The steady state of two threads that send each other short messages.
#[test]
fn queues_stay_small_while_the_reader_keeps_up() {
    let mut pair = pair();
    for _ in 0..10 * SOMAXCONN {
        send(&mut pair, A, b"ping").unwrap();
        assert_eq!(recv(&mut pair, B, 4), Ok(b"ping".to_vec()));
    }
    assert!(pair.half(B).inbox.pieces.capacity() <= 8);
}
