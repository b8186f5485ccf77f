/* UTF-8 (RFC 3629) as far as a configuration needs it. */
#ifndef SOCKEYE_CONFIG_UTF8_H
#define SOCKEYE_CONFIG_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the first character of n >= 1 bytes. Returns its length, 1 to 4, or 0: not UTF-8. */
size_t utf8_decode(uint32_t *out, const char *text, size_t n);

/* Whether YAML lets the character stand in a file as it is (YAML 1.1 section 5.1), which leaves
 * out most control characters. */
bool utf8_is_printable(uint32_t character);

#endif
