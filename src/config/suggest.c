#include "config/suggest.h"

#include <stdbool.h>
#include <string.h>

/* Longer words get no suggestion, which bounds the work. */
#define MAX_WORD_BYTES 48

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* DIRECT is likely meant for direct. */
static bool is_same(char a, char b)
{
    bool is_letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';

    return a == b || (is_letter && (a ^ b) == 0x20);
}

/*
 * How many insertions, deletions, substitutions and swaps of neighbours turn a into b (the
 * restricted distance: no part is edited twice). Row i of the usual matrix is rows[i % 3].
 */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][MAX_WORD_BYTES + 1];

    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *second = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] =
                min(min(above[j], row[j - 1]) + 1, above[j - 1] + !is_same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min(row[j], second[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

void suggest_offer(struct suggest *suggest, const char *known)
{
    size_t n_given = strlen(suggest->given);
    size_t n_known = strlen(known);
    size_t longer = n_given > n_known ? n_given : n_known;

    if (longer > MAX_WORD_BYTES)
        return;
    size_t d = distance(suggest->given, n_given, known, n_known);
    if ((d > 2 && d > longer / 3) || d * 2 > longer)
        return;
    if (suggest->best == NULL || d < suggest->best_distance) {
        suggest->best = known;
        suggest->best_distance = d;
    }
}
