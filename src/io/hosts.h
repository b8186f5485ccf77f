/*
 * /etc/hosts (hosts(5)) as a table. Lines that are none are passed over, as everybody does.
 */
#ifndef SOCKEYE_IO_HOSTS_H
#define SOCKEYE_IO_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"

#define HOSTS_MAX_ADDRS 32 /* of one family for one name; further ones are dropped */

struct hosts;

/* Returns owned. The text is copied. ERR_MEMORY is the only error. */
NODISCARD enum err hosts_parse(struct hosts **out, const char *text, size_t n);
void hosts_free(struct hosts *hosts);

/*
 * Whether the file has the name (in lower case, without a final dot) at all. Where it has, the
 * name's addresses of `family` are lent in *addrs, in the file's order without duplicates, port 0;
 * *n_addrs is 0 where it has the name in the other family only. NULL is an empty table.
 */
bool hosts_find(const struct hosts *hosts, const char *name, enum addr_family family,
                const struct addr **addrs, size_t *n_addrs);

#endif
