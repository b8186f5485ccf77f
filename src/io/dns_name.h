/* Names as DNS wants them, and which names stand for one by the search list. */
#ifndef SOCKEYE_IO_DNS_NAME_H
#define SOCKEYE_IO_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "io/resolv_conf.h"

struct dns_name {
    char text[HOST_NAME_MAX_BYTES + 1]; /* in lower case, without a final dot */
    char key[HOST_NAME_MAX_BYTES + 1];  /* with it: then the name is not searched for */
};

/* False: nobody can have such a name (empty labels, too long, blanks, controls, a backslash). */
bool dns_name_set(struct dns_name *out, const char *text);

/* Whether a name (without a final dot) is the domain or below it. */
bool dns_name_is_in(const char *name, const char *domain);

/* A name, a dot and a domain, and a zero. */
#define DNS_CANDIDATE_BYTES (HOST_NAME_MAX_BYTES + 1 + RESOLV_CONF_DOMAIN_BYTES + 1)

/* Writes the ith name to ask for where `key` is looked up; false: there are fewer. One that is too
 * long for DNS is written too. */
bool dns_name_candidate(char out[static DNS_CANDIDATE_BYTES], const char *key,
                        const struct resolv_conf *conf, size_t i);

#endif
