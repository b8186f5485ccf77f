/*
 * A hash table with linear probing in memory that may be a file's. Each insertion also visits a few places and removes what is over
 * there, so that nobody has to sweep it and no insertion takes long.
 *
 * The process may be killed at any instruction, and the next one takes the memory up: an entry counts by its flight's time, which is stored
 * last when it comes and first when it goes. One that moves is there twice for a moment, which does no harm.
 *
 * Entries are of times and not of when they are over, as W may change while they are there, and inbounds that have the key may each have their
 * own: the longest counts. Where it has grown, or the wall clock jumps ahead and back again, entries have been removed whose flights would
 * pass the check of their time once more. So the latest time of all that was removed is kept, and what is dated at or below it is refused.
 */
#include "link/replay.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/siphash.h"

#define MAGIC UINT64_C(0x736f636b65796532) /* of this layout */
#define N_SHARES 1024
#define SWEPT_AT_INSERTION 8
#define SWEPT_WHEN_FULL 4096

struct entry {
    _Atomic(uint64_t) flight_ms; /* its time; 0: nothing is here */
    uint8_t salt[REPLAY_SALT_BYTES];
    uint64_t share; /* whose it is; N_SHARES: nobody's */
};

struct replay_set {
    uint64_t magic;
    uint8_t binding[REPLAY_BINDING_BYTES];
    uint64_t n_places; /* a power of two */
    atomic_flag lock;
    _Atomic(uint64_t) high_ms;
    uint64_t low_water_ms, forgotten_ms;
    uint64_t window_ms; /* how long an entry is kept */
    uint64_t n_entries, next_swept;
    /* Users are counted by the hash of their tags: two that have the same share have it together. */
    uint32_t n_of_share[N_SHARES];
    struct entry places[];
};

static_assert(sizeof(struct entry) == 32, "the size of a file follows from it");

static size_t places_for(size_t n_salts)
{
    size_t n_places = 4;
    while (n_places / 4 * 3 < n_salts)
        n_places *= 2;
    return n_places;
}

size_t replay_set_bytes(size_t n_salts)
{
    return sizeof(struct replay_set) + places_for(n_salts) * sizeof(struct entry);
}

static uint64_t capacity(const struct replay_set *set)
{
    return set->n_places / 4 * 3;
}

static size_t mask_of(const struct replay_set *set)
{
    return (size_t)set->n_places - 1;
}

/* The binding holds the key's and the boot's, so nobody who chooses salts can make them collide. */
static uint64_t hash(const struct replay_set *set, const uint8_t *bytes, size_t n)
{
    return siphash64(set->binding, bytes, n);
}

static size_t home_of(const struct replay_set *set, const uint8_t *salt)
{
    return (size_t)hash(set, salt, REPLAY_SALT_BYTES) & mask_of(set);
}

static size_t next_place(const struct replay_set *set, size_t place)
{
    return (place + 1) & mask_of(set);
}

static bool is_taken(const struct entry *entry)
{
    return entry->flight_ms != 0;
}

static bool is_over(const struct replay_set *set, const struct entry *entry, uint64_t now_ms)
{
    return entry->flight_ms + set->window_ms < now_ms;
}

static void put(struct entry *entry, const uint8_t *salt, uint64_t share, uint64_t flight_ms)
{
    memcpy(entry->salt, salt, REPLAY_SALT_BYTES);
    entry->share = share;
    entry->flight_ms = flight_ms;
}

/* Removes the entry, and closes the gap: each entry behind it that could not be found beyond an empty
 * place moves into that. */
static void remove_entry(struct replay_set *set, size_t place)
{
    struct entry *places = set->places;
    if (places[place].flight_ms > set->forgotten_ms)
        set->forgotten_ms = places[place].flight_ms;
    if (places[place].share < N_SHARES)
        set->n_of_share[places[place].share]--;
    set->n_entries--;
    places[place].flight_ms = 0;
    for (size_t at = next_place(set, place); is_taken(&places[at]); at = next_place(set, at)) {
        size_t mask = mask_of(set), home = home_of(set, places[at].salt);
        /* From home to here there are fewer steps than from the gap: it must stay. */
        if (((at - home) & mask) < ((at - place) & mask))
            continue;
        put(&places[place], places[at].salt, places[at].share, places[at].flight_ms);
        places[at].flight_ms = 0;
        place = at;
    }
}

static void sweep(struct replay_set *set, size_t n, uint64_t now_ms)
{
    for (size_t i = 0; i < n && i < set->n_places; i++) {
        size_t at = (size_t)set->next_swept & mask_of(set);
        struct entry *entry = &set->places[at];
        /* Behind one that was removed another may stand in its place. */
        if (is_taken(entry) && is_over(set, entry, now_ms))
            remove_entry(set, at);
        else
            set->next_swept = next_place(set, at);
    }
}

