use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::memory::{MemoryConfig, MemoryLink};
use crate::sys;
use crate::unix::{Framing, UnixLink};
use tapsock_stack::buf::Chunk;
use tapsock_stack::wire::offload::PartialChecksum;

/// A file that the test can look into.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<u8>>>);

impl Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A block as its reader sees it: its type, and what stands between its two lengths.
fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut rest = file;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let len = word(rest, 4) as usize;
        assert_eq!(len % 4, 0);
        assert_eq!(word(rest, len - 4) as usize, len, "both lengths agree");
        found.push((word(rest, 0), rest[8..len - 4].to_vec()));
        rest = &rest[len..];
    }
    found
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// When a packet's block says that it passed.
fn time(packet: &[u8]) -> u64 {
    u64::from(word(packet, 4)) << 32 | u64::from(word(packet, 8))
}

/// Interfaces and times of the packets of a file.
fn passed(file: &[u8]) -> Vec<(u32, u64)> {
    let packets = blocks(file).into_iter().filter(|(kind, _)| *kind == 6);
    packets.map(|(_, packet)| (word(&packet, 0), time(&packet))).collect()
}

/// The options that begin at `at`, up to their end.
fn options(body: &[u8], mut at: usize) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    loop {
        let (code, len) = (word(body, at) as u16, (word(body, at) >> 16) as usize);
        if code == 0 {
            assert_eq!((len, at + 4), (0, body.len()));
            return found;
        }
        found.push((code, body[at + 4..at + 4 + len].to_vec()));
        at += 4 + len.next_multiple_of(4);
    }
}

fn transmit(headers: &[u8], chunks: &[&[u8]]) -> Transmit {
    let mut block = HeaderBlock::new();
    block.prepend(headers.len()).copy_from_slice(headers);
    let mut payload = Rope::new();
    chunks.iter().for_each(|chunk| payload.push_back(Chunk::copy_from(chunk)));
    Transmit { headers: block, payload, checksum: None, segmentation: None }
}

#[test]
fn a_file_reads_back_block_by_block() {
    let shelf = Shelf::default();
    let capture = Capture::new(shelf.clone()).unwrap();
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (mut receive, mut send) = Box::new(capture.tee(left)).split();
    let (_peer, mut from_peer) = Box::new(capture.tee(right)).split();
    let before = now();
    let chunks: Vec<&[u8]> = vec![b"ab", b"cde", b"f", b"ghi"];
    send.transmit(&transmit(b"header", &chunks)).unwrap();
    from_peer.transmit(&transmit(&[9; 60], &[])).unwrap();
    receive.receive(&mut RecvSlot::new()).unwrap();
    assert_eq!(capture.finish().unwrap(), CaptureStats { written: 3, dropped: 0 });

    let file = shelf.0.lock().unwrap();
    let blocks = blocks(&file);
    let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 1, 6, 6, 6, 5, 5]);
    let (_, section) = &blocks[0];
    assert_eq!((word(section, 0), word(section, 4)), (0x1a2b_3c4d, 1));
    assert!(options(section, 16)[0].1.starts_with(b"tapsock "));
    let (_, description) = &blocks[1];
    assert_eq!(word(description, 0), 1, "Ethernet");
    assert_eq!(options(description, 8), [(2, b"memory0".to_vec()), (9, vec![9])]);

    let expected = [(0, 2u8, b"headerabcdefghi".to_vec()), (1, 2, vec![9; 60]), (0, 1, vec![9; 60])];
    for ((_, packet), (interface, direction, bytes)) in blocks[3..6].iter().zip(expected) {
        assert_eq!(word(packet, 0), interface);
        let time = time(packet);
        assert!((before..=now()).contains(&time), "nanoseconds since 1970");
        assert_eq!((word(packet, 12), word(packet, 16)), (bytes.len() as u32, bytes.len() as u32));
        assert_eq!(packet[20..20 + bytes.len()], bytes);
        let flags = options(packet, 20 + bytes.len().next_multiple_of(4));
        assert_eq!(flags, [(2, vec![direction, 0, 0, 0])]);
    }
    let seen = options(&blocks[6].1, 12);
    assert_eq!(seen, [(4, 2u64.to_le_bytes().to_vec()), (5, 0u64.to_le_bytes().to_vec())]);
}

