//! Streams: there and back, in halves, and to their end.

use std::io::ErrorKind;

use tapsock::Host;
use tapsock::tokio::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::common::{LEFT6, RIGHT, RIGHT6, ip, pair, plain_pair};
use super::{host, in_one_thread, in_two_threads};

/// More than all the buffers on the way take.
const LONG: usize = 3_000_000;

async fn connected(host: &Host) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(host, "127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(host, listener.local_addr().unwrap()).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

/// Sends what it gets until the end.
async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    tokio::io::copy(&mut reading, &mut writing).await.unwrap();
    writing.shutdown().await.unwrap();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn more_than_the_buffers_take_goes_there_and_back_over_a_link() {
    for (left, right) in [pair(), plain_pair()] {
        in_two_threads(async move {
            let listener = TcpListener::bind(&right, (ip(RIGHT6), 0)).await.unwrap();
            let there = listener.local_addr().unwrap();
            let server = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
            let (mut reading, mut writing) = TcpStream::connect(&left, there).await.unwrap().into_split();
            let sent = pattern(LONG);
            let sender = {
                let sent = sent.clone();
                tokio::spawn(async move {
                    writing.write_all(&sent).await.unwrap();
                    writing.shutdown().await.unwrap();
                    writing
                })
            };
            let mut back = Vec::new();
            reading.read_to_end(&mut back).await.unwrap();
            assert!(back == sent);
            server.await.unwrap();
            let stream = reading.reunite(sender.await.unwrap()).unwrap();
            assert_eq!(stream.local_addr().unwrap().ip(), ip(LEFT6));
        });
    }
}

/// As tokio's own: the peer may have been faster with its reset, and that is no failure of this call.
#[test]
fn a_stream_that_was_reset_can_be_shut_down() {
    in_one_thread(async {
        let host = host();
        let (mut whole, server) = connected(&host).await;
        // What nobody has read when it is closed is answered by a reset.
        whole.write_all(b"unread").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        assert_eq!(whole.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        whole.shutdown().await.unwrap();

        let (half, server) = connected(&host).await;
        let (mut reading, mut writing) = half.into_split();
        writing.write_all(b"unread").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        assert_eq!(reading.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        writing.shutdown().await.unwrap();
    });
}

#[test]
fn many_connections_at_once_in_either_runtime() {
    let many = || async {
        let (left, right) = pair();
        let listener = TcpListener::bind(&right, (ip(RIGHT), 0)).await.unwrap();
        let there = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(echo(stream));
            }
        });
        let clients: Vec<_> = (0..30u8)
            .map(|number| {
                let left = left.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(&left, there).await.unwrap();
                    let mut back = [0; 1000];
                    for round in 0..10 {
                        let sent = [number.wrapping_mul(round); 1000];
                        stream.write_all(&sent).await.unwrap();
                        stream.read_exact(&mut back).await.unwrap();
                        assert_eq!(back, sent);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.abort();
    };
    in_one_thread(many());
    in_two_threads(many());
}

#[test]
fn a_local_stream_takes_more_than_its_buffer() {
    in_one_thread(async {
        let host = host();
        let listener = UnixListener::bind(&host, "/run/echo").unwrap();
        let client = UnixStream::connect(&host, "/run/echo").await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert_eq!(client.peer_cred().unwrap().pid as u32, std::process::id());
        tokio::spawn(echo(server));
        let (mut reading, mut writing) = client.into_split();
        let sent = pattern(LONG);
        let expected = sent.clone();
        tokio::spawn(async move {
            writing.write_all(&sent).await.unwrap();
            // Dropping the half is the end of its direction.
        });
        let mut back = Vec::new();
        reading.read_to_end(&mut back).await.unwrap();
        assert!(back == expected);
    });
}

#[test]
fn halves_and_calls_that_do_not_wait() {
    in_one_thread(async {
        let host = host();
        let (mut client, server) = connected(&host).await;
        let mut bytes = [0; 16];
        assert_eq!(server.try_read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        let parts = [std::io::IoSlice::new(b"he"), std::io::IoSlice::new(b"llo")];
        assert!(client.is_write_vectored());
        let mut taken = client.try_write_vectored(&parts).unwrap();
        while taken < 5 {
            taken += client.try_write(&b"hello"[taken..]).unwrap();
        }
        server.readable().await.unwrap();
        assert_eq!(server.peek(&mut bytes).await.unwrap(), 5);
        assert_eq!(server.try_read(&mut bytes).unwrap(), 5);
        assert_eq!(&bytes[..5], b"hello");

        let (mut reading, mut writing) = client.split();
        let mut far = server;
        let (sent, received) = tokio::join!(writing.write_all(b"there"), far.read_exact(&mut bytes[..5]));
        sent.unwrap();
        received.unwrap();
        let (sent, received) = tokio::join!(far.write_all(b"back"), reading.read_exact(&mut bytes[..4]));
        sent.unwrap();
        received.unwrap();
        drop(writing);
        assert_eq!(far.try_read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock, "it is still open");

        let (reading, writing) = client.into_split();
        let (other, _far) = connected(&host).await;
        let (other_reading, other_writing) = other.into_split();
        let error = reading.reunite(other_writing).unwrap_err();
        assert_eq!(error.to_string(), "the halves are of different streams");
        let (reading, other_writing) = (error.0, error.1);
        reading.reunite(writing).unwrap().try_write(b"whole").unwrap();
        other_reading.reunite(other_writing).unwrap();
    });
}

#[test]
fn a_connection_that_is_refused_says_so() {
    in_one_thread(async {
        let (left, _right) = pair();
        let error = TcpStream::connect(&left, (ip(RIGHT), 4)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let host = host();
        let error = UnixStream::connect(&host, "/run/none").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}
