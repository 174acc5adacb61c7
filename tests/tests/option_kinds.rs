//! Every option on every kind of sockets, on the kernel and here.

use std::path::Path;

use tapsock_driver::Namespace;
use tapsock_tests::bench::skipped_for;
use tapsock_tests::differential::{KernelSockets, OurSockets};
use tapsock_tests::socket_options::complaints_of_kinds;

#[test]
fn each_kind_of_sockets_answers_as_on_linux_unless_the_table_says_why() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(error) => return skipped_for(error).unwrap_or_default(),
    };
    // The kernel gives ping sockets to the groups of this range.
    let group = rustix::process::getegid().as_raw();
    namespace.set_sysctl("net.ipv4.ping_group_range", &format!("{group} {group}")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut kernel, mut ours) = (KernelSockets::new(&namespace), OurSockets::new());
    let complaints = complaints_of_kinds(root, &mut kernel, &mut ours).unwrap();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
