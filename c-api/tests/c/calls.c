/* Every call, with right and with wrong arguments. */
#include "both.h"

static int on = 1;
static char large[70000];

/* A connection over loopback: its client and its server. */
static void connection(int pair[2]) {
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, ANY(&address), len);
    listen(listener, 4);
    getsockname(listener, ANY(&address), &len);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], ANY(&address), len);
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void making(void) {
    int s, pair[2];
    F(s, socket(AF_INET, SOCK_STREAM, 0));
    T(close(s));
    T(close(s));
    F(s, socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    T(fcntl(s, F_GETFL) & O_NONBLOCK);
    T(fcntl(s, F_GETFD));
    T(close(s));
    F(s, socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    F(s, socket(AF_INET, 99, 0));
    F(s, socket(AF_INET, SOCK_STREAM | 0x100, 0));
    F(s, socket(99, SOCK_STREAM, 0));
    F(s, socket(-1, SOCK_STREAM, 0));
    F(s, socket(AF_UNIX, SOCK_STREAM, 99));
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    T(close(pair[0]));
    T(close(pair[1]));
    T(socketpair(AF_INET, SOCK_STREAM, 0, pair));
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, nothing));
    T(socketpair(AF_UNIX, 99, 0, pair));
    T(close(-1));
    T(close(NONE));
}

static void naming(void) {
    int s, other;
    char room[200];
    struct sockaddr_in address = loopback(0), told;
    socklen_t len;
    F(s, socket(AF_INET, SOCK_STREAM, 0));
    T(bind(s, nothing, sizeof address));
    T(bind(s, nothing, 0));
    T(bind(s, ANY(&address), 8));
    T(bind(s, ANY(&address), 0));
    T(bind(s, ANY(&address), 200));
    T(bind(s, ANY(&address), -1));
    T(bind(NONE, ANY(&address), sizeof address));
    T(bind(s, ANY(&address), sizeof address));
    T(bind(s, ANY(&address), sizeof address));
    len = sizeof told;
    T(getsockname(s, ANY(&told), &len));
    printf("length %u, family %u, a port %d\n", len, told.sin_family, told.sin_port != 0);
    /* A shorter place gets the beginning, and hears the whole length. */
    memset(room, 'x', sizeof room);
    len = 5;
    T(getsockname(s, ANY(room), &len));
    printf("length %u, then %c\n", len, room[5]);
    len = 0;
    T(getsockname(s, nothing, &len));
    printf("length %u\n", len);
    len = -1;
    T(getsockname(s, ANY(room), &len));
    len = sizeof told;
    T(getsockname(s, nothing, &len));
    T(getsockname(s, ANY(&told), nothing));
    T(getsockname(NONE, ANY(&told), &len));
    T(getpeername(s, ANY(&told), &len));
    T(getpeername(NONE, ANY(&told), &len));
    T(listen(s, 4));
    T(listen(NONE, 4));
    len = sizeof told;
    getsockname(s, ANY(&told), &len);
    F(other, socket(AF_INET, SOCK_STREAM, 0));
    T(connect(other, nothing, len));
    T(connect(other, ANY(&told), 4));
    T(connect(NONE, ANY(&told), len));
    T(connect(other, ANY(&told), len));
    T(connect(other, ANY(&told), len));
    T(getpeername(other, ANY(&address), &len));
    printf("the peer is the listener: %d\n", memcmp(&address, &told, sizeof told) == 0);
    int accepted;
    F(accepted, accept(NONE, NULL, NULL));
    F(accepted, accept4(s, NULL, NULL, 99));
    len = 4;
    F(accepted, accept4(s, ANY(&address), &len, SOCK_CLOEXEC));
    printf("length %u\n", len);
    T(fcntl(accepted, F_GETFD));
    fcntl(s, F_SETFL, O_NONBLOCK);
    int none;
    F(none, accept(s, NULL, NULL));
    T(shutdown(accepted, 99));
    T(shutdown(NONE, SHUT_WR));
    T(shutdown(accepted, SHUT_WR));
    T(recv(other, room, sizeof room, 0));
    T(shutdown(s, SHUT_RD));
    T(close(s));
    T(close(other));
    T(close(accepted));
    F(s, socket(AF_INET, SOCK_STREAM, 0));
    T(shutdown(s, SHUT_WR));
    F(none, accept(s, NULL, NULL));
    told.sin_port = htons(1);
    T(connect(s, ANY(&told), sizeof told));
    T(close(s));
}

