/*
 * From texts to the earliest rule that has each: an open-addressing hash table with linear probing
 * over one blob, which a text takes its own length, 6 bytes and about 11 of the table.
 *
 *     slots:  hash's tag | offset       blob:  rule, exact? | length | text
 *
 * A text is hashed from its last byte to its first, so that one pass over a name gives the hashes of
 * all its suffixes. It is filled in three steps: every text is counted, room is reserved, every
 * text is added.
 */
#ifndef SOCKEYE_ROUTE_NAMES_H
#define SOCKEYE_ROUTE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/slice.h"

#define NAMES_MAX_TEXT_BYTES UINT16_MAX
#define NAMES_MAX_RULES ((size_t)1 << 31)

struct names {
    uint64_t seed, multiplier; /* odd */
    struct name_slot *slots;
    uint8_t *blob;
    size_t n_slots, n_names;
    size_t n_blob;       /* while counting: needed; then: filled */
    uint32_t earliest;   /* of its rules; UINT32_MAX: it has none */
    uint32_t longest;    /* text, in bytes */
    uint64_t lengths[4]; /* bit n: there are texts of n bytes, n < 256 */
};

/* Lists may come from strangers; a seed that they cannot foretell, and a multiplier out of it, keep
 * them from choosing names that collide. */
void names_init(struct names *names, uint64_t seed);
void names_deinit(struct names *names);

void names_count(struct names *names, size_t n_text);
/* ERR_MEMORY; ERR_TOO_LONG: more than offsets can tell. */
NODISCARD enum err names_reserve(struct names *names);
/* Adds a counted text; rules are added in their order. `exact`: it does not stand for what is under it. */
void names_add(struct names *names, struct slice text, uint32_t rule, bool exact);

/* These return the earliest rule that matches, or `best` if that is earlier or none does. */
uint32_t names_find(const struct names *names, struct slice text, uint32_t best);
/* The text itself and, at each dot, what is behind it, which an exact one does not match. At most 255 bytes. */
uint32_t names_find_domain(const struct names *names, struct slice name, uint32_t best);
/* Any part of the name that is among the texts. */
uint32_t names_find_within(const struct names *names, struct slice name, uint32_t best);

#endif
