/*
 * SOCKS as an upstream speaks it:
 *
 *     SOCKS5   METHOD --none--> REQUEST --granted--> open
 *                    '--password--> LOGIN --right--> REQUEST
 *     SOCKS4a  REQUEST --granted--> open
 *     BIND     REQUEST --granted--> PEER --granted--> open
 *     UDP      REQUEST --granted--> datagrams to and from the address that the answer names
 *
 * Which of the two it speaks is found out by asking: a server that closes at SOCKS5's greeting, answers
 * it as SOCKS4 does or says nothing at all is asked again by SOCKS4a, unless a login is set, which
 * SOCKS4 cannot carry. What a server has answered by is remembered until it no longer does.
 */
#include <string.h>

#include "base/secret.h"
#include "outbound/socks_udp.h"
#include "outbound/upstream.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

/* A SOCKS4 server may wait for more bytes than SOCKS5's greeting has. */
#define GUESS_MS 3000

enum phase { PHASE_METHOD, PHASE_LOGIN, PHASE_REQUEST, PHASE_PEER };

enum dialect { DIALECT_UNKNOWN = 0, DIALECT_SOCKS4, DIALECT_SOCKS5 };

/* What both dialects answer to a request. */
struct answer {
    enum err err;
    struct addr bound;
};

static bool has_login(const struct upstream *upstream)
{
    return upstream->outbound->server.username != NULL;
}

static enum err send_request4(struct upstream *upstream)
{
    uint8_t bytes[SOCKS4_REQUEST_MAX_BYTES];
    size_t n;
    bool is_bind = upstream->command == REQUEST_BIND;
    if (upstream->command == REQUEST_ASSOCIATE)
        return ERR_COMMAND;
    enum err err = socks4_write_request(bytes, &n, is_bind ? SOCKS4_BIND : SOCKS4_CONNECT,
                                        &upstream->opening->target);
    return err == ERR_NONE ? upstream_send(upstream, bytes, n) : err;
}

static enum err send_greeting(struct upstream *upstream)
{
    uint8_t bytes[SOCKS5_OFFER_BYTES];
    size_t n = socks5_write_greeting(bytes, has_login(upstream));
    return upstream_send(upstream, bytes, n);
}

static enum err send_login(struct upstream *upstream)
{
    const struct upstream_server *server = &upstream->outbound->server;
    struct slice user = {.at = server->username, .n = strlen(server->username)};
    struct slice password = {.at = server->password, .n = strlen(server->password)};
    uint8_t bytes[SOCKS5_LOGIN_MAX_BYTES];
    size_t n = socks5_write_login(bytes, user, password);
    enum err err = upstream_send(upstream, bytes, n);
    secret_wipe(bytes, n);
    return err;
}

static enum socks5_command command_of(const struct upstream *upstream)
{
    if (upstream->command == REQUEST_BIND)
        return SOCKS5_BIND;
    return upstream->command == REQUEST_ASSOCIATE ? SOCKS5_UDP_ASSOCIATE : SOCKS5_CONNECT;
}

/* Of UDP ASSOCIATE the target is where our datagrams will come from: not known yet. */
static enum err send_request5(struct upstream *upstream)
{
    uint8_t bytes[SOCKS5_REQUEST_MAX_BYTES];
    size_t n = socks5_write_request(bytes, command_of(upstream), &upstream->opening->target);
    return upstream_send(upstream, bytes, n);
}

static bool fits_socks4(const struct upstream *upstream)
{
    const struct target *target = &upstream->opening->target;
    bool has_address = target->name_bytes > 0 || target->addr.family == ADDR_V4;
    return has_address && upstream->command != REQUEST_ASSOCIATE;
}

static enum err begin(struct upstream *upstream)
{
    uint8_t known = atomic_load(&upstream->outbound->dialect);
    /* Many servers speak both: what SOCKS4 cannot ask for is worth a try. */
    if (known == DIALECT_SOCKS4 && !fits_socks4(upstream))
        known = DIALECT_UNKNOWN;
    if (!upstream->has_turned) {
        upstream->is_guess = known == DIALECT_UNKNOWN && !has_login(upstream);
        upstream->dialect = known == DIALECT_SOCKS4 ? DIALECT_SOCKS4 : DIALECT_SOCKS5;
        upstream->patience_ms = upstream->is_guess ? GUESS_MS : 0;
    }
    bool is_socks4 = upstream->dialect == DIALECT_SOCKS4;
    upstream->phase = is_socks4 ? PHASE_REQUEST : PHASE_METHOD;
    return is_socks4 ? send_request4(upstream) : send_greeting(upstream);
}

/* Only what comes in place of a first answer says that it is not the right dialect. */
static bool turn(struct upstream *upstream)
{
    uint8_t spoken = upstream->dialect;
    bool is_first = upstream->phase == (spoken == DIALECT_SOCKS4 ? PHASE_REQUEST : PHASE_METHOD);
    if (!is_first)
        return false;
    atomic_compare_exchange_strong(&upstream->outbound->dialect, &spoken, DIALECT_UNKNOWN);
    upstream->dialect = DIALECT_SOCKS4;
    return upstream->is_guess;
}

static enum upstream_step next(struct upstream *upstream, enum phase phase, enum err sent,
                               enum err *why)
{
    upstream->phase = (uint8_t)phase;
    *why = sent;
    return sent == ERR_NONE ? UPSTREAM_NEXT : UPSTREAM_REFUSED;
}

