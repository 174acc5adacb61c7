//! Documents that are made from the code are up to date, and what the code counts is tested.

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

#[test]
fn the_table_of_packets_is_that_of_the_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    let written = fs::read_to_string(root.join("docs/conformance.md")).expect("the page is there");
    let made = tapsock_tests::packets::page(root).expect("rows of five cells");
    assert!(written == made, "docs/conformance.md is old: cargo run -p tapsock-tests --bin packets_table");
}

/// `docs/LOCKS.md` has a row for each lock of the sockets' crate.
#[test]
fn each_lock_is_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    let page = fs::read_to_string(root.join("docs/LOCKS.md")).expect("the page is there");
    let (_, rows) = page.split_once("## All of them").expect("its last table");
    let sources = root.join("socket-api/src");
    let mut folders = vec![sources.clone()];
    let mut unwritten = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("sources can be read") {
            let path = entry.expect("sources can be read").path();
            if path.is_dir() {
                folders.extend((path.file_name().is_some_and(|name| name != "tests")).then_some(path));
                continue;
            }
            let file = path.strip_prefix(&sources).expect("it lies below").display().to_string();
            let source = fs::read_to_string(&path).expect("sources can be read");
            for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
                let Some((name, _)) = line.split_once("Mutex<").filter(|(before, _)| !before.contains('('))
                else {
                    continue;
                };
                let Some(name) =
                    name.split([':', '=']).next().and_then(|name| name.split_whitespace().last())
                else {
                    continue;
                };
                let stands =
                    |row: &str| row.contains(&format!("`{name}`")) && row.contains(&format!("`{file}`"));
                if !file.ends_with("tests.rs") && !rows.lines().any(stands) {
                    unwritten.push(format!("{file}: {name}"));
                }
            }
        }
    }
    assert!(unwritten.is_empty(), "not in docs/LOCKS.md: {unwritten:?}");
}

#[test]
fn each_bound_is_filled_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    assert_eq!(tapsock_tests::bounded::complaints(root).expect("sources can be read"), [""; 0]);
}

#[test]
fn each_counter_counts_and_a_test_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    assert_eq!(tapsock_tests::counted::complaints(root).expect("sources can be read"), [""; 0]);
}
