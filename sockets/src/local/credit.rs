//! What a sender may have under way: Linux's send buffer, with Linux's charge for each piece.
//!
//! A piece on its way is charged to its sender, by the memory that Linux would give it, until the receiver has taken all
//! of it. A sender goes on while the charge is below SO_SNDBUF, so that the last piece may pass it. The charge follows
//! from how Linux 6.18 lays out a buffer: a head of a power of two that also holds 320 bytes of administration, 256 bytes
//! beside it, and whole pages for the rest. It gives the kernel's SIOCOUTQ, and the kernel's number of writes until
//! EAGAIN, for every size and buffer that was tried.

/// SO_SNDBUF of a fresh local socket, in bytes.
pub const SEND_BUFFER_DEFAULT: u32 = 212_992;
/// The least SO_SNDBUF, in bytes.
pub const SEND_BUFFER_MIN: u32 = 4608;

/// The credit of one sender. All sizes in bytes.
///
/// ```
/// use tapsock_sockets::local::SendCredit;
///
/// let mut credit = SendCredit::new(4608);
/// while credit.has_room() {
///     credit.charge(768);
/// }
/// assert_eq!(credit.charged(), 4608);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct SendCredit {
    limit: u32,
    charged: u64,
}

impl SendCredit {
    /// Nothing under way, with `limit` as SO_SNDBUF shows it; it is raised to [`SEND_BUFFER_MIN`].
    pub fn new(limit: u32) -> Self {
        SendCredit { limit: limit.max(SEND_BUFFER_MIN), charged: 0 }
    }

    /// SO_SNDBUF.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Sets SO_SNDBUF to what it shows afterwards: the caller has doubled it. What is under way stays.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(SEND_BUFFER_MIN);
    }

    /// The charge of all that is under way, which SIOCOUTQ shows.
    pub fn charged(&self) -> u64 {
        self.charged
    }

    /// Whether one more piece may go.
    pub fn has_room(&self) -> bool {
        self.charged < u64::from(self.limit)
    }

    /// Whether poll says so: only where three quarters are free. Linux counts one byte for the socket itself there.
    pub fn is_writable(&self) -> bool {
        (self.charged + 1) * 4 <= u64::from(self.limit)
    }

    /// The longest record or datagram; a longer one is EMSGSIZE.
    pub fn longest_record(&self) -> usize {
        (self.limit - RECORD_MARGIN) as usize
    }

    /// Charges a piece that goes.
    pub fn charge(&mut self, charge: u32) {
        self.charged += u64::from(charge);
    }

    /// Takes back the charge of a piece that the receiver has taken, or that was dropped.
    pub fn release(&mut self, charge: u64) {
        self.charged = self.charged.saturating_sub(charge);
    }

    /// The longest piece of a stream: a large write that is made in several turns keeps Linux's charge where each turn is
    /// a multiple of it.
    pub fn longest_piece(&self) -> usize {
        ((self.limit / 2 - PIECE_MARGIN) as usize).min(STREAM_HEAD_MAX + STREAM_PAGES_MAX)
    }

    /// The first piece of `left` bytes of a stream, which is not 0, and its charge.
    pub(crate) fn stream_piece(&self, left: usize) -> (u32, u32) {
        let len = left.min(self.longest_piece());
        let paged = len.min(pages(len.saturating_sub(STREAM_HEAD_MAX)));
        (len as u32, charge_of(len - paged, paged))
    }
}

impl Default for SendCredit {
    fn default() -> Self {
        SendCredit::new(SEND_BUFFER_DEFAULT)
    }
}

/// The charge of a record or datagram of `len` bytes.
pub(crate) fn record_charge(len: usize) -> u32 {
    let paged = pages(len.saturating_sub(RECORD_HEAD_MAX).min(RECORD_PAGES_MAX));
    charge_of(len.saturating_sub(paged), paged)
}

/// The charge of a buffer with `head` bytes in its head and `paged` bytes in pages.
fn charge_of(head: usize, paged: usize) -> u32 {
    let head = (head.next_multiple_of(CACHE_LINE) + HEAD_ADMINISTRATION).next_power_of_two();
    (head.max(HEAD_MIN) + DESCRIPTOR + pages(paged)) as u32
}

/// `bytes` in whole pages.
fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