static enum upstream_step on_method(struct upstream *upstream, uint8_t method, enum err *why)
{
    atomic_store(&upstream->outbound->dialect, DIALECT_SOCKS5);
    if (method == SOCKS5_METHOD_NONE)
        return next(upstream, PHASE_REQUEST, send_request5(upstream), why);
    if (method == SOCKS5_METHOD_PASSWORD && has_login(upstream))
        return next(upstream, PHASE_LOGIN, send_login(upstream), why);
    *why = ERR_AUTH;
    return UPSTREAM_REFUSED;
}

/* The server's socket for a peer or for datagrams: by zeros it says that the address is its own. */
static void fill_in(struct upstream *upstream, struct addr *bound)
{
    const struct outbound *via = upstream->outbound->outbound.via;
    const struct addr *server = &upstream->server.dialled;
    bool is_dialled = via == NULL || via->ops == &outbound_direct;
    if (!is_dialled || !addr_is_unspecified(bound))
        return;
    uint16_t port = bound->port;
    *bound = *server;
    bound->port = port;
}

static enum upstream_step on_answer(struct upstream *upstream, struct answer *answer, enum err *why)
{
    struct opening *opening = upstream->opening;
    if (upstream->dialect == DIALECT_SOCKS4)
        atomic_store(&upstream->outbound->dialect, DIALECT_SOCKS4);
    if (answer->err != ERR_NONE) {
        *why = answer->err;
        return UPSTREAM_REFUSED;
    }
    if (upstream->phase == PHASE_PEER) {
        upstream->server.dialled = answer->bound;
        return UPSTREAM_OPEN;
    }
    if (upstream->command != REQUEST_CONNECT)
        fill_in(upstream, &answer->bound);
    if (upstream->command == REQUEST_BIND) {
        upstream->phase = PHASE_PEER;
        opening->listening(opening, &answer->bound);
        return UPSTREAM_NEXT;
    }
    opening->bound = answer->bound;
    return UPSTREAM_OPEN;
}

static enum err parse_answer(const struct upstream *upstream, const uint8_t *bytes, size_t n,
                             struct answer *answer, size_t *used)
{
    struct socks4_answer answer4;
    struct socks5_answer answer5;
    enum err err;
    if (upstream->dialect == DIALECT_SOCKS4) {
        err = socks4_parse_reply(bytes, n, &answer4, used);
        if (err == ERR_NONE)
            *answer = (struct answer){answer4.err, answer4.bound};
    } else {
        err = socks5_parse_reply(bytes, n, &answer5, used);
        if (err == ERR_NONE)
            *answer = (struct answer){answer5.err, answer5.bound};
    }
    return err;
}

/* What came of looking for an answer: it is not all there, or it is none. */
static enum upstream_step fail(const struct upstream *upstream, const uint8_t *bytes, enum err err,
                               enum err *why)
{
    *why = err;
    if (err == ERR_MORE)
        return UPSTREAM_MORE;
    if (err != ERR_VERSION)
        return UPSTREAM_REFUSED;
    /* As SOCKS4 says that it has not understood; and one that no longer speaks SOCKS4. */
    bool is_other = upstream->dialect == DIALECT_SOCKS4 || bytes[0] == 0;
    return is_other ? UPSTREAM_MISMATCH : UPSTREAM_REFUSED;
}

static enum upstream_step advance(struct upstream *upstream, const uint8_t *bytes, size_t n,
                                  size_t *used, enum err *why)
{
    struct answer answer;
    uint8_t method;
    enum err err = ERR_BAD;
    switch ((enum phase)upstream->phase) {
    case PHASE_METHOD:
        err = socks5_parse_method(bytes, n, &method, used);
        if (err == ERR_NONE)
            return on_method(upstream, method, why);
        break;
    case PHASE_LOGIN:
        err = socks5_parse_login_reply(bytes, n, used);
        if (err == ERR_NONE)
            return next(upstream, PHASE_REQUEST, send_request5(upstream), why);
        break;
    case PHASE_REQUEST:
    case PHASE_PEER:
        err = parse_answer(upstream, bytes, n, &answer, used);
        if (err == ERR_NONE)
            return on_answer(upstream, &answer, why);
        break;
    }
    return fail(upstream, bytes, err, why);
}

static enum err carry(struct upstream *upstream)
{
    struct opening *opening = upstream->opening;
    struct outbound *via = upstream->outbound->outbound.via;
    const struct addr *relay = &opening->bound;
    if (relay->family == ADDR_NONE || relay->port == 0)
        return ERR_BAD;
    const struct sock_options *options =
        via == NULL ? NULL : &CONTAINER_OF(via, struct outbound_direct, base)->options;
    return socks_udp_new(&opening->packets, opening->env, upstream->endpoint, relay, options);
}

/* Datagrams go to the server by themselves: what leads to it must be this machine's own network. */
static enum err associate(struct outbound *outbound, struct opening *opening)
{
    const struct outbound *via = outbound->via;
    if (via != NULL && via->ops != &outbound_direct)
        return ERR_COMMAND;
    return upstream_associate(outbound, opening);
}

static const struct upstream_protocol protocol = {
    .begin = begin,
    .advance = advance,
    .turn = turn,
    .carry = carry,
};

static const struct outbound_ops ops = {
    .open = upstream_open,
    .associate = associate,
    .bind = upstream_bind,
    .home = upstream_home,
    .is_suspended = upstream_is_suspended,
    .cancel = upstream_cancel,
};

struct outbound *outbound_socks_new(const char *name, const struct upstream_server *server)
{
    return upstream_new(&ops, &protocol, name, server);
}
