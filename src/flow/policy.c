#include "flow/policy.h"

#include "flow/inbound.h"
#include "flow/outbound.h"
#include "flow/ruleset.h"
#include "io/socket.h"

static bool is_never_a_target(const struct inbound *inbound, const struct addr *to)
{
    return addr_is_unspecified(to) || addr_is_multicast(to) || addr_is_link_local(to) ||
           (inbound->denies_loopback && addr_is_loopback(to));
}

/* A wildcard listener stands for every address that this machine has now, and 0.0.0.0 as a target
 * for this machine. Asking costs a socket, but only where the port is one of ours. */
static bool is_listened_on(const struct ruleset *ruleset, const struct addr *to)
{
    bool may_be = false;
    for (size_t i = 0; i < ruleset->n_listening; i++) {
        const struct addr *own = &ruleset->listening[i];
        if (own->port != to->port || own->family != to->family)
            continue;
        if (addr_equal(own, to, false) || addr_is_unspecified(to))
            return true;
        if (addr_is_unspecified(own))
            may_be = true;
    }
    return may_be && sock_addr_is_ours(to);
}

bool policy_allows(const struct inbound *inbound, const struct user_rights *rights,
                   const struct addr *target)
{
    struct addr to = *target;
    addr_unmap(&to);
    bool is_own = is_listened_on(inbound->ruleset, &to);
    if (rights != NULL && target_rules_name(&rights->allow_targets, &to, is_own))
        return true;
    if (rights != NULL && target_rules_name(&rights->deny_targets, &to, false))
        return false;
    if (is_own)
        return target_rules_name(&inbound->allow_targets, &to, true);
    if (is_never_a_target(inbound, &to) || target_rules_name(&inbound->deny_targets, &to, false))
        return target_rules_name(&inbound->allow_targets, &to, false);
    return true;
}

enum err policy_judge_sent_on(const struct opening *opening)
{
    const struct addr *addr = &opening->target.addr;
    if (opening->target.name_bytes > 0)
        return ERR_NONE;
    if (addr->scope != 0)
        return ERR_ADDRESS_TYPE;
    bool is_allowed =
        opening->is_configured || policy_allows(opening->inbound, opening->rights, addr);
    return is_allowed ? ERR_NONE : ERR_DENIED;
}
