//! Names looked up for tasks.

use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Poll, Waker};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::engine::sync::lock;
use crate::host::Host;
use crate::net::{Addresses, SocketAddrs, ToSocketAddrs};

/// The addresses. Name servers are asked by a thread of its own, which ends with the answer: looking up a name waits.
///
/// Errors: those of [`Host::look_up`], and EAGAIN where there can be no thread.
pub(super) async fn look_up(host: &Host, address: impl ToSocketAddrs) -> io::Result<Addresses> {
    let (name, port) = match address.to_socket_addrs()? {
        SocketAddrs::Name(name, port) => (name, port),
        known => return known.on(host),
    };
    let answer = Arc::new(Mutex::new(Answer::default()));
    let (asking, told) = (host.clone(), answer.clone());
    let ask = move || {
        let found = asking.look_up(&name, port);
        // Whoever is woken may drop the host's last handle but this one.
        drop(asking);
        let mut told = lock(&told);
        told.found = Some(found);
        let waker = told.waker.take();
        drop(told);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    let thread = thread::Builder::new().name("tapsock-names".to_owned());
    tapsock_driver::with_signals_blocked(|| thread.spawn(ask))?;
    let found = poll_fn(|context| {
        let mut answer = lock(&answer);
        match answer.found.take() {
            Some(found) => Poll::Ready(found),
            None => {
                answer.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await?;
    SocketAddrs::Several(found).on(host)
}

#[derive(Default)]
struct Answer {
    found: Option<io::Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}
