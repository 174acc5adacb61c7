//! A router on a host of ours, between networks of the kernel's.

use tapsock::{Counters, Host, IpCidr};
use tapsock_driver::Link;
use tapsock_stack::wire::EthernetAddress;

/// A router that runs until it is stopped.
///
/// ```
/// use tapsock_tests::router::Router;
///
/// let router = Router::start(Vec::new(), &[]);
/// assert_eq!(router.host().interfaces().len(), 1, "there is lo");
/// router.stop();
/// ```
#[derive(Debug)]
pub struct Router {
    host: Host,
}

impl Router {
    /// A router of both families at `links`, each with the router's addresses there.
    ///
    /// # Panics
    /// Where an address or a setting is none.
    pub fn start(links: Vec<(Box<dyn Link>, Vec<IpCidr>)>, settings: &[(&str, &str)]) -> Router {
        let mut host = Host::builder().seed(7);
        let forwarding = [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];
        for (name, value) in forwarding.iter().chain(settings) {
            host = host.setting(name, value);
        }
        for (number, (link, addresses)) in (1..).zip(links) {
            let hardware = EthernetAddress([2, 0, 0, 0, 9, number]);
            host = host.link(link).interface_name(&format!("eth{number}")).hardware_address(hardware);
            host = addresses.into_iter().fold(host, |host, address| host.address(address));
        }
        Router { host: host.start().expect("settings and addresses that there are") }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Ends it, and returns what it has counted.
    pub fn stop(self) -> Counters {
        let counters = self.host.counters();
        self.host.shutdown();
        counters
    }
}
