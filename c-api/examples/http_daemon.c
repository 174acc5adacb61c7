/* A web server with a stack linked in, and the distribution's own curl as its client.
 *
 * One epoll instance watches the server's sockets, which are tapsock's, and the process of curl, which is the kernel's. curl
 * runs in a network in which the daemon's stack is the only neighbour.
 *
 *     cc -Wall -Wextra http_daemon.c $(pkg-config --cflags --libs tapsock) -o http_daemon && ./http_daemon
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tapsock.h>
#include <unistd.h>

#define OURS "10.7.0.2"
static const char config[] = "link=auto kernel=10.7.0.1/24 address=" OURS "/24 privileged=1";

enum { REQUEST_MAX = 4096, EVENTS_MAX = 16 };

/* A client, and what it has asked so far. */
struct client {
    int socket;
    size_t len;
    char request[REQUEST_MAX + 1];
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd, void *data) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    if (tapsock_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static int listener(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(80)};
    int s = tapsock_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s < 0 || tapsock_bind(s, (struct sockaddr *)&any, sizeof any) != 0 || tapsock_listen(s, 16) != 0)
        fail("listener");
    return s;
}

static void welcome(int epoll, int from) {
    int s = tapsock_accept4(from, NULL, NULL, SOCK_NONBLOCK);
    if (s < 0)
        return;
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        fail("calloc");
    client->socket = s;
    watch(epoll, s, client);
}

static void leave(struct client *client) {
    tapsock_close(client->socket);
    free(client);
}

/* Takes what has come; answers when it is a whole request. */
static void serve(struct client *client) {
    ssize_t got = tapsock_recv(client->socket, client->request + client->len, REQUEST_MAX - client->len, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        leave(client);
        return;
    }
    client->len += got;
    client->request[client->len] = 0;
    if (!strstr(client->request, "\r\n\r\n") && client->len < REQUEST_MAX)
        return;
    char answer[REQUEST_MAX + 256];
    int line = strcspn(client->request, "\r\n");
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\nYou said: %.*s\n", line + 11,
                       line, client->request);
    /* It is short, and the socket is fresh: there is room. */
    if (tapsock_send(client->socket, answer, len, 0) != len)
        perror("send");
    leave(client);
}

int main(void) {
    if (tapsock_init(config) != 0) {
        printf("skipped: no link to the kernel: %s\n", tapsock_last_error());
        return 0;
    }
    int epoll = tapsock_epoll_create1(0), server = listener();
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, server, &server);

    const char *curl[] = {"curl", "--silent", "--show-error", "--max-time", "20", "http://" OURS "/over/ipv4", NULL};
    pid_t child = tapsock_spawn(curl);
    if (child < 0 && errno == ENOENT) {
        printf("skipped: there is no curl on this machine\n");
        return 0;
    }
    if (child < 0)
        fail("spawn");
    /* A descriptor of the kernel's, which is ready when curl has ended. */
    int process = syscall(SYS_pidfd_open, child, 0);
    if (process < 0)
        fail("pidfd_open");
    watch(epoll, process, &process);

    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = tapsock_epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (count < 0)
            fail("epoll_wait");
        for (int index = 0; index < count; index++) {
            void *about = events[index].data.ptr;
            if (about == &server) {
                welcome(epoll, server);
            } else if (about == &process) {
                int status;
                waitpid(child, &status, 0);
                tapsock_fini();
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            } else {
                serve(about);
            }
        }
    }
}
