#include "io/dns_cache.h"

#include <stdlib.h>
#include <string.h>

#include "io/sys.h"

#define FIRST_BUCKETS 64 /* a power of two */

enum err dns_cache_init(struct dns_cache *cache, size_t max_kept)
{
    *cache = (struct dns_cache){.max_kept = max_kept};
    list_init(&cache->kept);
    if (sys_random(&cache->seed, sizeof cache->seed) != ERR_NONE)
        return ERR_SYSTEM;
    cache->buckets = calloc(FIRST_BUCKETS, sizeof(struct dns_entry *));
    if (cache->buckets == NULL)
        return ERR_MEMORY;
    cache->n_buckets = FIRST_BUCKETS;
    return ERR_NONE;
}

static void free_entry(struct dns_entry *entry)
{
    free(entry->addrs);
    free(entry);
}

void dns_cache_deinit(struct dns_cache *cache)
{
    for (size_t i = 0; i < cache->n_buckets; i++) {
        while (cache->buckets[i] != NULL) {
            struct dns_entry *entry = cache->buckets[i];
            cache->buckets[i] = entry->next_in_bucket;
            free_entry(entry);
        }
    }
    free(cache->buckets);
    *cache = (struct dns_cache){0};
}

static uint64_t hash_of(const struct dns_cache *cache, const char *name, enum addr_family family)
{
    /* FNV-1a from a secret start, mixed at the end, as the low bits choose the bucket. */
    uint64_t hash = cache->seed ^ (uint64_t)family;
    for (const char *p = name; *p != '\0'; p++)
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    return hash ^ hash >> 33;
}

static struct dns_entry **bucket_of(struct dns_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->n_buckets - 1)];
}

struct dns_entry *dns_cache_find(struct dns_cache *cache, const char *name, enum addr_family family)
{
    uint64_t hash = hash_of(cache, name, family);
    struct dns_entry *entry = *bucket_of(cache, hash);
    while (entry != NULL && (entry->hash != hash || entry->family != (uint8_t)family ||
                             strcmp(entry->name, name) != 0))
        entry = entry->next_in_bucket;
    return entry;
}

/* Doubles the buckets when there are more entries; where memory is short the chains grow instead. */
static void make_room(struct dns_cache *cache)
{
    if (cache->n_entries < cache->n_buckets)
        return;
    size_t n_old = cache->n_buckets;
    struct dns_entry **old = cache->buckets;
    struct dns_entry **buckets = calloc(n_old * 2, sizeof(struct dns_entry *));
    if (buckets == NULL)
        return;
    cache->buckets = buckets;
    cache->n_buckets = n_old * 2;
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct dns_entry *entry = old[i];
            old[i] = entry->next_in_bucket;
            struct dns_entry **bucket = bucket_of(cache, entry->hash);
            entry->next_in_bucket = *bucket;
            *bucket = entry;
        }
    }
    free(old);
}

struct dns_entry *dns_cache_add(struct dns_cache *cache, const char *name, enum addr_family family)
{
    size_t n_name = strlen(name);
    struct dns_entry *entry = calloc(1, sizeof *entry + n_name + 1);
    if (entry == NULL)
        return NULL;
    make_room(cache);
    memcpy(entry->name, name, n_name + 1);
    entry->family = (uint8_t)family;
    entry->hash = hash_of(cache, name, family);
    list_init(&entry->link);
    list_init(&entry->waiters);
    struct dns_entry **bucket = bucket_of(cache, entry->hash);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    cache->n_entries++;
    return entry;
}

void dns_cache_drop(struct dns_cache *cache, struct dns_entry *entry)
{
    struct dns_entry **at = bucket_of(cache, entry->hash);
    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    cache->n_entries--;
    list_remove(&entry->link);
    if (entry->state == DNS_ENTRY_KEPT)
        cache->n_kept--;
    entry->is_dropped = true;
    if (!entry->is_lent)
        free_entry(entry);
}

void dns_cache_give_back(struct dns_entry *entry)
{
    entry->is_lent = false;
    if (entry->is_dropped)
        free_entry(entry);
}

void dns_cache_keep(struct dns_cache *cache, struct dns_entry *entry)
{
    while (cache->n_kept >= cache->max_kept)
        dns_cache_drop(cache, CONTAINER_OF(cache->kept.next, struct dns_entry, link));
    entry->state = DNS_ENTRY_KEPT;
    list_append(&cache->kept, &entry->link);
    cache->n_kept++;
}

void dns_cache_touch(struct dns_cache *cache, struct dns_entry *entry)
{
    list_remove(&entry->link);
    list_append(&cache->kept, &entry->link);
}

void dns_cache_flush(struct dns_cache *cache)
{
    struct list *next;
    for (struct list *at = cache->kept.next; at != &cache->kept; at = next) {
        next = at->next;
        dns_cache_drop(cache, CONTAINER_OF(at, struct dns_entry, link));
    }
}
