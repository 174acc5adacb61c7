//! TCP between whole hosts: ours with ours, with and without offloads, and with smoltcp in both roles.

mod common;

use common::ends::HOSTS;
use common::scenarios;

#[test]
fn clear() {
    scenarios::clear(&HOSTS);
}

#[test]
fn loss() {
    scenarios::loss(&HOSTS);
}

#[test]
fn lost_control() {
    scenarios::lost_control(&HOSTS);
}

#[test]
fn bursts() {
    scenarios::bursts(&HOSTS);
}

#[test]
fn reordering() {
    scenarios::reordering(&HOSTS);
}

#[test]
fn duplication_and_corruption() {
    scenarios::duplication_and_corruption(&HOSTS);
}

#[test]
fn tiny_queue() {
    scenarios::tiny_queue(&HOSTS);
}

#[test]
fn slow_reader() {
    scenarios::slow_reader(&HOSTS);
}

#[test]
fn tunings() {
    scenarios::tunings(&HOSTS);
}

#[test]
fn mixed() {
    scenarios::mixed(&HOSTS, 30);
}
