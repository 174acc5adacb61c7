//! Sockets that messages of local sockets pass.

use super::*;
use crate::unix::{Pass, PassedSocket};

impl Socket {
    /// What was passed, where it is of that type.
    fn passed(passed: PassedSocket, kind: i32, listens: bool) -> Result<Self, PassedSocket> {
        let fd = match passed.description().map(|description| &description.kind) {
            Some(Kind::Inet(shard, fd)) => {
                let shows = |option, value| {
                    let shown = shard.option(*fd, SOL_SOCKET, option);
                    shown.is_ok_and(|shown| shown.as_int() == Some(value))
                };
                (shows(SO_TYPE, kind) && shows(SO_ACCEPTCONN, listens.into())).then_some(*fd)
            }
            _ => None,
        };
        let Some(fd) = fd else { return Err(passed) };
        Ok(Socket { handle: passed.into_handle(), fd })
    }
}

/// Conversions of one type of socket.
macro_rules! passes {
    ($name:ident, $kind:ident, $listens:literal) => {
        impl<'a> From<&'a $name> for Pass<'a> {
            fn from(socket: &'a $name) -> Self {
                Pass::socket(socket.handle())
            }
        }

        impl TryFrom<PassedSocket> for $name {
            type Error = PassedSocket;

            fn try_from(passed: PassedSocket) -> Result<Self, PassedSocket> {
                Ok($name { socket: Socket::passed(passed, $kind, $listens)? })
            }
        }
    };
}

passes!(TcpStream, SOCK_STREAM, false);
passes!(TcpListener, SOCK_STREAM, true);
passes!(UdpSocket, SOCK_DGRAM, false);
