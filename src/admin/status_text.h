/* The status as text: for a person, on one screen, as JSON, or as lines for `top`. */
#ifndef SOCKEYE_ADMIN_STATUS_TEXT_H
#define SOCKEYE_ADMIN_STATUS_TEXT_H

#include <stddef.h>

#include "base/err.h"
#include "daemon/status.h"

enum status_form { STATUS_TEXT, STATUS_JSON, STATUS_LINES };

/* Makes the text; *out is owned, zero terminated after its *n bytes, and ends with a newline.
 * ERR_MEMORY. */
NODISCARD enum err admin_status_format(const struct status *status, enum status_form form,
                                       char **out, size_t *n);

#endif
