//! To the types of [`net`](crate::net) and [`unix`](crate::unix), and from them.

use super::*;
use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::unix::{
    Pass, PassedSocket, UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
};

impl Socket {
    /// The socket of that handle, which is given back where it is none's.
    pub(crate) fn adopt(handle: Handle) -> Result<Socket, Handle> {
        match handle.held().socket().cloned() {
            Some(description) => Ok(Socket { handle, description }),
            None => Err(handle),
        }
    }
}

/// Both ways, for one type.
macro_rules! converts {
    ($($name:ident),*) => {
        $(
            impl From<$name> for Socket {
                /// The same socket, with the same numbers.
                fn from(socket: $name) -> Socket {
                    Socket::adopt(socket.into_handle()).expect("it is a socket")
                }
            }

            impl TryFrom<Socket> for $name {
                type Error = Socket;

                /// The same socket, with the same numbers, where it is one of that type; else it is given back.
                fn try_from(socket: Socket) -> Result<$name, Socket> {
                    let Socket { handle, description } = socket;
                    let given_back = |passed: PassedSocket| Socket { handle: passed.into_handle(), description };
                    $name::try_from(PassedSocket::new(handle)).map_err(given_back)
                }
            }
        )*
    };
}

converts!(TcpStream, TcpListener, UdpSocket);
converts!(UnixStream, UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener);

impl<'a> From<&'a Socket> for Pass<'a> {
    fn from(socket: &'a Socket) -> Self {
        Pass::socket(&socket.handle)
    }
}

impl TryFrom<PassedSocket> for Socket {
    type Error = PassedSocket;

    /// A socket that was passed, of any kind; an epoll instance is given back.
    fn try_from(passed: PassedSocket) -> Result<Socket, PassedSocket> {
        Socket::adopt(passed.into_handle()).map_err(PassedSocket::new)
    }
}
