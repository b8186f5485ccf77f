/*
 * Rates: short connections and round trips, so many at a time, each begun as soon as the one
 * before it has ended. What ends within the measured time counts.
 */
#include "load.h"

#include "origin_conn.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MESSAGE_BYTES 64
#define MAX_SAMPLES (1 << 22)
#define MAX_FAILED 1000

struct rate {
    bool over; /* no new exchange begins */
    uint64_t n_done;
    size_t n_samples;
    uint32_t *samples_ns; /* how long each exchange took */
};

static const char message[MESSAGE_BYTES] = "a round trip";

static void note_exchange(struct rate *rate, const struct client *client)
{
    rate->n_done++;
    if (rate->n_samples < MAX_SAMPLES)
        rate->samples_ns[rate->n_samples++] = (uint32_t)(now_ns() - client->since_ns);
}

static void short_open(struct fleet *fleet, struct client *client)
{
    const struct rate *rate = fleet->own;
    if (rate->over || fleet->n_failed > MAX_FAILED)
        return;
    fleet_open(fleet, client);
    client->since_ns = now_ns();
}

static void short_opened(struct fleet *fleet, struct client *client)
{
    (void)fleet;
    (void)client;
}

/* Reads on to the fin, which the event tells of when it is there already. */
static void short_served(struct fleet *fleet, struct client *client, uint32_t events)
{
    uint8_t bytes[SHORT_ANSWER_BYTES * 2];
    ssize_t n;
    if ((events & (EPOLLIN | EPOLLERR)) == 0)
        return;
    do {
        n = recv(client->fd, bytes, sizeof bytes, 0);
        if (n > 0 && !pattern_matches(bytes, (size_t)n, client->n_got))
            n = -1;
        if (n > 0)
            client->n_got += (size_t)n;
    } while (n > 0 && (events & EPOLLRDHUP));
    if (n > 0 || (n < 0 && errno == EAGAIN))
        return;
    if (n < 0 || client->n_got != SHORT_ANSWER_BYTES) {
        fleet_fail(fleet, client);
        return;
    }
    note_exchange(fleet->own, client);
    fleet_close(fleet, client);
    short_open(fleet, client);
}

static void rtt_begin(struct fleet *fleet, struct client *client)
{
    const struct rate *rate = fleet->own;
    if (rate->over)
        return;
    client->n_got = 0;
    client->since_ns = now_ns();
    if (!send_all(client->fd, message, sizeof message))
        fleet_fail(fleet, client);
}

static void rtt_served(struct fleet *fleet, struct client *client, uint32_t events)
{
    char bytes[MESSAGE_BYTES];
    if ((events & (EPOLLIN | EPOLLERR)) == 0)
        return;
    ssize_t n = recv(client->fd, bytes, sizeof bytes - client->n_got, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || memcmp(bytes, message + client->n_got, (size_t)n) != 0) {
        fleet_fail(fleet, client);
        return;
    }
    client->n_got += (size_t)n;
    if (client->n_got < sizeof message)
        return;
    note_exchange(fleet->own, client);
    rtt_begin(fleet, client);
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double percentile_us(const struct rate *rate, size_t percent)
{
    if (rate->n_samples == 0)
        return 0;
    size_t rank = (rate->n_samples - 1) * percent / 100;
    return rate->samples_ns[rank] / 1e3;
}

static void measure(const struct options *options, struct fleet *fleet)
{
    struct rate *rate = fleet->own;
    fleet_run(fleet, now_ns() + options->warm_ns);
    rate->n_done = rate->n_samples = 0;
    int64_t cpu_ns = proc_cpu_ns(options->pid), from_ns = now_ns();
    fleet_run(fleet, from_ns + options->measure_ns);
    cpu_ns = proc_cpu_ns(options->pid) - cpu_ns;
    int64_t took_ns = now_ns() - from_ns;
    double n = rate->n_done > 0 ? (double)rate->n_done : 1;
    struct proc_sample watched = proc_read(options->pid);
    qsort(rate->samples_ns, rate->n_samples, sizeof *rate->samples_ns, compare_samples);
    printf("{\"per_s\": %.1f, \"cpu_us_each\": %.3f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"n\": %llu, \"s\": %.4f, \"failed\": %llu, \"watched\": ",
           (double)rate->n_done * 1e9 / (double)took_ns, (double)cpu_ns / 1e3 / n,
           percentile_us(rate, 50), percentile_us(rate, 99), (unsigned long long)rate->n_done,
           (double)took_ns / 1e9, (unsigned long long)fleet->n_failed);
    proc_print(stdout, &watched);
    puts("}");
    rate->over = true;
}

static void rate_init(struct rate *rate)
{
    *rate = (struct rate){.samples_ns = malloc(MAX_SAMPLES * sizeof(uint32_t))};
    if (rate->samples_ns == NULL)
        die("out of memory");
}

/* Those under way at the end are let finish: they belong to the proxy's ordinary work. */
void load_short(const struct options *options)
{
    struct rate rate;
    struct fleet fleet = {.line = "short ..................................................\n",
                          .opened = short_opened,
                          .served = short_served,
                          .failed = short_open,
                          .own = &rate};
    rate_init(&rate);
    fleet_init(&fleet, &options->path, options->n);
    for (size_t i = 0; i < options->n; i++)
        short_open(&fleet, &fleet.clients[i]);
    measure(options, &fleet);
    int64_t until_ns = now_ns() + 1000000000;
    while (fleet.n_open + fleet.n_opening > 0 && now_ns() < until_ns)
        fleet_turn(&fleet, until_ns);
    fleet_deinit(&fleet);
    free(rate.samples_ns);
}

void load_rtt(const struct options *options)
{
    struct rate rate;
    struct fleet fleet = {
        .line = "echo\n", .opened = rtt_begin, .served = rtt_served, .own = &rate};
    rate_init(&rate);
    fleet_init(&fleet, &options->path, options->n);
    if (!fleet_open_all(&fleet, PATIENCE_NS))
        die("%zu of %zu connections opened", fleet.n_open, options->n);
    measure(options, &fleet);
    fleet_deinit(&fleet);
    free(rate.samples_ns);
}
