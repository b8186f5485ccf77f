/*
 * The four closing orders. Who ends first, and how: the client or the origin, with a fin or with
 * a reset. After a fin the other direction still has to work, and every byte of it is checked;
 * a reset has to arrive as one, never as a clean end.
 */
#include "load.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* More than the sockets' buffers hold, so that the direction is relayed and not just stored. */
#define MANY_BYTES 33554432
#define FEW_BYTES 1000

static uint8_t buffer[65536];

static void nothing_opened(struct fleet *fleet, struct client *client)
{
    (void)fleet;
    (void)client;
}

static void nothing_served(struct fleet *fleet, struct client *client, uint32_t events)
{
    (void)fleet;
    (void)client;
    (void)events;
}

/* A blocking connection with its line sent, or -1. */
static int open_with_line(const struct path *path, const char *verb, size_t n)
{
    char line[32];
    snprintf(line, sizeof line, "%s %zu\n", verb, n);
    struct fleet fleet = {.line = line, .opened = nothing_opened, .served = nothing_served};
    fleet_init(&fleet, path, 1);
    int fd = -1;
    if (fleet_open_all(&fleet, PATIENCE_NS))
        fd = fcntl(fleet.clients[0].fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        fleet_deinit(&fleet);
        return -1;
    }
    fleet_close(&fleet, &fleet.clients[0]);
    fleet_deinit(&fleet);
    struct timeval patience = {.tv_sec = 5};
    fcntl(fd, F_SETFL, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

/* Whether exactly n bytes of the pattern come; then, with_fin, a clean end. */
static bool receives(int fd, size_t n, bool with_fin)
{
    size_t got = 0;
    while (got < n) {
        size_t want = n - got < sizeof buffer ? n - got : sizeof buffer;
        ssize_t len = recv(fd, buffer, want, 0);
        if (len <= 0 || !pattern_matches(buffer, (size_t)len, got))
            return false;
        got += (size_t)len;
    }
    return !with_fin || recv(fd, buffer, 1, 0) == 0;
}

static bool sends(int fd, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        size_t len = n - sent < sizeof buffer ? n - sent : sizeof buffer;
        pattern_fill(buffer, len, sent);
        ssize_t done = send(fd, buffer, len, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        sent += (size_t)done;
    }
    return true;
}

/* Whether the origin says within two seconds that its last connection ended so. */
static bool origin_saw(const struct path *path, size_t n, const char *how)
{
    char want[64], got[64] = "none\n";
    snprintf(want, sizeof want, "%zu %s intact\n", n, how);
    for (int i = 0; i < 40 && strcmp(got, "none\n") == 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        int fd = connect_to(&path->origin);
        if (!send_all(fd, "last\n", 5))
            die("the origin does not listen");
        ssize_t len = recv(fd, got, sizeof got - 1, 0);
        if (len <= 0)
            die("the origin does not answer");
        got[len] = '\0';
        close(fd);
    }
    return strcmp(got, want) == 0;
}

static bool client_fin_first(const struct path *path)
{
    int fd = open_with_line(path, "answer", MANY_BYTES);
    bool good = fd >= 0 && shutdown(fd, SHUT_WR) == 0 && receives(fd, MANY_BYTES, true);
    close(fd);
    return good;
}

static bool origin_fin_first(const struct path *path)
{
    int fd = open_with_line(path, "receive", MANY_BYTES);
    bool good = fd >= 0 && receives(fd, MANY_BYTES, true) && sends(fd, MANY_BYTES) &&
                shutdown(fd, SHUT_WR) == 0;
    good = origin_saw(path, MANY_BYTES, "fin") && good;
    close(fd);
    return good;
}

static bool client_reset(const struct path *path)
{
    int fd = open_with_line(path, "hold", FEW_BYTES);
    bool good = fd >= 0 && receives(fd, FEW_BYTES, false);
    if (fd >= 0)
        close_with_reset(fd);
    return origin_saw(path, 0, "reset") && good;
}

static bool origin_reset(const struct path *path)
{
    int fd = open_with_line(path, "reset", FEW_BYTES);
    bool good = fd >= 0 && receives(fd, FEW_BYTES, false) && send_all(fd, "!", 1) &&
                recv(fd, buffer, 1, 0) < 0 && errno == ECONNRESET;
    close(fd);
    return good;
}

void load_closes(const struct options *options)
{
    bool fin_here = client_fin_first(&options->path), fin_there = origin_fin_first(&options->path);
    bool reset_here = client_reset(&options->path), reset_there = origin_reset(&options->path);
    printf("{\"client_fin\": %s, \"origin_fin\": %s, \"client_reset\": %s, "
           "\"origin_reset\": %s}\n",
           fin_here ? "true" : "false", fin_there ? "true" : "false", reset_here ? "true" : "false",
           reset_there ? "true" : "false");
}
