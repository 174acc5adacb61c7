/* Sockets of tapsock, a TCP/IP stack that runs inside the program: the calls of <sys/socket.h>, <poll.h>, <sys/select.h>
 * and <sys/epoll.h> on a default host. Each takes and gives what its namesake does; docs/c.md tells the rest.
 *
 * Made by cbindgen from c-api/src. Do not edit. */

#ifndef TAPSOCK_H
#define TAPSOCK_H

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
/* Without _GNU_SOURCE or POSIX, or <net/if.h>, these may not be declared. */
struct addrinfo;
struct if_nameindex;
struct mmsghdr;

#ifdef __cplusplus
extern "C" {
#endif

/* As fcntl(2): F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL and F_SETFL; on descriptors of the kernel's, all. */
int tapsock_fcntl(int fd, int command, ...);

/* As ioctl(2): FIONREAD, SIOCINQ, SIOCOUTQ, SIOCATMARK, FIONBIO, FIOCLEX and FIONCLEX; on descriptors of the kernel's,
 * all. */
int tapsock_ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Sets the default host up. NULL is as "": it talks to itself, over `lo`. See docs/c.md for what `config` may say.
//
// Returns 0, or -1 with errno: EINVAL for a text that makes no sense, EALREADY where there is a host, and what opening
// the link says; `tapsock_last_error` tells more.
int tapsock_init(const char *config);

// Ends the default host: closes its sockets, and waits up to 2 s until the peers have what was sent to them. Calls that
// wait in other threads end with EBADF.
//
// Returns the connections that had to be reset, or -1 with errno: ENETDOWN where there is no host.
int tapsock_fini(void);

// What the last failure of `tapsock_init` in this thread was, in words; "" where there was none. It is there until the
// next.
const char *tapsock_last_error(void);

// Runs a program in the network at the other end of the default host's link, with this process's environment and standard
// descriptors: `argv[0]`, found by PATH, and its arguments, up to a NULL.
//
// Returns its process, to be waited for by waitpid, or -1 with errno: ENETDOWN without a host, EOPNOTSUPP where the link
// was not made by "link=auto", "link=tap" or "link=veth", EFAULT, ENOENT, EACCES, EAGAIN.
pid_t tapsock_spawn(const char *const *argv);

// As socket(2). ENETDOWN where there is no host.
int tapsock_socket(int domain, int kind, int protocol);

// As socketpair(2). ENETDOWN where there is no host.
int tapsock_socketpair(int domain, int kind, int protocol, int *pair);

// As bind(2).
int tapsock_bind(int sockid, const struct sockaddr *address, socklen_t len);

// As listen(2).
int tapsock_listen(int sockid, int backlog);

// As accept(2).
int tapsock_accept(int sockid, struct sockaddr *address, socklen_t *len);

// As accept4(2).
int tapsock_accept4(int sockid, struct sockaddr *address, socklen_t *len, int flags);

// As connect(2).
int tapsock_connect(int sockid, const struct sockaddr *address, socklen_t len);

// As shutdown(2).
int tapsock_shutdown(int sockid, int how);

// As getsockname(2).
int tapsock_getsockname(int sockid, struct sockaddr *address, socklen_t *len);

// As getpeername(2).
int tapsock_getpeername(int sockid, struct sockaddr *address, socklen_t *len);

// As getsockopt(2).
int tapsock_getsockopt(int sockid, int level, int option, void *value, socklen_t *len);

// As setsockopt(2).
int tapsock_setsockopt(int sockid, int level, int option, const void *value, socklen_t len);

// As unlink(2), for path names of the default host's local sockets.
int tapsock_unlink(const char *path);

// As send(2). A stream that is shut says EPIPE; no SIGPIPE is raised.
ssize_t tapsock_send(int sockid, const void *data, size_t len, int flags);

// As sendto(2).
ssize_t tapsock_sendto(int sockid,
                       const void *data,
                       size_t len,
                       int flags,
                       const struct sockaddr *address,
                       socklen_t address_len);

// As sendmsg(2). What is passed by SCM_RIGHTS may be of both kinds.
ssize_t tapsock_sendmsg(int sockid, const struct msghdr *message, int flags);

// As sendmmsg(2).
int tapsock_sendmmsg(int sockid, struct mmsghdr *messages, unsigned int len, int flags);

// As write(2).
ssize_t tapsock_write(int fd, const void *data, size_t len);

// As writev(2).
ssize_t tapsock_writev(int fd, const struct iovec *iov, int len);

// As recv(2).
ssize_t tapsock_recv(int sockid, void *data, size_t len, int flags);

// As recvfrom(2).
ssize_t tapsock_recvfrom(int sockid,
                         void *data,
                         size_t len,
                         int flags,
                         struct sockaddr *address,
                         socklen_t *address_len);

// As recvmsg(2).
ssize_t tapsock_recvmsg(int sockid, struct msghdr *message, int flags);

// As recvmmsg(2). `timeout` is looked at after each message, as on Linux; what is left of it is written back.
int tapsock_recvmmsg(int sockid, struct mmsghdr *messages, unsigned int len, int flags, struct timespec *timeout);

// As read(2).
ssize_t tapsock_read(int fd, void *data, size_t len);

// As readv(2).
ssize_t tapsock_readv(int fd, const struct iovec *iov, int len);

// As sendfile(2): from a file of the kernel's to a socket, or between two of the kernel's.
ssize_t tapsock_sendfile(int sockid, int file, off_t *offset, size_t len);

// As close(2). Threads that wait for the socket get EBADF.
int tapsock_close(int fd);

// As dup(2).
int tapsock_dup(int fd);

// As dup2(2): either number may be a socket's of the default host or any other.
int tapsock_dup2(int fd, int other);

// As dup3(2): either number may be a socket's of the default host or any other.
int tapsock_dup3(int fd, int other, int flags);

// Has libc's poll, select and epoll find the number of a socket, or of an epoll instance, as ready as that is; returns the
// number. What else libc does with it means nothing, and reading from it or writing to it breaks it.
//
// Errors: EBADF, EMFILE, ENFILE, ENOBUFS, ENOMEM.
int tapsock_pollfd(int sockid);

// As sockatmark(3).
int tapsock_sockatmark(int sockid);

// Whether the number is a socket's, or an epoll instance's, of the default host: 1 or 0.
int tapsock_is_ours(int fd);

// As poll(2): both kinds may stand in one set.
int tapsock_poll(struct pollfd *fds, nfds_t count, int timeout);

// As ppoll(2): both kinds may stand in one set. The mask is set for the time of the call; a signal does not end it
// where a socket of ours stands there.
int tapsock_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);

