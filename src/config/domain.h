/* Domains as rules have them: letters, digits, "-" and "_", in labels (RFC 1035 section 2.3.1,
 * with the underscore that people use). */
#ifndef SOCKEYE_CONFIG_DOMAIN_H
#define SOCKEYE_CONFIG_DOMAIN_H

#include <stddef.h>

#define DOMAIN_MAX_BYTES 253

/* Takes away what may stand around a domain that everything under it belongs to: a leading ".",
 * "*." or "+.", and a final dot. */
void domain_strip(char **text, size_t *n);

/* Checks n bytes and makes their letters small. Returns NULL, or what is wrong, such as "is not
 * ASCII". */
const char *domain_lower(char *text, size_t n);

/* The same of n bytes that may be any part of a domain. */
const char *domain_lower_part(char *text, size_t n);

#endif
