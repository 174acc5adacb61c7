//! Rows of `docs/sockets/differences.tsv` about what a socket has of a file: a place in a file system, flags, an owner.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use tapsock::bsd::*;
use tapsock_tests::differential::Place;

use super::{DGRAM, STREAM, Shown, done, made};

/// Commands and flags of fcntl(2) that Linux has for sockets too, and requests of ioctl(2).
const F_SETOWN: i32 = 8;
const F_GETOWN: i32 = 9;
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_GETLEASE: i32 = 1025;
const O_NOATIME: i32 = 0o1_000_000;
const FIOASYNC: i32 = 0x5452;
const FIOGETOWN: i32 = 0x8903;
const SIOCGIFCONF: i32 = 0x8912;
const SIOCGSTAMP: i32 = 0x8906;

pub const SHOWN: [Shown; 6] = [
    (
        "fcntl F_SETFL with O_ASYNC",
        |c| {
            let socket = made(c, AF_UNIX, DGRAM, 0);
            // Of a signal nothing comes: it has no owner.
            let set = done(c.fcntl(socket, F_SETFL, O_ASYNC));
            format!("{set}, {}", c.fcntl(socket, F_GETFL, 0).is_ok_and(|flags| flags & O_ASYNC != 0))
        },
        "ok, true",
        "EINVAL, false",
    ),
    (
        "fcntl F_SETFL with O_APPEND, O_NOATIME",
        |c| {
            let sockets = [made(c, AF_UNIX, DGRAM, 0), made(c, AF_INET, STREAM, 0)];
            let flags = sockets.map(|socket| {
                done(c.fcntl(socket, F_SETFL, O_APPEND | O_NOATIME | O_NONBLOCK));
                format!("{:#o}", c.fcntl(socket, F_GETFL, 0).unwrap())
            });
            flags.join(", ")
        },
        "0o1006002, 0o1006002",
        "0o4002, 0o4002",
    ),
    (
        "fcntl of other commands: F_SETOWN, F_SETSIG, leases, locks, hints",
        |c| {
            let socket = made(c, AF_INET, STREAM, 0);
            let own = std::process::id() as i32;
            let commands = [(F_SETOWN, own), (F_GETOWN, 0), (F_SETSIG, 0), (F_GETSIG, 0), (F_GETLEASE, 0)];
            let outcomes = commands.map(|(command, argument)| done(c.fcntl(socket, command, argument)));
            outcomes.join(", ")
        },
        "ok, ok, ok, ok, ok",
        "EINVAL, EINVAL, EINVAL, EINVAL, EINVAL",
    ),
    (
        "ioctl of other requests: SIOCGIFCONF and its kin, SIOCGSTAMP, FIOASYNC, FIOSETOWN",
        |c| {
            let socket = made(c, AF_INET, STREAM, 0);
            let requests = [SIOCGIFCONF, SIOCGSTAMP, FIOASYNC, FIOGETOWN];
            requests.map(|request| done(c.ioctl(socket, request))).join(", ")
        },
        // There has been no packet that had a stamp.
        "ok, ENOENT, ok, ok",
        "ENOTTY, ENOTTY, ENOTTY, ENOTTY",
    ),
    (
        "paths of local sockets: relative ones, `..`, symbolic links, permissions",
        |c| {
            let place = Place::new();
            let address = |path: &str| [&(AF_UNIX as u16).to_ne_bytes()[..], path.as_bytes(), &[0]].concat();
            let (a, link) = (place.path("a"), place.path("link"));
            let owner = made(c, AF_UNIX, DGRAM, 0);
            c.bind(owner, &address(&a)).unwrap();
            // Without a socket of that name it stands for nothing here, and leads nowhere on Linux.
            symlink(&a, &link).unwrap();
            let asker = made(c, AF_UNIX, DGRAM, 0);
            let relative = a.trim_start_matches('/').to_owned();
            let mut outcomes = [relative, place.path("nothing/../a"), link]
                .map(|path| done(c.connect(asker, &address(&path))))
                .to_vec();
            let file = place.path("a");
            // There is no file of that name here.
            let _ = fs::set_permissions(&file, Permissions::from_mode(0o000));
            outcomes.push(as_somebody(|| done(c.connect(asker, &address(&file)))));
            outcomes.join(", ")
        },
        "ENOENT, ENOENT, ok, EACCES",
        "ok, ok, ENOENT, ok",
    ),
    (
        "epoll_ctl where more than 500 ways lead from a socket to an instance (100 of three steps, 50 of four, 10 of five)",
        |c| {
            let socket = made(c, AF_INET, DGRAM, 0);
            // Each instance is watched by the one before.
            let chain: Vec<i32> = (0..4).map(|_| c.epoll().unwrap()).collect();
            for pair in chain.windows(2) {
                c.epoll_control(pair[0], EPOLL_CTL_ADD, pair[1], EPOLLIN).unwrap();
            }
            let ways = (0..11).map(|_| {
                let last = c.epoll().unwrap();
                done(c.epoll_control(chain[3], EPOLL_CTL_ADD, last, EPOLLIN));
                done(c.epoll_control(last, EPOLL_CTL_ADD, socket, EPOLLIN))
            });
            format!("the last is {}", ways.last().unwrap())
        },
        "the last is EINVAL",
        "the last is ok",
    ),
];

/// A call of one who is not root: who is may open all files.
fn as_somebody(call: impl FnOnce() -> String) -> String {
    const SOMEBODY: libc::uid_t = 65534;
    // SAFETY: no memory is passed. It holds for this thread alone.
    let before = unsafe { libc::setfsuid(SOMEBODY) };
    let said = call();
    // SAFETY: likewise.
    unsafe { libc::setfsuid(before as libc::uid_t) };
    said
}