const PAGE: usize = 4096;
const CACHE_LINE: usize = 64;
/// What the head holds beside the bytes.
const HEAD_ADMINISTRATION: usize = 320;
/// What a buffer has beside its head.
const DESCRIPTOR: usize = 256;
const HEAD_MIN: usize = 512;
/// Bytes of a piece of a stream that its head holds; the rest is in pages.
const STREAM_HEAD_MAX: usize = PAGE - HEAD_ADMINISTRATION;
const STREAM_PAGES_MAX: usize = 32_768;
/// Bytes of a record that its head holds, unless the pages are full.
const RECORD_HEAD_MAX: usize = 4 * PAGE - HEAD_ADMINISTRATION;
const RECORD_PAGES_MAX: usize = 17 * PAGE;
/// The longest record, whatever the send buffer: Linux's heads have 4 MiB at most.
pub(super) const RECORD_MAX: usize = (4 << 20) - HEAD_ADMINISTRATION + RECORD_PAGES_MAX;
/// By how much a piece of a stream is shorter than half of the buffer.
const PIECE_MARGIN: u32 = 64;
/// By how much a record is shorter than the buffer.
const RECORD_MARGIN: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many writes of `size` bytes go, how many bytes those are, and their charge.
    fn fill(limit: u32, size: usize) -> (usize, usize, u64) {
        let mut credit = SendCredit::new(limit);
        let (mut writes, mut bytes) = (0, 0);
        while credit.has_room() {
            let mut left = size;
            while left > 0 && credit.has_room() {
                let (len, charge) = credit.stream_piece(left);
                credit.charge(charge);
                left -= len as usize;
            }
            writes += 1;
            bytes += size - left;
        }
        (writes, bytes, credit.charged())
    }

    /// As Linux 6.18 shows by `send` until EAGAIN and SIOCOUTQ.
    #[test]
    fn streams_take_as_many_writes_as_on_linux() {
        for (limit, size, filled) in [
            (212_992, 1, (278, 278, 213_504)),
            (212_992, 192, (278, 53_376, 213_504)),
            (212_992, 193, (167, 32_231, 213_760)),
            (212_992, 705, (93, 65_565, 214_272)),
            (212_992, 1500, (93, 139_500, 214_272)),
            (212_992, 1729, (49, 84_721, 213_248)),
            (212_992, 3777, (44, 166_188, 214_016)),
            (212_992, 4096, (44, 180_224, 214_016)),
            (212_992, 5000, (34, 170_000, 217_600)),
            (212_992, 10_000, (17, 170_000, 213_248)),
            (212_992, 16_384, (13, 212_992, 222_976)),
            (212_992, 36_864, (6, 220_864, 229_120)),
            (212_992, 65_536, (4, 233_152, 238_336)),
            (212_992, 200_000, (2, 236_544, 241_408)),
            (212_992, 1 << 20, (1, 219_264, 222_720)),
            (4608, 1, (6, 6, 4608)),
            (4608, 2048, (2, 4096, 8704)),
            (4608, 4096, (1, 4096, 8704)),
            (4608, 1 << 20, (1, 4480, 8704)),
            (10_000, 193, (8, 1544, 10_240)),
            (4_194_304, 1 << 23, (1, 4_129_472, 4_194_560)),
        ] {
            assert_eq!(fill(limit, size), filled, "{limit} {size}");
        }
    }

    /// As SIOCOUTQ of Linux 6.18 shows after one `send`.
    #[test]
    fn records_are_charged_as_on_linux() {
        for (len, charge) in [
            (0, 768),
            (192, 768),
            (193, 1280),
            (704, 1280),
            (705, 2304),
            (1729, 4352),
            (3776, 4352),
            (3777, 8448),
            (7873, 16_640),
            (16_064, 16_640),
            (16_065, 20_736),
            (20_161, 24_832),
            (65_536, 69_888),
            (85_696, 86_272),
            (85_697, 102_656),
            (131_072, 135_424),
            (200_000, 200_960),
            (212_960, 332_032),
            (1 << 20, 1_118_464),
        ] {
            assert_eq!(record_charge(len), charge, "{len}");
        }
    }

    #[test]
    fn poll_wants_three_quarters_free() {
        let mut credit = SendCredit::default();
        let mut writes = 0;
        while credit.is_writable() {
            credit.charge(768);
            writes += 1;
        }
        assert_eq!((writes, credit.charged()), (70, 53_760));
        credit.release(768);
        assert!(credit.is_writable());
        let mut quarter = SendCredit::new(4 * 53_248);
        quarter.charge(53_247);
        assert!(quarter.is_writable());
        quarter.charge(1);
        assert!(!quarter.is_writable());
    }

    #[test]
    fn the_limit_has_a_least_value() {
        let mut credit = SendCredit::new(1);
        assert_eq!(credit.limit(), 4608);
        credit.set_limit(2);
        assert_eq!((credit.limit(), credit.longest_record()), (4608, 4576));
    }
}
