//! What is left of a host, its link and its namespaces when they are gone: nothing. One test, so that the process is
//! its own.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use tapsock_driver::pcapng::Capture;
use tapsock_tests::bench::{Family, Setup};
use tapsock_tests::bulk::transfer;
use tapsock_tests::far;
use tapsock_tests::sides::{PATIENCE, Side};

/// What a process has that others can see.
#[derive(Debug, Eq, PartialEq)]
struct Belongings {
    descriptors: usize,
    threads: Vec<String>,
    children: String,
    devices: Vec<String>,
    routes: String,
    namespaces: Vec<String>,
}

impl Belongings {
    fn now() -> Belongings {
        let names = |path: &str| {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path().display().to_string())
                .collect();
            names.sort();
            names
        };
        let threads = names("/proc/self/task");
        let mut devices = fs::read_to_string("/proc/net/dev").unwrap();
        // The figures behind the names count what others send, too.
        devices = devices
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.trim()))
            .collect::<Vec<_>>()
            .join(" ");
        let children = threads.iter().filter_map(|task| fs::read_to_string(format!("{task}/children")).ok());
        Belongings {
            descriptors: names("/proc/self/fd").len(),
            children: children.collect(),
            devices: devices.split(' ').map(str::to_owned).collect(),
            routes: fs::read_to_string("/proc/net/route").unwrap(),
            namespaces: ["net", "user", "mnt"]
                .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string())
                .to_vec(),
            threads,
        }
    }
}

fn exists(process: u32) -> bool {
    fs::exists(format!("/proc/{process}")).unwrap()
}

#[test]
fn nothing_is_left_behind() {
    let before = Belongings::now();
    let capture = Capture::new(std::io::sink()).unwrap();
    let setup = Setup::new().through_the_kernel();
    let Some(bench) = setup.open_with(|link| capture.tee(link)) else { return };
    let far = far::behind(&bench);
    let helpers = [bench.namespace.helper_pid(), far.helper_pid()];
    let listener = far.tcp_listen((far::address(Family::V4), 0).into()).unwrap();
    let open = bench.connect(Side::Ours, listener.local_addr().unwrap()).unwrap();
    for family in Family::ALL {
        transfer(&bench, family, Side::Ours, Side::Kernel, 1 << 20);
    }
    assert!(helpers.into_iter().all(exists));
    assert_ne!(Belongings::now(), before);

    drop((open, listener, far, bench));
    capture.finish().unwrap();
    let deadline = Instant::now() + PATIENCE;
    // A thread that has been joined may still be on its way out of the kernel's list.
    while Belongings::now() != before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(Belongings::now(), before);
    assert!(!helpers.into_iter().any(exists));
}
