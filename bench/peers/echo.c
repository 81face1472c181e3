/* The yardstick: an echo server on epoll, as lean as C makes it. echo tcp PORT | echo udp PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 512 };

static char buffer[65536];

static int bound(int kind, int port)
{
    int fd = socket(AF_INET6, kind | SOCK_NONBLOCK, 0), one = 1, size = 4 << 20;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, kind == SOCK_DGRAM ? sizeof size : 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static void serve_tcp(int port)
{
    int listener = bound(SOCK_STREAM, port), poll = epoll_create1(0), one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    listen(listener, BACKLOG);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (conn < 0)
                    continue;
                setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = conn;
                epoll_ctl(poll, EPOLL_CTL_ADD, conn, &event);
                continue;
            }
            ssize_t got = read(fd, buffer, sizeof buffer);
            if (got <= 0 || write(fd, buffer, got) != got)
                close(fd);
        }
    }
}

static void serve_udp(int port)
{
    int fd = bound(SOCK_DGRAM, port), poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    for (;;) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size);
        if (got < 0)
            epoll_wait(poll, &event, 1, -1);
        else
            sendto(fd, buffer, got, 0, (struct sockaddr *)&from, size);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    if (!strcmp(argv[1], "tcp"))
        serve_tcp(atoi(argv[2]));
    serve_udp(atoi(argv[2]));
}
