//! The exit status of `tapsock get`: curl's numbers.

use std::io::{self, ErrorKind};

use crate::splice::CopyError;

/// A scheme other than http, after a redirection.
pub const UNSUPPORTED: u8 = 1;
/// The name has no address.
pub const NO_ADDRESS: u8 = 6;
/// No connection could be made.
const NO_CONNECTION: u8 = 7;
/// What the server says is no HTTP.
const NO_HTTP: u8 = 8;
/// The document ended too soon.
const PARTIAL: u8 = 18;
/// The status is 400 or above, and that counts.
pub const HTTP_ERROR: u8 = 22;
/// The document could not be written.
pub const NOT_WRITTEN: u8 = 23;
/// It took too long.
const TIMED_OUT: u8 = 28;
/// One redirection led to the next.
pub const TOO_MANY_REDIRECTS: u8 = 47;
/// The server said nothing.
const EMPTY: u8 = 52;
/// The connection failed.
const RECEIVE: u8 = 56;

/// Of a connect that failed.
pub fn of_connect(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::TimedOut { TIMED_OUT } else { NO_CONNECTION }
}

/// Of a request without a response.
pub fn of_response(error: &io::Error) -> u8 {
    match error.kind() {
        ErrorKind::TimedOut => TIMED_OUT,
        ErrorKind::UnexpectedEof => EMPTY,
        ErrorKind::InvalidData => NO_HTTP,
        _ => RECEIVE,
    }
}

/// Of a document that did not get over.
pub fn of_copy(error: &CopyError) -> u8 {
    match error {
        CopyError::Write(_) => NOT_WRITTEN,
        CopyError::Read(error) if error.kind() == ErrorKind::TimedOut => TIMED_OUT,
        CopyError::Read(error) if error.kind() == ErrorKind::UnexpectedEof => PARTIAL,
        CopyError::Read(_) => RECEIVE,
    }
}
