//! The errors of name resolution, `EAI_*`.

use core::fmt;
use std::error::Error;

/// Why a name could not be resolved. Source: getaddrinfo(3), gai_strerror(3).
///
/// ```
/// use tapsock::resolve::EaiError;
///
/// assert_eq!(EaiError::NoName.code(), -2);
/// assert_eq!(EaiError::NoName.to_string(), "Name or service not known");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum EaiError {
    /// `EAI_BADFLAGS`: unknown flags, or flags that want what is not there.
    BadFlags,
    /// `EAI_NONAME`: no such name.
    NoName,
    /// `EAI_AGAIN`: who should know could not be asked.
    Again,
    /// `EAI_FAIL`: who should know has failed.
    Fail,
    /// `EAI_NODATA`: the name has no address.
    NoData,
    /// `EAI_FAMILY`: neither IPv4 nor IPv6.
    Family,
    /// `EAI_SOCKTYPE`: no such socket type, or not with this protocol.
    SocketType,
    /// `EAI_SERVICE`: no such service, or not with this socket type.
    Service,
    /// `EAI_ADDRFAMILY`: a numeric address of the other family.
    AddressFamily,
    /// `EAI_OVERFLOW`: the answer does not fit.
    Overflow,
}

impl EaiError {
    /// The number that glibc's `<netdb.h>` has for it.
    pub fn code(self) -> i32 {
        match self {
            EaiError::BadFlags => -1,
            EaiError::NoName => -2,
            EaiError::Again => -3,
            EaiError::Fail => -4,
            EaiError::NoData => -5,
            EaiError::Family => -6,
            EaiError::SocketType => -7,
            EaiError::Service => -8,
            EaiError::AddressFamily => -9,
            EaiError::Overflow => -12,
        }
    }
}

/// The words of glibc's gai_strerror(3).
impl fmt::Display for EaiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EaiError::BadFlags => "Bad value for ai_flags",
            EaiError::NoName => "Name or service not known",
            EaiError::Again => "Temporary failure in name resolution",
            EaiError::Fail => "Non-recoverable failure in name resolution",
            EaiError::NoData => "No address associated with hostname",
            EaiError::Family => "ai_family not supported",
            EaiError::SocketType => "ai_socktype not supported",
            EaiError::Service => "Servname not supported for ai_socktype",
            EaiError::AddressFamily => "Address family for hostname not supported",
            EaiError::Overflow => "Argument buffer overflow",
        })
    }
}

impl Error for EaiError {}
