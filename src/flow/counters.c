#include "flow/counters.h"

#include <assert.h>
#include <stddef.h>

static const char *const end_texts[] = {
    [FLOW_END_CLOSED] = "closed", [FLOW_END_RESET] = "reset",
    [FLOW_END_IDLE] = "idle",     [FLOW_END_REFUSED] = "refused",
    [FLOW_END_DENIED] = "denied", [FLOW_END_UNREACHABLE] = "unreachable",
    [FLOW_END_LOOKUP] = "lookup", [FLOW_END_TIMEOUT] = "timeout",
    [FLOW_END_LIMIT] = "limit",   [FLOW_END_SHUTDOWN] = "shutdown",
    [FLOW_END_ERROR] = "error",
};

static_assert(sizeof end_texts / sizeof end_texts[0] == N_FLOW_ENDS, "an end without a text");

static const char *const refusal_texts[] = {
    [REFUSAL_CONNECTIONS] = "connections",
    [REFUSAL_PER_CLIENT] = "per_client",
    [REFUSAL_CLIENT] = "client",
    [REFUSAL_DESCRIPTORS] = "descriptors",
    [REFUSAL_MEMORY] = "memory",
    [REFUSAL_LOGIN] = "login",
    [REFUSAL_UNVERIFIED] = "unverified",
    [REFUSAL_HANDSHAKE] = "handshake",
    [REFUSAL_PORTS] = "ports",
    [REFUSAL_FLIGHT] = "flight",
};

static_assert(sizeof refusal_texts / sizeof refusal_texts[0] == N_REFUSALS,
              "a refusal without a text");

static const char *const drop_texts[] = {
    [DROP_FOREIGN] = "foreign", [DROP_MALFORMED] = "malformed", [DROP_DENIED] = "denied",
    [DROP_LOOKUP] = "lookup",   [DROP_UNSERVED] = "unserved",   [DROP_FULL] = "full",
    [DROP_UNSENT] = "unsent",   [DROP_OVERRUN] = "overrun",
};

static_assert(sizeof drop_texts / sizeof drop_texts[0] == N_DROPS, "a drop without a text");

const char *flow_end_text(enum flow_end end)
{
    return (unsigned)end < N_FLOW_ENDS ? end_texts[end] : "error";
}

const char *refusal_text(enum refusal refusal)
{
    return (unsigned)refusal < N_REFUSALS ? refusal_texts[refusal] : "unknown";
}

const char *drop_text(enum drop drop)
{
    return (unsigned)drop < N_DROPS ? drop_texts[drop] : "unknown";
}

void counters_add(struct counters *sum, const struct counters *more)
{
    sum->accepted += more->accepted;
    sum->flows_now += more->flows_now;
    sum->flows_total += more->flows_total;
    sum->bytes_up += more->bytes_up;
    sum->bytes_down += more->bytes_down;
    for (size_t i = 0; i < N_FLOW_ENDS; i++)
        sum->ended[i] += more->ended[i];
    for (size_t i = 0; i < N_REFUSALS; i++)
        sum->refused[i] += more->refused[i];
    sum->associations_now += more->associations_now;
    sum->datagrams_up += more->datagrams_up;
    sum->datagrams_down += more->datagrams_down;
    for (size_t i = 0; i < N_DROPS; i++)
        sum->dropped[i] += more->dropped[i];
    sum->strangers_now += more->strangers_now;
    sum->strangers_silenced += more->strangers_silenced;
    sum->strangers_evicted += more->strangers_evicted;
}
