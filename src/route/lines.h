/* The lines of a DOMAIN-SET: what counts of each (route/route.h says what does not). */
#ifndef SOCKEYE_ROUTE_LINES_H
#define SOCKEYE_ROUTE_LINES_H

#include <stdbool.h>

#include "wire/slice.h"

/* Takes the next domain from the beginning of *rest; false: there is none left. What is longer than
 * any name can be is passed over. */
bool lines_next(struct slice *rest, struct slice *domain);

#endif
