/* What a C program of tapsock's has to know beside its namesakes: the default host, and numbers that are real descriptors. */
#define _GNU_SOURCE
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tapsock.h>
#include <time.h>
#include <unistd.h>

#undef NDEBUG

/* That a call has failed, and how. */
#define FAILS(call, with)                                                                                            \
    do {                                                                                                             \
        errno = 0;                                                                                                   \
        long given = (long)(call);                                                                                   \
        if (given != -1 || errno != (with)) {                                                                        \
            fprintf(stderr, "line %d: %s = %ld, %s\n", __LINE__, #call, given, strerrorname_np(errno));              \
            abort();                                                                                                 \
        }                                                                                                            \
    } while (0)

/* That it gives what it should. */
#define GIVES(call, value)                                                                                           \
    do {                                                                                                             \
        long given = (long)(call);                                                                                   \
        if (given != (long)(value)) {                                                                                \
            fprintf(stderr, "line %d: %s = %ld, %s\n", __LINE__, #call, given, strerrorname_np(errno));              \
            abort();                                                                                                 \
        }                                                                                                            \
    } while (0)

static char room[64];

static void pair(int ends[2]) { GIVES(tapsock_socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }

static void a_while(void) { usleep(30000); }

static void before_there_is_a_host(void) {
    int ends[2];
    FAILS(tapsock_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
    FAILS(tapsock_socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ENETDOWN);
    FAILS(tapsock_epoll_create1(0), ENETDOWN);
    FAILS(tapsock_unlink("/name"), ENETDOWN);
    FAILS(tapsock_fini(), ENETDOWN);
    GIVES(tapsock_if_nametoindex("lo"), 0);
    GIVES(errno, ENETDOWN);
    /* What is the kernel's works all the same. */
    GIVES(pipe(ends), 0);
    GIVES(tapsock_write(ends[1], "x", 1), 1);
    struct pollfd entry = {ends[0], POLLIN, 0};
    GIVES(tapsock_poll(&entry, 1, -1), 1);
    GIVES(tapsock_read(ends[0], room, sizeof room), 1);
    GIVES(tapsock_is_ours(ends[0]), 0);
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(tapsock_close(ends[1]), 0);
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
    GIVES(tapsock_getaddrinfo("127.0.0.1", "80", &hints, &list), 0);
    tapsock_freeaddrinfo(list);
    tapsock_freeaddrinfo(NULL);
    tapsock_if_freenameindex(NULL);
}

static void a_text_that_makes_no_sense(void) {
    GIVES(*tapsock_last_error(), 0);
    FAILS(tapsock_init("colour=red"), EINVAL);
    GIVES(strcmp(tapsock_last_error(), "colour: no such name"), 0);
    FAILS(tapsock_init("net.ipv4.no_such=1"), EINVAL);
    assert(strstr(tapsock_last_error(), "net.ipv4.no_such"));
    FAILS(tapsock_init("address=10.0.0.2/24"), EINVAL);
    assert(strstr(tapsock_last_error(), "no link"));
    FAILS(tapsock_init("link=tap-fd:9999"), EBADF);
    FAILS(tapsock_init("\xff"), EINVAL);
    GIVES(tapsock_init("net.ipv4.tcp_sack=0 shutdown_timeout=100"), 0);
    FAILS(tapsock_init(NULL), EALREADY);
    const char *program[] = {"true", NULL};
    FAILS(tapsock_spawn(program), EOPNOTSUPP);
    FAILS(tapsock_spawn(NULL), EFAULT);
}

static void a_number_is_a_real_descriptor(void) {
    int ends[2];
    pair(ends);
    GIVES(tapsock_is_ours(ends[0]), 1);
    GIVES(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    /* libc's calls can do nothing with it. */
    FAILS(read(ends[0], room, sizeof room), EBADF);
    FAILS(write(ends[0], "x", 1), EBADF);
    struct pollfd entry = {ends[0], POLLIN, 0};
    GIVES(poll(&entry, 1, 0), 1);
    GIVES(entry.revents, POLLNVAL);
    int file = memfd_create("own", 0);
    assert(file != ends[0] && file != ends[1]);
    char command[64];
    snprintf(command, sizeof command, "test ! -e /proc/self/fd/%d", ends[0]);
    GIVES(system(command), 0);
    /* Whoever wants it can have it passed on; it is of no use. */
    GIVES(tapsock_fcntl(ends[0], F_SETFD, 0), 0);
    GIVES(fcntl(ends[0], F_GETFD), 0);
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 0);
    FAILS(fcntl(ends[0], F_GETFD), EBADF);
    GIVES(tapsock_close(ends[1]), 0);
    GIVES(close(file), 0);
}

static void a_number_that_libc_has_closed(void) {
    int ends[2], file, other;
    /* It is noticed when it is used, */
    pair(ends);
    GIVES(close(ends[0]), 0);
    FAILS(tapsock_send(ends[0], "x", 1, 0), EBADF);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 0);
    GIVES(tapsock_close(ends[1]), 0);
    /* also where a file has the number by then: that is the file's, */
    pair(ends);
    GIVES(close(ends[0]), 0);
    file = memfd_create("own", 0);
    GIVES(file, ends[0]);
    GIVES(tapsock_write(file, "file", 4), 4);
    GIVES(lseek(file, 0, SEEK_END), 4);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 0);
    GIVES(tapsock_close(file), 0);
    FAILS(fcntl(file, F_GETFD), EBADF);
    GIVES(tapsock_close(ends[1]), 0);
    /* and where another socket gets it. */
    pair(ends);
    GIVES(close(ends[0]), 0);
    other = tapsock_socket(AF_INET, SOCK_STREAM, 0);
    GIVES(other, ends[0]);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 0);
    GIVES(tapsock_listen(other, 1), 0);
    GIVES(tapsock_close(other), 0);
    GIVES(tapsock_close(ends[1]), 0);
    /* A poll sees the file that has the number. */
    pair(ends);
    GIVES(close(ends[0]), 0);
    file = memfd_create("own", 0);
    GIVES(file, ends[0]);
    struct pollfd entries[2] = {{file, POLLIN | POLLOUT, 0}, {ends[1], POLLRDHUP, 0}};
    GIVES(tapsock_poll(entries, 2, -1), 2);
    GIVES(entries[0].revents, POLLIN | POLLOUT);
    assert(entries[1].revents & POLLRDHUP);
    GIVES(close(file), 0);
    GIVES(tapsock_close(ends[1]), 0);
    /* A file that was put over it by libc stays. */
    pair(ends);
    file = memfd_create("own", 0);
    GIVES(dup2(file, ends[0]), ends[0]);
    GIVES(tapsock_close(ends[0]), 0);
    FAILS(fcntl(ends[0], F_GETFD), EBADF);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 0);
    GIVES(tapsock_close(ends[1]), 0);
    GIVES(close(file), 0);
}

