/*
 * Idle connections. Each is used for one round trip first, so that it is a relayed connection
 * and not one in its handshake, and then nothing happens on it.
 */
#include "load.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

/* A proxy may tidy up a little later than its last byte. */
#define SETTLE_NS ((int64_t)1500 * 1000000)

/* How long the watched process may take to close its side. */
#define CLOSE_NS ((int64_t)5 * 1000000000)

static const char message[] = "once";

struct hold {
    size_t n_used; /* clients whose round trip is done */
};

static void hold_opened(struct fleet *fleet, struct client *client)
{
    if (!send_all(client->fd, message, sizeof message))
        fleet_fail(fleet, client);
}

static void hold_served(struct fleet *fleet, struct client *client, uint32_t events)
{
    struct hold *hold = fleet->own;
    char bytes[sizeof message];
    if ((events & (EPOLLIN | EPOLLERR)) == 0)
        return;
    ssize_t n = recv(client->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n == sizeof message && memcmp(bytes, message, sizeof message) == 0)
        hold->n_used++;
    else
        fleet_fail(fleet, client);
}

static void sleep_ns(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&time, NULL);
}

/* Until the process has as many descriptors as before, or the time for it is over. */
static struct proc_sample await_closed(pid_t pid, unsigned n_fds_before)
{
    int64_t until_ns = now_ns() + CLOSE_NS;
    struct proc_sample sample;
    do {
        sleep_ns(SETTLE_NS);
        sample = proc_read(pid);
    } while (pid > 0 && sample.n_fds > n_fds_before && now_ns() < until_ns);
    return sample;
}

static void print_phase(const char *name, const struct proc_sample *sample)
{
    printf(", \"%s\": ", name);
    proc_print(stdout, sample);
}

void load_idle(const struct options *options)
{
    struct hold hold = {0};
    struct fleet fleet = {
        .line = "echo\n", .opened = hold_opened, .served = hold_served, .own = &hold};
    fleet_init(&fleet, &options->path, options->n);
    struct proc_sample before = proc_read(options->pid);
    fleet_open_all(&fleet, PATIENCE_NS);
    int64_t until_ns = now_ns() + PATIENCE_NS;
    while (hold.n_used < fleet.n_open && fleet.n_failed == 0 && now_ns() < until_ns)
        fleet_turn(&fleet, until_ns);
    if (hold.n_used < options->n)
        die("%zu of %zu connections opened and used", hold.n_used, options->n);
    fprintf(stderr, "load: holding %zu\n", hold.n_used);
    fleet_run(&fleet, now_ns() + SETTLE_NS);
    struct proc_sample held = proc_read(options->pid);
    fleet_run(&fleet, now_ns() + options->measure_ns);
    struct proc_sample later = proc_read(options->pid);
    printf("{\"n\": %zu, \"failed\": %llu", options->n, (unsigned long long)fleet.n_failed);
    for (size_t i = 0; i < fleet.n_clients; i++)
        if (fleet.clients[i].step != CLIENT_UNUSED)
            fleet_close(&fleet, &fleet.clients[i]);
    struct proc_sample after = await_closed(options->pid, before.n_fds);
    print_phase("before", &before);
    print_phase("held", &held);
    print_phase("later", &later);
    print_phase("after", &after);
    puts("}");
    fleet_deinit(&fleet);
}
