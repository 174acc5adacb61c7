//! The options of a TCP header: read as Linux reads them, written in the order in which Linux writes them.

use arrayvec::ArrayVec;

/// Blocks that one SACK option can hold.
pub const MAX_SACK_BLOCKS: usize = 4;

/// Length of all options together, in bytes, at most.
pub const MAX_OPTIONS_LEN: usize = 40;

/// The blocks of a SACK option: the left edge, and the right edge that is the first number not received.
pub type SackBlocks = ArrayVec<(u32, u32), MAX_SACK_BLOCKS>;

/// The timestamps option (RFC 7323 §3.2).
///
/// ```
/// use tapsock_stack::wire::{TcpOptions, Timestamps};
///
/// let bytes = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 4];
/// assert_eq!(TcpOptions::parse(&bytes).timestamps, Some(Timestamps { value: 9, echo: 4 }));
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Timestamps {
    /// `TSval`: the sender's clock.
    pub value: u32,
    /// `TSecr`: the peer's clock, sent back; counts only on segments with ACK.
    pub echo: u32,
}

/// A fast open cookie (RFC 7413 §4.1.1): 4 to 16 bytes. An empty one asks for one.
///
/// ```
/// use tapsock_stack::wire::FastOpenCookie;
///
/// let cookie = FastOpenCookie::new(&[1, 2, 3, 4]).unwrap();
/// assert_eq!(cookie.bytes(), [1, 2, 3, 4]);
/// assert!(FastOpenCookie::REQUEST.is_request());
/// assert_eq!(FastOpenCookie::new(&[1, 2]), None);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FastOpenCookie {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl FastOpenCookie {
    /// The longest cookie, in bytes.
    pub const MAX_LEN: usize = 16;
    /// The shortest, in bytes.
    pub const MIN_LEN: usize = 4;
    /// What a client sends that has none.
    pub const REQUEST: FastOpenCookie = FastOpenCookie { bytes: [0; Self::MAX_LEN], len: 0 };

    /// The cookie of those bytes, or the request where there are none; `None` for a length that no cookie has.
    pub fn new(value: &[u8]) -> Option<Self> {
        let fits = value.is_empty() || (Self::MIN_LEN..=Self::MAX_LEN).contains(&value.len());
        if !fits || !value.len().is_multiple_of(2) {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..value.len()].copy_from_slice(value);
        Some(FastOpenCookie { bytes, len: value.len() as u8 })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    /// Whether it asks for one.
    pub fn is_request(&self) -> bool {
        self.len == 0
    }
}

/// How a fast open option is written.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum FastOpenForm {
    /// Kind 34 (RFC 7413).
    Standard,
    /// Kind 254 with the number 0xF989 (RFC 6994), as before RFC 7413.
    Experimental,
}

/// The fast open option, which counts on segments with SYN alone.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FastOpenOption {
    /// The cookie, or the request for one.
    pub cookie: FastOpenCookie,
    /// How it is written.
    pub form: FastOpenForm,
}

impl FastOpenOption {
    /// Bytes before the cookie.
    const fn header_len(&self) -> usize {
        match self.form {
            FastOpenForm::Standard => 2,
            FastOpenForm::Experimental => 4,
        }
    }

    /// Length with its padding, in bytes.
    const fn padded_len(&self) -> usize {
        (self.header_len() + self.cookie.len as usize).next_multiple_of(4)
    }
}

/// The options of one segment.
///
/// ```
/// use tapsock_stack::wire::TcpOptions;
///
/// let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
/// let mut bytes = [0; 40];
/// let len = options.emit(&mut bytes);
/// assert_eq!(bytes[..len], [2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
/// assert_eq!(TcpOptions::parse(&bytes[..len]), options);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpOptions {
    /// Largest segment that the sender takes, in bytes, without headers. Never 0 when it was read.
    pub mss: Option<u16>,
    /// By how many bits the sender's window is to be shifted, as it stands in the option: the receiver takes a
    /// number above 14 as 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// Whether the sender takes SACK options.
    pub sack_permitted: bool,
    /// The timestamps option.
    pub timestamps: Option<Timestamps>,
    /// The blocks of the SACK option, empty where there is none.
    pub sack: SackBlocks,
    /// The fast open option.
    pub fast_open: Option<FastOpenOption>,
}

impl TcpOptions {
    /// Reads what follows the fixed part of a header, at most 40 bytes.
    ///
    /// As Linux: unknown options are skipped by their length; an option with a length below 2 or beyond the end
    /// stops the reading, and what was read counts; an option of a known kind and a wrong length is skipped; the
    /// last of several of one kind counts.
    //= RFC 9293 MUST-5
    //= RFC 9293 MUST-6
    //= RFC 9293 MUST-7
    //= RFC 9293 MUST-64
    //= RFC 9293 MUST-4
    pub fn parse(bytes: &[u8]) -> Self {
        let mut options = TcpOptions::default();
        // Nearly every segment of an established connection looks like this (RFC 7323 appendix A).
        if let [NOP, NOP, TIMESTAMPS, 10, rest @ ..] = bytes
            && let Ok(body) = <&[u8; 8]>::try_from(rest)
        {
            options.timestamps = Some(parse_timestamps(body));
            return options;
        }
        let mut rest = bytes;
        loop {
            rest = match rest {
                [] | [END, ..] => break,
                [NOP, rest @ ..] => rest,
                [kind, len, ..] => {
                    let Some((option, after)) = rest.split_at_checked(usize::from(*len)) else {
                        break;
                    };
                    let Some(body) = option.get(2..) else { break };
                    options.take(*kind, body);
                    after
                }
                [_] => break,
            };
        }
        options
    }

