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
fn what_is_cited_is_listed_and_what_is_listed_has_one_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a folder above it");
    assert_eq!(tapsock_tests::requirements::complaints(root).expect("sources can be read"), [""; 0]);
    let table = tapsock_tests::requirements::table(root).expect("sources can be read");
    let mut parts = table.split("\n## ");
    let missing = parts.find(|part| part.starts_with("Not done yet\n")).expect("it comes first");
    let open = parts.find(|part| part.starts_with("No test yet\n")).expect("it comes next");
    let parts: Vec<&str> = parts.collect();
    for (number, list) in tapsock_tests::requirements::lists(root).expect("lists can be read") {
        let own = parts.iter().find(|part| part.starts_with(&format!("RFC {number}: "))).expect("its part");
        for (id, what) in list.rows {
            let row = format!("\n| RFC {number} {id} | {what} |");
            let among_open = missing.matches(&row).count() + open.matches(&row).count();
            let among_others = own.matches(&format!("\n| {id} | {what} |")).count();
            assert_eq!(among_open + among_others, 1, "RFC {number} {id}");
        }
    }
}

#[test]
fn the_table_of_socket_options_is_the_code_s() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    assert_eq!(tapsock_tests::socket_options::complaints(root).expect("sources can be read"), [""; 0]);
    let written = fs::read_to_string(root.join("docs/sockets.md")).expect("the table is there");
    let made = tapsock_tests::socket_options::table(root).expect("sources can be read");
    assert!(written == made, "docs/sockets.md is old: cargo run -p tapsock-tests --bin sockets_table");
}
