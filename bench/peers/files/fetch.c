/* Gets a file over several connections at once and throws its octets away: the same receiver for every server.
 *
 *   fetch file HOST PORT NAME OCTETS CONNECTIONS    GET NAME in the lab's file protocol
 *   fetch http HOST PORT NAME OCTETS CONNECTIONS    GET /NAME HTTP/1.1
 *   fetch ftp  HOST PORT NAME OCTETS CONNECTIONS    RETR NAME; logged in, with its data connection open, before the clock starts
 *
 * Prints the seconds from the first request to the last octet; every server has accepted all connections by then. Fails where one answer is no success or ends before OCTETS.
 * Octets are dropped inside the kernel (MSG_TRUNC, tcp(7)): the receiver costs as little as it can, so that the server is the limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, HEAD = 2048, EVENTS = 256, SWALLOW = 1 << 20, PATIENCE_MS = 60000, SETTLE_US = 300000 };

struct transfer {
    int control, data; /* the same, but for FTP */
    long left;         /* octets of the body */
    int in_body, used;
    char head[HEAD];
};

static struct transfer transfers[MOST];
static char swallowed[SWALLOW];
static const char *host, *name;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *more)
{
    fprintf(stderr, "fetch: %s%s%s\n", what, *more ? ": " : "", more);
    exit(1);
}

static int dial(const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int fd, one = 1, error = getaddrinfo(host, port, &hints, &found);
    if (error)
        fail(host, gai_strerror(error));
    fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
        fail("connect", strerror(errno));
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void say(int fd, const char *words)
{
    size_t size = strlen(words);
    if (send(fd, words, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("send", strerror(errno));
}

/* Reads an FTP reply, octet by octet, and returns its last line; it must begin with `code`. */
static const char *reply(int fd, const char *code)
{
    static char line[512];
    do {
        size_t used = 0;
        while (used < sizeof line - 1 && read(fd, line + used, 1) == 1)
            if (line[used++] == '\n')
                break;
        line[used] = 0;
        if (!used)
            fail("the server closed, expected", code);
    } while (line[3] == '-');
    if (strncmp(line, code, strlen(code)))
        fail(code, line);
    return line;
}

static void ask(int fd, const char *words, const char *code)
{
    say(fd, words);
    reply(fd, code);
}

static void log_in(struct transfer *t)
{
    const char *mark;
    reply(t->control, "220");
    say(t->control, "USER anonymous\r\n");
    if (!strncmp(reply(t->control, ""), "331", 3))
        ask(t->control, "PASS x\r\n", "230");
    ask(t->control, "TYPE I\r\n", "200");
    say(t->control, "EPSV\r\n");
    mark = strstr(reply(t->control, "229"), "(|||");
    if (!mark)
        fail("EPSV", "no port");
    char port[8];
    snprintf(port, sizeof port, "%d", atoi(mark + 4));
    t->data = dial(port);
}

/* Reads the head of an answer until its end; what came of the body with it is counted. */
static void read_head(struct transfer *t, const char *end, const char *success)
{
    ssize_t got = read(t->data, t->head + t->used, HEAD - 1 - t->used);
    if (got <= 0)
        fail("no answer", got ? strerror(errno) : "the server closed");
    t->used += got;
    t->head[t->used] = 0;
    char *found = memmem(t->head, t->used, end, strlen(end));
    if (!found)
        return;
    if (strncmp(t->head, success, strlen(success)))
        fail("refused", t->head);
    t->in_body = 1;
    t->left -= t->used - (found + strlen(end) - t->head);
}

int main(int argc, char **argv)
{
    if (argc != 7 || atoi(argv[6]) < 1 || atoi(argv[6]) > MOST) {
        fprintf(stderr, "usage: fetch file|http|ftp HOST PORT NAME OCTETS CONNECTIONS\n");
        return 2;
    }
    int ftp = !strcmp(argv[1], "ftp"), http = !strcmp(argv[1], "http"), width = atoi(argv[6]), open = width;
    const char *end = http ? "\r\n\r\n" : "\r\n", *success = http ? "HTTP/1.1 200" : "OK ";
    char request[HEAD];
    host = argv[2];
    name = argv[4];
    snprintf(request, sizeof request, ftp ? "RETR %s\r\n" : http ? "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" : "GET %s\r\n", name);
    int poll = epoll_create1(0);
    for (int i = 0; i < width; i++) {
        struct transfer *t = &transfers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = t};
        t->control = t->data = dial(argv[3]);
        t->left = atol(argv[5]);
        t->in_body = ftp;
        if (ftp)
            log_in(t);
        epoll_ctl(poll, EPOLL_CTL_ADD, t->data, &event);
    }
    usleep(SETTLE_US);
    double began = now();
    for (int i = 0; i < width; i++)
        say(transfers[i].control, request);
    while (open) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poll, events, EVENTS, PATIENCE_MS);
        if (!ready)
            fail("silence", name);
        for (int i = 0; i < ready; i++) {
            struct transfer *t = events[i].data.ptr;
            if (!t->in_body) {
                read_head(t, end, success);
            } else {
                ssize_t got = recv(t->data, swallowed, SWALLOW, MSG_TRUNC);
                if (got <= 0)
                    fail("cut off", got ? strerror(errno) : "the server closed");
                t->left -= got;
            }
            if (t->left < 0)
                fail("more octets than the file has", name);
            if (!t->left && t->in_body) {
                epoll_ctl(poll, EPOLL_CTL_DEL, t->data, NULL);
                open--;
            }
        }
    }
    printf("%.6f\n", now() - began);
    return 0;
}