static void libc_polls_what_is_asked_to_show(void) {
    int ends[2], other;
    pair(ends);
    struct pollfd entry = {ends[0], POLLIN, 0};
    GIVES(tapsock_pollfd(ends[0]), ends[0]);
    GIVES(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    GIVES(poll(&entry, 1, 0), 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    GIVES(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    GIVES(tapsock_send(ends[1], "x", 1, 0), 1);
    GIVES(poll(&entry, 1, -1), 1);
    GIVES(entry.revents, POLLIN);
    GIVES(epoll_wait(epoll, &event, 1, -1), 1);
    GIVES(event.events, EPOLLIN);
    /* It is the socket's number all the same, */
    GIVES(tapsock_is_ours(ends[0]), 1);
    GIVES(tapsock_recv(ends[0], room, sizeof room, 0), 1);
    GIVES(poll(&entry, 1, 0), 0);
    GIVES(tapsock_pollfd(ends[0]), ends[0]);
    /* and others of the socket's are as they were. */
    other = tapsock_dup(ends[0]);
    entry.fd = other;
    GIVES(poll(&entry, 1, 0), 1);
    GIVES(entry.revents, POLLNVAL);
    GIVES(tapsock_close(other), 0);
    GIVES(tapsock_shutdown(ends[1], SHUT_WR), 0);
    GIVES(epoll_wait(epoll, &event, 1, -1), 1);
    GIVES(event.events, EPOLLIN | EPOLLRDHUP);
    /* Another socket over it has nothing to show. */
    GIVES(tapsock_dup2(ends[1], ends[0]), ends[0]);
    entry.fd = ends[0];
    GIVES(poll(&entry, 1, 0), 1);
    GIVES(entry.revents, POLLNVAL);
    GIVES(tapsock_pollfd(ends[0]), ends[0]);
    GIVES(tapsock_close(ends[0]), 0);
    FAILS(fcntl(ends[0], F_GETFD), EBADF);
    FAILS(tapsock_pollfd(ends[0]), EBADF);
    GIVES(tapsock_pollfd(epoll), epoll);
    GIVES(close(epoll), 0);
    /* An epoll instance of ours shows whether it has something to tell. */
    epoll = tapsock_epoll_create1(0);
    event.events = EPOLLIN;
    GIVES(tapsock_epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &event), 0);
    entry.fd = tapsock_pollfd(epoll);
    GIVES(poll(&entry, 1, 0), 1);
    GIVES(tapsock_epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], NULL), 0);
    GIVES(poll(&entry, 1, 0), 0);
    GIVES(tapsock_close(epoll), 0);
    GIVES(tapsock_close(ends[1]), 0);
}

