//! select, and poll with real descriptors beside our sockets.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd::{self, FD_SETSIZE, FdSet, PollFd, PollMask, RealPollFd, SOCK_STREAM};
use tapsock::{Errno, Host};

use super::common::{PATIENCE, pair, within};
use super::threads::A_WHILE;
use super::{connection, host, local_pair, udp};

const IN: u16 = 0x1;
const OUT: u16 = 0x4;
const HUP: u16 = 0x10;

fn set(ids: &[i32]) -> FdSet {
    ids.iter().copied().collect()
}

#[test]
fn select_leaves_what_is_ready_and_counts_its_bits() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let (client, server) = connection(&host);
    let (datagrams, _) = udp(&host);
    bsd::send(&host, there, b"x", 0).unwrap();
    bsd::shutdown(&host, client, bsd::SHUT_RDWR).unwrap();
    let all = [here, there, client, server, datagrams];
    let [mut read, mut write, mut except] = [set(&all); 3];
    let count = all.iter().max().unwrap() + 1;
    let at_once = Some(Duration::ZERO);
    let found =
        bsd::select(&host, count, Some(&mut read), Some(&mut write), Some(&mut except), at_once).unwrap();
    assert_eq!(read, set(&[here, client, server]));
    assert_eq!(write, set(&all));
    assert_eq!((except, found), (FdSet::new(), 8));

    // What is not below the count is not looked at, and not left in.
    let mut read = set(&[here, 900]);
    assert_eq!(bsd::select(&host, here + 1, Some(&mut read), None, None, at_once), Ok(1));
    assert_eq!(read, set(&[here]));
    let mut read = set(&[there]);
    assert_eq!(bsd::pselect(&host, count, Some(&mut read), None, None, at_once), Ok(0));
    assert!(read.is_empty());
}

#[test]
fn select_refuses_what_linux_refuses() {
    let host = host();
    let mut read = set(&[900]);
    let at_once = Some(Duration::ZERO);
    assert_eq!(bsd::select(&host, 1000, Some(&mut read), None, None, at_once), Err(Errno::BADF));
    assert_eq!(read, set(&[900]), "it is left as it was");
    for count in [-1, FD_SETSIZE as i32 + 1] {
        assert_eq!(bsd::select(&host, count, None, None, None, at_once), Err(Errno::INVAL), "{count}");
    }
    let began = Instant::now();
    assert_eq!(bsd::select(&host, 0, None, None, None, Some(Duration::from_millis(20))), Ok(0));
    assert!(began.elapsed() >= Duration::from_millis(20), "without sets it sleeps");
}

#[test]
fn poll_refuses_more_entries_than_there_can_be_ids() {
    let host = Host::builder().descriptor_limit(2).start().unwrap();
    let entry = PollFd::new(-1, PollMask::IN);
    assert_eq!(bsd::poll(&host, &mut [entry; 2], 0), Ok(0));
    assert_eq!(bsd::poll(&host, &mut [entry; 3], 0), Err(Errno::INVAL));
}

#[test]
fn real_descriptors_are_told_beside_ours() {
    let host = host();
    let [here, there] = local_pair(&host, SOCK_STREAM);
    let (real, mut far) = UnixStream::pair().unwrap();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let look = |events: [u16; 3]| {
        let mut ours = [PollFd::new(here, PollMask::IN)];
        let mut others = [
            RealPollFd::new(real.as_fd(), events[0]),
            RealPollFd::new(real.as_fd(), events[1]),
            RealPollFd::new(file.as_fd(), events[2]),
        ];
        let count = bsd::poll_beside(&host, &mut ours, &mut others, Some(A_WHILE)).unwrap();
        (count, ours[0].revents, others.map(|other| other.revents))
    };
    assert_eq!(look([IN, 0, 0]), (0, PollMask::NONE, [0, 0, 0]));
    assert_eq!(look([IN, OUT, 0]), (1, PollMask::NONE, [0, OUT, 0]));
    far.write_all(b"x").unwrap();
    bsd::send(&host, there, b"x", 0).unwrap();
    assert_eq!(look([IN, 0, IN]), (3, PollMask::IN, [IN, 0, IN]));
    assert_eq!(look([IN, IN, 0]), (3, PollMask::IN, [IN, IN, 0]));
    drop(far);
    assert_eq!(look([0, 0, 0]), (3, PollMask::IN, [HUP, HUP, 0]));
}

/// Sleeps in `poll_beside`: what of ours and what of the kernel's is there when it wakes.
fn sleeper(host: &Host, id: i32, real: &UnixStream) -> thread::JoinHandle<(usize, PollMask, u16)> {
    let (host, real) = (host.clone(), real.try_clone().unwrap());
    let thread = thread::spawn(move || {
        let mut ours = [PollFd::new(id, PollMask::IN)];
        let mut others = [RealPollFd::new(real.as_fd(), IN)];
        let count = bsd::poll_beside(&host, &mut ours, &mut others, None).unwrap();
        (count, ours[0].revents, others[0].revents)
    });
    thread::sleep(A_WHILE);
    thread
}

#[test]
fn both_wake_a_sleeper_who_drives_or_not() {
    within(PATIENCE, || {
        let (left, _right) = pair();
        let (real, mut far) = UnixStream::pair().unwrap();
        let [here, there] = local_pair(&left, SOCK_STREAM);
        let (client, server) = connection(&left);
        let mut bytes = [0; 8];
        // The first sleeper drives, the second can't.
        for ids in [vec![here], vec![client], vec![here, client]] {
            let peers: Vec<i32> = ids.iter().map(|id| if *id == here { there } else { server }).collect();
            let sleeping: Vec<_> = ids.iter().map(|id| sleeper(&left, *id, &real)).collect();
            for peer in &peers {
                bsd::send(&left, *peer, b"x", 0).unwrap();
            }
            for sleeper in sleeping {
                assert_eq!(sleeper.join().unwrap(), (1, PollMask::IN, 0));
            }
            for id in &ids {
                assert_eq!(bsd::recv(&left, *id, &mut bytes, 0), Ok(1));
            }
            let sleeping: Vec<_> = ids.iter().map(|id| sleeper(&left, *id, &real)).collect();
            far.write_all(b"x").unwrap();
            for sleeper in sleeping {
                assert_eq!(sleeper.join().unwrap(), (1, PollMask::NONE, IN));
            }
            assert_eq!((&real).read(&mut bytes).unwrap(), 1);
        }
    });
}