/* Where the salt is, or the empty place where it belongs. */
static struct entry *find(struct replay_set *set, const uint8_t *salt)
{
    size_t place = home_of(set, salt);
    while (is_taken(&set->places[place]) &&
           memcmp(set->places[place].salt, salt, REPLAY_SALT_BYTES) != 0)
        place = next_place(set, place);
    return &set->places[place];
}

static bool is_full(const struct replay_set *set, uint64_t share)
{
    return set->n_entries >= capacity(set) ||
           (share < N_SHARES && set->n_of_share[share] >= capacity(set) / 4);
}

static enum replay_answer insert(struct replay_set *set, const uint8_t *salt, uint64_t share,
                                 uint64_t flight_ms, uint64_t window_ms, uint64_t now_ms)
{
    struct entry *same = find(set, salt);
    if (window_ms > set->window_ms)
        set->window_ms = window_ms;
    if (is_taken(same) && !is_over(set, same, now_ms))
        return REPLAY_SEEN;
    if (is_taken(same))
        remove_entry(set, (size_t)(same - set->places));
    sweep(set, SWEPT_AT_INSERTION, now_ms);
    if (flight_ms <= set->low_water_ms || flight_ms <= set->forgotten_ms)
        return REPLAY_OLD;
    if (is_full(set, share))
        sweep(set, SWEPT_WHEN_FULL, now_ms);
    if (is_full(set, share))
        return REPLAY_FULL;
    put(find(set, salt), salt, share, flight_ms);
    set->n_entries++;
    if (share < N_SHARES)
        set->n_of_share[share]++;
    if (flight_ms > set->high_ms)
        set->high_ms = flight_ms;
    return REPLAY_NEW;
}

enum replay_answer replay_set_insert(struct replay_set *set,
                                     const uint8_t salt[static REPLAY_SALT_BYTES],
                                     const uint8_t *user, uint64_t flight_ms, uint64_t window_ms,
                                     uint64_t now_ms)
{
    uint64_t share = user != NULL ? hash(set, user, REPLAY_USER_BYTES) % N_SHARES : N_SHARES;
    /* Held for less than a microsecond as a rule, and by one flight at a time. */
    while (atomic_flag_test_and_set_explicit(&set->lock, memory_order_acquire))
        ;
    enum replay_answer answer = insert(set, salt, share, flight_ms, window_ms, now_ms);
    atomic_flag_clear_explicit(&set->lock, memory_order_release);
    return answer;
}

/* An entry that is not found where it is stands behind a gap, or is there twice: it goes where it belongs. */
static bool settle(struct replay_set *set, struct entry *entry)
{
    struct entry *right = find(set, entry->salt);
    if (right == entry)
        return false;
    if (!is_taken(right))
        put(right, entry->salt, entry->share, entry->flight_ms);
    entry->flight_ms = 0;
    return true;
}

static void count(struct replay_set *set)
{
    memset(set->n_of_share, 0, sizeof set->n_of_share);
    set->n_entries = 0;
    for (size_t i = 0; i < set->n_places; i++) {
        const struct entry *entry = &set->places[i];
        if (!is_taken(entry))
            continue;
        set->n_entries++;
        if (entry->share < N_SHARES)
            set->n_of_share[entry->share]++;
    }
}

/* Mends what a process has left that was killed: wrong counts, a gap, an entry that is there twice. False: it is damaged. */
static bool take_up(struct replay_set *set)
{
    count(set);
    if (set->n_entries > capacity(set) + 1)
        return false;
    /* Whoever moves leaves a gap, but is nearer to its home: this ends. */
    for (bool is_settled = false; !is_settled;) {
        is_settled = true;
        for (size_t i = 0; i < set->n_places; i++) {
            if (is_taken(&set->places[i]) && settle(set, &set->places[i]))
                is_settled = false;
        }
    }
    count(set);
    set->next_swept = 0;
    set->window_ms = 0; /* of who has it now */
    return true;
}

static bool holds(const struct replay_set *set, size_t n_places, const uint8_t *binding)
{
    return set->magic == MAGIC && set->n_places == n_places &&
           memcmp(set->binding, binding, REPLAY_BINDING_BYTES) == 0;
}

struct replay_set *replay_set_open(void *memory, size_t n_bytes,
                                   const uint8_t binding[static REPLAY_BINDING_BYTES],
                                   uint64_t low_water_ms, bool *is_taken_up)
{
    struct replay_set *set = memory;
    size_t n_places = (n_bytes - sizeof *set) / sizeof(struct entry);
    assert(n_bytes > sizeof *set && (n_places & (n_places - 1)) == 0);
    *is_taken_up = holds(set, n_places, binding) && take_up(set);
    if (!*is_taken_up) {
        memset(memory, 0, n_bytes);
        memcpy(set->binding, binding, REPLAY_BINDING_BYTES);
        set->n_places = n_places;
        set->magic = MAGIC;
    }
    atomic_flag_clear(&set->lock);
    set->low_water_ms = low_water_ms;
    return set;
}

uint64_t replay_set_high_ms(const struct replay_set *set)
{
    return set->high_ms;
}