static void the_limit_is_the_process_s(void) {
    struct rlimit before, lower;
    int ends[2];
    pair(ends);
    GIVES(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = tapsock_socket(AF_INET, SOCK_STREAM, 0), client = tapsock_socket(AF_INET, SOCK_STREAM, 0);
    GIVES(tapsock_bind(listener, (struct sockaddr *)&address, len), 0);
    GIVES(tapsock_listen(listener, 1), 0);
    GIVES(tapsock_getsockname(listener, (struct sockaddr *)&address, &len), 0);
    GIVES(tapsock_connect(client, (struct sockaddr *)&address, len), 0);
    lower = before;
    lower.rlim_cur = client + 1;
    GIVES(setrlimit(RLIMIT_NOFILE, &lower), 0);
    FAILS(tapsock_socket(AF_INET, SOCK_DGRAM, 0), EMFILE);
    FAILS(tapsock_dup(client), EMFILE);
    FAILS(tapsock_accept(listener, NULL, NULL), EMFILE);
    GIVES(setrlimit(RLIMIT_NOFILE, &before), 0);
    int accepted = tapsock_accept(listener, NULL, NULL);
    assert(accepted > client);
    int all[] = {accepted, client, listener, ends[0], ends[1]};
    for (unsigned index = 0; index < sizeof all / sizeof *all; index++)
        GIVES(tapsock_close(all[index]), 0);
}

static void *receiver(void *end) {
    char byte;
    errno = 0;
    long given = tapsock_recv(*(int *)end, &byte, 1, 0);
    return (void *)(given == -1 ? -(long)errno : given);
}

static long ended(pthread_t thread) {
    void *value;
    GIVES(pthread_join(thread, &value), 0);
    return (long)value;
}

static void threads(void) {
    int ends[2];
    pthread_t thread;
    pair(ends);
    GIVES(pthread_create(&thread, NULL, receiver, &ends[0]), 0);
    a_while();
    GIVES(tapsock_send(ends[1], "x", 1, 0), 1);
    GIVES(ended(thread), 1);
    GIVES(pthread_create(&thread, NULL, receiver, &ends[0]), 0);
    a_while();
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(ended(thread), -EBADF);
    GIVES(tapsock_close(ends[1]), 0);
}

static int wake_a_poll[2], wake_by[2];

static void *poller(void *unused) {
    (void)unused;
    struct pollfd fds[2] = {{wake_a_poll[0], POLLIN, 0}, {wake_by[0], POLLIN, 0}};
    GIVES(tapsock_poll(fds, 2, -1), 1);
    return (void *)(long)(fds[0].revents ? 1 : 2);
}

static void *waiter(void *epoll) {
    struct epoll_event event;
    GIVES(tapsock_epoll_wait(*(int *)epoll, &event, 1, -1), 1);
    return (void *)(long)event.data.u32;
}

static void both_worlds_in_one_set(void) {
    pthread_t thread;
    pair(wake_a_poll);
    GIVES(pipe(wake_by), 0);
    int epoll = tapsock_epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1};
    GIVES(tapsock_epoll_ctl(epoll, EPOLL_CTL_ADD, wake_a_poll[0], &event), 0);
    event.data.u32 = 2;
    GIVES(tapsock_epoll_ctl(epoll, EPOLL_CTL_ADD, wake_by[0], &event), 0);
    for (int round = 0; round < 4; round++) {
        void *(*sleep_in)(void *) = round < 2 ? poller : waiter;
        GIVES(pthread_create(&thread, NULL, sleep_in, &epoll), 0);
        a_while();
        if (round % 2)
            GIVES(write(wake_by[1], "x", 1), 1);
        else
            GIVES(tapsock_send(wake_a_poll[1], "x", 1, 0), 1);
        GIVES(ended(thread), 1 + round % 2);
        GIVES(tapsock_read(round % 2 ? wake_by[0] : wake_a_poll[0], room, sizeof room), 1);
    }
    for (int end = 0; end < 2; end++) {
        GIVES(tapsock_close(wake_a_poll[end]), 0);
        GIVES(tapsock_close(wake_by[end]), 0);
    }
    GIVES(tapsock_close(epoll), 0);
}

