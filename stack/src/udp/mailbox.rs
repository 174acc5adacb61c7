//! What a socket of datagrams has in hand, whatever its protocol: what waits to be read, what waits for the link, what went
//! wrong, and which directions are shut.

use core::net::SocketAddrV6;

use super::queue::{ReceiveQueue, SendAccount};
use super::{Datagram, RecvError};
use crate::error::SocketError;
use crate::error_queue::{ErrorQueue, Queued, Report};
use crate::time::Instant;

/// The send buffer of a socket that is told nothing else: Linux's `net.core.wmem_default`, in bytes.
const SEND_BUFFER: usize = 212_992;

/// The queues and the pending error of a UDP socket, a raw one or a ping socket.
///
/// ```
/// use tapsock_stack::udp::{Mailbox, RecvError};
///
/// let mut mail = Mailbox::new(212_992);
/// assert_eq!(mail.recv().unwrap_err(), RecvError::WouldBlock);
/// mail.shutdown_read();
/// assert_eq!(mail.recv().unwrap_err(), RecvError::Shutdown);
/// ```
#[derive(Debug)]
pub struct Mailbox {
    /// The bound of the queue, in bytes of payload with [`OVERHEAD`](super::OVERHEAD) (`SO_RCVBUF` as `getsockopt` shows
    /// it). Reports of errors share it.
    pub receive_buffer: usize,
    /// The bound of what waits for the link, in the same bytes (`SO_SNDBUF` as `getsockopt` shows it).
    pub send_buffer: usize,
    /// The path that was too narrow for the last datagram that was not to be cut: its end, and what it takes, in bytes
    /// (`IPV6_RECVPATHMTU`).
    pub narrow_path: Option<(SocketAddrV6, u32)>,
    queue: ReceiveQueue,
    sending: SendAccount,
    error: Option<SocketError>,
    reports: ErrorQueue,
    read_shut: bool,
    write_shut: bool,
}

impl Mailbox {
    /// An empty one, with a queue of `receive_buffer` bytes.
    pub fn new(receive_buffer: usize) -> Self {
        Mailbox {
            receive_buffer,
            send_buffer: SEND_BUFFER,
            narrow_path: None,
            queue: ReceiveQueue::default(),
            sending: SendAccount::default(),
            error: None,
            reports: ErrorQueue::default(),
            read_shut: false,
            write_shut: false,
        }
    }

    /// Puts a datagram into the queue. Whether there was room: an empty queue takes any.
    pub(crate) fn push(&mut self, datagram: Datagram) -> bool {
        self.queue.push(datagram, self.receive_buffer.saturating_sub(self.reports.charged()))
    }

    /// Notes that so many found no room.
    pub(crate) fn count_drops(&mut self, count: u32) {
        self.queue.count_drops(count);
    }

    /// Takes the oldest datagram, or the pending error before it.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv(&mut self) -> Result<Datagram, RecvError> {
        self.check_readable()?;
        self.queue.pop().ok_or(RecvError::WouldBlock)
    }

    /// Looks at the oldest datagram, which stays. A pending error is taken as by [`Mailbox::recv`].
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn peek(&mut self) -> Result<&Datagram, RecvError> {
        self.check_readable()?;
        self.queue.front().ok_or(RecvError::WouldBlock)
    }

    /// Looks at the datagram in which the byte stands that has `start` bytes before it in the queue (`SO_PEEK_OFF`), and
    /// tells how many of those are its own. An empty datagram is shown once.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn peek_at(&mut self, start: usize) -> Result<(&Datagram, usize), RecvError> {
        self.check_readable()?;
        self.queue.peek_at(start).ok_or(RecvError::WouldBlock)
    }

    /// Takes the pending error (`SO_ERROR`). A call that sends looks here first, as one that receives does.
    pub fn take_error(&mut self) -> Option<SocketError> {
        self.error.take()
    }

    /// Makes `error` the pending one: the socket's link is gone, say.
    pub fn fail(&mut self, error: SocketError) {
        self.error = Some(error);
    }

    /// Whether an error is pending, which the next call fails with.
    pub fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Adds a report, which shares the receive buffer with the datagrams that wait.
    pub fn report(&mut self, report: Report) -> Queued {
        self.reports.push(report, self.receive_buffer.saturating_sub(self.queue.charged()))
    }

    /// Notes that the send `number` with `MSG_ZEROCOPY` is done.
    pub fn report_zero_copy(&mut self, number: u32, at: Instant) {
        self.reports.push_zero_copy(number, at);
    }

    /// Takes the oldest report (`MSG_ERRQUEUE`). The pending error becomes that of the next.
    pub fn take_report(&mut self) -> Option<Report> {
        self.reports.pop(&mut self.error)
    }

    /// Whether a report waits.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Forgets the reports of errors that wait.
    pub fn drop_reports(&mut self) {
        self.reports.drop_errors();
    }

    /// Shuts the reading side down. What is queued, and what comes later, can still be read, as on Linux.
    pub fn shutdown_read(&mut self) {
        self.read_shut = true;
    }

    /// Shuts the writing side down.
    pub fn shutdown_write(&mut self) {
        self.write_shut = true;
    }

    /// Whether the reading side is shut down.
    pub fn is_read_shut(&self) -> bool {
        self.read_shut
    }

    /// Whether the writing side is shut down.
    pub fn is_write_shut(&self) -> bool {
        self.write_shut
    }

    /// Whether a datagram waits.
    pub fn is_readable(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Length of the oldest datagram, in bytes (`FIONREAD`); 0 where there is none.
    pub fn next_len(&self) -> usize {
        self.queue.next_len()
    }

    /// What the queue is charged with, in bytes, of [`Mailbox::receive_buffer`].
    pub fn queued_bytes(&self) -> usize {
        self.queue.charged()
    }

    /// Datagrams dropped for want of room since the socket was made (`SO_RXQ_OVFL`).
    pub fn drops(&self) -> u64 {
        self.queue.drops()
    }

    /// What waits for the link is charged, in bytes, of [`Mailbox::send_buffer`].
    pub fn sending_bytes(&self) -> usize {
        self.sending.waiting()
    }

    /// Whether a datagram may be sent now: one may while the send buffer is not full, however long it is, as on Linux.
    pub fn has_send_room(&self) -> bool {
        self.sending.has_room(self.send_buffer)
    }

    /// Whether a sender should be woken: half of the send buffer is free, as on Linux.
    pub fn is_writable(&self) -> bool {
        self.sending.is_writable(self.send_buffer)
    }

    /// The account of what waits for the link, and its bound.
    pub(crate) fn sending(&mut self) -> (&mut SendAccount, usize) {
        (&mut self.sending, self.send_buffer)
    }

    fn check_readable(&mut self) -> Result<(), RecvError> {
        match self.error.take() {
            Some(error) => Err(RecvError::Error(error)),
            None if self.queue.is_empty() && self.read_shut => Err(RecvError::Shutdown),
            None => Ok(()),
        }
    }
}
