//! Sockets that lie in each other's queues: those that nobody holds besides are found and closed, the others stay.

use std::time::Instant;

use super::*;

fn pair(host: &Host, kind: i32) -> [i32; 2] {
    socketpair(host, AF_UNIX, kind, 0).unwrap()
}

/// A ring of so many: each lies in the queue of the next. Returns the sockets, and their peers.
fn ring(host: &Host, kind: i32, count: usize) -> (Vec<i32>, Vec<i32>) {
    let pairs: Vec<[i32; 2]> = (0..count).map(|_| pair(host, kind)).collect();
    for at in 0..count {
        send_rights(host, pairs[(at + 1) % count][0], b"x", &[Right::Id(pairs[at][1])]).unwrap();
    }
    (pairs.iter().map(|pair| pair[1]).collect(), pairs.iter().map(|pair| pair[0]).collect())
}

fn close_all(host: &Host, ids: &[i32]) {
    ids.iter().for_each(|id| close(host, *id).unwrap());
}

#[test]
fn rings_of_any_length_are_closed_with_the_last_holder() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for count in [1, 2, 3, 100] {
            let (ring, peers) = ring(&host, kind, count);
            let (last, others) = ring.split_last().unwrap();
            close_all(&host, others);
            // Of datagram sockets, only sending tells.
            let gone = |peer: &i32| match kind {
                SOCK_DGRAM => send(&host, *peer, b"x", MSG_DONTWAIT) == Err(Errno::CONNREFUSED),
                _ => is_lonely(&host, *peer),
            };
            assert!(!peers.iter().any(gone), "one of {count} has a descriptor");
            close(&host, *last).unwrap();
            assert!(peers.iter().all(gone), "{count}");
            close_all(&host, &peers);
        }
    }
}

/// What lay in the queue was not lost by the peer's close: no ECONNRESET, as on Linux.
#[test]
fn the_peer_of_one_that_was_collected_sees_the_end() {
    let host = host();
    let [near, far] = pair(&host, SOCK_STREAM);
    give(&host, near, far);
    assert_eq!(recv(&host, near, &mut [0; 8], 0), Ok(0));
    assert_eq!(send(&host, near, b"x", 0), Err(Errno::PIPE));
}

#[test]
fn a_ring_that_somebody_holds_stays_and_works() {
    let host = host();
    let (ring, peers) = ring(&host, SOCK_STREAM, 5);
    let held = dup(&host, ring[2]).unwrap();
    close_all(&host, &ring);
    assert!(!peers.iter().any(|peer| is_lonely(&host, *peer)));
    // All of them can still be had, one from the other.
    let mut at = held;
    for _ in 0..5 {
        let received = receive(&host, at, ROOM, 0).unwrap();
        assert_eq!(received.passed.len(), 1);
        close(&host, at).unwrap();
        at = received.rights()[0];
    }
    assert_eq!(receive(&host, at, ROOM, 0), Err(Errno::AGAIN));
    close(&host, at).unwrap();
    assert!(peers.iter().all(|peer| is_lonely(&host, *peer)));
}

/// A ring that hangs on a socket which itself lies in the queue of one that is held.
#[test]
fn a_ring_that_can_be_reached_by_way_of_others_stays() {
    let host = host();
    let (ring, peers) = ring(&host, SOCK_STREAM, 3);
    let [carrier, inner] = pair(&host, SOCK_STREAM);
    let [outer, root] = pair(&host, SOCK_STREAM);
    send_rights(&host, carrier, b"x", &[Right::Id(ring[0])]).unwrap();
    give(&host, outer, inner);
    close_all(&host, &ring);
    assert!(!peers.iter().any(|peer| is_lonely(&host, *peer)));
    close(&host, root).unwrap();
    assert!(peers.iter().all(|peer| is_lonely(&host, *peer)));
}

/// Two rings, of which one holds the other: closing the holder closes both.
#[test]
fn rings_that_hold_rings_go_together() {
    let host = host();
    let (first, first_peers) = ring(&host, SOCK_SEQPACKET, 2);
    let (second, second_peers) = ring(&host, SOCK_SEQPACKET, 2);
    send_rights(&host, first_peers[0], b"x", &[Right::Id(second[0])]).unwrap();
    close_all(&host, &second);
    assert!(!second_peers.iter().any(|peer| is_lonely(&host, *peer)));
    close_all(&host, &first);
    assert!(first_peers.iter().chain(&second_peers).all(|peer| is_lonely(&host, *peer)));
}

