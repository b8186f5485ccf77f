/*
 * Who may connect and what may be reached: rules over addresses, as data. An address is judged
 * unmapped (base/addr.h).
 */
#ifndef SOCKEYE_BASE_ACCESS_H
#define SOCKEYE_BASE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* An entry of allow_targets or deny_targets. */
struct target_rule {
    struct cidr cidr;
    uint16_t port_from, port_to; /* 0 and 65535 where the entry names none */
    bool has_port;
};

struct cidr_list {
    const struct cidr *items;
    size_t n;
};

struct target_rule_list {
    const struct target_rule *items;
    size_t n;
};

bool cidr_list_contains(const struct cidr_list *list, const struct addr *addr);

/* Denied wins over allowed; an empty `allow` allows all. */
bool access_client(const struct cidr_list *allow, const struct cidr_list *deny,
                   const struct addr *from);

/* Whether an entry names the address and port; with only_with_port, entries without one do not count. */
bool target_rules_name(const struct target_rule_list *rules, const struct addr *to,
                       bool only_with_port);

#endif
