/*
 * What the resolver knows and what it is asking for: a hash table of entries, one for each name and
 * family. An entry is made when its question is asked, and either kept with its answer or dropped.
 * Of those kept there are at most `max_kept`: the one not used for the longest makes room.
 */
#ifndef SOCKEYE_IO_DNS_CACHE_H
#define SOCKEYE_IO_DNS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"
#include "io/dns_channel.h"

enum dns_entry_state {
    DNS_ENTRY_ASKED,    /* the question is out */
    DNS_ENTRY_ANSWERED, /* an answer is there, which may mean to ask in the next domain */
    DNS_ENTRY_FINISHED, /* nobody has been told yet */
    DNS_ENTRY_KEPT,
};

struct dns_entry {
    struct dns_entry *next_in_bucket;
    struct list link; /* among those in the same state */
    enum dns_entry_state state;
    uint64_t hash;

    struct list waiters; /* struct lookup */
    struct dns_query query;
    unsigned n_candidates; /* names asked for so far, of those that the search list makes */
    bool try_next;         /* the last of them is not there: ask for the next, if there is one */

    enum err err; /* the answer */
    struct addr *addrs;
    size_t n_addrs;
    uint32_t keep_s;     /* for how long it may be kept; 0: not at all */
    uint64_t expires_ms; /* of a kept one */

    bool is_lent; /* its addresses are in use: dropping it waits for dns_cache_give_back() */
    bool is_dropped;
    uint8_t family;
    char name[];
};

struct dns_cache {
    struct dns_entry **buckets;
    size_t n_buckets, n_entries;
    struct list kept; /* the longest unused first */
    size_t n_kept, max_kept;
    uint64_t seed; /* so that nobody outside can choose names that meet in one bucket */
};

NODISCARD enum err dns_cache_init(struct dns_cache *cache, size_t max_kept);
void dns_cache_deinit(struct dns_cache *cache); /* frees every entry, in whatever state */

/* NULL: there is none. */
struct dns_entry *dns_cache_find(struct dns_cache *cache, const char *name,
                                 enum addr_family family);
/* Adds an entry for what has none; in no list. NULL: out of memory. */
struct dns_entry *dns_cache_add(struct dns_cache *cache, const char *name, enum addr_family family);
/* Keeps an entry that is in no list, and drops others where they are too many. */
void dns_cache_keep(struct dns_cache *cache, struct dns_entry *entry);
/* A kept entry was used. */
void dns_cache_touch(struct dns_cache *cache, struct dns_entry *entry);
/* Takes an entry out and frees it; one that is lent, as soon as it is given back. */
void dns_cache_drop(struct dns_cache *cache, struct dns_entry *entry);
void dns_cache_give_back(struct dns_entry *entry);
/* Drops all that is kept. */
void dns_cache_flush(struct dns_cache *cache);

#endif
