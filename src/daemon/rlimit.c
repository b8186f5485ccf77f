#include "daemon/rlimit.h"

#include <stdio.h>
#include <sys/resource.h>

/* Fewer connections than a browser-ful of users opens deserve a word. */
#define FEW_CONNECTIONS 4096

uint64_t rlimit_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024; /* what every system has at least */
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return raised.rlim_cur;
    return limit.rlim_cur;
}

uint64_t rlimit_connections(uint64_t descriptors, uint64_t own)
{
    uint64_t n = descriptors <= own ? 0 : (descriptors - own) / 2;
    /* A limit that has hardly room for our own descriptors still serves a few. */
    return n > descriptors / 8 ? n : descriptors / 8;
}

bool rlimit_is_low(uint64_t descriptors, uint64_t own, uint64_t connections,
                   char text[static RLIMIT_WARNING_BYTES])
{
    uint64_t allowed = rlimit_connections(descriptors, own);
    if (connections > 0 && allowed < connections) {
        snprintf(text, RLIMIT_WARNING_BYTES,
                 "the descriptor limit of %llu allows %llu connections, and limits.connections is "
                 "%llu: raise it (ulimit -n, LimitNOFILE=)",
                 (unsigned long long)descriptors, (unsigned long long)allowed,
                 (unsigned long long)connections);
        return true;
    }
    /* Whoever wants few connections anyway needs no advice. */
    if (connections == 0 && allowed < FEW_CONNECTIONS) {
        snprintf(text, RLIMIT_WARNING_BYTES,
                 "the descriptor limit of %llu allows only %llu connections: raise it (ulimit -n, "
                 "LimitNOFILE=)",
                 (unsigned long long)descriptors, (unsigned long long)allowed);
        return true;
    }
    return false;
}