    fn take(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])).filter(|mss| *mss != 0),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, body) => {
                if let Ok(body) = body.try_into() {
                    self.timestamps = Some(parse_timestamps(body));
                }
            }
            (SACK, body) => {
                let (blocks, rest) = body.as_chunks::<8>();
                if rest.is_empty() && !blocks.is_empty() {
                    // Forty bytes hold no more than four blocks; a longer slice than that is cut off here.
                    self.sack = blocks.iter().take(MAX_SACK_BLOCKS).map(split_words).collect();
                }
            }
            (FAST_OPEN, body) => self.take_cookie(body, FastOpenForm::Standard),
            (EXPERIMENT, [0xf9, 0x89, body @ ..]) => self.take_cookie(body, FastOpenForm::Experimental),
            _ => {}
        }
    }

    /// As Linux: one of odd length is as if it were not there, one that is too short or too long takes back another.
    //= RFC 7413 §4.1.1
    //= RFC 7413 §4.1.1 MUST-1
    //= RFC 7413 §4.1.1 MUST-2
    fn take_cookie(&mut self, body: &[u8], form: FastOpenForm) {
        if body.len().is_multiple_of(2) {
            self.fast_open = FastOpenCookie::new(body).map(|cookie| FastOpenOption { cookie, form });
        }
    }

    /// Length of the options as [`emit`](Self::emit) writes them, in bytes: a multiple of 4, at most 40.
    pub fn emitted_len(&self) -> usize {
        self.len_before_fast_open() + self.fast_open_that_fits().map_or(0, |option| option.padded_len())
    }

    fn len_before_fast_open(&self) -> usize {
        let fixed = self.fixed_len();
        match sack_blocks_in(fixed, self.sack.len()) {
            0 => fixed,
            blocks => fixed + SACK_BASE_LEN + blocks * SACK_BLOCK_LEN,
        }
    }

    /// The fast open option, where the others leave room for it.
    fn fast_open_that_fits(&self) -> Option<FastOpenOption> {
        let room = MAX_OPTIONS_LEN - self.len_before_fast_open();
        self.fast_open.filter(|option| option.padded_len() <= room)
    }

    /// Writes the options at the start of `into` and returns their length in bytes. SACK blocks that don't fit are
    /// left out, the last first. Panics where `into` is shorter than [`emitted_len`](Self::emitted_len).
    //= RFC 9293 MUST-68
    //= RFC 9293 MUST-69
    pub fn emit(&self, into: &mut [u8]) -> usize {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            into[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            put(&[MSS, 4]);
            put(&mss.to_be_bytes());
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => put(&[SACK_PERMITTED, 2, TIMESTAMPS, 10]),
            (false, Some(_)) => put(&[NOP, NOP, TIMESTAMPS, 10]),
            (true, None) => put(&[NOP, NOP, SACK_PERMITTED, 2]),
            (false, None) => {}
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            put(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        let blocks = sack_blocks_in(self.fixed_len(), self.sack.len());
        if blocks > 0 {
            put(&[NOP, NOP, SACK, (2 + blocks * SACK_BLOCK_LEN) as u8]);
            for (left, right) in &self.sack[..blocks] {
                put(&left.to_be_bytes());
                put(&right.to_be_bytes());
            }
        }
        if let Some(option) = self.fast_open_that_fits() {
            let len = (option.header_len() + option.cookie.bytes().len()) as u8;
            match option.form {
                FastOpenForm::Standard => put(&[FAST_OPEN, len]),
                FastOpenForm::Experimental => put(&[EXPERIMENT, len, 0xf9, 0x89]),
            }
            put(option.cookie.bytes());
            put(&[NOP; 3][..option.padded_len() - usize::from(len)]);
        }
        at
    }

    /// Length of all but the SACK option, with its padding, in bytes.
    fn fixed_len(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let timestamps = match (self.sack_permitted, self.timestamps) {
            (_, Some(_)) => 12,
            (true, None) => 4,
            (false, None) => 0,
        };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        mss + timestamps + window_scale
    }
}

/// How many of `blocks` SACK blocks fit after `fixed` bytes of other options.
//= RFC 2018 §3 RULE-2
fn sack_blocks_in(fixed: usize, blocks: usize) -> usize {
    blocks.min((MAX_OPTIONS_LEN - fixed - SACK_BASE_LEN) / SACK_BLOCK_LEN)
}

fn parse_timestamps(body: &[u8; 8]) -> Timestamps {
    let (value, echo) = split_words(body);
    Timestamps { value, echo }
}

fn split_words(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> (u32, u32) {
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const FAST_OPEN: u8 = 34;
const EXPERIMENT: u8 = 254;

/// Two NOPs, kind and length.
const SACK_BASE_LEN: usize = 4;
const SACK_BLOCK_LEN: usize = 8;

#[cfg(test)]
mod tests;
