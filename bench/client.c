#include "client.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256
#define MAX_OPENING 64

void fleet_init(struct fleet *fleet, const struct path *path, size_t n)
{
    fleet->path = path;
    fleet->n_clients = n;
    fleet->clients = calloc(n, sizeof *fleet->clients);
    fleet->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (fleet->clients == NULL || fleet->epoll_fd < 0)
        die_errno("cannot make %zu clients", n);
}

void fleet_deinit(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->n_clients; i++)
        if (fleet->clients[i].step != CLIENT_UNUSED)
            close_with_reset(fleet->clients[i].fd);
    free(fleet->clients);
    close(fleet->epoll_fd);
}

static void forget(struct fleet *fleet, struct client *client)
{
    if (client->step == CLIENT_OPEN)
        fleet->n_open--;
    else
        fleet->n_opening--;
    client->step = CLIENT_UNUSED;
}

void fleet_close(struct fleet *fleet, struct client *client)
{
    close(client->fd);
    forget(fleet, client);
}

void fleet_fail(struct fleet *fleet, struct client *client)
{
    close_with_reset(client->fd);
    forget(fleet, client);
    fleet->n_failed++;
    if (fleet->failed != NULL)
        fleet->failed(fleet, client);
}

void fleet_open(struct fleet *fleet, struct client *client)
{
    const struct sockaddr_in *first = &fleet->path->first;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        die_errno("socket");
    client->step = CLIENT_DIALLING;
    client->n_got = 0;
    fleet->n_opening++;
    if (connect(client->fd, (const struct sockaddr *)first, sizeof *first) != 0 &&
        errno != EINPROGRESS)
        die_errno("connect to port %u", (unsigned)ntohs(first->sin_port));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = client};
    if (epoll_ctl(fleet->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die_errno("epoll_ctl");
}

void fleet_watch(struct fleet *fleet, struct client *client, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(fleet->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) != 0)
        die_errno("epoll_ctl");
}

bool send_all(int fd, const void *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool send_connect(const struct fleet *fleet, const struct client *client)
{
    uint8_t request[10] = {5, 1, 0, 1};
    memcpy(request + 4, &fleet->path->origin.sin_addr, 4);
    memcpy(request + 8, &fleet->path->origin.sin_port, 2);
    return send_all(client->fd, request, sizeof request);
}

static bool become_open(struct fleet *fleet, struct client *client)
{
    if (fleet->line != NULL && !send_all(client->fd, fleet->line, strlen(fleet->line)))
        return false;
    client->step = CLIENT_OPEN;
    client->n_got = 0;
    fleet->n_opening--;
    fleet->n_open++;
    fleet->opened(fleet, client);
    return true;
}

static bool connected(struct fleet *fleet, struct client *client)
{
    if (!fleet->path->socks)
        return become_open(fleet, client);
    client->step = CLIENT_METHOD;
    return send_all(client->fd, (const uint8_t[]){5, 1, 0}, 3);
}

/* How long the answer under way is, as far as can be told from what is there of it. */
static size_t answer_len(const struct client *client)
{
    if (client->step == CLIENT_METHOD)
        return 2;
    if (client->n_got < 4)
        return 4;
    return client->answer[3] == 4 ? 22 : 10;
}

/* Takes the answer that is under way and nothing behind it. False: it is a refusal, or broken. */
static bool read_answer(struct fleet *fleet, struct client *client)
{
    while (client->n_got < answer_len(client)) {
        ssize_t n =
            recv(client->fd, client->answer + client->n_got, answer_len(client) - client->n_got, 0);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        client->n_got += (size_t)n;
    }
    if (client->answer[0] != 5 || client->answer[1] != 0)
        return false;
    client->n_got = 0;
    if (client->step == CLIENT_REPLY)
        return become_open(fleet, client);
    client->step = CLIENT_REPLY;
    return send_connect(fleet, client);
}

static void serve(struct fleet *fleet, struct client *client, uint32_t events)
{
    bool good = true;
    if (client->step == CLIENT_UNUSED)
        return;
    if (client->step == CLIENT_OPEN)
        fleet->served(fleet, client, events);
    else if (events & EPOLLERR)
        good = false;
    else if (client->step == CLIENT_DIALLING)
        good = (events & EPOLLOUT) == 0 || connected(fleet, client);
    else
        good = (events & EPOLLIN) == 0 || read_answer(fleet, client);
    if (!good)
        fleet_fail(fleet, client);
}

void fleet_turn(struct fleet *fleet, int64_t until_ns)
{
    struct epoll_event events[BATCH];
    int64_t left_ns = until_ns - now_ns();
    int left_ms = left_ns > 0 ? (int)(left_ns / 1000000) : 0;
    int n = epoll_wait(fleet->epoll_fd, events, BATCH, left_ms);
    if (n < 0 && errno != EINTR)
        die_errno("epoll_wait");
    for (int i = 0; i < n; i++)
        serve(fleet, events[i].data.ptr, events[i].events);
}

void fleet_run(struct fleet *fleet, int64_t until_ns)
{
    while (now_ns() < until_ns)
        fleet_turn(fleet, until_ns);
}

bool fleet_open_all(struct fleet *fleet, int64_t time_ns)
{
    int64_t until_ns = now_ns() + time_ns;
    size_t next = 0;
    while (fleet->n_open < fleet->n_clients && fleet->n_failed == 0 && now_ns() < until_ns) {
        while (next < fleet->n_clients && fleet->n_opening < MAX_OPENING)
            fleet_open(fleet, &fleet->clients[next++]);
        fleet_turn(fleet, until_ns);
    }
    return fleet->n_open == fleet->n_clients && fleet->n_failed == 0;
}
