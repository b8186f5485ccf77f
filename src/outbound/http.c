/* HTTP as an upstream speaks it: CONNECT, its answers of 1xx stepped over, then the bytes of the
 * target. */
#include <string.h>

#include "base/secret.h"
#include "outbound/upstream.h"
#include "wire/http1.h"
#include "wire/http1_connect.h"

static enum err begin(struct upstream *upstream)
{
    const struct upstream_server *server = &upstream->outbound->server;
    const struct target *target = &upstream->opening->target;
    char head[HTTP1_CONNECT_MAX_BYTES];
    size_t n;
    if (server->username == NULL) {
        n = http1_write_connect(head, target, NULL, NULL);
    } else {
        struct slice user = {.at = server->username, .n = strlen(server->username)};
        struct slice password = {.at = server->password, .n = strlen(server->password)};
        n = http1_write_connect(head, target, &user, &password);
    }
    enum err err = upstream_send(upstream, head, n);
    secret_wipe(head, n);
    return err;
}

static enum upstream_step advance(struct upstream *upstream, const uint8_t *bytes, size_t n,
                                  size_t *used, enum err *why)
{
    (void)upstream;
    struct http1_head head;
    enum err err = http1_parse_response(bytes, n, &head, used);
    if (err == ERR_MORE)
        return UPSTREAM_MORE;
    /* 101 changes to a protocol that nobody asked for. */
    if (err == ERR_NONE && head.status < 200 && head.status != 101)
        return UPSTREAM_NEXT;
    *why = err == ERR_NONE ? http1_connect_err(head.status) : ERR_BAD;
    return *why == ERR_NONE ? UPSTREAM_OPEN : UPSTREAM_REFUSED;
}

static const struct upstream_protocol protocol = {.begin = begin, .advance = advance};

static const struct outbound_ops ops = {
    .open = upstream_open,
    .home = upstream_home,
    .is_suspended = upstream_is_suspended,
    .cancel = upstream_cancel,
};

struct outbound *outbound_http_new(const char *name, const struct upstream_server *server)
{
    return upstream_new(&ops, &protocol, name, server);
}
