/*
 * One direction of an emulated line: a queue in front of a bottleneck, then a way that takes time.
 *
 *   packet -> frozen? lost? -> queue (bytes) -> bottleneck (bits/s) -> delay -> deliverable
 *                 |                 |                                    |
 *               dropped         overflowed                      now and then longer:
 *                                                             later packets overtake it
 *
 * It knows no clock and no socket: the time is an argument. A packet's time of delivery is decided
 * when it comes in, so what is changed holds for packets from then on; freezing alone also takes
 * those that are under way, as a network that is gone does.
 */
#ifndef SOCKEYE_TESTS_LINE_H
#define SOCKEYE_TESTS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line_options {
    int64_t delay_ns;
    double bits_per_s; /* 0: no bottleneck */
    double queue_bytes;
    double loss;    /* the share of packets that is lost */
    double reorder; /* the share of packets that takes reorder_ns longer */
    int64_t reorder_ns;
    bool frozen; /* everything is dropped */
};

struct line_counts {
    uint64_t received; /* packets that came in; each is one of those below, or under way */
    uint64_t delivered;
    uint64_t bytes; /* of the delivered ones */
    uint64_t lost;
    uint64_t overflowed;
    uint64_t frozen;
    uint64_t reordered; /* of the delivered ones, or under way */
};

struct packet {
    struct packet *earlier, *later;
    int64_t deliver_at_ns;
    size_t len;
    uint8_t bytes[];
};

struct line {
    struct line_options options;
    struct line_counts counts;
    int64_t free_at_ns; /* when the bottleneck has sent what waits for it */
    uint64_t random;    /* the generator's state, never 0 */
    struct packet *first, *last;
};

void line_init(struct line *line, uint64_t seed);

/* A packet comes in at that time; it is copied. False where memory is out. */
bool line_take(struct line *line, int64_t now_ns, const void *bytes, size_t len);

/* When line_give() next has something; INT64_MAX: not until a packet comes in. */
int64_t line_deadline(const struct line *line);

/* The next packet that is due, for the caller to free; NULL where there is none. */
struct packet *line_give(struct line *line, int64_t now_ns);

#endif
