#include "session/ranges.h"

#include <stdlib.h>
#include <string.h>

/* There are more places than the second only while an eighth of them is in use. */
enum { MIN_CAP = 8, SMALL_CAP = 64, SHARE = 8 };

/* The first range that ends at or behind the offset. */
static uint32_t find(const struct ranges *ranges, uint64_t offset)
{
    uint32_t low = ranges->first, high = ranges->end;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges->all[middle].to < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct range *ranges_behind(const struct ranges *ranges, uint64_t offset)
{
    uint32_t at = find(ranges, offset);

    if (at < ranges->end && ranges->all[at].to == offset)
        at++;
    return at < ranges->end ? &ranges->all[at] : NULL;
}

/* Room for one more range behind the last: those that hold are moved to the beginning before any memory is asked for. */
static enum err make_room(struct ranges *ranges)
{
    if (ranges->n_in_all != NULL && *ranges->n_in_all >= RANGES_MAX)
        return ERR_MEMORY;
    if (ranges->end < ranges->cap)
        return ERR_NONE;
    uint32_t n = ranges->end - ranges->first;
    if (n > ranges->cap / 2 || ranges->cap == 0) {
        uint32_t cap = ranges->cap == 0 ? MIN_CAP : 2 * ranges->cap;
        struct range *all = realloc(ranges->all, cap * sizeof *all);
        if (all == NULL)
            return ERR_MEMORY;
        ranges->all = all;
        ranges->cap = cap;
    }
    memmove(ranges->all, ranges->all + ranges->first, n * sizeof *ranges->all);
    ranges->first = 0;
    ranges->end = n;
    return ERR_NONE;
}

static void count(const struct ranges *ranges, size_t n)
{
    if (ranges->n_in_all != NULL)
        *ranges->n_in_all += n;
}

static void uncount(const struct ranges *ranges, size_t n)
{
    if (ranges->n_in_all != NULL)
        *ranges->n_in_all -= n;
}

static void insert(struct ranges *ranges, uint32_t at, struct range range)
{
    memmove(ranges->all + at + 1, ranges->all + at, (ranges->end - at) * sizeof range);
    ranges->all[at] = range;
    ranges->end++;
    count(ranges, 1);
}

static void shrink(struct ranges *ranges)
{
    uint32_t n = ranges->end - ranges->first, cap = ranges->cap;

    while (cap > SMALL_CAP && n < cap / SHARE)
        cap /= 2;
    if (cap == ranges->cap)
        return;
    memmove(ranges->all, ranges->all + ranges->first, n * sizeof *ranges->all);
    ranges->first = 0;
    ranges->end = n;
    struct range *all = realloc(ranges->all, cap * sizeof *all);
    if (all == NULL)
        return;
    ranges->all = all;
    ranges->cap = cap;
}

static void erase(struct ranges *ranges, uint32_t from, uint32_t to)
{
    uncount(ranges, to - from);
    if (from == ranges->first) {
        ranges->first = to;
    } else {
        memmove(ranges->all + from, ranges->all + to, (ranges->end - to) * sizeof *ranges->all);
        ranges->end -= to - from;
    }
    if (ranges_is_empty(ranges))
        ranges_free(ranges);
    else
        shrink(ranges);
}

enum err ranges_add(struct ranges *ranges, uint64_t from, uint64_t to)
{
    if (from >= to)
        return ERR_NONE;
    if (make_room(ranges) != ERR_NONE)
        return ERR_MEMORY;
    uint32_t at = find(ranges, from);
    if (at == ranges->end || ranges->all[at].from > to) {
        insert(ranges, at, (struct range){from, to});
        return ERR_NONE;
    }
    struct range *joined = &ranges->all[at];
    if (from < joined->from)
        joined->from = from;
    uint32_t next = at + 1;
    while (next < ranges->end && ranges->all[next].from <= to) {
        joined->to = ranges->all[next].to;
        next++;
    }
    if (to > joined->to)
        joined->to = to;
    if (next > at + 1)
        erase(ranges, at + 1, next);
    return ERR_NONE;
}

enum err ranges_remove(struct ranges *ranges, uint64_t from, uint64_t to)
{
    if (from >= to || ranges_is_empty(ranges))
        return ERR_NONE;
    uint32_t at = find(ranges, from);
    if (at < ranges->end && ranges->all[at].from < from && ranges->all[at].to > to) {
        size_t place = at - ranges->first;
        if (make_room(ranges) != ERR_NONE)
            return ERR_MEMORY;
        at = ranges->first + (uint32_t)place;
        insert(ranges, at, (struct range){ranges->all[at].from, from});
        ranges->all[at + 1].from = to;
        return ERR_NONE;
    }
    if (at < ranges->end && ranges->all[at].from < from) {
        ranges->all[at].to = ranges->all[at].to < from ? ranges->all[at].to : from;
        at++;
    }
    uint32_t next = at;
    while (next < ranges->end && ranges->all[next].to <= to)
        next++;
    if (next < ranges->end && ranges->all[next].from < to)
        ranges->all[next].from = to;
    if (next > at)
        erase(ranges, at, next);
    return ERR_NONE;
}

void ranges_remove_below(struct ranges *ranges, uint64_t offset)
{
    uint32_t at = ranges->first;

    while (at < ranges->end && ranges->all[at].to <= offset)
        at++;
    if (at < ranges->end && ranges->all[at].from < offset)
        ranges->all[at].from = offset;
    if (at > ranges->first)
        erase(ranges, ranges->first, at);
}

void ranges_free(struct ranges *ranges)
{
    uncount(ranges, ranges->end - ranges->first);
    free(ranges->all);
    *ranges = (struct ranges){.n_in_all = ranges->n_in_all};
}
