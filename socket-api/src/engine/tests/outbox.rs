use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use tapsock_driver::SendHalf;
use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::wire::offload::{PartialChecksum, Transmit};

use crate::engine::outbox::{
    FOREIGN_FRAMES, Fills, Flushed, OUTBOX_BYTES, OUTBOX_FRAMES, Outbox, Own, ROOM, Room,
};
use crate::engine::stats::Stats;

/// Notes the frames it is given, and whether their checksums were filled in; fails with `error` where there is one.
#[derive(Clone, Default)]
struct Note {
    sent: Arc<Mutex<Vec<(u8, bool)>>>,
    error: Arc<Mutex<Option<io::ErrorKind>>>,
}

impl SendHalf for Note {
    fn transmit(&mut self, transmit: &Transmit) -> io::Result<()> {
        if let Some(error) = *self.error.lock().unwrap() {
            return Err(error.into());
        }
        self.sent.lock().unwrap().push((transmit.payload.to_vec()[0], transmit.checksum.is_none()));
        Ok(())
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn dropped(&self) -> u64 {
        0
    }
}

/// A UDP packet that wants its checksum, and is told by its payload.
fn frame(number: u8) -> Transmit {
    let mut headers = HeaderBlock::new();
    headers.prepend(8);
    let checksum = Some(PartialChecksum { header_len: 8, offset: 6 });
    Transmit { headers, payload: Rope::from(vec![number]), checksum, segmentation: None }
}

/// Room for so many frames.
fn frames(frames: usize) -> Room {
    Room { frames, ..ROOM }
}

fn fill(outbox: &Outbox, frames: core::ops::Range<u8>) -> Own {
    let mut own = Own::default();
    let mut frames = frames.map(frame);
    outbox.fill(&mut own, || frames.next());
    own
}

fn flush(outbox: &Outbox, own: Own) -> Flushed {
    outbox.flush(own, &mut FOREIGN_FRAMES.clone(), &Stats::default())
}

#[test]
fn checksums_are_filled_in_where_the_link_does_not() {
    for (fills, filled_in) in [(Fills::Link, false), (Fills::Flusher, true)] {
        let note = Note::default();
        let outbox = Outbox::new(Some(Box::new(note.clone())), fills, frames(8));
        let own = fill(&outbox, 0..2);
        assert!(matches!(flush(&outbox, own), Flushed::Done));
        assert_eq!(*note.sent.lock().unwrap(), [(0, filled_in), (1, filled_in)]);
    }
}

#[test]
fn a_flusher_sends_all_of_its_own_and_some_of_others() {
    let note = Note::default();
    let outbox = Outbox::new(Some(Box::new(note.clone())), Fills::Link, frames(256));
    fill(&outbox, 0..60);
    let own = fill(&outbox, 60..100);
    fill(&outbox, 100..110);
    assert!(matches!(flush(&outbox, own), Flushed::HandOver));
    assert_eq!(note.sent.lock().unwrap().len(), 104, "60 and 4 of others', and 40 of its own");
    assert!(matches!(flush(&outbox, Own::default()), Flushed::Done));
    let sent: Vec<_> = note.sent.lock().unwrap().iter().map(|(number, _)| *number).collect();
    assert_eq!(sent, (0..110).collect::<Vec<_>>());
}

#[test]
fn a_full_outbox_leaves_segments_in_the_stack() {
    let note = Note::default();
    let outbox = Outbox::new(Some(Box::new(note.clone())), Fills::Link, frames(4));
    let mut own = Own::default();
    let mut stack = (0..6).map(frame);
    outbox.fill(&mut own, || stack.next());
    assert_eq!((outbox.waiting(), stack.len()), (4, 2));
    assert!(matches!(flush(&outbox, own), Flushed::Starved));
    outbox.fill(&mut own, || stack.next());
    assert!(matches!(flush(&outbox, own), Flushed::Done));
    assert_eq!(note.sent.lock().unwrap().len(), 6);
}

#[test]
fn no_more_frames_wait_than_there_is_room_for() {
    let outbox = Outbox::new(Some(Box::new(Note::default())), Fills::Link, ROOM);
    let mut stack = (0..512u32).map(|number| frame(number as u8));
    outbox.fill(&mut Own::default(), || stack.next());
    assert_eq!((outbox.waiting(), stack.len()), (OUTBOX_FRAMES, 512 - OUTBOX_FRAMES));
}

/// What a stream could send at once waits in the stack beyond a bound, and there another stream's turn comes.
#[test]
fn no_more_bytes_wait_than_there_is_room_for() {
    let note = Note::default();
    let outbox = Outbox::new(Some(Box::new(note.clone())), Fills::Link, ROOM);
    *note.error.lock().unwrap() = Some(io::ErrorKind::WouldBlock);
    let large = |number| Transmit { payload: Rope::from(vec![number; 64_000]), ..frame(number) };
    let mut greedy = (0..100).map(large);
    let mut own = Own::default();
    outbox.fill(&mut own, || greedy.next());
    let taken = 100 - greedy.len();
    assert!(taken * 64_008 >= OUTBOX_BYTES && (taken - 1) * 64_008 < OUTBOX_BYTES, "{taken} frames wait");
    assert!(matches!(flush(&outbox, own), Flushed::Blocked));
    fill(&outbox, 200..201);
    assert_eq!(outbox.waiting(), taken, "the outbox is as full as before");

    *note.error.lock().unwrap() = None;
    outbox.unblock();
    assert!(matches!(flush(&outbox, own), Flushed::Starved));
    fill(&outbox, 200..201);
    assert_eq!(outbox.waiting(), 1);
}

#[test]
fn a_full_link_blocks_and_a_broken_one_is_gone() {
    let note = Note::default();
    let outbox = Outbox::new(Some(Box::new(note.clone())), Fills::Link, frames(8));
    *note.error.lock().unwrap() = Some(io::ErrorKind::WouldBlock);
    let own = fill(&outbox, 0..2);
    assert!(matches!(flush(&outbox, own), Flushed::Blocked));
    assert!(outbox.is_blocked() && outbox.waiting() == 2);
    assert!(
        matches!(flush(&outbox, own), Flushed::Done),
        "nobody tries until the driver has seen it writable"
    );

    *note.error.lock().unwrap() = Some(io::ErrorKind::BrokenPipe);
    outbox.unblock();
    assert!(matches!(flush(&outbox, own), Flushed::Gone(_)));
    assert_eq!(outbox.waiting(), 0);
    fill(&outbox, 0..100);
    assert_eq!(outbox.waiting(), 0, "frames for a link that is gone are dropped");
}
