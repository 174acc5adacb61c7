//! That memory is where it was when sockets have come and gone.

use super::*;

/// Bytes that a host may have more of after many sockets than after a few.
const SLACK: i64 = 64 * 1024;

/// Runs `round` for so many sockets, after a few that let everything grow to its usual size.
fn stays(what: &str, host: &Host, mut round: impl FnMut(&Host, usize)) {
    round(host, 100);
    let left = allocation_counter::measure(|| round(host, 10_000));
    assert!(left.bytes_current < SLACK, "{what}: {left:?}");
}

#[test]
fn rings_leave_nothing() {
    stays("rings", &alone(), |host, count| {
        for _ in 0..count / 2 {
            let [near, far] = socketpair(host, AF_UNIX, SOCK_STREAM, 0).unwrap();
            give(host, near, far);
            close(host, near).unwrap();
        }
    });
}
