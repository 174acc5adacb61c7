/* The same program text on the kernel's sockets and, with -DTAPSOCK, on tapsock's. What each call gives is written down,
 * so that the two can be compared line by line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef TAPSOCK
#include <tapsock.h>
#define socket tapsock_socket
#define socketpair tapsock_socketpair
#define bind tapsock_bind
#define listen tapsock_listen
#define accept tapsock_accept
#define accept4 tapsock_accept4
#define connect tapsock_connect
#define shutdown tapsock_shutdown
#define getsockname tapsock_getsockname
#define getpeername tapsock_getpeername
#define getsockopt tapsock_getsockopt
#define setsockopt tapsock_setsockopt
#define send tapsock_send
#define sendto tapsock_sendto
#define sendmsg tapsock_sendmsg
#define sendmmsg tapsock_sendmmsg
#define write tapsock_write
#define writev tapsock_writev
#define recv tapsock_recv
#define recvfrom tapsock_recvfrom
#define recvmsg tapsock_recvmsg
#define recvmmsg tapsock_recvmmsg
#define read tapsock_read
#define readv tapsock_readv
#define sendfile tapsock_sendfile
#define close tapsock_close
#define unlink tapsock_unlink
#define dup tapsock_dup
#define dup2 tapsock_dup2
#define dup3 tapsock_dup3
#define fcntl tapsock_fcntl
#define ioctl tapsock_ioctl
#define sockatmark tapsock_sockatmark
#define poll tapsock_poll
#define ppoll tapsock_ppoll
#define select tapsock_select
#define pselect tapsock_pselect
#define epoll_create tapsock_epoll_create
#define epoll_create1 tapsock_epoll_create1
#define epoll_ctl tapsock_epoll_ctl
#define epoll_wait tapsock_epoll_wait
#define epoll_pwait tapsock_epoll_pwait
#define getaddrinfo tapsock_getaddrinfo
#define freeaddrinfo tapsock_freeaddrinfo
#define gai_strerror tapsock_gai_strerror
#define getnameinfo tapsock_getnameinfo
#define getservbyname tapsock_getservbyname
#define getservbyport tapsock_getservbyport
#define getprotobyname tapsock_getprotobyname
#define getprotobynumber tapsock_getprotobynumber
#define if_nametoindex tapsock_if_nametoindex
#define if_indextoname tapsock_if_indextoname
#define if_nameindex() tapsock_if_nameindex()
#define if_freenameindex tapsock_if_freenameindex
#endif

/* Writes down a call and what it gives: a number, or the error. */
#define T(call)                                                                                                      \
    do {                                                                                                             \
        errno = 0;                                                                                                   \
        long given = (long)(call);                                                                                   \
        if (given == -1)                                                                                             \
            printf("%s = %s\n", #call, strerrorname_np(errno));                                                      \
        else                                                                                                         \
            printf("%s = %ld\n", #call, given);                                                                      \
    } while (0)

/* The same, for a call that gives the number of a socket, which differs. */
#define F(to, call)                                                                                                  \
    do {                                                                                                             \
        errno = 0;                                                                                                   \
        to = (call);                                                                                                 \
        printf("%s = %s\n", #call, to < 0 ? strerrorname_np(errno) : "a number");                                    \
    } while (0)

/* NULL, and sizes that are wrong, of which the compiler does not know it. */
static void *volatile nothing;
static volatile int minus_one = -1, too_many = 1025, huge = 1 << 30;
/* A number that stands for nothing. */
#define NONE 9999

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

#define ANY(address) ((struct sockaddr *)(address))
