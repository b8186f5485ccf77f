/* The status as one JSON object (RFC 8259) on one line. */
#ifndef SOCKEYE_ADMIN_STATUS_JSON_H
#define SOCKEYE_ADMIN_STATUS_JSON_H

#include <stdio.h>

#include "admin/status_users.h"
#include "daemon/status.h"

/* Prints it; `sum` is what the workers' counters add up to. Errors are the stream's. */
void admin_print_json(FILE *out, const struct status *status, const struct counters *sum,
                      const struct status_users *users);

/* Prints it in its quotes; what of `text` is no UTF-8 becomes U+FFFD. */
void admin_print_json_string(FILE *out, const char *text);

#endif
