//! The exit status of `tapsock get`: curl's numbers.

use std::io::{self, ErrorKind};

use crate::http::UrlError;
use crate::splice::CopyError;

/// A scheme other than http.
pub const UNSUPPORTED: u8 = 1;
/// What is no URL.
pub const MALFORMED: u8 = 3;
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
/// A file that is to be sent can't be read.
pub const NOT_READ: u8 = 26;
/// It took too long.
pub const TIMED_OUT: u8 = 28;
/// The server has no parts of documents.
pub const NO_RANGE: u8 = 33;
/// One redirection led to the next.
pub const TOO_MANY_REDIRECTS: u8 = 47;
/// The server said nothing.
const EMPTY: u8 = 52;
/// The connection failed while something was sent.
const SEND: u8 = 55;
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
        ErrorKind::BrokenPipe => SEND,
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

/// Of a URL that is none of ours.
pub fn of_url(error: &UrlError) -> u8 {
    match error {
        UrlError::Scheme(_) => UNSUPPORTED,
        UrlError::Malformed(_) => MALFORMED,
    }
}
