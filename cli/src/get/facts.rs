//! What is known of the transfer of one document.

use std::net::SocketAddr;
use std::time::Duration;

/// What is known of it. Times count from its begin.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its number, from 0.
    pub number: usize,
    /// What was asked for, and what was fetched in the end.
    pub url: String,
    pub effective: String,
    pub method: String,
    pub referer: Option<String>,
    /// The server's word: 200, 404; 0 where it said nothing.
    pub status: u16,
    /// The minor version of HTTP/1.
    pub version: Option<u8>,
    pub fields: Vec<(String, String)>,
    /// Where a redirection leads that is not followed.
    pub leads_to: Option<String>,
    pub redirects: usize,
    pub connects: usize,
    pub local: Option<SocketAddr>,
    pub peer: Option<SocketAddr>,
    /// Bytes of documents, of heads of responses, of heads of requests, and of what was sent with them.
    pub downloaded: u64,
    pub head_len: usize,
    pub request_len: usize,
    pub uploaded: u64,
    /// The file that it went to.
    pub file: Option<String>,
    pub looked_up: Duration,
    pub connected: Duration,
    pub answered: Duration,
    pub redirecting: Duration,
    pub total: Duration,
    pub exit: u8,
    pub error: Option<String>,
}

impl Facts {
    /// The value of a field of the response.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