static void local_names(void) {
    int s, other, accepted;
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0tapsock-both"}, told;
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + 13, got;
    F(s, socket(AF_UNIX, SOCK_SEQPACKET, 0));
    T(bind(s, ANY(&name), len));
    T(listen(s, 2));
    got = sizeof told;
    T(getsockname(s, ANY(&told), &got));
    printf("length %u, same name %d\n", got, memcmp(&told, &name, len) == 0);
    F(other, socket(AF_UNIX, SOCK_SEQPACKET, 0));
    T(bind(other, ANY(&name), len));
    T(connect(other, ANY(&name), len));
    got = sizeof told;
    F(accepted, accept(s, ANY(&told), &got));
    printf("length %u\n", got);
    got = sizeof told;
    T(getsockname(other, ANY(&told), &got));
    printf("length %u\n", got);
    struct ucred who;
    got = sizeof who;
    T(getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &who, &got));
    printf("it is us: %d\n", who.pid == getpid());
    T(close(s));
    T(close(other));
    T(close(accepted));
}

/* Paths, from the working directory on, which the test has made for that. */
static void local_paths(void) {
    int s, other;
    char data[4];
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "tapsock-both"}, told;
    struct sockaddr_un again = {.sun_family = AF_UNIX, .sun_path = ".//tapsock-both"};
    socklen_t len = sizeof name, got = sizeof told;
    F(s, socket(AF_UNIX, SOCK_DGRAM, 0));
    F(other, socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    T(bind(s, ANY(&name), len));
    T(getsockname(s, ANY(&told), &got));
    printf("length %u, %s\n", got, told.sun_path);
    T(bind(other, ANY(&again), len));
    T(connect(other, ANY(&again), len));
    got = sizeof told;
    T(getpeername(other, ANY(&told), &got));
    printf("length %u, %s\n", got, told.sun_path);
    T(send(other, "x", 1, 0));
    T(recv(s, data, sizeof data, 0));
    T(close(s));
    T(send(other, "x", 1, 0));
    T(connect(other, ANY(&name), len));
    T(unlink("tapsock-both"));
    T(unlink("./tapsock-both"));
    T(connect(other, ANY(&name), len));
    T(close(other));
}

