//! Small messages there and back over TCP, and how long they take.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::io::Errno;

use super::{Figures, PATIENCE, microseconds};
use crate::network::{Network, Stream};

/// Round trips before those that count.
const WARM_UP: u32 = 200;
/// Significant figures of a measured time.
const PRECISION: u8 = 3;

/// Sends back what comes until the peer has ended.
pub(super) fn answer(mut stream: impl Stream) -> io::Result<()> {
    stream.at_once()?;
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => stream.write_all(&buffer[..len])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Measures round trips of `size` bytes with an [`answer`].
pub(super) fn measure(mut stream: impl Stream, size: usize, rounds: u32) -> io::Result<Figures> {
    stream.at_once()?;
    let mut times = histogram()?;
    let mut message = vec![0; size];
    let mut back = vec![0; size];
    for round in 0..WARM_UP + rounds {
        message.fill(round as u8);
        let begin = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut back)?;
        let time = begin.elapsed();
        if back != message {
            return Err(io::Error::new(ErrorKind::InvalidData, "something else came back than was sent"));
        }
        if round >= WARM_UP {
            times.saturating_record(time.as_nanos() as u64);
        }
    }
    let micros = |nanos| microseconds(Duration::from_nanos(nanos));
    Ok(Figures::RoundTrips {
        message_bytes: size,
        round_trips: times.len(),
        p50_us: micros(times.value_at_quantile(0.5)),
        p99_us: micros(times.value_at_quantile(0.99)),
        min_us: micros(times.min()),
        max_us: micros(times.max()),
    })
}

/// Connects to where nobody listens, and tells what came of it.
pub(super) fn refusal(net: &impl Network, to: SocketAddr) -> Figures {
    let begin = Instant::now();
    let outcome = net.connect(to, PATIENCE);
    let microseconds = microseconds(begin.elapsed());
    let (refused, outcome) = match outcome {
        Ok(_) => (false, "connected".to_owned()),
        Err(error) => (error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()), error.to_string()),
    };
    Figures::Connected { refused, outcome, microseconds }
}

/// A histogram of nanoseconds, up to a minute.
pub(super) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(60_000_000_000, PRECISION).map_err(|error| io::Error::other(error.to_string()))
}
