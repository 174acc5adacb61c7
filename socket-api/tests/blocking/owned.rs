//! The calls that take and give owned bytes wait as those do that copy, and are ended by the same.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use bytes::Bytes;
use tapsock::bsd::MSG_DONTWAIT;
use tapsock::socket::{Domain, Socket, Type};
use tapsock::{Driver, Host, SockAddr};

use super::common::{PATIENCE, within};

const TIME_OUT: Duration = Duration::from_millis(10);

/// How a call of one thread ends, which another's `end` ends once the first sleeps.
fn ended(
    host: &Host,
    socket: &Arc<Socket>,
    call: fn(&Socket) -> io::Result<usize>,
    mut end: impl FnMut(),
) -> Result<usize, io::ErrorKind> {
    let sleeps = || {
        let stats = host.engine_stats();
        stats.ppolls + stats.parks + stats.local_parks
    };
    let (before, calling) = (sleeps(), socket.clone());
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(call(&calling)));
    let until = Instant::now() + PATIENCE;
    while sleeps() == before && Instant::now() < until {
        assert!(outcome.try_recv().is_err() || socket.read_timeout().unwrap().is_some(), "it did not wait");
        thread::yield_now();
    }
    loop {
        end();
        match outcome.recv_timeout(Duration::from_millis(1)) {
            Ok(ended) => return ended.map_err(|error| error.kind()),
            Err(_) => assert!(Instant::now() < until, "still not done"),
        }
    }
}

fn pair(host: &Host, domain: Domain) -> [Arc<Socket>; 2] {
    if domain == Domain::UNIX {
        let (near, far) = Socket::pair(host, domain, Type::STREAM, None).unwrap();
        return [near, far].map(Arc::new);
    }
    let [listener, near] = [(); 2].map(|()| Socket::new(host, domain, Type::STREAM, None).unwrap());
    let any = if domain == Domain::IPV4 { "127.0.0.1:0" } else { "[::1]:0" };
    listener.bind(&SockAddr::from(any.parse::<std::net::SocketAddr>().unwrap())).unwrap();
    listener.listen(1).unwrap();
    near.connect(&listener.local_addr().unwrap()).unwrap();
    [near, listener.accept().unwrap().0].map(Arc::new)
}

fn send(socket: &Socket) -> io::Result<usize> {
    socket.send_bytes(Bytes::from_static(&[7; 1000]))
}

fn receive(socket: &Socket) -> io::Result<usize> {
    socket.recv_bytes().map(|bytes| bytes.len())
}

/// Sends until the buffers have been full for some time: what is acknowledged late makes room again.
fn fill(socket: &Socket) {
    socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while send(socket).is_ok() {}
    socket.set_write_timeout(None).unwrap();
}

#[test]
fn calls_with_owned_bytes_are_ended_by_data_time_out_and_shutdown() {
    within(2 * PATIENCE, || {
        for domain in [Domain::IPV4, Domain::IPV6, Domain::UNIX] {
            let host = Host::builder().driver(Driver::External).start().unwrap();
            let [near, far] = pair(&host, domain);
            let mut greeting = Some(Bytes::from_static(b"hello"));
            let said = ended(&host, &near, receive, || {
                greeting.take().into_iter().for_each(|greeting| drop(far.send_bytes(greeting)));
            });
            assert_eq!(said, Ok(5), "{domain:?}");
            near.set_read_timeout(Some(TIME_OUT)).unwrap();
            assert_eq!(ended(&host, &near, receive, || {}), Err(io::ErrorKind::WouldBlock), "{domain:?}");
            near.set_read_timeout(None).unwrap();

            fill(&near);
            let room = ended(&host, &near, send, || {
                while far.recv_with_flags(&mut [0; 65_536], MSG_DONTWAIT).is_ok() {}
            });
            assert_eq!(room, Ok(1000), "{domain:?}");
            fill(&near);
            near.set_write_timeout(Some(TIME_OUT)).unwrap();
            near.set_read_timeout(Some(TIME_OUT)).unwrap();
            assert_eq!(ended(&host, &near, send, || {}), Err(io::ErrorKind::WouldBlock), "{domain:?}");
            near.set_write_timeout(None).unwrap();
            near.set_read_timeout(None).unwrap();
            let cut = ended(&host, &near, send, || drop(near.shutdown(std::net::Shutdown::Write)));
            assert_eq!(cut, Err(io::ErrorKind::BrokenPipe), "{domain:?}");
            let cut = ended(&host, &near, receive, || drop(near.shutdown(std::net::Shutdown::Read)));
            assert_eq!(cut, Ok(0), "{domain:?}");
        }
    });
}
