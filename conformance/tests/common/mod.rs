//! The project's own scripts.

use std::fs;
use std::path::{Path, PathBuf};

use tapsock_conformance::ast::IpVersion;

pub const VERSIONS: [IpVersion; 3] = [IpVersion::V4, IpVersion::V4MappedV6, IpVersion::V6];

/// All scripts, in the order of their names.
pub fn scripts() -> Vec<PathBuf> {
    let mut scripts = Vec::new();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "pkt") {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}
