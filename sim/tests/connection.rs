//! `Connection` alone, without the stack around it: against itself, and against smoltcp in both roles.

mod common;

use common::ends::CONNECTIONS;
use common::scenarios;

#[test]
fn clear() {
    scenarios::clear(&CONNECTIONS);
}

#[test]
fn loss() {
    scenarios::loss(&CONNECTIONS);
}

#[test]
fn lost_control() {
    scenarios::lost_control(&CONNECTIONS);
}

#[test]
fn bursts() {
    scenarios::bursts(&CONNECTIONS);
}

#[test]
fn reordering() {
    scenarios::reordering(&CONNECTIONS);
}

#[test]
fn duplication_and_corruption() {
    scenarios::duplication_and_corruption(&CONNECTIONS);
}

#[test]
fn tiny_queue() {
    scenarios::tiny_queue(&CONNECTIONS);
}

#[test]
fn slow_reader() {
    scenarios::slow_reader(&CONNECTIONS);
}

#[test]
fn tunings() {
    scenarios::tunings(&CONNECTIONS);
}

#[test]
fn mixed() {
    scenarios::mixed(&CONNECTIONS, 30);
}
