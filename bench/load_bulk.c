/*
 * Bulk. The measured time begins once all connections are open and have run for the warm-up, so
 * handshakes and the filling of buffers are not in it. Down counts what arrives here; up what
 * arrives at the origin, as what only a buffer has taken is not moved yet.
 */
#include "load.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_BYTES (1 << 20)

struct bulk {
    bool up;
    int pattern_fd;
    uint64_t tag;
    uint64_t n_received;
    off_t *offsets; /* up: how far each client is in the pattern */
};

/* The two ends of the measured time. */
struct edge {
    int64_t at_ns;
    int64_t cpu_ns;
    uint64_t bytes;
};

static void bulk_opened(struct fleet *fleet, struct client *client)
{
    const struct bulk *bulk = fleet->own;
    fleet_watch(fleet, client, bulk->up ? EPOLLOUT : EPOLLIN);
}

static void bulk_receive(struct fleet *fleet, struct client *client)
{
    struct bulk *bulk = fleet->own;
    ssize_t n = recv(client->fd, NULL, 4 * TURN_BYTES, MSG_TRUNC);
    if (n > 0)
        bulk->n_received += (uint64_t)n;
    else if (n == 0 || errno != EAGAIN)
        fleet_fail(fleet, client);
}

static void bulk_send(struct fleet *fleet, struct client *client)
{
    struct bulk *bulk = fleet->own;
    off_t *offset = &bulk->offsets[client - fleet->clients];
    size_t room = (size_t)(PATTERN_BYTES - *offset);
    ssize_t n =
        sendfile(client->fd, bulk->pattern_fd, offset, room < TURN_BYTES ? room : TURN_BYTES);
    if (n < 0 && errno != EAGAIN)
        fleet_fail(fleet, client);
    if (*offset == PATTERN_BYTES)
        *offset = 0;
}

static void bulk_served(struct fleet *fleet, struct client *client, uint32_t events)
{
    const struct bulk *bulk = fleet->own;
    if (events & EPOLLERR)
        fleet_fail(fleet, client);
    else if (bulk->up)
        bulk_send(fleet, client);
    else
        bulk_receive(fleet, client);
}

/* What the origin has counted of this run. */
static uint64_t origin_count(const struct path *path, uint64_t tag)
{
    char text[32];
    int fd = connect_to(&path->origin);
    int len = snprintf(text, sizeof text, "count %llu\n", (unsigned long long)tag);
    if (!send_all(fd, text, (size_t)len))
        die("the origin does not listen");
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        die("the origin does not answer");
    text[n] = '\0';
    close(fd);
    return strtoull(text, NULL, 10);
}

static struct edge edge_now(const struct options *options, const struct bulk *bulk)
{
    struct edge edge;
    edge.bytes = bulk->up ? origin_count(&options->path, bulk->tag) : bulk->n_received;
    edge.cpu_ns = proc_cpu_ns(options->pid);
    edge.at_ns = now_ns();
    return edge;
}

static void print_result(const struct options *options, const struct edge *from,
                         const struct edge *to, uint64_t n_failed)
{
    double gigabytes = (double)(to->bytes - from->bytes) / 1e9;
    double seconds = (double)(to->at_ns - from->at_ns) / 1e9;
    double cpu_s = (double)(to->cpu_ns - from->cpu_ns) / 1e9;
    struct proc_sample watched = proc_read(options->pid);
    printf("{\"gb_per_s\": %.4f, \"cpu_s_per_gb\": %.5f, \"gb\": %.4f, \"s\": %.4f, "
           "\"failed\": %llu, \"watched\": ",
           gigabytes / seconds, gigabytes > 0 ? cpu_s / gigabytes : 0, gigabytes, seconds,
           (unsigned long long)n_failed);
    proc_print(stdout, &watched);
    puts("}");
}

static void run(const struct options *options, bool up)
{
    /* The tag tells this run's bytes from what a slow proxy still sends of an earlier one. */
    struct bulk bulk = {.up = up, .tag = (uint64_t)now_ns(), .pattern_fd = pattern_file()};
    char line[32];
    snprintf(line, sizeof line, "%s %llu\n", up ? "up" : "down",
             up ? (unsigned long long)bulk.tag : 0);
    struct fleet fleet = {.line = line, .opened = bulk_opened, .served = bulk_served, .own = &bulk};
    fleet_init(&fleet, &options->path, options->n);
    bulk.offsets = calloc(options->n, sizeof *bulk.offsets);
    if (bulk.offsets == NULL)
        die("out of memory");
    if (!fleet_open_all(&fleet, PATIENCE_NS))
        die("%zu of %zu connections opened", fleet.n_open, options->n);
    fleet_run(&fleet, now_ns() + options->warm_ns);
    struct edge from = edge_now(options, &bulk);
    fleet_run(&fleet, now_ns() + options->measure_ns);
    struct edge to = edge_now(options, &bulk);
    print_result(options, &from, &to, fleet.n_failed);
    fleet_deinit(&fleet);
    free(bulk.offsets);
    close(bulk.pattern_fd);
}

void load_down(const struct options *options)
{
    run(options, false);
}

void load_up(const struct options *options)
{
    run(options, true);
}
