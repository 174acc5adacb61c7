/* Uses the library as packetdrill does: packets made by hand, a blocking call in a second thread, libc's calls on its
 * descriptors. The first argument is the library, the second is "preloaded" where it is, the third are other flags. */
#define _GNU_SOURCE
#include "interface.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            printf("%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #what, errno);                                        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16, HEADERS = 40, PEER_PORT = 40000, PORT = 8080 };

static struct packetdrill_interface it;
#define US it.userdata

struct packet {
    uint8_t bytes[65536];
    size_t len;
    long long micros;
};

static uint32_t word(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }
static uint32_t seq_of(const struct packet *packet) { return word(packet->bytes + 24); }
static uint32_t ack_of(const struct packet *packet) { return word(packet->bytes + 28); }
static int flags_of(const struct packet *packet) { return packet->bytes[33]; }
static size_t data_of(const struct packet *packet) { return packet->len - 20 - (packet->bytes[32] >> 4) * 4; }

static void put(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = value >> (24 - 8 * i);
}

static uint16_t sum(const uint8_t *at, size_t len, uint32_t sum) {
    for (size_t i = 0; i < len; i++) sum += i % 2 ? at[i] : at[i] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Gives the host a segment of the peer. */
static void inject(int flags, uint32_t seq, uint32_t ack, const char *data) {
    uint8_t p[HEADERS + 4 + 100] = {0x45};
    size_t options = flags & SYN ? 4 : 0, len = HEADERS + options + strlen(data);
    p[2] = len >> 8, p[3] = len, p[8] = 64, p[9] = IPPROTO_TCP;
    inet_pton(AF_INET, "192.0.2.1", p + 12);
    inet_pton(AF_INET, "192.168.0.1", p + 16);
    uint16_t check = ~sum(p, 20, 0);
    p[10] = check >> 8, p[11] = check;
    p[20] = PEER_PORT >> 8, p[21] = PEER_PORT & 255, p[22] = PORT >> 8, p[23] = PORT & 255;
    put(p + 24, seq), put(p + 28, ack);
    p[32] = (20 + options) / 4 << 4, p[33] = flags, p[34] = 0xff, p[35] = 0xff;
    if (options) memcpy(p + HEADERS, "\x02\x04\x05\xb4", 4);
    memcpy(p + HEADERS + options, data, strlen(data));
    check = ~sum(p + 12, len - 12, IPPROTO_TCP + len - 20);
    p[36] = check >> 8, p[37] = check;
    CHECK(it.netdev_send(US, p, len) == 0);
}

static void sniff(struct packet *packet) {
    packet->len = sizeof packet->bytes;
    CHECK(it.netdev_receive(US, packet->bytes, &packet->len, &packet->micros) == 0);
}

static long long now(void) {
    struct timeval time;
    CHECK(it.gettimeofday(US, &time, NULL) == 0);
    return time.tv_sec * 1000000LL + time.tv_usec;
}

struct waiter {
    pthread_t thread;
    int fd, result;
    long long ended;
};

static void *accept_one(void *arg) {
    struct waiter *waiter = arg;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    waiter->result = it.accept(US, waiter->fd, (struct sockaddr *)&peer, &len);
    waiter->ended = now();
    CHECK(len == sizeof peer && peer.sin_port == htons(PEER_PORT));
    return NULL;
}

static void *read_some(void *arg) {
    struct waiter *waiter = arg;
    char data[10];
    waiter->result = it.read(US, waiter->fd, data, sizeof data);
    waiter->ended = now();
    return NULL;
}

static void *poll_in_vain(void *arg) {
    struct waiter *waiter = arg;
    struct pollfd entry = {.fd = waiter->fd, .events = POLLIN};
    waiter->result = it.poll(US, &entry, 1, 50);
    return NULL;
}

/* Begins a call in a second thread, and waits until it waits: as packetdrill does. */
static void begin(struct waiter *waiter, int fd, void *(*call)(void *)) {
    waiter->fd = fd;
    waiter->result = -2;
    CHECK(pthread_create(&waiter->thread, NULL, call, waiter) == 0);
    usleep(50000);
    CHECK(waiter->result == -2);
}

/* A listener, and a connection that a second thread accepts. */
static int handshake(int preloaded, int *listener, uint32_t *nxt) {
    /* What commands set is the host's. */
    if (preloaded) CHECK(system("sysctl -q net.ipv4.tcp_synack_retries=0; sysctl -n net.ipv4.tcp_synack_retries | grep -q 0") == 0);
    CHECK((*listener = it.socket(US, AF_INET, SOCK_STREAM, IPPROTO_TCP)) > 2);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    CHECK(it.bind(US, *listener, (struct sockaddr *)&local, sizeof local) == 0);
    CHECK(it.listen(US, *listener, 1) == 0);
    struct waiter waiter;
    begin(&waiter, *listener, accept_one);
    static struct packet packet;
    long long start = now();
    inject(SYN, 0, 0, "");
    sniff(&packet);
    CHECK(flags_of(&packet) == (SYN | ACK) && ack_of(&packet) == 1 && data_of(&packet) == 0);
    CHECK(packet.micros >= start && packet.micros < start + 1000);
    *nxt = seq_of(&packet) + 1;
    CHECK(it.usleep(US, 100000) == 0);
    inject(ACK, 1, *nxt, "");
    long long acknowledged = now();
    /* Time passes at once, but to the one who waited it is when the wait ended. */
    CHECK(it.usleep(US, 60000000) == 0);
    CHECK(pthread_join(waiter.thread, NULL) == 0);
    CHECK(waiter.result > 2);
    CHECK(waiter.ended >= start + 100000 && waiter.ended <= acknowledged);
    CHECK(now() >= acknowledged + 60000000);
    return waiter.result;
}

static void data(int fd, uint32_t nxt) {
    static struct packet packet;
    struct waiter waiter;
    begin(&waiter, fd, read_some);
    inject(PSH | ACK, 1, nxt, "hello");
    sniff(&packet);
    CHECK(flags_of(&packet) == ACK && ack_of(&packet) == 6);
    CHECK(pthread_join(waiter.thread, NULL) == 0);
    CHECK(waiter.result == 5);
    CHECK(it.write(US, fd, "an answer", 9) == 9);
    sniff(&packet);
    CHECK(flags_of(&packet) == (PSH | ACK) && seq_of(&packet) == nxt && data_of(&packet) == 9);
    /* It is sent again after a while, of which nothing is felt. */
    long long sent = packet.micros;
    sniff(&packet);
    CHECK(seq_of(&packet) == nxt && packet.micros > sent + 100000);
    inject(ACK, 6, nxt + 9, "");
    CHECK(it.write(US, fd, NULL, 5) == -1 && errno == EFAULT);
    /* Nothing is sent any more. */
    sniff(&packet);
    CHECK(packet.len == 0);
}

static void many_shapes(int fd, uint32_t nxt) {
    static struct packet packet;
    inject(PSH | ACK, 6, nxt + 9, "0123456789");
    sniff(&packet);
    int count = 0;
    CHECK(it.ioctl(US, fd, FIONREAD, &count) == 0 && count == 10);
    char one[3], two[3];
    struct iovec iov[2] = {{one, sizeof one}, {two, sizeof two}};
    CHECK(it.readv(US, fd, iov, 2) == 6 && !memcmp(one, "012", 3) && !memcmp(two, "345", 3));
    int ends[2], epoll = it.epoll_create(US, 1);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77}, found[2];
    CHECK(it.epoll_ctl(US, epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(it.epoll_wait(US, epoll, found, 2, 1000) == 1 && found[0].data.u64 == 77 && found[0].events == EPOLLIN);
    loff_t none = 0, some = 1;
    CHECK(it.pipe(US, ends) == 0 && it.splice(US, fd, NULL, ends[1], &some, 4, 0) == -1 && errno == ESPIPE);
    CHECK(it.splice(US, fd, &none, ends[1], NULL, 4, 0) == 4);
    CHECK(it.read(US, ends[0], one, 3) == 3 && !memcmp(one, "678", 3));
    struct pollfd entries[2] = {{.fd = -1}, {.fd = fd, .events = POLLIN | POLLOUT}};
    CHECK(it.poll(US, entries, 2, 0) == 1 && entries[0].revents == 0 && entries[1].revents == POLLOUT);
    CHECK(it.fcntl(US, fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && it.fcntl(US, fd, F_GETFL, 0) == (O_RDWR | O_NONBLOCK));
    CHECK(it.recv(US, fd, one, 3, 0) == -1 && errno == EAGAIN);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    CHECK(it.sendmsg(US, fd, &message, 0) == 6);
    sniff(&packet);
    CHECK(data_of(&packet) == 6 && !memcmp(packet.bytes + packet.len - 6, "678345", 6));
    inject(ACK, 16, nxt + 15, "");
    CHECK(it.close(US, ends[0]) == 0 && it.close(US, ends[1]) == 0 && it.close(US, epoll) == 0);
    CHECK(it.close(US, epoll) == -1 && errno == EBADF);
}

/* What libc says of the descriptor of a socket. */
static void past_the_interface(int fd, int preloaded) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    CHECK(it.getsockopt(US, fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_ESTABLISHED);
    memset(&info, 0, sizeof info);
    int told = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    if (preloaded) {
        CHECK(told == 0 && info.tcpi_state == TCP_ESTABLISHED && len > 100);
        FILE *file = tmpfile();
        CHECK(file && fputs("a file", file) > 0 && fflush(file) == 0);
        off_t offset = 2;
        CHECK(sendfile(fd, fileno(file), &offset, 100) == 4 && offset == 6);
        static struct packet packet;
        sniff(&packet);
        CHECK(!memcmp(packet.bytes + packet.len - 4, "file", 4));
        fclose(file);
        CHECK(system("nstat -a | grep -q 'TcpPassiveOpens *1 '") == 0);
        CHECK(system("/bin/sh -c 'exit 3'") == 3 << 8);
    } else {
        CHECK(told == -1);
    }
    /* Those of the kernel's are still the kernel's. */
    int kernels = socket(AF_INET, SOCK_STREAM, 0), kind = 0;
    len = sizeof kind;
    CHECK(kernels > 2 && getsockopt(kernels, SOL_SOCKET, SO_TYPE, &kind, &len) == 0 && kind == SOCK_STREAM);
    CHECK(it.getsockopt(US, kernels, SOL_SOCKET, SO_TYPE, &kind, &len) == 0);
    CHECK(it.close(US, kernels) == 0 && fcntl(kernels, F_GETFD) == -1);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    int preloaded = argc > 2 && !strcmp(argv[2], "preloaded");
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) puts(dlerror());
    CHECK(library);
    void (*init)(const char *, struct packetdrill_interface *);
    *(void **)&init = dlsym(library, "packetdrill_interface_init");
    CHECK(init);
    init(argc > 3 ? argv[3] : "ip addr add 192.168.0.1/16 dev tun0; ip route add default dev tun0", &it);

    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    long long before = now();
    CHECK(now() > before && now() < before + 1000);

    int listener;
    uint32_t nxt;
    int fd = handshake(preloaded, &listener, &nxt);
    data(fd, nxt);
    many_shapes(fd, nxt);
    past_the_interface(fd, preloaded);
    CHECK(it.usleep(US, 999999999) == 0);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    CHECK(now() > before + 1000000000 && ended.tv_sec - began.tv_sec < 100);

    /* Where nobody else lets time pass it goes on by itself. */
    struct waiter waiter;
    begin(&waiter, listener, poll_in_vain);
    CHECK(pthread_join(waiter.thread, NULL) == 0 && waiter.result == 0);

    /* Closed by libc, the number is free, and then another file's. */
    CHECK(fcntl(fd, F_GETFD) >= 0 && close(fd) == 0);
    CHECK(it.write(US, fd, "lost", 4) == -1 && errno == EBADF);
    int file = open("/dev/null", O_RDONLY);
    char byte;
    CHECK(file == fd && it.read(US, file, &byte, 1) == 0 && close(file) == 0);
    CHECK(close(listener) == 0 && it.socket(US, AF_INET6, SOCK_DGRAM, 0) > 2);
    it.free(US);
    puts("all as it should be");
    return 0;
}