static void options(void) {
    int s, value = 7;
    char room[64];
    socklen_t len = sizeof value;
    F(s, socket(AF_INET, SOCK_STREAM, 0));
    T(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    T(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &value, &len));
    printf("%d of %u\n", value, len);
    len = 1;
    value = -1;
    T(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &len));
    printf("%#x of %u\n", value, len);
    len = sizeof room;
    T(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, room, &len));
    printf("of %u\n", len);
    /* Of IPv4's, a small number is a byte where there is no room for more. */
    for (unsigned short_of = 1; short_of < 5; short_of++) {
        struct in_addr group = {htonl(0x7f000001)};
        int ttl = 77, range = 40000 | 40001 << 16;
        setsockopt(s, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        setsockopt(s, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof range);
        setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof group);
        int names[] = {IP_TTL, IP_TOS, 51, IP_MULTICAST_IF, IP_OPTIONS, IP_PKTINFO};
        for (unsigned at = 0; at < sizeof names / sizeof *names; at++) {
            len = short_of;
            value = -1;
            T(getsockopt(s, IPPROTO_IP, names[at], &value, &len));
            printf("%d: %#x of %u\n", names[at], value, len);
        }
    }
    len = 0;
    T(getsockopt(s, SOL_SOCKET, SO_TYPE, nothing, &len));
    len = -1;
    T(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &len));
    len = sizeof value;
    T(getsockopt(s, SOL_SOCKET, SO_TYPE, nothing, &len));
    T(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, nothing));
    T(getsockopt(s, SOL_SOCKET, 9999, &value, &len));
    T(getsockopt(NONE, SOL_SOCKET, SO_TYPE, &value, &len));
    T(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, nothing, sizeof on));
    T(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, 2));
    T(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, -1));
    T(setsockopt(s, SOL_SOCKET, 9999, &on, sizeof on));
    T(setsockopt(NONE, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    struct timeval time = {1, 500000};
    T(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    time.tv_sec = 0;
    len = sizeof time;
    T(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &time, &len));
    printf("%ld s %ld\n", (long)time.tv_sec, (long)time.tv_usec);
    T(close(s));
}

static void data(void) {
    int pair[2];
    char room[64];
    struct sockaddr_in address, from;
    socklen_t len;
    connection(pair);
    T(send(pair[0], "hello", 5, 0));
    T(send(pair[0], "", 0, 0));
    T(send(pair[0], nothing, 5, 0));
    T(send(NONE, "x", 1, 0));
    T(recv(pair[1], room, sizeof room, MSG_PEEK));
    T(recv(pair[1], room, 2, 0));
    len = sizeof from;
    T(recvfrom(pair[1], room, sizeof room, 0, ANY(&from), &len));
    printf("length %u\n", len);
    T(recv(pair[1], room, sizeof room, MSG_DONTWAIT));
    T(recv(NONE, room, sizeof room, 0));
    T(write(pair[0], "abc", 3));
    T(recv(pair[1], nothing, 5, MSG_DONTWAIT));
    T(write(NONE, "abc", 3));
    T(read(pair[1], room, 1));
    T(read(pair[1], nothing, 0));
    T(read(pair[1], nothing, 2));
    T(read(pair[1], room, 9));
    T(read(NONE, room, 9));
    struct iovec parts[2] = {{"one ", 4}, {"two", 3}}, places[2] = {{room, 2}, {room + 10, 20}};
    T(writev(pair[0], parts, 2));
    T(readv(pair[1], places, 2));
    printf("%.2s %.5s\n", room, room + 10);
    T(writev(pair[0], parts, 0));
    T(writev(pair[0], parts, minus_one));
    T(writev(pair[0], parts, too_many));
    T(writev(pair[0], nothing, 2));
    T(writev(NONE, parts, 2));
    T(readv(pair[1], places, minus_one));
    T(readv(pair[1], nothing, 1));
    T(readv(NONE, places, 2));
    T(sendto(pair[0], "to", 2, 0, nothing, 99));
    len = sizeof address;
    getpeername(pair[0], ANY(&address), &len);
    T(sendto(pair[0], "to", 2, 0, ANY(&address), 3));
    T(sendto(pair[0], "to", 2, 0, ANY(&address), 200));
    T(recv(pair[1], room, 4, MSG_WAITALL));
    T(shutdown(pair[0], SHUT_RDWR));
    T(send(pair[0], "x", 1, MSG_NOSIGNAL));
    T(recv(pair[1], room, 9, 0));
    T(close(pair[0]));
    T(close(pair[1]));

    int s, other;
    F(s, socket(AF_INET, SOCK_DGRAM, 0));
    F(other, socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    address = loopback(0);
    len = sizeof address;
    bind(s, ANY(&address), len);
    getsockname(s, ANY(&address), &len);
    T(send(other, "x", 1, 0));
    T(sendto(other, "datagram", 8, 0, ANY(&address), len));
    T(sendto(other, "datagram", 8, 0, ANY(&address), 3));
    T(sendto(other, "datagram", 8, 0, ANY(&address), -1));
    T(sendto(other, large, sizeof large, 0, ANY(&address), len));
    T(sendto(other, "confirmed", 9, MSG_CONFIRM, ANY(&address), len));
    T(recvfrom(s, room, 3, MSG_TRUNC, ANY(&from), nothing));
    len = 4;
    T(recvfrom(s, room, 3, MSG_TRUNC, ANY(&from), &len));
    printf("length %u\n", len);
    /* What can't be told of the sender costs the datagram. */
    T(sendto(other, "lost", 4, 0, ANY(&address), sizeof address));
    T(sendto(other, "last", 4, 0, ANY(&address), sizeof address));
    len = -1;
    T(recvfrom(s, room, 3, 0, ANY(&from), &len));
    T(recv(s, room, sizeof room, MSG_DONTWAIT));
    T(recv(s, room, sizeof room, MSG_DONTWAIT));
    T(recv(other, room, sizeof room, 0));
    T(recv(other, room, sizeof room, MSG_ERRQUEUE));
    T(close(s));
    T(close(other));
}

static void messages(void) {
    int pair[2], passed[2];
    char room[64], control[256];
    T(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, passed));
    struct iovec part = {"take this", 9}, place = {room, sizeof room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    memset(control, 0, sizeof control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed[0], sizeof(int));
    T(sendmsg(pair[0], &message, 0));
    header->cmsg_len = 3;
    T(sendmsg(pair[0], &message, 0));
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int none = NONE;
    memcpy(CMSG_DATA(header), &none, sizeof none);
    T(sendmsg(pair[0], &message, 0));
    T(sendmsg(pair[0], nothing, 0));
    T(sendmsg(NONE, &message, 0));
    message.msg_control = NULL;
    message.msg_controllen = 0;
    message.msg_iovlen = 1025;
    T(sendmsg(pair[0], &message, 0));
    message.msg_iovlen = 1;
    message.msg_iov = nothing;
    T(sendmsg(pair[0], &message, 0));
    message.msg_iov = &part;
    T(close(passed[0]));

    struct sockaddr_storage from;
    struct msghdr in = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    in.msg_name = &from;
    in.msg_namelen = sizeof from;
    T(recvmsg(pair[1], &in, MSG_CMSG_CLOEXEC));
    printf("name %u, control %zu, flags %#x\n", in.msg_namelen, in.msg_controllen, in.msg_flags);
    header = CMSG_FIRSTHDR(&in);
    printf("level %d, type %d, length %zu\n", header->cmsg_level, header->cmsg_type, header->cmsg_len);
    memcpy(&passed[0], CMSG_DATA(header), sizeof(int));
    T(write(passed[0], "through", 7));
    T(read(passed[1], room, 20));
    T(fcntl(passed[0], F_GETFD));
    T(close(passed[0]));
    T(close(passed[1]));
    /* A socket, a file, and the socket again, in two messages of one send. */
    int file = memfd_create("both", 0), ids[3] = {pair[1], file, pair[0]};
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(int));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), ids, 2 * sizeof(int));
    header = CMSG_NXTHDR(&message, header);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), ids + 2, sizeof(int));
    T(sendmsg(pair[0], &message, 0));
    message.msg_control = NULL;
    message.msg_controllen = 0;
    in.msg_controllen = sizeof control;
    T(recvmsg(pair[1], &in, 0));
    header = CMSG_FIRSTHDR(&in);
    printf("control %zu, length %zu, flags %#x\n", in.msg_controllen, header->cmsg_len, in.msg_flags);
    memcpy(ids, CMSG_DATA(header), sizeof ids);
    T(write(ids[1], "file", 4));
    T(lseek(file, 0, SEEK_END));
    T(fcntl(ids[1], F_GETFD));
    T(send(ids[2], "back", 4, 0));
    T(recv(ids[0], room, sizeof room, 0));
    for (int index = 0; index < 3; index++)
        T(close(ids[index]));
    T(close(file));
    T(recvmsg(pair[1], nothing, 0));
    T(recvmsg(NONE, &in, 0));
    in.msg_namelen = -1;
    T(recvmsg(pair[1], &in, MSG_DONTWAIT));
    in.msg_name = NULL;
    in.msg_namelen = 0;
    T(recvmsg(pair[1], &in, MSG_DONTWAIT));

    T(send(pair[0], "a long record", 13, MSG_EOR));
    place.iov_len = 6;
    T(recvmsg(pair[1], &in, 0));
    printf("control %zu, flags %#x\n", in.msg_controllen, in.msg_flags);
    place.iov_len = sizeof room;

    struct mmsghdr several[3];
    memset(several, 0, sizeof several);
    for (int index = 0; index < 3; index++) {
        several[index].msg_hdr.msg_iov = &part;
        several[index].msg_hdr.msg_iovlen = 1;
    }
    T(sendmmsg(pair[0], several, 3, 0));
    printf("lengths %u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    T(sendmmsg(pair[0], several, 0, 0));
    T(sendmmsg(pair[0], nothing, 2, 0));
    T(sendmmsg(NONE, several, 3, 0));
    for (int index = 0; index < 3; index++) {
        several[index].msg_hdr.msg_iov = &place;
        several[index].msg_len = 0;
    }
    T(recvmmsg(pair[1], several, 2, 0, NULL));
    T(recvmmsg(pair[1], several, 3, MSG_WAITFORONE, NULL));
    printf("lengths %u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    T(recvmmsg(pair[1], several, 3, MSG_DONTWAIT, NULL));
    struct timespec bad = {0, 1000000000};
    T(recvmmsg(pair[1], several, 3, MSG_DONTWAIT, &bad));
    struct timespec ample = {60, 0};
    T(send(pair[0], "one more", 8, 0));
    T(recvmmsg(pair[1], several, 1, 0, &ample));
    printf("what is left is written back: %d\n", ample.tv_sec < 60);
    T(recvmmsg(pair[1], nothing, 3, MSG_DONTWAIT, NULL));
    T(recvmmsg(NONE, several, 3, 0, NULL));

    // A header that makes no sense ends the call; what came before it counts.
    T(send(pair[0], "one", 3, 0));
    T(send(pair[0], "two", 3, 0));
    several[1].msg_hdr.msg_iovlen = 5000;
    T(recvmmsg(pair[1], several, 3, MSG_DONTWAIT, NULL));
    several[1].msg_hdr.msg_iovlen = 1;
    for (int index = 0; index < 3; index++)
        several[index].msg_hdr.msg_iov = &part;
    several[2].msg_hdr.msg_iovlen = 5000;
    T(sendmmsg(pair[0], several, 3, 0));
    T(sendmmsg(pair[0], several + 2, 1, 0));
    T(close(pair[0]));
    T(close(pair[1]));

    int s;
    F(s, socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    bind(s, ANY(&address), len);
    getsockname(s, ANY(&address), &len);
    T(setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    message.msg_name = &address;
    message.msg_namelen = len;
    T(sendmsg(s, &message, 0));
    message.msg_namelen = 1000;
    T(sendmsg(s, &message, 0));
    in.msg_name = &from;
    in.msg_namelen = 6;
    in.msg_control = control;
    in.msg_controllen = sizeof control;
    T(recvmsg(s, &in, 0));
    header = CMSG_FIRSTHDR(&in);
    printf("name %u, level %d, type %d, ttl %d\n", in.msg_namelen, header->cmsg_level, header->cmsg_type,
           *(int *)CMSG_DATA(header));
    in.msg_controllen = 4;
    T(recvmsg(s, &in, MSG_DONTWAIT));
    printf("control %zu, flags %#x\n", in.msg_controllen, in.msg_flags);
    T(close(s));
}

static void files(void) {
    int pair[2], file = memfd_create("both", 0), pipe_ends[2];
    char room[64];
    off_t offset = 2;
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    T(write(file, "0123456789", 10));
    T(lseek(file, 0, SEEK_SET));
    T(sendfile(pair[0], file, &offset, 4));
    T(offset);
    T(recv(pair[1], room, sizeof room, 0));
    printf("%.4s\n", room);
    T(sendfile(pair[0], file, NULL, 3));
    T(lseek(file, 0, SEEK_CUR));
    T(sendfile(pair[0], file, NULL, 100));
    T(sendfile(pair[0], file, NULL, 100));
    offset = -1;
    T(sendfile(pair[0], file, &offset, 4));
    offset = 0;
    T(sendfile(pair[0], NONE, &offset, 4));
    T(sendfile(pair[0], -1, &offset, 4));
    T(sendfile(NONE, file, &offset, 4));
    T(sendfile(pair[0], pair[1], NULL, 4));
    T(sendfile(pair[0], pair[1], &offset, 4));
    T(pipe(pipe_ends));
    T(sendfile(pair[0], pipe_ends[1], NULL, 4));
    T(sendfile(pair[0], pipe_ends[0], &offset, 4));
    T(sendfile(pipe_ends[1], file, &offset, 4));
    T(read(pipe_ends[0], room, sizeof room));
    T(close(pair[0]));
    T(close(pair[1]));
    T(close(pipe_ends[0]));
    T(close(pipe_ends[1]));
    T(close(file));
}

static void numbers(void) {
    int pair[2], other, value = 0;
    char room[64];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    F(other, dup(pair[0]));
    T(send(other, "x", 1, 0));
    T(close(other));
    F(other, dup(NONE));
    T(dup2(pair[0], 700));
    T(dup2(700, 700));
    T(dup2(NONE, NONE));
    T(dup2(pair[0], -1));
    T(dup2(pair[0], 1 << 30));
    T(dup3(700, 701, O_CLOEXEC));
    T(fcntl(701, F_GETFD));
    T(fcntl(700, F_GETFD));
    T(dup3(700, 700, 0));
    T(dup3(700, 701, O_NONBLOCK));
    T(dup3(NONE, 701, 0));
    /* A file over a socket, and a socket over a file. */
    int file = memfd_create("both", 0);
    T(dup2(file, 701));
    T(write(701, "file", 4));
    T(dup2(700, 701));
    T(send(701, "y", 1, 0));
    T(recv(pair[1], room, 9, 0));
    T(fcntl(pair[0], F_DUPFD, 720));
    T(fcntl(pair[0], F_DUPFD_CLOEXEC, 720));
    T(fcntl(720, F_GETFD));
    T(fcntl(721, F_GETFD));
    T(fcntl(pair[0], F_DUPFD, -1));
    T(fcntl(pair[0], F_DUPFD, 1 << 30));
    T(fcntl(720, F_SETFD, FD_CLOEXEC));
    T(fcntl(720, F_GETFD));
    T(fcntl(720, F_SETFD, 0));
    T(fcntl(720, F_GETFD));
    T(fcntl(720, F_SETFL, O_NONBLOCK));
    T(fcntl(pair[0], F_GETFL));
    T(recv(pair[0], room, 9, 0));
    T(fcntl(720, F_SETFL, O_DIRECT));
    T(fcntl(720, 9999, 0));
    T(fcntl(NONE, F_GETFL));
    T(close(700));
    T(close(701));
    T(close(720));
    T(close(721));
    T(write(file, "more", 4));
    T(close(file));

    T(send(pair[0], "hello", 5, 0));
    T(ioctl(pair[1], FIONREAD, &value));
    T(value);
    T(ioctl(pair[1], FIONREAD, nothing));
    T(ioctl(pair[1], FIONBIO, nothing));
    T(ioctl(NONE, FIONREAD, &value));
    T(ioctl(pair[1], 0x1234, &value));
    T(ioctl(pair[1], FIONBIO, &on));
    T(fcntl(pair[1], F_GETFL) & O_NONBLOCK);
    T(ioctl(pair[1], FIOCLEX));
    T(fcntl(pair[1], F_GETFD));
    T(ioctl(pair[1], FIONCLEX));
    T(fcntl(pair[1], F_GETFD));
    T(sockatmark(pair[1]));
    T(sockatmark(NONE));
    T(close(pair[0]));
    T(close(pair[1]));
    connection(pair);
    T(ioctl(pair[0], SIOCOUTQ, &value));
    T(value);
    T(ioctl(pair[0], SIOCATMARK, &value));
    T(value);
    T(sockatmark(pair[0]));
    T(close(pair[0]));
    T(close(pair[1]));
}

static void polling(void) {
    int pair[2], pipe_ends[2];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    T(pipe(pipe_ends));
    struct pollfd fds[4] = {{pair[0], POLLIN, 9}, {pipe_ends[0], POLLIN, 9}, {-1, POLLIN, 9}, {NONE, POLLIN, 9}};
    T(poll(fds, 3, 0));
    T(poll(fds, 4, 0));
    printf("%#x %#x %#x %#x\n", fds[0].revents, fds[1].revents, fds[2].revents, fds[3].revents);
    T(send(pair[1], "x", 1, 0));
    T(write(pipe_ends[1], "x", 1));
    T(poll(fds, 3, -1));
    printf("%#x %#x %#x\n", fds[0].revents, fds[1].revents, fds[2].revents);
    fds[0].events = POLLIN | POLLOUT | POLLRDHUP;
    struct timespec time = {0, 1000}, bad = {0, 1000000000}, negative = {-1, 0};
    T(ppoll(fds, 1, &time, NULL));
    printf("%#x\n", fds[0].revents);
    T(ppoll(fds, 1, &bad, NULL));
    T(ppoll(fds, 1, &negative, NULL));
    T(poll(nothing, 0, 0));
    T(poll(nothing, 1, 0));
    T(poll(fds, huge, 0));

    fd_set read_set, write_set, except_set;
    struct timeval short_time = {0, 1000};
    int count = (pair[0] > pipe_ends[1] ? pair[0] : pipe_ends[1]) + 1;
    FD_ZERO(&read_set);
    FD_SET(pair[0], &read_set);
    FD_SET(pipe_ends[0], &read_set);
    write_set = except_set = read_set;
    FD_SET(pipe_ends[1], &write_set);
    T(select(count, &read_set, &write_set, &except_set, &short_time));
    printf("%d %d, %d %d %d, %d\n", !!FD_ISSET(pair[0], &read_set), !!FD_ISSET(pipe_ends[0], &read_set),
           !!FD_ISSET(pair[0], &write_set), !!FD_ISSET(pipe_ends[0], &write_set),
           !!FD_ISSET(pipe_ends[1], &write_set), !!FD_ISSET(pair[0], &except_set));
    FD_ZERO(&read_set);
    FD_SET(pair[1], &read_set);
    short_time.tv_usec = 1000;
    T(select(pair[1] + 1, &read_set, NULL, NULL, &short_time));
    printf("%d, left %ld\n", !!FD_ISSET(pair[1], &read_set), (long)(short_time.tv_sec + short_time.tv_usec));
    FD_SET(250, &read_set);
    T(select(251, &read_set, NULL, NULL, &short_time));
    T(select(-1, NULL, NULL, NULL, &short_time));
    short_time.tv_sec = -1;
    T(select(0, NULL, NULL, NULL, &short_time));
    T(pselect(0, NULL, NULL, NULL, &bad, NULL));
    FD_ZERO(&read_set);
    FD_SET(pair[0], &read_set);
    T(pselect(pair[0] + 1, &read_set, NULL, NULL, NULL, NULL));

    int epoll;
    F(epoll, epoll_create(0));
    F(epoll, epoll_create1(99));
    F(epoll, epoll_create1(EPOLL_CLOEXEC));
    T(fcntl(epoll, F_GETFD));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdefULL}, told[4];
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_ends[0], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_ends[0], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, NONE, &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, -1, &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
    T(epoll_ctl(NONE, EPOLL_CTL_ADD, pair[0], &event));
    T(epoll_ctl(pair[0], EPOLL_CTL_ADD, pair[1], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], nothing));
    T(epoll_ctl(epoll, EPOLL_CTL_MOD, pair[1], &event));
    T(epoll_ctl(epoll, EPOLL_CTL_DEL, pair[1], nothing));
    T(epoll_ctl(epoll, 99, pair[0], &event));
    T(epoll_wait(epoll, told, 4, 0));
    printf("%#x %#llx\n", told[0].events, (unsigned long long)told[0].data.u64);
    T(epoll_ctl(epoll, EPOLL_CTL_DEL, pipe_ends[0], NULL));
    T(epoll_pwait(epoll, told, 4, -1, NULL));
    T(epoll_wait(epoll, told, 0, 0));
    T(epoll_wait(epoll, told, minus_one, 0));
    T(epoll_wait(NONE, told, 4, 0));
    T(epoll_wait(pair[0], told, 4, 0));
    char room[4];
    T(recv(pair[0], room, 4, 0));
    T(epoll_wait(epoll, told, 4, 5));
    T(read(epoll, room, 4));
    T(write(epoll, room, 4));
    T(recv(epoll, room, 4, 0));
    T(close(epoll));
    T(epoll_wait(epoll, told, 4, 0));
    T(close(pair[0]));
    T(close(pair[1]));
    T(close(pipe_ends[0]));
    T(close(pipe_ends[1]));
}

static void shown(struct addrinfo *list) {
    for (struct addrinfo *one = list; one; one = one->ai_next) {
        char host[64], service[16];
        int outcome = getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, service, sizeof service,
                                  NI_NUMERICHOST | NI_NUMERICSERV);
        printf("  %d: %s %s, family %d, type %d, protocol %d, length %u, %s\n", outcome, host, service,
               one->ai_family, one->ai_socktype, one->ai_protocol, one->ai_addrlen,
               one->ai_canonname ? one->ai_canonname : "-");
    }
}

