#include "base/access.h"

bool cidr_list_contains(const struct cidr_list *list, const struct addr *addr)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cidr_contains(&list->items[i], addr))
            return true;
    }
    return false;
}

bool access_client(const struct cidr_list *allow, const struct cidr_list *deny,
                   const struct addr *from)
{
    if (cidr_list_contains(deny, from))
        return false;
    return allow->n == 0 || cidr_list_contains(allow, from);
}

bool target_rules_name(const struct target_rule_list *rules, const struct addr *to,
                       bool only_with_port)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct target_rule *rule = &rules->items[i];
        if (only_with_port && !rule->has_port)
            continue;
        if (to->port >= rule->port_from && to->port <= rule->port_to &&
            cidr_contains(&rule->cidr, to))
            return true;
    }
    return false;
}
