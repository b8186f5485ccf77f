#include "route/ranges.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NO_RULE UINT32_MAX

/* While the table is made: where pieces begin, and what each got. */
struct pieces {
    uint8_t (*starts)[RANGES_MAX_KEY_BYTES];
    uint32_t *rules;
    uint32_t *next; /* towards the next piece without a rule */
    size_t n;
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, RANGES_MAX_KEY_BYTES);
}

/* The key after `to`; false: there is none. */
static bool key_after(uint8_t out[static RANGES_MAX_KEY_BYTES], const uint8_t *to, size_t key_bytes)
{
    memcpy(out, to, RANGES_MAX_KEY_BYTES);
    for (size_t i = key_bytes; i > 0; i--) {
        if (++out[i - 1] != 0)
            return true;
    }
    return false;
}

static void pieces_cut(struct pieces *pieces, size_t key_bytes, const struct range *items, size_t n)
{
    size_t n_keys = 0, n_different = 0;

    for (size_t i = 0; i < n; i++) {
        memcpy(pieces->starts[n_keys++], items[i].from, RANGES_MAX_KEY_BYTES);
        if (key_after(pieces->starts[n_keys], items[i].to, key_bytes))
            n_keys++;
    }
    qsort(pieces->starts, n_keys, sizeof *pieces->starts, compare_keys);
    for (size_t i = 0; i < n_keys; i++) {
        if (i == 0 || compare_keys(pieces->starts[i], pieces->starts[n_different - 1]) != 0)
            memmove(pieces->starts[n_different++], pieces->starts[i], sizeof *pieces->starts);
    }
    pieces->n = n_different;
}

/* The first piece from `i` on that has no rule. Paths are halved on the way, which keeps them short. */
static size_t free_piece(const struct pieces *pieces, size_t i)
{
    while (pieces->next[i] != i) {
        pieces->next[i] = pieces->next[pieces->next[i]];
        i = pieces->next[i];
    }
    return i;
}

static size_t piece_at(const struct pieces *pieces, const uint8_t key[static RANGES_MAX_KEY_BYTES])
{
    const uint8_t(*found)[RANGES_MAX_KEY_BYTES] =
        bsearch(key, pieces->starts, pieces->n, sizeof *pieces->starts, compare_keys);
    return (size_t)(found - (const uint8_t(*)[RANGES_MAX_KEY_BYTES])pieces->starts);
}

/* Who comes first gets a piece. */
static void pieces_give(struct pieces *pieces, size_t key_bytes, const struct range *items,
                        size_t n)
{
    uint8_t after[RANGES_MAX_KEY_BYTES];

    for (size_t i = 0; i <= pieces->n; i++)
        pieces->next[i] = (uint32_t)i;
    memset(pieces->rules, 0xff, pieces->n * sizeof *pieces->rules);
    for (size_t k = 0; k < n; k++) {
        size_t end = key_after(after, items[k].to, key_bytes) ? piece_at(pieces, after) : pieces->n;
        size_t i = free_piece(pieces, piece_at(pieces, items[k].from));
        for (; i < end; i = free_piece(pieces, i)) {
            pieces->rules[i] = items[k].rule;
            pieces->next[i] = (uint32_t)i + 1;
        }
    }
}

static bool is_like_before(const struct pieces *pieces, size_t i)
{
    return i > 0 && pieces->rules[i] == pieces->rules[i - 1];
}

static enum err keep_pieces(struct ranges *ranges, const struct pieces *pieces)
{
    size_t n = 0;

    for (size_t i = 0; i < pieces->n; i++)
        n += !is_like_before(pieces, i);
    ranges->starts = malloc(n * ranges->key_bytes);
    ranges->rules = malloc(n * sizeof *ranges->rules);
    if (ranges->starts == NULL || ranges->rules == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < pieces->n; i++) {
        if (is_like_before(pieces, i))
            continue;
        memcpy(ranges->starts + ranges->n * ranges->key_bytes, pieces->starts[i],
               ranges->key_bytes);
        ranges->rules[ranges->n++] = pieces->rules[i];
    }
    return ERR_NONE;
}

static enum err cut_and_keep(struct ranges *ranges, struct pieces *pieces,
                             const struct range *items, size_t n)
{
    pieces->starts = calloc(2 * n, sizeof *pieces->starts);
    pieces->rules = calloc(2 * n, sizeof *pieces->rules);
    pieces->next = calloc(2 * n + 1, sizeof *pieces->next);
    if (pieces->starts == NULL || pieces->rules == NULL || pieces->next == NULL)
        return ERR_MEMORY;
    pieces_cut(pieces, ranges->key_bytes, items, n);
    pieces_give(pieces, ranges->key_bytes, items, n);
    return keep_pieces(ranges, pieces);
}

enum err ranges_init(struct ranges *ranges, size_t key_bytes, const struct range *items, size_t n)
{
    struct pieces pieces = {0};
    enum err err;

    *ranges = (struct ranges){.key_bytes = key_bytes, .earliest = NO_RULE};
    if (n == 0)
        return ERR_NONE;
    ranges->earliest = items[0].rule;
    err = cut_and_keep(ranges, &pieces, items, n);
    free(pieces.starts);
    free(pieces.rules);
    free(pieces.next);
    if (err != ERR_NONE)
        ranges_deinit(ranges);
    return err;
}

void ranges_deinit(struct ranges *ranges)
{
    free(ranges->starts);
    free(ranges->rules);
    *ranges = (struct ranges){.earliest = NO_RULE};
}

uint32_t ranges_find(const struct ranges *ranges, const uint8_t *key, uint32_t best)
{
    size_t low = 0, high = ranges->n;

    if (ranges->earliest >= best)
        return best;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(ranges->starts + middle * ranges->key_bytes, key, ranges->key_bytes) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && ranges->rules[low - 1] < best ? ranges->rules[low - 1] : best;
}
