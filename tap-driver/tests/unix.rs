//! Pairs of local sockets.

use std::io::ErrorKind;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use tapsock_driver::drops::DropReason;
use tapsock_driver::unix::{Framing, UnixLink};
use tapsock_driver::{Link, RecvHalf, RecvSlot, SendHalf};
use tapsock_stack::buf::{Checksum, HeaderBlock, Rope};
use tapsock_stack::wire::offload::{PartialChecksum, Segmentation, SegmentationKind, Transmit};
use tapsock_stack::wire::{EtherType, EthernetHeader, IpProtocol, Ipv4Header, UdpHeader};

mod common;

use common::pattern;

fn split(link: UnixLink) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
    Box::new(link).split()
}

fn frame(len: usize) -> Transmit {
    let mut headers = HeaderBlock::new();
    headers.prepend(14)[12] = 0x88;
    Transmit { headers, payload: Rope::from(pattern(len)), checksum: None, segmentation: None }
}

fn is_writable(half: &dyn SendHalf) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(half.poll_fd().unwrap(), PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn a_packet_is_a_frame() {
    let (left, right) = UnixLink::pair(Framing::Frame, 1500).unwrap();
    let ((mut receive, _), (_keep, mut send)) = (split(left), split(right));
    for len in [46, 1500] {
        send.transmit(&frame(len)).unwrap();
    }
    let mut slot = RecvSlot::new();
    for len in [46, 1500] {
        let received = receive.receive(&mut slot).unwrap();
        assert_eq!(received.bytes[14..], pattern(len));
    }
    assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn without_headers_a_frame_that_is_not_finished_is_dropped() {
    let (left, right) = UnixLink::pair(Framing::Frame, 1500).unwrap();
    let drops = right.drops();
    let ((mut receive, _), (_keep, mut send)) = (split(left), split(right));
    let checksum = Some(PartialChecksum { header_len: 8, offset: 6 });
    send.transmit(&Transmit { checksum, ..frame(100) }).unwrap();
    assert_eq!((send.dropped(), drops.of(DropReason::OutUnfinished)), (1, 1));
    assert!(receive.receive(&mut RecvSlot::new()).is_err());
}

#[test]
fn with_headers_a_merged_frame_crosses_whole() {
    let (left, right) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
    let ((mut receive, _), (_keep, mut send)) = (split(left), split(right));
    let mut headers = HeaderBlock::new();
    UdpHeader::default().prepend_to(65_000, &mut headers);
    Ipv4Header { protocol: IpProtocol::UDP, ..Ipv4Header::default() }.prepend_to(65_008, &mut headers);
    let (source, destination) = Default::default();
    EthernetHeader { destination, source, ether_type: EtherType::Ipv4 }.prepend_to(&mut headers);
    let merged = Transmit {
        headers,
        checksum: Some(PartialChecksum { header_len: 8, offset: 6 }),
        segmentation: Some(Segmentation { kind: SegmentationKind::Udp, size: 1400 }),
        ..frame(65_000)
    };
    send.transmit(&merged).unwrap();
    let received = receive.receive(&mut RecvSlot::new()).unwrap();
    assert_eq!((received.checksum, received.gso_size), (Checksum::Valid, Some(1400)));
    assert!(received.bytes[42..] == pattern(65_000));
}

#[test]
fn a_full_socket_pushes_back_and_loses_nothing() {
    let (left, right) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
    let ((mut receive, _), (_keep, mut send)) = (split(left), split(right));
    let sent = (0..100_000).take_while(|_| match send.transmit(&frame(60_000)) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    });
    let sent = sent.count();
    assert!(sent > 1 && !is_writable(&*send));
    let mut slot = RecvSlot::new();
    let received = std::iter::from_fn(|| receive.receive(&mut slot).ok()).count();
    assert_eq!((received, send.dropped()), (sent, 0));
    assert!(is_writable(&*send));
}

#[test]
fn an_end_that_is_closed_is_noticed() {
    let (left, right) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
    let (mut receive, mut send) = split(left);
    drop(right);
    assert_ne!(receive.receive(&mut RecvSlot::new()).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(send.transmit(&frame(60)).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// A link, and the bare socket at its other end.
fn with_a_bare_peer(framing: Framing) -> (UnixLink, std::os::fd::OwnedFd) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    (UnixLink::from_fd(ours, framing, 1500).unwrap(), theirs)
}

#[test]
fn packets_without_a_frame_are_counted_and_are_not_the_end() {
    for framing in [Framing::Frame, Framing::Vnet] {
        let (link, peer) = with_a_bare_peer(framing);
        let drops = link.drops();
        let (mut receive, mut send_half) = split(link);
        let mut slot = RecvSlot::new();
        let put = |len| send(&peer, &vec![0; len], SendFlags::empty()).unwrap();
        put(0);
        assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), ErrorKind::WouldBlock);
        put(0);
        put(100_000);
        put(72);
        assert!(receive.receive(&mut slot).is_ok(), "the frame behind them comes");
        assert_eq!((drops.of(DropReason::InTooShort), drops.of(DropReason::InTruncated)), (2, 1));
        assert_eq!((receive.dropped(), drops.sent()), (3, 0));
        send_half.transmit(&frame(60)).unwrap();
    }
}

#[test]
fn one_call_skips_so_many_packets_and_no_more() {
    let (link, peer) = with_a_bare_peer(Framing::Vnet);
    let drops = link.drops();
    let (mut receive, _keep) = split(link);
    for len in [12; 17].into_iter().chain([72]) {
        send(&peer, &vec![0; len], SendFlags::empty()).unwrap();
    }
    let mut slot = RecvSlot::new();
    assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(drops.of(DropReason::InTooShort), 16);
    assert_eq!(receive.receive(&mut slot).unwrap().bytes.len(), 60);
    assert_eq!(drops.of(DropReason::InTooShort), 17);
}

/// Any process may be at the other end.
#[test]
fn frames_behind_a_header_of_others_are_counted_and_are_not_the_end() {
    let (link, peer) = with_a_bare_peer(Framing::Vnet);
    let drops = link.drops();
    let (mut receive, _keep) = split(link);
    let put = |header: [u8; 12]| send(&peer, &[&header[..], &[0; 60]].concat(), SendFlags::empty()).unwrap();
    // A checksum behind the end, segments of no length, headers longer than the frame.
    put([1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    put([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    put([0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    put([0; 12]);
    let mut slot = RecvSlot::new();
    assert_eq!(receive.receive(&mut slot).unwrap().bytes.len(), 60);
    assert_eq!((drops.of(DropReason::InMisdescribed), receive.dropped()), (3, 3));
    assert_eq!(receive.receive(&mut slot).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_a_peer_sent_before_it_closed_is_still_received() {
    let (link, peer) = with_a_bare_peer(Framing::Frame);
    let (mut receive, _keep) = split(link);
    for len in [0, 60, 0] {
        send(&peer, &vec![0; len], SendFlags::empty()).unwrap();
    }
    drop(peer);
    let mut slot = RecvSlot::new();
    assert_eq!(receive.receive(&mut slot).unwrap().bytes.len(), 60);
    assert_eq!(receive.receive(&mut slot).unwrap_err().raw_os_error(), Some(19), "ENODEV");
}

#[test]
fn only_sockets_that_keep_packets_apart_are_taken() {
    let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(UnixLink::from_fd(stream.into(), Framing::Frame, 1500).is_err());
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(UnixLink::from_fd(file.into(), Framing::Frame, 1500).is_err());
}
