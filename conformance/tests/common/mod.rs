//! The project's own scripts.

use std::fs;
use std::path::{Path, PathBuf};

use tapsock_conformance::ast::IpVersion;

pub const VERSIONS: [IpVersion; 3] = [IpVersion::V4, IpVersion::V4MappedV6, IpVersion::V6];

/// All scripts, in the order of their names.
pub fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "pkt")).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}
