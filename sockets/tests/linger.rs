//! SO_LINGER: what `close` waits for.

mod common;

use core::time::Duration;

use common::*;
use tapsock_sockets::constants::*;
use tapsock_sockets::{Blocking, Fd, PollMask, Sockets, Stop, Wait};
use tapsock_stack::time::Instant;

fn set_linger(host: &mut Sockets, now: Instant, fd: Fd, secs: i32) {
    let value = [1i32.to_ne_bytes(), secs.to_ne_bytes()].concat();
    host.set_option(now, fd, SOL_SOCKET, SO_LINGER, &value).unwrap();
}

/// `close` with SO_LINGER waits for the acknowledgement of the FIN, and no longer; to other calls the socket is gone.
/// As on Linux 6.18, also where the socket does not block.
#[test]
fn linger_waits_until_all_is_acknowledged() {
    for domain in DOMAINS {
        for blocking in [Blocking::Waits, Blocking::Never] {
            let mut net = Net::new();
            let (_, client, server) = net.connected(domain);
            net.a.set_blocking(client, blocking).unwrap();
            set_linger(&mut net.a, net.now, client, 3);
            send(&mut net.a, net.now, client, b"last words", 0);
            let deadline = Some(net.now + Duration::from_secs(3));
            let wait = Wait { socket: client, mask: PollMask::WAIT_OUT, deadline };
            assert_eq!(net.a.try_close(net.now, client), Err(Stop::Wait(wait)));
            assert!(net.a.is_lingering(client));
            assert_eq!(errno(net.a.local_address(client)), "EBADF");
            assert_eq!(said(net.a.try_close(net.now, client)), "EBADF");
            assert_eq!(send(&mut net.a, net.now, client, b"x", 0), "EBADF");
            assert_eq!(poll(&net.a, client), "0");
            assert_eq!(said(net.a.try_end_linger(net.now, client)), "waits to write");
            events(&mut net.a);
            net.settle();
            assert!(
                net.a.is_lingering(client),
                "the other side waits with its acknowledgement, as Linux does"
            );
            net.sleep(Duration::from_millis(40));
            assert_eq!(events(&mut net.a), [client], "the waiting call is woken");
            assert_eq!(poll(&net.a, client), "HUP");
            assert_eq!(net.a.try_end_linger(net.now, client), Ok(()));
            assert_eq!(said(net.a.try_end_linger(net.now, client)), "EBADF");
            assert_eq!(stream(&mut net.a, domain), client, "the number is free");
            assert_eq!(recv(&mut net.b, net.now, server, 99, 0), "\"last words\"");
            assert_eq!(recv(&mut net.b, net.now, server, 99, 0), "\"\"");
        }
    }
}

/// When the time is over the connection goes on by itself.
#[test]
fn what_lingers_too_long_goes_on_in_the_background() {
    let mut net = Net::new();
    let (_, client, server) = net.connected(AF_INET);
    set_linger(&mut net.a, net.now, client, 2);
    net.plugged = false;
    send(&mut net.a, net.now, client, b"late", 0);
    assert_eq!(said(net.a.try_close(net.now, client)), "waits to write");
    net.sleep(Duration::from_secs(2));
    assert_eq!(said(net.a.try_end_linger(net.now, client)), "waits to write");
    net.a.close(net.now, client).unwrap();
    net.plugged = true;
    net.sleep(Duration::from_secs(10));
    assert_eq!(recv(&mut net.b, net.now, server, 99, 0), "\"late\"");
    assert_eq!(recv(&mut net.b, net.now, server, 99, 0), "\"\"");
    assert_eq!(net.a.stack().unfinished().connections, 0);
}

#[test]
fn linger_does_not_wait_for_what_will_not_be() {
    let mut net = Net::new();
    let (listener, client, server) = net.connected(AF_INET);
    let (other, _) = net.another(AF_INET, listener);
    let (idle, half) = (stream(&mut net.a, AF_INET), nonblocking(&mut net.a, AF_INET));
    assert_eq!(said(net.a.try_connect(net.now, half, &addr("10.0.0.77", 9))), "EINPROGRESS");
    send(&mut net.b, net.now, server, b"unread", 0);
    net.settle();
    for fd in [client, idle, half, other] {
        set_linger(&mut net.a, net.now, fd, 5);
    }
    assert_eq!(net.a.try_close(net.now, client), Ok(()), "unread data makes it a reset");
    assert_eq!(net.a.try_close(net.now, idle), Ok(()));
    assert_eq!(net.a.try_close(net.now, half), Ok(()));
    set_linger(&mut net.b, net.now, listener, 5);
    assert_eq!(net.b.try_close(net.now, listener), Ok(()));
    // A peer that resets ends the wait.
    assert_eq!(said(net.a.try_close(net.now, other)), "waits to write");
    net.b.stack_mut().abort_all(net.now);
    net.settle();
    assert_eq!(net.a.try_end_linger(net.now, other), Ok(()));
}
