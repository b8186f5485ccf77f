/*
 * How much an end may send on a carrier (doc/protocol.md, section 8: most up, most down), the headers of packets included, as both
 * count them. Inside peer/ only.
 */
#ifndef SOCKEYE_PEER_BUDGET_H
#define SOCKEYE_PEER_BUDGET_H

#include <stddef.h>
#include <stdint.h>

struct budget {
    uint64_t most; /* 0: any number */
    uint64_t used;
};

enum { BUDGET_PACKET_BYTES = 1400, BUDGET_HEADER_BYTES = 60 };

static inline uint64_t budget_cost(size_t n)
{
    return n + (n + BUDGET_PACKET_BYTES - 1) / BUDGET_PACKET_BYTES * BUDGET_HEADER_BYTES;
}

/* A flight or record of n bytes goes out, or has come. */
static inline void budget_use(struct budget *budget, size_t n)
{
    budget->used += budget_cost(n);
}

/* How many bytes a record may have, if one of `reserved` shall fit behind it. */
static inline uint64_t budget_room(const struct budget *budget, size_t reserved)
{
    if (budget->most == 0)
        return UINT64_MAX;
    uint64_t taken = budget->used + budget_cost(reserved) + BUDGET_HEADER_BYTES;
    if (taken >= budget->most)
        return 0;
    return (budget->most - taken) * BUDGET_PACKET_BYTES /
           (BUDGET_PACKET_BYTES + BUDGET_HEADER_BYTES);
}

#endif
