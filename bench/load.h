/*
 * The load generator's modes. Each makes its connections, measures for a time, and prints one
 * line of JSON on stdout.
 */
#ifndef SOCKEYE_BENCH_LOAD_H
#define SOCKEYE_BENCH_LOAD_H

#include "client.h"
#include "proc.h"

struct options {
    struct path path;
    size_t n;           /* connections */
    int64_t warm_ns;    /* runs before the measured time */
    int64_t measure_ns; /* the measured time; idle: how long to hold */
    pid_t pid;          /* of the proxy, 0: none to be watched */
};

/* How long all connections of a mode may take to open, and any answer to come. */
#define PATIENCE_NS ((int64_t)20 * 1000000000)

/* Bulk: GB/s, and the processor time of the watched process for each GB. */
void load_down(const struct options *options);
void load_up(const struct options *options);

/* Connections that ask, get SHORT_ANSWER_BYTES and close, n at a time. */
void load_short(const struct options *options);

/* Round trips of 64 bytes on n connections at a time: p50, p99. */
void load_rtt(const struct options *options);

/* Opens n connections, uses each once, holds them and closes them; the watched process before,
 * held, after the time, and afterwards. */
void load_idle(const struct options *options);

/* The four closing orders, one connection each. */
void load_closes(const struct options *options);

#endif
