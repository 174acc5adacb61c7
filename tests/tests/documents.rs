//! Documents that are made from the code are up to date.

use std::fs;
use std::path::Path;

#[test]
fn the_table_of_requirements_is_what_the_code_cites() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a folder above it");
    let written = fs::read_to_string(root.join("docs/rfc.md")).expect("docs/rfc.md");
    let made = tapsock_tests::requirements::table(root).expect("sources can be read");
    assert!(written == made, "docs/rfc.md is old: cargo run -p tapsock-tests --bin rfc_table");
}

#[test]
fn the_table_of_socket_options_is_the_code_s() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    assert_eq!(tapsock_tests::socket_options::complaints(root).expect("sources can be read"), [""; 0]);
    let written = fs::read_to_string(root.join("docs/sockets.md")).expect("the table is there");
    let made = tapsock_tests::socket_options::table(root).expect("sources can be read");
    assert!(written == made, "docs/sockets.md is old: cargo run -p tapsock-tests --bin sockets_table");
}
