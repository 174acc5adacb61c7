use super::*;
use crate::sys;
use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::wire::offload::{PartialChecksum, Segmentation, SegmentationKind};

type Halves = (Box<dyn RecvHalf>, Box<dyn SendHalf>);

fn split(link: impl Link + 'static) -> Halves {
    Box::new(link).split()
}

/// A frame from station `from` to station `to`, numbered `tag`.
fn frame(to: u8, from: u8, tag: u8) -> Transmit {
    let mut headers = HeaderBlock::new();
    let header = headers.prepend(14);
    header[..6].fill(to);
    header[6..12].copy_from_slice(&[2, 0, 0, 0, 0, from]);
    if to != 0xff {
        header[..6].copy_from_slice(&[2, 0, 0, 0, 0, to]);
    }
    header[12..].copy_from_slice(&[0x88, 0xb5]);
    Transmit { headers, payload: Rope::from(vec![tag; 50]), checksum: None, segmentation: None }
}

fn tags(halves: &mut Halves) -> Vec<u8> {
    let mut slot = RecvSlot::new();
    std::iter::from_fn(|| halves.0.receive(&mut slot).ok()).map(|frame| frame.bytes[14]).collect()
}

#[test]
fn a_wire_keeps_order_and_pushes_back() {
    let config = MemoryConfig { capacity: 4, ..MemoryConfig::default() };
    let (left, right) = MemoryLink::pair(config).unwrap();
    let (mut left, mut right) = (split(left), split(right));
    for tag in 0..4 {
        left.1.transmit(&frame(2, 1, tag)).unwrap();
    }
    assert_eq!(left.1.transmit(&frame(2, 1, 4)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!sys::is_writable(left.1.poll_fd().unwrap()));
    assert!(sys::is_readable(right.0.poll_fd().unwrap()));
    assert_eq!(tags(&mut right), [0, 1, 2, 3]);
    assert!(sys::is_writable(left.1.poll_fd().unwrap()));
    right.1.transmit(&frame(1, 2, 9)).unwrap();
    assert_eq!(tags(&mut left), [9]);
}

#[test]
fn a_dropped_end_is_noticed() {
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (mut left, right) = (split(left), split(right));
    drop(right);
    assert!(sys::is_readable(left.0.poll_fd().unwrap()));
    assert_eq!(left.0.receive(&mut RecvSlot::new()).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    assert_eq!(left.1.transmit(&frame(2, 1, 0)).unwrap_err().raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn a_merged_frame_crosses_whole_and_its_partial_checksum_counts() {
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (mut left, mut right) = (split(left), split(right));
    let mut merged = frame(2, 1, 5);
    merged.payload = Rope::from(vec![5; 64_000]);
    merged.checksum = Some(PartialChecksum { header_len: 8, offset: 6 });
    merged.segmentation = Some(Segmentation { kind: SegmentationKind::Udp, size: 1400 });
    left.1.transmit(&merged).unwrap();
    let received = right.0.receive(&mut RecvSlot::new()).unwrap();
    assert_eq!((received.checksum, received.gso_size), (Checksum::Valid, Some(1400)));
    assert_eq!(received.bytes.len(), 64_014);
}

#[test]
fn a_switch_floods_until_it_has_learnt() {
    let switch = MemorySwitch::new(MemoryConfig::default());
    let mut ports: Vec<_> = (0..3).map(|_| split(switch.port().unwrap())).collect();
    ports[0].1.transmit(&frame(2, 1, 10)).unwrap();
    assert_eq!(tags(&mut ports[0]), [0; 0], "nothing comes back to its sender");
    assert_eq!(tags(&mut ports[1]), [10]);
    assert_eq!(tags(&mut ports[2]), [10]);
    ports[1].1.transmit(&frame(1, 2, 11)).unwrap();
    assert_eq!((tags(&mut ports[0]), tags(&mut ports[2])), (vec![11], vec![]));
    ports[0].1.transmit(&frame(2, 1, 12)).unwrap();
    assert_eq!((tags(&mut ports[1]), tags(&mut ports[2])), (vec![12], vec![]));
    ports[0].1.transmit(&frame(0xff, 1, 13)).unwrap();
    assert_eq!((tags(&mut ports[1]), tags(&mut ports[2])), (vec![13], vec![13]));
}

#[test]
fn a_station_that_moves_is_found_at_its_new_port() {
    let switch = MemorySwitch::new(MemoryConfig::default());
    let mut ports: Vec<_> = (0..3).map(|_| split(switch.port().unwrap())).collect();
    ports[1].1.transmit(&frame(0xff, 2, 1)).unwrap();
    ports[2].1.transmit(&frame(0xff, 2, 2)).unwrap();
    tags(&mut ports[1]);
    ports[0].1.transmit(&frame(2, 1, 3)).unwrap();
    assert_eq!(tags(&mut ports[1]), [0; 0]);
    assert_eq!(tags(&mut ports[2]), [1, 3]);
    drop(ports.pop());
    ports[0].1.transmit(&frame(2, 1, 4)).unwrap();
    assert_eq!(tags(&mut ports[1]), [4], "forgotten with its port");
}

#[test]
fn a_full_port_loses_frames_and_a_runt_is_dropped() {
    let switch = MemorySwitch::new(MemoryConfig { capacity: 2, ..MemoryConfig::default() });
    let mut ports: Vec<_> = (0..2).map(|_| split(switch.port().unwrap())).collect();
    for tag in 0..5 {
        ports[0].1.transmit(&frame(2, 1, tag)).unwrap();
    }
    assert_eq!(switch.dropped(), 3);
    assert_eq!(tags(&mut ports[1]), [0, 1]);
    let runt = Transmit { payload: Rope::from(vec![0; 5]), headers: HeaderBlock::new(), ..frame(2, 1, 0) };
    ports[0].1.transmit(&runt).unwrap();
    assert_eq!(switch.dropped(), 4);
}