/// A listener lies in the queue of a connection that waits in its own queue.
#[test]
fn a_listener_whose_own_connection_brings_it_is_collected() {
    let host = host();
    for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
        let listener = socket(&host, AF_UNIX, kind, 0).unwrap();
        bind(&host, listener, &SockAddr::Unix(tapsock_sockets::UnixAddr::UNNAMED)).unwrap();
        listen(&host, listener, 4).unwrap();
        let name = getsockname(&host, listener).unwrap();
        let clients: Vec<i32> = (0..3).map(|_| socket(&host, AF_UNIX, kind, 0).unwrap()).collect();
        for client in &clients {
            connect(&host, *client, &name).unwrap();
        }
        send_rights(&host, clients[1], b"x", &[Right::Id(listener)]).unwrap();
        let kept = dup(&host, listener).unwrap();
        close(&host, listener).unwrap();
        assert!(!is_lonely(&host, clients[0]));
        close(&host, kept).unwrap();
        assert!(clients.iter().all(|client| is_lonely(&host, *client)));
        let fresh = socket(&host, AF_UNIX, kind, 0).unwrap();
        assert_eq!(connect(&host, fresh, &name), Err(Errno::CONNREFUSED));
        // One that is accepted takes what came with it along.
        let listener = socket(&host, AF_UNIX, kind, 0).unwrap();
        bind(&host, listener, &name).unwrap();
        listen(&host, listener, 4).unwrap();
        connect(&host, fresh, &name).unwrap();
        send_rights(&host, fresh, b"x", &[Right::Id(listener)]).unwrap();
        let (accepted, _) = accept(&host, listener).unwrap();
        close(&host, listener).unwrap();
        let listener = receive(&host, accepted, ROOM, 0).unwrap().rights()[0];
        assert_eq!(getsockname(&host, listener), Ok(name));
        close_all(&host, &[clients.as_slice(), &[fresh, accepted, listener]].concat());
    }
}

/// One socket several times in a queue, and in those of several.
#[test]
fn several_shares_in_one_are_counted() {
    let host = host();
    let [near, far] = pair(&host, SOCK_STREAM);
    let [carrier, box_] = pair(&host, SOCK_STREAM);
    send_rights(&host, near, b"x", &[Right::Id(far), Right::Id(far)]).unwrap();
    send_rights(&host, near, b"x", &[Right::Id(far)]).unwrap();
    send_rights(&host, carrier, b"x", &[Right::Id(far)]).unwrap();
    close(&host, far).unwrap();
    assert!(!is_lonely(&host, near), "there is one in the box");
    assert_eq!(recv(&host, box_, &mut [0; 8], 0), Ok(1));
    assert!(is_lonely(&host, near));
}

/// A hundred thousand, each in the queue of the next, fall with the last; the depth of no call depends on it.
#[test]
fn long_chains_and_rings_close_one_by_one() {
    let host = host();
    let count = 100_000;
    for closed in [false, true] {
        let [first_peer, first] = pair(&host, SOCK_STREAM);
        let mut head = first;
        let mut last_peer = first_peer;
        for _ in 1..count {
            let [near, far] = pair(&host, SOCK_STREAM);
            give(&host, near, head);
            if last_peer != first_peer {
                close(&host, last_peer).unwrap();
            }
            (head, last_peer) = (far, near);
        }
        if closed {
            send_rights(&host, first_peer, b"x", &[Right::Id(head)]).unwrap();
        }
        assert!(!is_lonely(&host, first_peer));
        close(&host, head).unwrap();
        assert!(is_lonely(&host, first_peer));
        close_all(&host, &[first_peer, last_peer]);
    }
}

/// Threads pass sockets around in rings and let go of them while others receive and accept.
#[test]
fn collecting_beside_threads_loses_nothing_that_is_held() {
    let host = host();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let host = host.clone();
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    let (ring, peers) = ring(&host, SOCK_STREAM, 3);
                    // A message that only a ring holds, and comes out whole.
                    let [kept, given] = pair(&host, SOCK_STREAM);
                    send(&host, kept, b"inside", 0).unwrap();
                    give(&host, peers[1], given);
                    close_all(&host, &ring[1..]);
                    let second = receive(&host, ring[0], ROOM, 0).unwrap().rights()[0];
                    close(&host, ring[0]).unwrap();
                    let last = receive(&host, second, ROOM, 0).unwrap().rights()[0];
                    close_all(&host, &[second, last, kept]);
                    assert!(peers.iter().all(|peer| is_lonely(&host, *peer)));
                    close_all(&host, &peers);
                }
            })
        })
        .collect();
    let until = Instant::now() + common::PATIENCE;
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(Instant::now() < until);
}