#[test]
fn a_capture_that_begins_late_sees_all_links() {
    let late = LateCapture::default();
    let ends = [(); 2].map(|()| MemoryLink::pair(MemoryConfig::default()).unwrap());
    let mut sends: Vec<_> =
        ends.into_iter().map(|(link, end)| (Box::new(late.watch(link)).split().1, end)).collect();
    let (shelf, frame) = (Shelf::default(), transmit(&[7; 60], &[]));
    sends[1].0.transmit(&frame).unwrap();
    let capture = Capture::new(shelf.clone()).unwrap();
    late.begin(&capture);
    sends.iter_mut().for_each(|(send, _)| send.transmit(&frame).unwrap());
    late.end(&capture);
    sends[0].0.transmit(&frame).unwrap();
    assert_eq!(capture.finish().unwrap(), CaptureStats { written: 2, dropped: 0 });
    let interfaces: Vec<u32> =
        passed(&shelf.0.lock().unwrap()).iter().map(|(interface, _)| *interface).collect();
    assert_eq!(interfaces, [0, 1]);
}

/// A link over which the answer comes, and is captured, before `transmit` returns.
struct Prompt(Box<dyn SendHalf>);

impl Link for Prompt {
    fn caps(&self) -> LinkCaps {
        LinkCaps::plain(Medium::Ethernet, 1500)
    }
    fn name(&self) -> &str {
        "prompt"
    }
    fn drops(&self) -> LinkDrops {
        LinkDrops::default()
    }
    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let (receive, _) = Box::new(MemoryLink::pair(MemoryConfig::default()).unwrap().0).split();
        (receive, self)
    }
}