static volatile sig_atomic_t handled;

static void on_signal(int number) { handled = number; }

static void a_mask_is_set_for_a_call(void) {
    int ends[2];
    pair(ends);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    struct sigaction action = {.sa_handler = on_signal};
    GIVES(sigaction(SIGUSR1, &action, NULL), 0);
    GIVES(pthread_sigmask(SIG_SETMASK, &blocked, NULL), 0);
    GIVES(raise(SIGUSR1), 0);
    struct pollfd entry = {ends[0], POLLIN, 0};
    struct timespec time = {0, 1000000};
    GIVES(tapsock_ppoll(&entry, 1, &time, &blocked), 0);
    GIVES(handled, 0);
    GIVES(tapsock_ppoll(&entry, 1, &time, &none), 0);
    GIVES(handled, SIGUSR1);
    sigset_t now;
    GIVES(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    GIVES(sigismember(&now, SIGUSR1), 1);

    // Where all are the kernel's it is the kernel that waits: a signal that the mask lets through ends it.
    int ours_not[2];
    GIVES(pipe(ours_not), 0);
    struct pollfd real = {ours_not[0], POLLIN, 0};
    fd_set read_set;
    for (int select = 0; select < 2; select++) {
        handled = 0;
        GIVES(raise(SIGUSR1), 0);
        if (select) {
            FD_ZERO(&read_set);
            FD_SET(ours_not[0], &read_set);
            FAILS(tapsock_pselect(ours_not[0] + 1, &read_set, NULL, NULL, &time, &none), EINTR);
        } else {
            FAILS(tapsock_ppoll(&real, 1, &time, &none), EINTR);
        }
        GIVES(handled, SIGUSR1);
    }
    close(ours_not[0]);
    close(ours_not[1]);

    int epoll = tapsock_epoll_create1(0);
    struct epoll_event event;
    handled = 0;
    GIVES(raise(SIGUSR1), 0);
    GIVES(tapsock_epoll_pwait2(epoll, &event, 1, &time, &none), 0);
    GIVES(handled, SIGUSR1);
    GIVES(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
    GIVES(tapsock_close(epoll), 0);
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(tapsock_close(ends[1]), 0);
}

static void local_names_are_the_host_s(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/no/such/directory/name"};
    struct stat file;
    int s = tapsock_socket(AF_UNIX, SOCK_STREAM, 0);
    GIVES(tapsock_bind(s, (struct sockaddr *)&name, sizeof name), 0);
    FAILS(stat(name.sun_path, &file), ENOENT);
    GIVES(tapsock_unlink(name.sun_path), 0);
    FAILS(tapsock_unlink(name.sun_path), ENOENT);
    FAILS(tapsock_unlink(NULL), EFAULT);
    GIVES(tapsock_close(s), 0);
}

static void nothing(int signal) { (void)signal; }

/* Linux ends a poll without a time-out by a signal, too, where nothing is ready. */
static void a_signal_ends_no_poll(void) {
    int ends[2], pipes[2];
    pair(ends);
    GIVES(pipe(pipes), 0);
    struct sigaction action = {.sa_handler = nothing};
    GIVES(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    GIVES(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int round = 0; round < 20000; round++) {
        struct pollfd entries[2] = {{ends[0], POLLIN, 0}, {pipes[0], POLLIN, 0}};
        GIVES(tapsock_poll(entries, 2, 0), 0);
    }
    GIVES(setitimer(ITIMER_REAL, &never, NULL), 0);
    GIVES(close(pipes[0]), 0);
    GIVES(close(pipes[1]), 0);
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(tapsock_close(ends[1]), 0);
}

/* A call that waits goes on after a signal, and has no more time than before: as under SA_RESTART, also where Linux ends it
 * with EINTR, since there is a time-out. */
static void a_signal_ends_no_wait(void) {
    int local[2], datagrams = tapsock_socket(AF_INET, SOCK_DGRAM, 0);
    pair(local);
    struct sigaction action = {.sa_handler = on_signal};
    GIVES(sigaction(SIGALRM, &action, NULL), 0);
    struct timeval limit = {0, 60000};
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    const int sockets[2] = {local[0], datagrams};
    for (int at = 0; at < 2; at++) {
        GIVES(tapsock_setsockopt(sockets[at], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
        struct timespec began, ended;
        char byte;
        handled = 0;
        GIVES(setitimer(ITIMER_REAL, &often, NULL), 0);
        GIVES(clock_gettime(CLOCK_MONOTONIC, &began), 0);
        FAILS(tapsock_recv(sockets[at], &byte, 1, 0), EAGAIN);
        GIVES(clock_gettime(CLOCK_MONOTONIC, &ended), 0);
        GIVES(setitimer(ITIMER_REAL, &never, NULL), 0);
        GIVES(handled, SIGALRM);
        long waited = (ended.tv_sec - began.tv_sec) * 1000000 + (ended.tv_nsec - began.tv_nsec) / 1000;
        GIVES(waited >= limit.tv_usec, 1);
    }
    GIVES(tapsock_close(local[0]), 0);
    GIVES(tapsock_close(local[1]), 0);
    GIVES(tapsock_close(datagrams), 0);
}

/* A child has none of the threads and a copy of the locks: it forgets the host, and may have one of its own. */
static void a_child_forgets_the_host(void) {
    int ends[2];
    pair(ends);
    /* Also of a socket that libc can poll. */
    GIVES(tapsock_pollfd(ends[1]), ends[1]);
    struct pollfd entry = {ends[1], POLLIN, 0};
    pid_t child = fork();
    if (child == 0) {
        int own[2];
        FAILS(tapsock_send(ends[0], "x", 1, 0), EBADF);
        FAILS(tapsock_send(ends[1], "x", 1, 0), EBADF);
        FAILS(tapsock_recv(ends[1], room, sizeof room, MSG_DONTWAIT), EBADF);
        GIVES(poll(&entry, 1, 0), 1);
        GIVES(entry.revents, POLLNVAL);
        FAILS(tapsock_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
        GIVES(tapsock_init(NULL), 0);
        pair(own);
        GIVES(tapsock_send(own[0], "hello", 5, 0), 5);
        GIVES(tapsock_recv(own[1], room, sizeof room, 0), 5);
        GIVES(tapsock_fini(), 0);
        _exit(7);
    }
    int status;
    GIVES(waitpid(child, &status, 0), child);
    GIVES(WIFEXITED(status) && WEXITSTATUS(status) == 7, 1);
    GIVES(poll(&entry, 1, 0), 0);
    GIVES(tapsock_send(ends[0], "x", 1, 0), 1);
    GIVES(poll(&entry, 1, 10000), 1);
    GIVES(entry.revents, POLLIN);
    GIVES(tapsock_recv(ends[1], room, sizeof room, 0), 1);
    GIVES(tapsock_close(ends[0]), 0);
    GIVES(tapsock_close(ends[1]), 0);
}

static int descriptors(void) {
    int count = 0;
    DIR *open = opendir("/proc/self/fd");
    assert(open);
    while (readdir(open)) count++;
    GIVES(closedir(open), 0);
    return count;
}

/* Opens and closes so many sockets of each kind, some of which libc has polled. */
static void many(int count) {
    static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0},
                                   {AF_INET6, SOCK_DGRAM, 0},
                                   {AF_INET, SOCK_RAW, IPPROTO_ICMP},
                                   {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}};
    for (int at = 0; at < count; at += 8) {
        int made[8];
        for (int kind = 0; kind < 4; kind++) {
            made[kind] = tapsock_socket(kinds[kind][0], kinds[kind][1], kinds[kind][2]);
            /* Raw ones are for the privileged. */
            if (made[kind] < 0) made[kind] = tapsock_socket(AF_INET, SOCK_DGRAM, 0);
        }
        pair(&made[4]);
        GIVES(tapsock_socketpair(AF_UNIX, SOCK_DGRAM, 0, &made[6]), 0);
        GIVES(tapsock_send(made[4], "unread", 6, 0), 6);
        if (at % 64 == 0) {
            GIVES(tapsock_pollfd(made[0]), made[0]);
            GIVES(tapsock_pollfd(made[5]), made[5]);
        }
        for (int one = 0; one < 8; one++) GIVES(tapsock_close(made[one]), 0);
    }
}

/* A hundred thousand sockets leave the process as many descriptors as it had, and as much memory. */
static void nothing_stays(void) {
    many(800);
    int open = descriptors();
    size_t taken = mallinfo2().uordblks;
    many(100000);
    GIVES(descriptors(), open);
    size_t now = mallinfo2().uordblks;
    GIVES(now < taken + 65536, 1);
}

static void the_end(void) {
    int ends[2];
    pthread_t thread;
    pair(ends);
    GIVES(pthread_create(&thread, NULL, receiver, &ends[0]), 0);
    a_while();
    GIVES(tapsock_fini(), 0);
    GIVES(ended(thread), -EBADF);
    FAILS(tapsock_send(ends[1], "x", 1, 0), EBADF);
    FAILS(fcntl(ends[1], F_GETFD), EBADF);
    FAILS(tapsock_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
    FAILS(tapsock_fini(), ENETDOWN);
    /* And another beginning. */
    GIVES(tapsock_init(""), 0);
    pair(ends);
    GIVES(tapsock_fini(), 0);
}

int main(void) {
    alarm(60);
    before_there_is_a_host();
    a_text_that_makes_no_sense();
    a_number_is_a_real_descriptor();
    a_number_that_libc_has_closed();
    libc_polls_what_is_asked_to_show();
    the_limit_is_the_process_s();
    threads();
    both_worlds_in_one_set();
    a_mask_is_set_for_a_call();
    local_names_are_the_host_s();
    a_signal_ends_no_poll();
    a_signal_ends_no_wait();
    a_child_forgets_the_host();
    nothing_stays();
    the_end();
    puts("all as it should be");
    return 0;
}
