//! The bytes of option values, out and in.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::tcp::CongestionKind;

/// The value of an option as `getsockopt` shows it: bytes in the machine's order.
///
/// ```
/// use tapsock_sockets::OptionValue;
///
/// let on = OptionValue::from(1);
/// assert_eq!(on.as_int(), Some(1));
/// let mut out = [0; 2];
/// assert_eq!(on.copy_out(&mut out), Ok(2));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OptionValue {
    bytes: Vec<u8>,
    shorter: Shorter,
}

/// What is shown where there is less room than the value takes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Shorter {
    /// Its first bytes.
    Cut,
    /// Nothing in less than so many bytes.
    Needs(usize),
    /// An `int`, or its first bytes.
    Int(i32),
    /// A byte, if it is one. Source: ip(7).
    Byte,
}

impl OptionValue {
    /// The same, which is not shown at all in less room than so many bytes.
    ///
    /// ```
    /// use tapsock_sockets::{Errno, OptionValue};
    ///
    /// let cookie = OptionValue::from(vec![7; 8]).needing(8);
    /// assert_eq!(cookie.copy_out(&mut [0; 7]), Err(Errno::INVAL));
    /// ```
    #[must_use = "the value itself stays as it is"]
    pub fn needing(self, room: usize) -> Self {
        OptionValue { shorter: Shorter::Needs(room), ..self }
    }

    /// The same, of which this is shown in less room than it takes.
    pub(super) fn or_int(self, number: i32) -> Self {
        OptionValue { shorter: Shorter::Int(number), ..self }
    }

    /// The same, which is a byte in the room of one, if it is one.
    pub(crate) fn or_byte(self) -> Self {
        OptionValue { shorter: Shorter::Byte, ..self }
    }

    /// All bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of an option that is a C `int`.
    pub fn as_int(&self) -> Option<i32> {
        Some(i32::from_ne_bytes(self.bytes.as_slice().try_into().ok()?))
    }

    /// The value of SO_RCVTIMEO or SO_SNDTIMEO; `None` where it is none, or where the call waits for ever.
    pub fn as_duration(&self) -> Option<Duration> {
        let (secs, micros) = read_pair::<8>(&self.bytes)?;
        let (secs, micros) = (i64::from_ne_bytes(secs), i64::from_ne_bytes(micros));
        let duration =
            Duration::from_secs(secs.try_into().ok()?) + Duration::from_micros(micros.try_into().ok()?);
        (!duration.is_zero()).then_some(duration)
    }

    /// Copies into `out`, cut off where it is shorter, and returns how many bytes that are: unlike an address, an
    /// option is said to have the length that was copied.
    ///
    /// Errors: EINVAL for one that is not cut, as SO_COOKIE.
    pub fn copy_out(&self, out: &mut [u8]) -> Result<usize, Errno> {
        let int;
        let shown = match (self.shorter, &self.bytes[..]) {
            (Shorter::Needs(room), _) if out.len() < room => return Err(Errno::INVAL),
            (Shorter::Int(number), bytes) if out.len() < bytes.len() => {
                int = number.to_ne_bytes();
                &int
            }
            (Shorter::Byte, bytes) if out.len() < bytes.len() => match self.as_int().map(u8::try_from) {
                Some(Ok(byte)) => {
                    int = [byte, 0, 0, 0];
                    &int[..1]
                }
                _ => bytes,
            },
            (_, bytes) => bytes,
        };
        let count = shown.len().min(out.len());
        out[..count].copy_from_slice(&shown[..count]);
        Ok(count)
    }
}

impl From<i32> for OptionValue {
    fn from(value: i32) -> Self {
        value.to_ne_bytes().to_vec().into()
    }
}

impl From<bool> for OptionValue {
    fn from(value: bool) -> Self {
        OptionValue::from(i32::from(value))
    }
}

impl From<u32> for OptionValue {
    /// A value that no C `int` holds is shown as the largest.
    fn from(value: u32) -> Self {
        OptionValue::from(i32::try_from(value).unwrap_or(i32::MAX))
    }
}

impl From<Option<Duration>> for OptionValue {
    fn from(value: Option<Duration>) -> Self {
        let value = value.unwrap_or_default();
        let secs = i64::try_from(value.as_secs()).unwrap_or(i64::MAX);
        [secs.to_ne_bytes(), i64::from(value.subsec_micros()).to_ne_bytes()].concat().into()
    }
}

impl From<Vec<u8>> for OptionValue {
    fn from(bytes: Vec<u8>) -> Self {
        OptionValue { bytes, shorter: Shorter::Cut }
    }
}

pub(super) fn in_range(number: i32, low: i32, high: i32) -> Result<i32, Errno> {
    if (low..=high).contains(&number) { Ok(number) } else { Err(Errno::INVAL) }
}

/// The `int` that `value` begins with; what follows is not looked at.
pub(crate) fn read_int(value: &[u8]) -> Result<i32, Errno> {
    let bytes = value.first_chunk().ok_or(Errno::INVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

pub(crate) fn read_pair<const N: usize>(value: &[u8]) -> Option<([u8; N], [u8; N])> {
    let (first, rest) = value.split_first_chunk()?;
    Some((*first, *rest.first_chunk()?))
}

/// A `struct timeval`. Nothing at all means for ever, and less than nothing, not at all, as Linux has it.
pub(crate) fn read_timeout(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let (secs, micros) = read_pair::<8>(value).ok_or(Errno::INVAL)?;
    let (secs, micros) = (i64::from_ne_bytes(secs), i64::from_ne_bytes(micros));
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno::DOM);
    }
    let Ok(secs) = u64::try_from(secs) else {
        return Ok(Some(Duration::ZERO));
    };
    let timeout = Duration::from_secs(secs) + Duration::from_micros(micros as u64);
    Ok((!timeout.is_zero()).then_some(timeout))
}

pub(super) fn read_congestion(value: &[u8]) -> Result<CongestionKind, Errno> {
    if value.is_empty() {
        return Err(Errno::INVAL);
    }
    let field = &value[..value.len().min(CONGESTION_NAME_LEN - 1)];
    let name = field.split(|byte| *byte == 0).next().unwrap_or(field);
    core::str::from_utf8(name).ok().and_then(CongestionKind::from_name).ok_or(Errno::NOENT)
}

/// Linux's TCP_CA_NAME_MAX, with the zero byte.
pub(super) const CONGESTION_NAME_LEN: usize = 16;
