//! Each state that a socket can be in, as the kernel's poll shows it of our mirror and of the kernel's own socket.

use std::thread;
use std::time::{Duration, Instant};

use tapsock::Host;
use tapsock::bsd::{self, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

use super::sides::Step::*;
use super::sides::{Kernel, LOCAL, Numbers, Ours, Side, Step, TCP, UDP, appear, mask, masks};

/// Does the steps on both sides; after each, all mirrors show what the kernel's sockets show, sooner or later.
fn compare(steps: &[Step]) {
    let host = Host::builder().start().unwrap();
    let (mut ours, mut theirs) = (Ours::new(&host), Kernel::default());
    for (count, step) in steps.iter().enumerate() {
        ours.step(*step);
        theirs.step(*step);
        let end = Instant::now() + Duration::from_secs(5);
        while masks(&ours) != masks(&theirs) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        let (ours, theirs) = (masks(&ours), masks(&theirs));
        assert_eq!(ours, theirs, "ours, and the kernel's, after {:?}", &steps[..=count]);
    }
}

/// 0 listens, 1 has connected, 2 is the other end.
const CONNECTED: [Step; 7] = [TCP, Bind(0), Listen(0, 8), TCP, Connect(1, 0), Accept(0), Send(1)];

fn connected(steps: &[Step]) {
    compare(&[&CONNECTED[..], &[Drain(2)], steps].concat());
}

#[test]
fn a_connection_from_its_making_to_its_end() {
    connected(&[Fill(1), Send(2), Drain(1), Drain(2), Send(2), Receive(1), Shut(1, 1), Send(2), Drain(1)]);
    connected(&[Shut(1, 1), Drain(2), Shut(2, 1), Drain(1), Close(1), Close(2), Close(0)]);
    connected(&[Shut(1, 0), Shut(1, 1), Close(2)]);
    connected(&[Fill(1), Fill(2), Close(1), Drain(2)]);
}

/// The listener's queue is full, so nobody answers 2 until there is room again: until then it shows nothing, however its
/// mirror came about, and when it is connected it shows that there is room.
const UNANSWERED: [Step; 7] = [TCP, Bind(0), Listen(0, 0), TCP, Connect(1, 0), TCP, Connect(2, 0)];

#[test]
fn a_connection_that_is_being_made() {
    let with = |steps: &[Step]| compare(&[&UNANSWERED[..], steps].concat());
    with(&[Send(2), Receive(2), TakeError(2), Accept(0), Await(2), Send(2)]);
}

/// The kernel's socket shows no end of receiving then, and that is a state which its local sockets can't be in.
#[test]
fn a_connection_that_is_shut_before_it_is_made() {
    for how in 0..3 {
        let host = Host::builder().start().unwrap();
        let (mut ours, mut theirs) = (Ours::new(&host), Kernel::default());
        for step in UNANSWERED.into_iter().chain([Shut(2, how)]) {
            ours.step(step);
            theirs.step(step);
        }
        let both = [masks(&ours), masks(&theirs)].map(|mut masks| masks.swap_remove(2));
        assert_eq!(both, ["IN|OUT|ERR|HUP|RDHUP", "OUT|ERR|HUP"]);
        ours.step(TakeError(2));
        theirs.step(TakeError(2));
        let both = [masks(&ours), masks(&theirs)].map(|mut masks| masks.swap_remove(2));
        assert_eq!(both, ["IN|OUT|HUP|RDHUP", "OUT|HUP"]);
    }
}

#[test]
fn a_mirror_that_is_made_while_the_connection_is() {
    let host = Host::builder().start().unwrap();
    let mut ours = Ours::new(&host);
    for step in &UNANSWERED[..5] {
        ours.step(*step);
    }
    let listener = ours.id(0);
    let client = bsd::socket(&host, bsd::AF_INET, SOCK_STREAM | bsd::SOCK_NONBLOCK, 0).unwrap();
    let to = bsd::getsockname(&host, listener).unwrap();
    assert_eq!(bsd::connect(&host, client, &to), Err(tapsock::Errno::INPROGRESS));
    let mirror = bsd::mirror_fd(&host, client).unwrap();
    assert_eq!(mask(&mirror), "");
    bsd::accept4(&host, listener, 0).unwrap();
    appear(&mirror);
    assert_eq!(mask(&mirror), "OUT");
}

#[test]
fn an_urgent_byte_of_a_connection() {
    connected(&[Send(1), SendUrgent(1), ReceiveUrgent(2), Drain(2)]);
    connected(&[Send(1), SendUrgent(1), Drain(2), Send(1), Drain(2)]);
}

#[test]
fn a_connection_that_is_reset_or_refused() {
    connected(&[Reset(1), TakeError(2)]);
    connected(&[Send(2), Reset(1), Receive(2), Drain(2)]);
    connected(&[Shut(2, 1), Shut(1, 1), TakeError(1)]);
    connected(&[Fill(1), Reset(2), TakeError(1)]);
    compare(&[TCP, Bind(0), TCP, Close(0), ConnectToNobody(1, 0), TakeError(1)]);
    compare(&[TCP, Shut(0, 2)]);
}

#[test]
fn a_listener() {
    compare(&[TCP, Bind(0), Listen(0, 8), TCP, TCP, Connect(1, 0), Connect(2, 0), Accept(0), Accept(0)]);
    compare(&[LOCAL, Bind(0), Listen(0, 8), LOCAL, Connect(1, 0), Accept(0), Shut(0, 2), Close(0)]);
}

#[test]
fn datagrams_and_their_errors() {
    let pair = [UDP, Bind(0), UDP, Bind(1), Connect(0, 1), Connect(1, 0)];
    let with = |steps: &[Step]| compare(&[&pair[..], steps].concat());
    with(&[Send(0), Send(0), Receive(1), Receive(1), Send(1), Drain(0)]);
    with(&[Close(1), Send(0), TakeError(0), Send(0), Receive(0), Receive(0)]);
    with(&[Send(1), Close(1), Send(0), Receive(0), Receive(0), Receive(0)]);
    with(&[Send(1), Close(1), Send(0), TakeError(0), Receive(0)]);
    with(&[Shut(0, 0), Shut(1, 1), Send(0), Receive(1), Shut(0, 2), Send(1), Close(1)]);
    with(&[Close(1), Send(0), Shut(0, 2), TakeError(0)]);
}

#[test]
fn local_streams_and_their_urgent_byte() {
    let with = |steps: &[Step]| compare(&[&[Pair(SOCK_STREAM)][..], steps].concat());
    with(&[Send(0), Receive(1), Fill(0), Send(1), Drain(1), Drain(0), Shut(0, 1), Send(1), Shut(1, 1)]);
    with(&[SendUrgent(0), ReceiveUrgent(1), Send(0), SendUrgent(0), Receive(1), ReceiveUrgent(1)]);
    with(&[SendUrgent(0), Send(0), ReceiveUrgent(1), Receive(1)]);
    with(&[Send(0), Close(1), TakeError(0)]);
    with(&[Fill(0), Close(1), Receive(0)]);
    with(&[Fill(0), Shut(1, 0), Close(1)]);
    compare(&[LOCAL, LOCAL, Bind(1), Listen(1, 1), Connect(0, 1), Fill(0), Accept(1), Drain(2), Close(2)]);
}

#[test]
fn local_datagrams_and_records() {
    for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
        let with = |steps: &[Step]| compare(&[&[Pair(kind)][..], steps].concat());
        with(&[Send(0), Send(0), Receive(1), Receive(1), Fill(0), Receive(1), Drain(1)]);
        with(&[Shut(0, 0), Shut(1, 1), Shut(0, 1)]);
        with(&[Send(0), Close(1), TakeError(0)]);
    }
}

#[test]
fn local_pairs_in_drawn_sequences() {
    let host = Host::builder().start().unwrap();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for seed in 0..40 {
            let (mut ours, mut theirs, mut numbers) = (Ours::new(&host), Kernel::default(), Numbers(seed));
            let mut done = vec![Pair(kind)];
            for count in 0..60 {
                let step = done[count];
                ours.step(step);
                theirs.step(step);
                let (ours, theirs) = (masks(&ours), masks(&theirs));
                assert_eq!(ours, theirs, "ours, and the kernel's, kind {kind}, seed {seed}: {done:?}");
                done.push(numbers.step());
            }
        }
    }
}
