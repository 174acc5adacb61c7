//! Sockets for tokio's tasks, in runtimes without any driver of tokio's but, where a test asks for it, its clock.

#[path = "../common/mod.rs"]
mod common;

mod datagrams;
mod hosts;
mod names;
mod streams;
mod waiting;

use std::future::Future;

use common::{PATIENCE, within};
use tapsock::Host;

/// Runs `work` in a runtime of one thread, which has no drivers at all.
fn in_one_thread<F: Future<Output = ()> + Send + 'static>(work: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    within(PATIENCE, move || runtime.block_on(work));
}

/// The same with two threads.
fn in_two_threads<F: Future<Output = ()> + Send + 'static>(work: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    within(PATIENCE, move || runtime.block_on(work));
}

/// A host without a link.
fn host() -> Host {
    Host::builder().start().unwrap()
}