// As select(2): both kinds may stand in the sets. The time that is left is written back.
int tapsock_select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout);

// As pselect(2): both kinds may stand in the sets. The mask is set for the time of the call; a signal does not end it
// where a socket of ours stands there.
int tapsock_pselect(int count,
                    fd_set *read,
                    fd_set *write,
                    fd_set *except,
                    const struct timespec *timeout,
                    const sigset_t *mask);

// As epoll_create(2). ENETDOWN where there is no host.
int tapsock_epoll_create(int size);

// As epoll_create1(2). ENETDOWN where there is no host.
int tapsock_epoll_create1(int flags);

// As epoll_ctl(2): `fd` may be of both kinds.
int tapsock_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

// As epoll_wait(2).
int tapsock_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);

// As epoll_pwait(2). The mask is set for the time of the call; a signal does not end it.
int tapsock_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask);

// As epoll_pwait2(2), with `epoll_wait`'s time-out in nanoseconds; NULL waits for ever.
int tapsock_epoll_pwait2(int epoll,
                         struct epoll_event *events,
                         int max,
                         const struct timespec *timeout,
                         const sigset_t *mask);

// As getaddrinfo(3), by /etc/hosts, the default host's name servers and /etc/services, in the order that suits the default host. Free the list by
// tapsock_freeaddrinfo.
int tapsock_getaddrinfo(const char *node,
                        const char *service,
                        const struct addrinfo *hints,
                        struct addrinfo **result);

// Frees what tapsock_getaddrinfo has given.
void tapsock_freeaddrinfo(struct addrinfo *list);

// As gai_strerror(3).
const char *tapsock_gai_strerror(int code);

// As getnameinfo(3).
int tapsock_getnameinfo(const struct sockaddr *address,
                        socklen_t len,
                        char *node,
                        socklen_t node_len,
                        char *service,
                        socklen_t service_len,
                        int flags);

// As if_nametoindex(3), of the default host's interfaces: 0 and ENODEV where there is none of that name.
unsigned int tapsock_if_nametoindex(const char *name);

// As if_indextoname(3), of the default host's interfaces: `name` has room for IF_NAMESIZE bytes.
char *tapsock_if_indextoname(unsigned int index, char *name);

// As if_nameindex(3), of the default host's interfaces. Free the list by tapsock_if_freenameindex.
struct if_nameindex *tapsock_if_nameindex(void);

// Frees what tapsock_if_nameindex has given.
void tapsock_if_freenameindex(struct if_nameindex *list);

// As getservbyname(3), by /etc/services: NULL where there is none. The answer is there until the thread's next.
struct servent *tapsock_getservbyname(const char *name, const char *protocol);

// As getservbyport(3), by /etc/services; the port is in network order. NULL where there is none. The answer is there
// until the thread's next.
struct servent *tapsock_getservbyport(int port, const char *protocol);

// As getprotobyname(3), by /etc/protocols: NULL where there is none. The answer is there until the thread's next.
struct protoent *tapsock_getprotobyname(const char *name);

// As getprotobynumber(3), by /etc/protocols: NULL where there is none. The answer is there until the thread's next.
struct protoent *tapsock_getprotobynumber(int number);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TAPSOCK_H */
