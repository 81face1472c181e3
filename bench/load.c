/* A load generator, so that the client is not what is measured.
 *
 *   load connect HOST PORT SECONDS CONCURRENCY     connections a second: connect, read until the server closes, close
 *   load echo    HOST PORT SECONDS CONNECTIONS     messages a second: 64 octets out, the same 64 back, on each connection
 *   load udp     HOST PORT SECONDS SOCKETS         datagrams a second: one of 64 octets out, one back, on each socket
 *   load pace    HOST PORT SECONDS RATE            share of datagrams lost at RATE a second
 *   load ping    HOST PORT SECONDS                 median round trip in microseconds, one 64-octet message at a time
 *   load silent  HOST PORT SECONDS CONNECTIONS     open connections and say nothing
 *   load deaf    HOST PORT SECONDS CONNECTIONS     send as fast as it goes, read nothing
 *   load line    HOST PORT SECONDS                 send 1,000,000 octets without a line end, again and again
 *
 * Prints one number. Ends after SECONDS, whatever happens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, EVENTS = 512, MOST = 65536 };

static struct sockaddr_storage peer;
static socklen_t peer_size;
static double until;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void resolve(const char *host, const char *port, int kind)
{
    struct addrinfo hints = {.ai_socktype = kind}, *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
        exit(1);
    }
    memcpy(&peer, found->ai_addr, found->ai_addrlen);
    peer_size = found->ai_addrlen;
}

static int dial(int kind, int blocking)
{
    int fd = socket(peer.ss_family, kind | (blocking ? 0 : SOCK_NONBLOCK), 0), one = 1;
    if (fd < 0) {
        perror("socket");
        exit(1);
    }
    if (kind == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&peer, peer_size) && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static void watch(int poll, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

/* Connections that the server ends; a new one for each. */
static void run_connect(int width)
{
    int poll = epoll_create1(0);
    long done = 0;
    char buffer[4096];
    struct epoll_event events[EVENTS];
    double began = now();
    for (int i = 0; i < width; i++)
        watch(poll, dial(SOCK_STREAM, 0), EPOLLIN);
    while (now() < until) {
        int ready = epoll_wait(poll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            ssize_t got = read(fd, buffer, sizeof buffer);
            if (got > 0 || (got < 0 && errno == EAGAIN))
                continue;
            done += got == 0;
            close(fd);
            watch(poll, dial(SOCK_STREAM, 0), EPOLLIN);
        }
    }
    printf("%.0f\n", done / (now() - began));
}

/* One message under way on each connection or socket. */
static void run_echo(int kind, int width)
{
    int poll = epoll_create1(0), *fds = calloc(width, sizeof(int));
    static int pending[MOST];
    long done = 0;
    char message[SIZE], buffer[4096];
    struct epoll_event events[EVENTS];
    memset(message, 'x', SIZE);
    for (int i = 0; i < width; i++) {
        fds[i] = dial(kind, 1);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        watch(poll, fds[i], EPOLLIN);
        pending[fds[i]] = SIZE;
        if (write(fds[i], message, SIZE) != SIZE)
            exit(1);
    }
    double began = now();
    while (now() < until) {
        int ready = epoll_wait(poll, events, EVENTS, 200);
        if (ready == 0 && kind == SOCK_DGRAM) /* all under way were lost */
            for (int i = 0; i < width; i++)
                if (write(fds[i], message, SIZE) < 0)
                    continue;
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            ssize_t got = read(fd, buffer, sizeof buffer);
            if (got <= 0)
                continue;
            pending[fd] -= got;
            if (pending[fd] <= 0) {
                done++;
                pending[fd] = SIZE;
                if (write(fd, message, SIZE) < 0)
                    continue;
            }
        }
    }
    printf("%.0f\n", done / (now() - began));
}

/* Datagrams at an even rate; what has not come back a second after the last is lost. */
static void run_pace(int rate)
{
    int fd = dial(SOCK_DGRAM, 0), size = 1 << 20;
    long sent = 0, back = 0;
    char message[SIZE], buffer[4096];
    memset(message, 'x', SIZE);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    double began = now();
    while (now() < until + 1) {
        double at = now();
        while (at < until && sent < (long)((at - began) * rate)) {
            if (write(fd, message, SIZE) == SIZE)
                sent++;
            else
                break;
        }
        while (read(fd, buffer, sizeof buffer) > 0)
            back++;
        if (at >= until && back >= sent)
            break;
        usleep(200);
    }
    printf("%.6f\n", sent ? (double)(sent - back) / sent : 1.0);
    fprintf(stderr, "sent %ld, back %ld\n", sent, back);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void run_ping(void)
{
    enum { SAMPLES = 100000 };
    static double taken[SAMPLES];
    int fd = dial(SOCK_STREAM, 1), count = 0;
    char message[SIZE] = {0}, buffer[SIZE];
    while (now() < until && count < SAMPLES) {
        double began = now();
        if (write(fd, message, SIZE) != SIZE)
            break;
        for (int got = 0; got < SIZE;) {
            ssize_t more = read(fd, buffer, SIZE - got);
            if (more <= 0)
                goto end;
            got += more;
        }
        taken[count++] = now() - began;
        usleep(500);
    }
end:
    qsort(taken, count, sizeof *taken, by_value);
    printf("%.1f\n", count ? taken[count / 2] * 1e6 : -1.0);
}

static void run_silent(int width)
{
    int open = 0;
    for (int i = 0; i < width && now() < until; i++, open++)
        dial(SOCK_STREAM, 1);
    printf("%d\n", open);
    fflush(stdout);
    while (now() < until)
        usleep(10000);
}

static void run_flood(int width, size_t size, int again)
{
    int *fds = calloc(width, sizeof(int));
    size_t *sent = calloc(width, sizeof(size_t));
    static char message[65536];
    memset(message, 'x', sizeof message);
    for (int i = 0; i < width; i++)
        fds[i] = dial(SOCK_STREAM, 0);
    while (now() < until) {
        for (int i = 0; i < width; i++) {
            ssize_t took = send(fds[i], message, sizeof message, MSG_NOSIGNAL);
            if (took > 0)
                sent[i] += took;
            if (again && ((took < 0 && errno != EAGAIN) || sent[i] >= size)) {
                close(fds[i]);
                fds[i] = dial(SOCK_STREAM, 0);
                sent[i] = 0;
            }
        }
        usleep(1000);
    }
    printf("%d\n", width);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc < 5) {
        fprintf(stderr, "usage: load MODE HOST PORT SECONDS [N]\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const char *mode = argv[1];
    int width = argc > 5 ? atoi(argv[5]) : 1;
    int udp = !strcmp(mode, "udp") || !strcmp(mode, "pace");
    resolve(argv[2], argv[3], udp ? SOCK_DGRAM : SOCK_STREAM);
    until = now() + atof(argv[4]);
    if (!strcmp(mode, "connect"))
        run_connect(width);
    else if (!strcmp(mode, "echo"))
        run_echo(SOCK_STREAM, width);
    else if (!strcmp(mode, "udp"))
        run_echo(SOCK_DGRAM, width);
    else if (!strcmp(mode, "pace"))
        run_pace(width);
    else if (!strcmp(mode, "ping"))
        run_ping();
    else if (!strcmp(mode, "silent"))
        run_silent(width);
    else if (!strcmp(mode, "deaf"))
        run_flood(width, 0, 0);
    else if (!strcmp(mode, "line"))
        run_flood(1, 1000000, 1);
    else
        return 2;
    return 0;
}
