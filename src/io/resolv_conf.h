/*
 * resolv.conf(5): whom to ask, in which domains short names are looked for, and how patiently.
 *
 * Parsed here and not by c-ares, which (1.18) takes neither `timeout:` nor `attempts:`, and when it
 * cannot read the file for want of memory or descriptors silently asks 127.0.0.1 for ever after.
 */
#ifndef SOCKEYE_IO_RESOLV_CONF_H
#define SOCKEYE_IO_RESOLV_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define RESOLV_CONF_MAX_SERVERS 16
#define RESOLV_CONF_MAX_DOMAINS 16
#define RESOLV_CONF_DOMAIN_BYTES 1024 /* all domains and their zeros */

struct resolv_conf {
    struct addr servers[RESOLV_CONF_MAX_SERVERS]; /* port 0 */
    size_t n_servers;
    uint16_t domain_at[RESOLV_CONF_MAX_DOMAINS]; /* where in domain_text each begins */
    size_t n_domains;
    bool has_domains;    /* there was a `search` or `domain`, even if it named none */
    unsigned ndots;      /* a name with so many dots is asked as it is first */
    unsigned timeout_ms; /* of the first try */
    unsigned n_attempts;
    bool rotate;  /* ask the servers in turn */
    bool use_tcp; /* `use-vc` */
    char domain_text[RESOLV_CONF_DOMAIN_BYTES];
};

/* Never fails: what it does not understand is passed over. */
void resolv_conf_parse(struct resolv_conf *conf, const char *text, size_t n);

/* As `domain NAME` would: what the system does where the file has neither `search` nor `domain`. */
void resolv_conf_set_domain(struct resolv_conf *conf, const char *name);

/* A domain to look in, zero terminated, without a final dot. */
static inline const char *resolv_conf_domain(const struct resolv_conf *conf, size_t i)
{
    return conf->domain_text + conf->domain_at[i];
}

#endif
