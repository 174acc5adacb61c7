//! Datagrams.

use std::io::ErrorKind;

use tapsock::tokio::{UdpSocket, UnixDatagram};

use super::common::{LEFT, RIGHT, ip, pair};
use super::{host, in_one_thread, in_two_threads};

#[test]
fn datagrams_over_a_link() {
    in_two_threads(async {
        let (left, right) = pair();
        let server = UdpSocket::bind(&right, (ip(RIGHT), 0)).await.unwrap();
        let there = server.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bytes = [0; 2000];
            loop {
                let (len, from) = server.recv_from(&mut bytes).await.unwrap();
                server.send_to(&bytes[..len], from).await.unwrap();
            }
        });
        let client = UdpSocket::bind(&left, (ip(LEFT), 0)).await.unwrap();
        client.connect(there).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), there);
        let mut bytes = [0; 2000];
        for len in [1, 100, 1400] {
            client.send(&vec![7; len]).await.unwrap();
            assert_eq!(client.peek(&mut bytes).await.unwrap(), len);
            assert_eq!(client.recv(&mut bytes).await.unwrap(), len);
            assert_eq!(client.try_recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn a_refused_datagram_wakes_the_receiver() {
    in_one_thread(async {
        let host = host();
        let gone = UdpSocket::bind(&host, "127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind(&host, "127.0.0.1:0").await.unwrap();
        client.connect(gone.local_addr().unwrap()).await.unwrap();
        drop(gone);
        client.send(b"hello").await.unwrap();
        let error = client.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_local_sender_waits_while_its_receiver_is_full() {
    in_one_thread(async {
        const COUNT: usize = 2_000;
        let host = host();
        let (here, there) = UnixDatagram::pair(&host).unwrap();
        let sender = tokio::spawn(async move {
            for number in 0..COUNT {
                here.send(&number.to_ne_bytes()).await.unwrap();
            }
        });
        let mut bytes = [0; 8];
        for number in 0..COUNT {
            assert_eq!(there.recv(&mut bytes).await.unwrap(), 8);
            assert_eq!(usize::from_ne_bytes(bytes), number);
        }
        sender.await.unwrap();
        let log = UnixDatagram::bind(&host, "/dev/log").unwrap();
        let other = UnixDatagram::unbound(&host).unwrap();
        other.send_to(b"hello", "/dev/log").await.unwrap();
        assert_eq!(log.recv_from(&mut bytes).await.unwrap().0, 5);
    });
}
