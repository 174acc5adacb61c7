//! As much of HTTP/1.1 (RFC 9112) as a server of files and a client that fetches one need, over any network.

mod body;
mod client;
mod files;
mod range;
mod server;
mod url;

pub use client::{Ask, Content, Field, Response as Fetched, ask, get};
pub use files::Directory;
pub use server::{Body, Request, Response, Site, serve, serve_logged};
pub use url::{Url, UrlError};

/// Bytes of a head (the first line and the fields) at most.
const MAX_HEAD: usize = 16 * 1024;
/// Fields of a head at most.
const MAX_FIELDS: usize = 64;
