#include "base/err.h"

#include <assert.h>

static const char *const texts[] = {
    [ERR_NONE] = "no error",
    [ERR_AGAIN] = "not ready",
    [ERR_MORE] = "more input needed",
    [ERR_EOF] = "end of stream",
    [ERR_BAD] = "malformed",
    [ERR_VERSION] = "unknown version",
    [ERR_TOO_LONG] = "too long",
    [ERR_COMMAND] = "command not supported",
    [ERR_ADDRESS_TYPE] = "address type not supported",
    [ERR_SCHEME] = "URL scheme not supported",
    [ERR_AUTH] = "authentication failed",
    [ERR_DENIED] = "denied by the rules of this proxy",
    [ERR_LOOKUP] = "name does not resolve",
    [ERR_NET_UNREACH] = "network unreachable",
    [ERR_HOST_UNREACH] = "host unreachable",
    [ERR_REFUSED] = "connection refused",
    [ERR_TTL_EXPIRED] = "time to live expired",
    [ERR_UPSTREAM] = "upstream proxy failed",
    [ERR_TUNNEL] = "tunnel down",
    [ERR_TIMEOUT] = "timed out",
    [ERR_RESET] = "connection reset",
    [ERR_LIMIT] = "limit reached",
    [ERR_MEMORY] = "out of memory",
    [ERR_DESCRIPTORS] = "out of descriptors",
    [ERR_PORTS] = "out of local ports",
    [ERR_IN_USE] = "address already in use",
    [ERR_PERMITTED] = "operation not permitted",
    [ERR_NOT_FOUND] = "not found",
    [ERR_SYSTEM] = "system error",
};

static_assert(sizeof texts / sizeof texts[0] == N_ERRS, "an error without a text");

const char *err_text(enum err err)
{
    return (unsigned)err < N_ERRS ? texts[err] : "unknown error";
}