impl SendHalf for Prompt {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        self.0.transmit(transmit)?;
        // Time for the writer, should it not wait.
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

#[test]
fn a_question_stands_before_its_answer() {
    let shelf = Shelf::default();
    let capture = Capture::new(shelf.clone()).unwrap();
    let (left, _right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_keep, answer) = Box::new(capture.tee(left)).split();
    let (_, mut send) = Box::new(capture.tee(Prompt(answer))).split();
    for _ in 0..3 {
        send.transmit(&transmit(&[1; 60], &[])).unwrap();
    }
    assert_eq!(capture.finish().unwrap(), CaptureStats { written: 6, dropped: 0 });
    let passed = passed(&shelf.0.lock().unwrap());
    let interfaces: Vec<_> = passed.iter().map(|(interface, _)| *interface).collect();
    assert_eq!(interfaces, [1, 0, 1, 0, 1, 0]);
    assert!(passed.is_sorted_by_key(|(_, time)| *time));
}

#[test]
fn the_frames_of_many_threads_stand_in_the_order_of_time() {
    const EACH: u64 = 300;
    let shelf = Shelf::default();
    let capture = Capture::new(shelf.clone()).unwrap();
    let ends: Vec<_> = (0..3).map(|_| MemoryLink::pair(MemoryConfig::default()).unwrap()).collect();
    let threads: Vec<_> = ends
        .into_iter()
        .flat_map(|(left, right)| [capture.tee(left), capture.tee(right)])
        .map(|end| {
            std::thread::spawn(move || {
                let (mut receive, mut send) = Box::new(end).split();
                let mut slot = RecvSlot::new();
                for _ in 0..EACH {
                    send.transmit(&transmit(&[1; 60], &[])).unwrap();
                    let _ = receive.receive(&mut slot);
                }
                (receive, send)
            })
        })
        .collect();
    let _halves: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let stats = capture.finish().unwrap();
    assert!(stats.written + stats.dropped >= 6 * EACH);
    let passed = passed(&shelf.0.lock().unwrap());
    assert_eq!(passed.len() as u64, stats.written);
    assert!(passed.is_sorted_by_key(|(_, time)| *time));
}

#[test]
fn a_quiet_moment_completes_the_file() {
    let shelf = Shelf::default();
    let capture = Capture::new(shelf.clone()).unwrap();
    let (left, _right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_keep, mut send) = Box::new(capture.tee(left)).split();
    send.transmit(&transmit(&[1; 60], &[])).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while passed(&shelf.0.lock().unwrap()).is_empty() {
        assert!(std::time::Instant::now() < deadline, "it is not written");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One of two frames that pass at a time waits for the other's record, and nothing comes after them.
#[test]
fn so_does_one_after_frames_of_two_threads() {
    const ROUNDS: u64 = 1_000;
    let capture = Capture::new(io::sink()).unwrap();
    let (left, right) =
        MemoryLink::pair(MemoryConfig { capacity: 4_096, ..MemoryConfig::default() }).unwrap();
    let mut ends = [left, right].map(|end| Box::new(capture.tee(end)).split());
    let turn = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for (_, send) in &mut ends {
            let (turn, capture) = (&turn, &capture);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    turn.wait();
                    send.transmit(&transmit(&[1; 60], &[])).unwrap();
                    let deadline = std::time::Instant::now() + Duration::from_secs(20);
                    while capture.stats().written < 2 * round {
                        assert!(std::time::Instant::now() < deadline, "round {round}: {:?}", capture.stats());
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
}

#[test]
fn a_merged_frame_is_written_whole() {
    let shelf = Shelf::default();
    let capture = Capture::new(shelf.clone()).unwrap();
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_, mut send) = Box::new(left).split();
    let (mut receive, _) = Box::new(capture.tee(right)).split();
    send.transmit(&transmit(&[1; 54], &[&[2; 65_481]])).unwrap();
    receive.receive(&mut RecvSlot::new()).unwrap();
    capture.finish().unwrap();
    let file = shelf.0.lock().unwrap();
    assert_eq!(word(&blocks(&file)[2].1, 12), 65_535);
}

/// Takes nothing until the test lets it.
struct Stuck(crossbeam_channel::Receiver<()>, usize);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 > 0 {
            let _ = self.0.recv();
        }
        self.1 += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_link_drops_shows_through_the_capture() {
    let capture = Capture::new(std::io::sink()).unwrap();
    let (link, peer) = UnixLink::pair(Framing::Vnet, 1500).unwrap();
    let link: Box<dyn Link> = Box::new(link);
    let link = Box::new(capture.tee(link));
    let drops = link.drops();
    let (mut receive, _keep) = link.split();
    // Shorter than the header that stands before each frame.
    rustix::net::send(peer.into_fd(), &[0; 3], rustix::net::SendFlags::empty()).unwrap();
    receive.receive(&mut RecvSlot::new()).unwrap_err();
    assert_eq!((receive.dropped(), drops.received(), drops.sent()), (1, 1, 0));

    let (link, _peer) = UnixLink::pair(Framing::Frame, 1500).unwrap();
    let link = Box::new(capture.tee(link));
    let drops = link.drops();
    let (_keep, mut send) = link.split();
    let checksum = Some(PartialChecksum { header_len: 8, offset: 6 });
    send.transmit(&Transmit { checksum, ..transmit(&[0; 60], &[]) }).unwrap();
    assert_eq!((send.dropped(), drops.received(), drops.sent()), (1, 0, 1));
}

#[test]
fn a_stuck_disk_costs_captured_frames_and_no_others() {
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let capture = Capture::new(Stuck(gate, 0)).unwrap();
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_, mut send) = Box::new(capture.tee(left)).split();
    let (mut receive, _) = Box::new(right).split();
    let mut slot = RecvSlot::new();
    let total = QUEUE_BYTES / 60_000 * 3;
    for _ in 0..total {
        send.transmit(&transmit(&[1; 54], &[&[2; 60_000]])).unwrap();
        receive.receive(&mut slot).unwrap();
    }
    let dropped = capture.stats().dropped;
    assert!(dropped > 0 && capture.tap.queued_bytes.load(Ordering::Relaxed) <= QUEUE_BYTES);
    drop(release);
    let stats = capture.finish().unwrap();
    assert_eq!(stats, CaptureStats { written: total as u64 - dropped, dropped });
}

/// Frames of a few bytes reach the bound on their number first.
#[test]
fn so_many_frames_wait_for_a_stuck_disk_and_no_more() {
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let capture = Capture::new(Stuck(gate, 0)).unwrap();
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_, mut send) = Box::new(capture.tee(left)).split();
    let (mut receive, _) = Box::new(right).split();
    let mut slot = RecvSlot::new();
    // The disk is stuck once its buffer is full, which may take as many again.
    let buffered = FILE_BUFFER / 60;
    for _ in 0..buffered + 2 * QUEUE_FRAMES {
        send.transmit(&transmit(&[1; 14], &[&[2; 46]])).unwrap();
        receive.receive(&mut slot).unwrap();
        assert!(capture.tap.queued.load(Ordering::Relaxed) <= QUEUE_FRAMES);
    }
    let total = (buffered + 2 * QUEUE_FRAMES) as u64;
    let dropped = capture.stats().dropped;
    assert!(dropped > 0 && dropped < total - QUEUE_FRAMES as u64, "{dropped} of {total}");
    drop(release);
    let stats = capture.finish().unwrap();
    assert_eq!(stats, CaptureStats { written: total - dropped, dropped });
}

#[test]
fn an_error_of_the_file_is_reported_at_the_end_and_the_link_goes_on() {
    struct Full(bool);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let first = !std::mem::replace(&mut self.0, true);
            if first { Ok(bytes.len()) } else { Err(io::Error::from_raw_os_error(libc::ENOSPC)) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let capture = Capture::new(Full(false)).unwrap();
    let (left, right) = MemoryLink::pair(MemoryConfig::default()).unwrap();
    let (_, mut send) = Box::new(capture.tee(left)).split();
    let (receive, _) = Box::new(right).split();
    send.transmit(&transmit(&[1; 60], &[])).unwrap();
    assert!(sys::is_readable(receive.poll_fd().unwrap()));
    assert_eq!(capture.finish().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    send.transmit(&transmit(&[1; 60], &[])).unwrap();
}
