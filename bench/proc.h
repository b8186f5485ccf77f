/*
 * What a process and all its descendants use, read from /proc. It tells the cost of a proxy that
 * is one thread, one that is many, and one that is many processes in the same words.
 */
#ifndef SOCKEYE_BENCH_PROC_H
#define SOCKEYE_BENCH_PROC_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct proc_sample {
    int64_t cpu_ns;      /* user and system time, of threads and children that have ended too */
    uint64_t n_switches; /* voluntary context switches of the threads that live: wake-ups */
    uint64_t rss_kib;
    uint64_t pss_kib; /* a page shared by n processes counts 1/n in each */
    unsigned n_fds;
    unsigned n_processes;
    unsigned n_threads;
};

/* Only the processor time: cheap enough for the edges of a measured second. */
int64_t proc_cpu_ns(pid_t root);

/* All of it. Ends the program where root does not exist. */
struct proc_sample proc_read(pid_t root);

/* Prints it as a JSON object. */
void proc_print(FILE *out, const struct proc_sample *sample);

#endif
