/* "Did you mean": the known word nearest to one that is not known. */
#ifndef SOCKEYE_CONFIG_SUGGEST_H
#define SOCKEYE_CONFIG_SUGGEST_H

#include <stddef.h>

struct suggest {
    const char *given;
    const char *best; /* the nearest word offered so far; NULL: none is near */
    size_t best_distance;
};

static inline struct suggest suggest_for(const char *given)
{
    return (struct suggest){.given = given};
}

/* Offers a word, which is borrowed. Near is a Damerau-Levenshtein distance of two or of a third of
 * the longer word, yet at most half of it; capitals count as small letters. */
void suggest_offer(struct suggest *suggest, const char *known);

#endif
