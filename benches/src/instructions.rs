//! How many instructions a segment costs, counted by valgrind: the same on each run of the same program, whatever else the
//! machine does.

use std::io::{self, ErrorKind};
use std::process::Command;

use tapsock_stack::wire::offload::LinkCaps;

use crate::memory::{MERGED, SINGLE, Wire};

/// What this program is called with to be counted, before the name of a wire and the bytes to be moved.
pub(crate) const COMMAND: &str = "move-in-memory";

/// Bytes moved by the shorter of two runs, of which the longer moves twice as many: so the way to the steady state is in
/// both.
const BYTES: u64 = 64 << 20;

/// The wires by name.
const WIRES: [(&str, LinkCaps); 2] = [("1500", SINGLE), ("64k", MERGED)];

/// What is counted, and the functions in which it is spent.
const SHARES: [(&str, &[&str]); 2] =
    [("receive", &["receive_of_bulk"]), ("send", &["send_of_bulk", "answers_of_bulk"])];

/// Moves bytes and prints the number of frames.
pub(crate) fn run(wire: &str, bytes: &str) -> io::Result<()> {
    let caps = WIRES.iter().find(|(name, _)| *name == wire).map(|(_, caps)| *caps);
    let (Some(caps), Ok(bytes)) = (caps, bytes.parse()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut wire = Wire::new(caps);
    let flow = wire.open(1)[0];
    println!("{}", wire.bulk(flow, bytes).frames);
    Ok(())
}

/// Instructions of a frame with data, by name: `receive_1500`, `send_1500`, `receive_64k`, `send_64k`; nothing where there is
/// no valgrind.
pub(crate) fn of_a_frame() -> io::Result<Vec<(String, f64)>> {
    let mut figures = Vec::new();
    for (wire, _) in WIRES {
        for (share, functions) in SHARES {
            let (Some(short), Some(long)) =
                (counted(wire, BYTES, functions)?, counted(wire, 2 * BYTES, functions)?)
            else {
                return Ok(Vec::new());
            };
            let each = (long.instructions - short.instructions) / (long.frames - short.frames);
            figures.push((format!("{share}_{wire}"), each));
        }
    }
    Ok(figures)
}

struct Counted {
    instructions: f64,
    frames: f64,
}

/// `None` where there is no valgrind.
fn counted(wire: &str, bytes: u64, functions: &[&str]) -> io::Result<Option<Counted>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(functions.iter().map(|name| format!("--toggle-collect=*{name}*")))
        .arg(std::env::current_exe()?)
        .args([COMMAND, wire, &bytes.to_string()])
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let collected =
        told.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim().parse());
    match (said.trim().parse(), collected) {
        (Ok(frames), Some(Ok(instructions))) => Ok(Some(Counted { instructions, frames })),
        _ => Err(io::Error::other(format!("valgrind: {told}"))),
    }
}
