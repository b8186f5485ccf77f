/* The status as text: for a person, on one screen, or as JSON. */
#ifndef SOCKEYE_ADMIN_STATUS_TEXT_H
#define SOCKEYE_ADMIN_STATUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "daemon/status.h"

/* Makes the text; *out is owned, zero terminated after its *n bytes, and ends with a newline.
 * ERR_MEMORY. */
NODISCARD enum err admin_status_format(const struct status *status, bool json, char **out,
                                       size_t *n);

#endif
