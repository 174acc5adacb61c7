//! A TAP device as one without offloads: frames of an MTU, sums in software.

use std::io;

use tapsock_driver::tap::Tap;
use tapsock_driver::{Link, LinkDrops, RecvHalf, SendHalf};
use tapsock_stack::wire::offload::LinkCaps;

use crate::sys;

/// The device, of which nothing is asked but to carry frames.
pub(crate) struct Plain(Box<Tap>);

impl Plain {
    pub(crate) fn new(tap: Tap) -> Self {
        Plain(Box::new(tap))
    }
}

impl Link for Plain {
    fn caps(&self) -> LinkCaps {
        LinkCaps { gso_max: 0, udp_gso: false, fills_checksums: false, ..self.0.caps() }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn drops(&self) -> LinkDrops {
        self.0.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        let (receive, send) = self.0.split();
        let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
        let off = receive.poll_fd().ok_or_else(unsupported).and_then(sys::switch_offloads_off);
        if let Err(error) = off {
            eprintln!("the device goes on to merge what it gives: {error}");
        }
        (receive, send)
    }
}
