//! Builds a target with coverage and runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use crate::{Target, plain};

/// What cargo-fuzz gives to rustc without a sanitizer. All of it is stable.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

/// What libFuzzer is given before the user's own arguments, which win.
const LIMITS: [&str; 4] = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"];

/// Runs the target `name`, under libFuzzer where that can be built.
///
/// `--plain` leaves coverage out. A file among the arguments is run as the only input.
pub fn main(name: &str, target: Target, seeds: Vec<Vec<u8>>) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--plain").collect();
    let plain = env::args().any(|argument| argument == "--plain");
    let files: Vec<&Path> = arguments.iter().map(Path::new).filter(|path| path.is_file()).collect();
    if !files.is_empty() {
        return plain::replay(target, &files);
    }
    if !plain {
        match run_with_coverage(name, &seeds, &arguments) {
            Ok(code) => return code,
            Err(why) => eprintln!("{name}: no coverage ({why}); mutating blindly"),
        }
    }
    plain::run(name, target, &seeds, plain::budget(&arguments))
}

fn run_with_coverage(name: &str, seeds: &[Vec<u8>], arguments: &[String]) -> Result<ExitCode, String> {
    let target_dir = target_dir().ok_or("the target directory is not to be found")?.join("fuzz");
    let binary = build(name, &target_dir)?;
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|kind| target_dir.join(kind).join(name));
    plant(&corpus, seeds).map_err(|error| format!("{}: {error}", corpus.display()))?;
    fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let status = Command::new(binary)
        .args(LIMITS)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(arguments)
        .arg(&corpus)
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        eprintln!("{name}: look into {}", artifacts.display());
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the target with coverage in a directory of its own, for its flags differ from all else.
fn build(name: &str, target_dir: &Path) -> Result<PathBuf, String> {
    let triple = host_triple()?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        // With --target the flags don't reach build scripts.
        .args(["build", "--quiet", "--release", "--bin", name, "--target", &triple])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the build ended with {status}"));
    }
    Ok(target_dir.join(triple).join("release").join(name))
}

fn host_triple() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_string).ok_or("rustc names no host".into())
}

/// The target directory of the running program, which stands in `target/PROFILE/`.
fn target_dir() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.to_path_buf())
}

/// Writes the seeds, which are to be found there on the next run again.
fn plant(corpus: &Path, seeds: &[Vec<u8>]) -> io::Result<()> {
    fs::create_dir_all(corpus)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
