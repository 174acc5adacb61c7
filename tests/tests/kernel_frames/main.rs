//! What the internet layer sends, beside the kernel's, frame by frame: one script for both.
//!
//! The kernel runs in a namespace of the case's own, with this program at the other end of its TAP devices; the stack
//! runs in virtual time. Where they part on purpose, `docs/packets.tsv` says so, in the words of this test: a row that
//! does not show any more fails it.

mod compare;
mod craft;
mod describe;
mod host;
mod kernel;
mod ours;
mod router;

mod arp;
mod groups;
mod ndp;

#[test]
fn what_is_sent_is_what_the_kernel_sends() {
    let cases = [arp::CASES, ndp::CASES, groups::CASES, router::CASES].concat();
    compare::compare("tests/tests/kernel_frames/main.rs::what_is_sent_is_what_the_kernel_sends", &cases);
}
