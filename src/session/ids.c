#include "session/ids.h"

#include <stdlib.h>

enum { WORD_BITS = 64 };

static uint64_t *word_of(const struct ids *ids, uint64_t number)
{
    return &ids->bits[number % IDS_PLACES / WORD_BITS];
}

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << number % WORD_BITS;
}

bool ids_has(const struct ids *ids, uint64_t number)
{
    if (number < ids->low)
        return true;
    return ids->bits != NULL && number - ids->low < IDS_PLACES &&
           (*word_of(ids, number) & bit_of(number)) != 0;
}

/* Moves the mark over what has come above it. */
static void close_gap(struct ids *ids)
{
    while (ids->n_gaps > 0 && (*word_of(ids, ids->low) & bit_of(ids->low)) != 0) {
        *word_of(ids, ids->low) &= ~bit_of(ids->low);
        ids->low++;
        ids->n_gaps--;
    }
    if (ids->n_gaps == 0)
        ids_deinit(ids);
}

enum err ids_add(struct ids *ids, uint64_t number)
{
    if (ids_has(ids, number))
        return ERR_AGAIN;
    if (number - ids->low >= IDS_PLACES)
        return ERR_BAD;
    if (number == ids->low) {
        ids->low++;
        close_gap(ids);
        return ERR_NONE;
    }
    if (ids->bits == NULL)
        ids->bits = calloc(IDS_PLACES / WORD_BITS, sizeof *ids->bits);
    if (ids->bits == NULL)
        return ERR_MEMORY;
    *word_of(ids, number) |= bit_of(number);
    ids->n_gaps++;
    return ERR_NONE;
}

void ids_deinit(struct ids *ids)
{
    free(ids->bits);
    ids->bits = NULL;
}
