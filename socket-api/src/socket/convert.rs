//! To the types of [`net`](crate::net) and [`unix`](crate::unix), and from them.

use super::*;
use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::unix::{
    Pass, PassedSocket, UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
};

impl Socket {
    /// A socket that `held` keeps open.
    pub(crate) fn adopt(host: &Host, held: &Held) -> Option<Socket> {
        let description = held.socket()?.clone();
        Some(Socket { host: host.clone(), held: held.clone(), description, id: Lent::default() })
    }
}

/// Both ways, for one type.
macro_rules! converts {
    ($($name:ident),*) => {
        $(
            impl From<$name> for Socket {
                /// The same socket. It has another number in [`bsd`](crate::bsd): the one that was given out is closed
                /// with the last clone of `socket`.
                fn from(socket: $name) -> Socket {
                    let adopted = Pass::from(&socket).share().and_then(|(host, held)| Socket::adopt(host, held));
                    adopted.expect("it is a socket")
                }
            }

            impl TryFrom<Socket> for $name {
                type Error = Socket;

                /// The same socket, where it is one of that type; else it is given back. It has another number in
                /// [`bsd`](crate::bsd): the one that was given out is closed.
                fn try_from(socket: Socket) -> Result<$name, Socket> {
                    $name::try_from(PassedSocket::new(&socket.host, &socket.held)).map_err(|_| socket)
                }
            }
        )*
    };
}

converts!(TcpStream, TcpListener, UdpSocket);
converts!(UnixStream, UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener);

impl<'a> From<&'a Socket> for Pass<'a> {
    fn from(socket: &'a Socket) -> Self {
        Pass::socket(&socket.host, &socket.held)
    }
}

impl TryFrom<PassedSocket> for Socket {
    type Error = PassedSocket;

    /// A socket that was passed, of any kind; an epoll instance is given back.
    fn try_from(passed: PassedSocket) -> Result<Socket, PassedSocket> {
        let (host, held) = passed.into_parts();
        Socket::adopt(&host, &held).ok_or_else(|| PassedSocket::new(&host, &held))
    }
}
