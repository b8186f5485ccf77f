/* How many descriptors, and so connections, the process may have. */
#ifndef SOCKEYE_DAEMON_RLIMIT_H
#define SOCKEYE_DAEMON_RLIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raises the soft limit of descriptors to the hard one, and returns what holds then. */
uint64_t rlimit_raise_descriptors(void);

/* How many connections so many descriptors allow: two each, beside what the program itself
 * needs. */
uint64_t rlimit_connections(uint64_t descriptors, uint64_t own);

#define RLIMIT_WARNING_BYTES 256

/*
 * Whether the limit is low: too low for `limits.connections` (0: none is set), or for what a proxy
 * should serve. If so, `text` has a line for the log that names the number it allows.
 */
bool rlimit_is_low(uint64_t descriptors, uint64_t own, uint64_t connections,
                   char text[static RLIMIT_WARNING_BYTES]);

#endif
