//! Names looked up for tasks: nothing else of the thread waits meanwhile.

use std::thread;
use std::time::Duration;

use tapsock::Host;
use tapsock::net;
use tapsock::tokio::{TcpListener, TcpStream, UdpSocket};

use crate::{in_one_thread, in_two_threads};

/// A host that asks itself, and a server that says of every name that it is at 127.0.0.1, after a while.
fn host_with_server(wait: Duration) -> Host {
    let host = Host::builder().name_server("127.0.0.1:5300".parse().unwrap()).privileged().start().unwrap();
    let server = net::UdpSocket::bind(&host, "127.0.0.1:5300").unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((len, from)) = server.recv_from(&mut bytes) {
            thread::sleep(wait);
            // The option after the question stays out.
            let end = 12 + bytes[12..len].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = bytes[end - 3] == 1;
            let mut answer = bytes[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, is_a.into(), 0, 0, 0, 0]);
            if is_a {
                answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            if server.send_to(&answer, from).is_err() {
                break;
            }
        }
    });
    host
}

#[test]
fn a_task_connects_by_name() {
    in_one_thread(async {
        let host = host_with_server(Duration::ZERO);
        let listener = TcpListener::bind(&host, "bind.example:80").await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), "127.0.0.1:80".parse().unwrap());
        let client = TcpStream::connect(&host, ("connect.example", 80)).await.unwrap();
        let (_server, from) = listener.accept().await.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        let datagrams = UdpSocket::bind(&host, "127.0.0.1:0").await.unwrap();
        datagrams.connect("connect.example:9").await.unwrap();
        assert_eq!(datagrams.peer_addr().unwrap(), "127.0.0.1:9".parse().unwrap());
        let error = TcpStream::connect(&host, "a..b:80").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    });
}

#[test]
fn tasks_go_on_while_one_waits_for_a_name() {
    in_two_threads(async {
        let host = host_with_server(Duration::from_millis(300));
        let asked = host.clone();
        let slow = tokio::spawn(async move { TcpStream::connect(&asked, "slow.example:1").await });
        let listener = TcpListener::bind(&host, "127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(&host, listener.local_addr().unwrap()).await.unwrap();
        listener.accept().await.unwrap();
        assert!(!slow.is_finished());
        assert_eq!(slow.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
