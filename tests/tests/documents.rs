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