static void names(void) {
    struct addrinfo *list = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    T(getaddrinfo("127.0.0.1", "80", &hints, &list));
    shown(list);
    freeaddrinfo(list);
    hints.ai_flags = AI_CANONNAME;
    hints.ai_socktype = 0;
    T(getaddrinfo("10.1.2.3", NULL, &hints, &list));
    shown(list);
    freeaddrinfo(list);
    hints.ai_flags = AI_PASSIVE;
    hints.ai_family = AF_INET6;
    hints.ai_socktype = SOCK_DGRAM;
    T(getaddrinfo(NULL, "domain", &hints, &list));
    shown(list);
    freeaddrinfo(list);
    /* Errors have a macro's value, which -1 is among. */
    hints.ai_flags = AI_NUMERICHOST;
    printf("%d\n", getaddrinfo("no number", NULL, &hints, &list));
    hints.ai_family = 99;
    printf("%d\n", getaddrinfo("::1", NULL, &hints, &list));
    hints.ai_family = AF_INET6;
    hints.ai_flags = 1 << 20;
    printf("%d\n", getaddrinfo("::1", NULL, &hints, &list));
    printf("%d\n", getaddrinfo(NULL, NULL, &hints, &list));
    for (int code = 1; code >= -11; code--)
        printf("%s\n", gai_strerror(code));

    char host[64], service[16];
    struct sockaddr_in address = loopback(53);
    T(getnameinfo(ANY(&address), sizeof address, NULL, 0, service, sizeof service, NI_DGRAM));
    printf("%s\n", service);
    printf("%d\n", getnameinfo(ANY(&address), sizeof address, host, 3, NULL, 0, NI_NUMERICHOST));
    printf("%d\n", getnameinfo(ANY(&address), 3, host, sizeof host, NULL, 0, 0));
    printf("%d\n", getnameinfo(ANY(&address), sizeof address, host, sizeof host, NULL, 0, 1 << 20));

    struct servent *found = getservbyname("domain", "udp");
    printf("%s %d %s\n", found->s_name, ntohs(found->s_port), found->s_proto);
    found = getservbyport(htons(80), "tcp");
    printf("%s %d %s\n", found->s_name, ntohs(found->s_port), found->s_proto);
    printf("%d %d\n", getservbyname("no such", NULL) == NULL, getservbyport(htons(1), "no such") == NULL);
    struct protoent *protocol = getprotobyname("udp");
    printf("%s %d, %s\n", protocol->p_name, protocol->p_proto, protocol->p_aliases[0]);
    protocol = getprotobynumber(6);
    printf("%s %d\n", protocol->p_name, protocol->p_proto);
    printf("%d %d\n", getprotobyname("no such") == NULL, getprotobynumber(255) == NULL);

    char name[IF_NAMESIZE];
    T(if_nametoindex("lo"));
    unsigned index = if_nametoindex("no such");
    printf("%u %s\n", index, strerrorname_np(errno));
    printf("%s\n", if_indextoname(1, name));
    char *told = if_indextoname(9999, name);
    printf("%d %s\n", told == NULL, strerrorname_np(errno));
    struct if_nameindex *interfaces = if_nameindex();
    printf("%u %s\n", interfaces[0].if_index, interfaces[0].if_name);
    if_freenameindex(interfaces);
}

int main(void) {
#ifdef TAPSOCK
    if (tapsock_init(NULL) != 0) {
        fprintf(stderr, "tapsock_init: %s\n", tapsock_last_error());
        return 1;
    }
#endif
    setvbuf(stdout, NULL, _IOLBF, 0);
    making();
    naming();
    local_names();
    local_paths();
    options();
    data();
    messages();
    files();
    numbers();
    polling();
    names();
#ifdef TAPSOCK
    return tapsock_fini();
#endif
    return 0;
}
