/* What `sockeye top` shows, as text: a pure function of two answers of the status socket. */
#ifndef SOCKEYE_CLI_TOP_VIEW_H
#define SOCKEYE_CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "admin/status_lines.h"

enum top_order { TOP_BY_RATE, TOP_BY_NAME, TOP_BY_STREAMS, TOP_BY_ROUND_TRIP, TOP_BY_LOSSES };

struct top_view {
    unsigned width, height; /* of the screen; 0: no bound */
    enum top_order order;
    bool hides_links;
    const char *trouble; /* why there is no newer answer; NULL: there is one */
};

/*
 * Prints lines of at most `width` columns, `height` of them at most. `before` is the answer of `us` microseconds ago, by which rates are
 * told; NULL: there was none. ERR_MEMORY.
 */
NODISCARD enum err top_view_print(FILE *out, const struct top_view *view,
                                  const struct status_lines *now, const struct status_lines *before,
                                  uint64_t us);

#endif
