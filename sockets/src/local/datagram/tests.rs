use super::*;

const PROCESS: Credentials = Credentials { pid: 7, uid: 1, gid: 2 };

type Socket = DatagramSocket<u32, &'static str>;

fn socket(id: u32) -> Socket {
    DatagramSocket::new(id, DATAGRAM_QUEUE_DEFAULT)
}

/// Both halves of a send.
fn send(from: &mut Socket, to: &mut Socket, bytes: &[u8]) -> Result<(), SendError> {
    let charge = from.reserve(bytes.len())?;
    let sender = Sender { id: from.id, address: UnixAddr::UNNAMED, charge };
    let ancillary = Ancillary::new(PROCESS);
    let credentials = from.credentials(&ancillary, to.options.pass_credentials);
    let mut delivery = Delivery { from: sender, credentials, sent_at: None, rights: vec!["handle"] };
    to.deliver(bytes.into(), &mut delivery).inspect_err(|_| {
        assert_eq!(delivery.rights, ["handle"]);
        from.release(charge);
    })
}

fn recv(socket: &mut Socket) -> Result<Vec<u8>, RecvError> {
    let mut bytes = Vec::new();
    socket.try_recv(100, Peek::No, &mut bytes).map(|_| bytes)
}

fn connected() -> (Socket, Socket) {
    let (mut a, mut b) = (socket(1), socket(2));
    assert!(a.connect(2).former.is_none() && b.connect(1).former.is_none());
    (a, b)
}

/// As Linux 6.18: eleven with the default of ten.
#[test]
fn a_queue_is_full_for_those_it_is_not_connected_to() {
    let (mut a, mut b) = (socket(1), socket(2));
    let sent = (0..20).take_while(|_| send(&mut a, &mut b, b"x").is_ok()).count();
    assert_eq!((sent, a.credit().charged()), (11, 11 * 768));
    assert_eq!(send(&mut a, &mut b, b"x"), Err(SendError::WouldBlock));
    let _ = a.connect(2);
    assert_eq!(format!("{:?}", a.readiness(b.is_full_for(1))), "0");
    let received = b.try_recv(1, Peek::No, &mut Vec::new()).unwrap();
    a.release(received.sender.unwrap().charge);
    assert_eq!(format!("{:?}", a.readiness(b.is_full_for(1))), "OUT|WRNORM|WRBAND");
    assert_eq!((send(&mut a, &mut b, b"x"), a.credit().charged()), (Ok(()), 11 * 768));

    let (mut a, mut b) = connected();
    let sent = (0..999).take_while(|_| send(&mut a, &mut b, b"x").is_ok()).count();
    assert_eq!((sent, a.credit().charged(), b.unread()), (278, 213_504, 1));
}

#[test]
fn who_is_connected_elsewhere_takes_nothing() {
    let (mut a, mut b) = connected();
    let mut third = socket(3);
    assert_eq!(send(&mut third, &mut b, b"x"), Err(SendError::Permission));
    assert!(!b.takes_from(3) && b.takes_from(1) && socket(4).takes_from(3));
    assert_eq!((send(&mut a, &mut b, b"x"), third.credit().charged()), (Ok(()), 0));
}

#[test]
fn a_peer_that_turns_away_from_unread_datagrams_is_noticed() {
    let (mut a, mut b) = connected();
    send(&mut b, &mut a, b"lost").unwrap();
    let discarded = a.dissolve();
    assert_eq!(
        (discarded.former, discarded.rights, discarded.senders.len()),
        (Some(Former(2)), vec!["handle"], 1)
    );
    b.release(discarded.senders[0].charge);
    b.on_peer_left(1);
    assert_eq!(format!("{:?}", b.readiness(false)), "OUT|ERR|WRNORM|WRBAND");
    assert_eq!(send(&mut b, &mut a, b"x"), Err(SendError::Reset));
    assert_eq!((send(&mut b, &mut a, b"y"), recv(&mut a)), (Ok(()), Ok(b"y".to_vec())));

    // Without a datagram, or of one that is connected elsewhere, nothing is to be told.
    assert!(b.dissolve().former.is_none());
    let (mut a, mut b) = connected();
    send(&mut b, &mut a, b"lost").unwrap();
    let _ = b.connect(3);
    assert_eq!(a.connect(3).former, Some(Former(2)));
    b.on_peer_left(1);
    assert!(!b.take_reset());
}

#[test]
fn a_name_that_comes_late_shows_on_what_waits() {
    let (mut a, mut b) = (socket(1), socket(2));
    send(&mut a, &mut b, b"x").unwrap();
    let name = UnixAddr::path(b"late").unwrap();
    b.rename_sender(3, UnixAddr::path(b"other").unwrap());
    b.rename_sender(1, name);
    let received = b.try_recv(1, Peek::No, &mut Vec::new()).unwrap();
    assert_eq!(received.sender.unwrap().address, name);
}

#[test]
fn connecting_again_to_the_same_keeps_what_waits() {
    let (mut a, mut b) = connected();
    send(&mut b, &mut a, b"kept").unwrap();
    assert!(a.connect(2).senders.is_empty());
    assert_eq!(recv(&mut a), Ok(b"kept".to_vec()));
}

#[test]
fn a_peer_that_is_gone_takes_its_datagrams_along_when_noticed() {
    let (mut a, mut b) = connected();
    send(&mut b, &mut a, b"data").unwrap();
    assert!(b.close().senders.is_empty());
    assert_eq!(a.unread(), 4);
    let discarded = a.on_peer_gone();
    assert_eq!((discarded.former, discarded.senders.len()), (None, 1));
    assert_eq!((a.peer(), recv(&mut a)), (None, Err(RecvError::WouldBlock)));
}

#[test]
fn errors_come_in_the_order_of_linux() {
    let mut a = socket(1);
    a.set_send_buffer(4608);
    a.shutdown(Shutdown::Write);
    assert_eq!(a.reserve(4577), Err(SendError::TooLong));
    assert_eq!(a.reserve(4576), Err(SendError::BrokenPipe));
    let mut b = socket(2);
    b.set_send_buffer(4608);
    assert_eq!((b.reserve(4000), b.reserve(0)), (Ok(8448), Err(SendError::WouldBlock)));
    let mut shut = socket(3);
    shut.shutdown(Shutdown::Read);
    assert!(shut.receive_is_over());
    assert_eq!(send(&mut socket(4), &mut shut, b"x"), Err(SendError::BrokenPipe));
    assert_eq!(recv(&mut shut), Err(RecvError::WouldBlock));
}

#[test]
fn credentials_travel_where_an_end_asks() {
    let (mut a, mut b) = connected();
    send(&mut a, &mut b, b"unasked").unwrap();
    b.options.pass_credentials = true;
    send(&mut a, &mut b, b"asked").unwrap();
    for seen in [Credentials::UNKNOWN, PROCESS] {
        let received = b.try_recv(9, Peek::No, &mut Vec::new()).unwrap();
        assert_eq!(received.credentials, Some(seen));
    }
}

#[test]
fn closed_it_gives_everything_back() {
    let (mut a, mut b) = connected();
    send(&mut a, &mut b, b"x").unwrap();
    assert_eq!(b.rights().count(), 1);
    let discarded = b.close();
    assert_eq!((discarded.senders[0].id, discarded.senders[0].charge), (1, 768));
    assert_eq!((discarded.rights, b.rights().count()), (vec!["handle"], 0));
}
