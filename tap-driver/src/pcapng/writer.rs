//! The writer's thread: takes records from the links, and writes them in the order of their times.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Receiver;

use super::blocks::{self, PacketBlock};
use super::{Packet, Record, Shared};

/// What the file's last blocks say of an interface.
struct Interface {
    written: u64,
    dropped: Arc<AtomicU64>,
}

/// Puts records in order and writes them.
pub(super) struct Writer<W: Write> {
    out: BufWriter<W>,
    shared: Arc<Shared>,
    interfaces: Vec<Interface>,
    /// Records that an older one may still come before.
    held: Vec<Packet>,
}

/// Whether the writer goes on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Then {
    Continue,
    Stop,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: BufWriter<W>, shared: Arc<Shared>) -> Self {
        Writer { out, shared, interfaces: Vec::new(), held: Vec::new() }
    }

    /// Writes until it is told to stop; flushes whenever nothing waits.
    pub(super) fn run(&mut self, records: &Receiver<Record>) -> io::Result<()> {
        loop {
            if self.take_settled(records)? == Then::Stop {
                return self.close();
            }
            if self.held.is_empty() {
                self.out.flush()?;
            } else {
                self.shared.order.await_next();
                if self.take_settled(records)? == Then::Stop {
                    return self.close();
                }
                // Who came to its end in between has taken the mark, and what it sent may have been taken out with the rest.
                if self.held.is_empty() || !self.shared.order.is_awaited() {
                    continue;
                }
            }
            let Ok(record) = records.recv() else { return self.close() };
            if self.take(record)? == Then::Stop {
                return self.close();
            }
        }
    }

    /// Takes what has come, and writes what of it nothing older can come before.
    fn take_settled(&mut self, records: &Receiver<Record>) -> io::Result<Then> {
        // In this order: the records of what has settled are in the channel by then.
        let settled = self.shared.order.settled();
        for record in records.try_iter() {
            if self.take(record)? == Then::Stop {
                return Ok(Then::Stop);
            }
        }
        self.write_until(settled)?;
        Ok(Then::Continue)
    }

    fn take(&mut self, record: Record) -> io::Result<Then> {
        match record {
            Record::Interface { name, medium, dropped } => {
                self.interfaces.push(Interface { written: 0, dropped });
                self.out.write_all(&blocks::interface_description(&name, medium))?;
            }
            Record::Packet(packet) => self.held.push(packet),
            Record::Settled => {}
            Record::Stop => return Ok(Then::Stop),
        }
        Ok(Then::Continue)
    }

    /// Writes what is held up to the time `settled`, the oldest first.
    fn write_until(&mut self, settled: u64) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        held.sort_by_key(|packet| packet.time);
        let ripe = held.partition_point(|packet| packet.time <= settled);
        let written = held.drain(..ripe).try_for_each(|packet| self.write(&packet));
        self.held = held;
        written
    }

    fn write(&mut self, packet: &Packet) -> io::Result<()> {
        self.shared.taken(packet.len());
        let rest = packet.rest.chunks().map(|chunk| &chunk[..]);
        let block = PacketBlock {
            interface: packet.interface,
            time: packet.time,
            direction: packet.direction,
            pieces: &mut std::iter::once(&packet.headers[..]).chain(rest),
            len: packet.len(),
        };
        blocks::write_packet(&mut self.out, block)?;
        if let Some(interface) = self.interfaces.get_mut(packet.interface as usize) {
            interface.written += 1;
        }
        self.shared.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.write_until(u64::MAX)?;
        let time = self.shared.order.now();
        for (number, interface) in self.interfaces.iter().enumerate() {
            let dropped = interface.dropped.load(Ordering::Relaxed);
            let seen = interface.written + dropped;
            self.out.write_all(&blocks::interface_statistics(number as u32, time, seen, dropped))?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use crossbeam_channel::bounded;
    use tapsock_stack::buf::{HeaderBlock, Rope};
    use tapsock_stack::wire::offload::Medium;

    use super::super::order::{Order, Stamp};
    use super::super::{Direction, QUEUE_FRAMES};
    use super::*;

    /// A file at whose writes things happen elsewhere.
    struct Hooked {
        shared: &'static Shared,
        stamp: Option<Stamp<'static>>,
    }

    impl Write for Hooked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let records = &self.shared.records;
            match (bytes, &self.stamp) {
                // A frame is written for the first time: what comes now is taken when the writer looks once more.
                ([6, 0, 0, 0, ..], Some(_)) if records.is_empty() => {
                    records.send(interface()).unwrap();
                }
                // It is, and now who was waited for comes to its end.
                ([1, 0, 0, 0, ..], Some(stamp)) => {
                    records.send(packet(stamp.time)).unwrap();
                    self.stamp = None;
                }
                _ => {}
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn interface() -> Record {
        Record::Interface { name: "a".to_owned(), medium: Medium::Ethernet, dropped: Arc::default() }
    }

    fn packet(time: u64) -> Record {
        let (headers, rest) = (HeaderBlock::new(), Rope::from(vec![1; 60]));
        Record::Packet(Packet { interface: 0, time, direction: Direction::Sent, headers, rest })
    }

    #[test]
    fn who_ends_while_the_writer_looks_once_more_is_not_waited_for() {
        let (records, to_write) = bounded(QUEUE_FRAMES);
        let shared = Arc::new(Shared {
            order: Order::new(records.clone()),
            records,
            queued: AtomicUsize::new(10),
            queued_bytes: AtomicUsize::new(10_000),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            interfaces: Mutex::new(0),
        });
        // The thread is not ended: it waits for more.
        let kept: &'static Arc<Shared> = Box::leak(Box::new(shared));
        let half = Box::leak(Box::new(kept.order.stamper()));
        let ripe = kept.order.now();
        let stamp = half.stamp(&kept.order);
        kept.records.send(packet(ripe)).unwrap();
        kept.records.send(packet(kept.order.now())).unwrap();
        let out = BufWriter::with_capacity(1, Hooked { shared: kept, stamp: Some(stamp) });
        let mut writer = Writer::new(out, kept.clone());
        std::thread::spawn(move || writer.run(&to_write));
        let deadline = Instant::now() + Duration::from_secs(20);
        while kept.written.load(Ordering::Relaxed) < 3 {
            assert!(
                Instant::now() < deadline,
                "{} of 3 frames are written",
                kept.written.load(Ordering::Relaxed)
            );
            std::thread::yield_now();
        }
    }
}
