//! Each errand with its service, on tapsock's sockets and on the kernel's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use tapsock::Host;

use super::*;
use crate::network::Kernel;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn unwatched() -> Watch {
    Arc::new(|_| {})
}

fn with_both(check: impl Fn(&dyn Fn(Service) -> SocketAddr, &dyn Fn(Errand) -> Result<Figures, Failure>)) {
    let host = Host::builder().start().unwrap();
    check(&|service| serve(&host, service, HERE, &unwatched()).unwrap(), &|errand| {
        run(&host, &errand, &unwatched())
    });
    check(&|service| serve(&Kernel, service, HERE, &unwatched()).unwrap(), &|errand| {
        run(&Kernel, &errand, &unwatched())
    });
}

#[test]
fn a_document_comes_as_it_is() {
    with_both(|serve, run| {
        let at = serve(Service::Http);
        let fetched = run(Errand::Fetch { url: format!("http://{at}/noise/300001") }).unwrap();
        let Figures::Fetched { http_status, fetched_bytes, sha256, .. } = fetched else {
            panic!("{fetched:?}")
        };
        assert_eq!((http_status, fetched_bytes, sha256), (200, 300_001, document_sha256(300_001)));
        let missing = run(Errand::Fetch { url: format!("http://{at}/other") }).unwrap();
        assert!(matches!(missing, Figures::Fetched { http_status: 404, .. }), "{missing:?}");
    });
}

#[test]
fn an_upload_is_confirmed() {
    with_both(|serve, run| {
        let to = serve(Service::Sink);
        for bytes in [0, 1, 4_000_001] {
            let uploaded = run(Errand::Upload { to, bytes }).unwrap();
            assert!(
                matches!(uploaded, Figures::Uploaded { bytes: sent, .. } if sent == bytes),
                "{uploaded:?}"
            );
        }
    });
}

#[test]
fn an_upload_is_watched() {
    let host = Host::builder().start().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let watching = seen.clone();
    let watch: Watch = Arc::new(move |position| watching.store(position, Ordering::Relaxed));
    let to = serve(&host, Service::Sink, HERE, &unwatched()).unwrap();
    run(&host, &Errand::Upload { to, bytes: 1_000_000 }, &watch).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 1_000_000);
}

#[test]
fn messages_and_datagrams_come_back() {
    with_both(|serve, run| {
        let trips = run(Errand::RoundTrips { to: serve(Service::Echo), size: 64, rounds: 50 }).unwrap();
        assert!(matches!(trips, Figures::RoundTrips { round_trips: 50, .. }), "{trips:?}");
        let to = serve(Service::EchoDatagrams);
        let datagrams = run(Errand::Datagrams { to, count: 100, largest: 1400 }).unwrap();
        assert!(matches!(datagrams, Figures::Datagrams { sent: 100, returned: 100, .. }), "{datagrams:?}");
    });
}

#[test]
fn a_closed_port_refuses() {
    with_both(|serve, run| {
        let open = serve(Service::Echo);
        let connected = run(Errand::Connect { to: open }).unwrap();
        assert!(matches!(connected, Figures::Connected { refused: false, .. }), "{connected:?}");
        let refused = run(Errand::Connect { to: SocketAddr::new(HERE, 9) }).unwrap();
        assert!(matches!(refused, Figures::Connected { refused: true, .. }), "{refused:?}");
        let error = run(Errand::Upload { to: SocketAddr::new(HERE, 9), bytes: 1 }).unwrap_err();
        assert!(error.to_string().contains("Connection refused (os error 111)"), "{error}");
    });
}

#[test]
fn orders_and_figures_survive_json() {
    let host = Host::builder().start().unwrap();
    let pings = run(&host, &Errand::Ping { to: HERE, count: 3 }, &unwatched()).unwrap();
    assert!(matches!(pings, Figures::Pings { requests: 3, answers: 3, .. }), "{pings:?}");
    let refused = run(&host, &Errand::Connect { to: SocketAddr::new(HERE, 9) }, &unwatched()).unwrap();
    for figures in [
        pings,
        refused,
        Figures::Uploaded { bytes: 1, crc32: "0badcafe".to_owned(), seconds: 2.0, gbit_per_s: 3.0 },
    ] {
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
    }
}
