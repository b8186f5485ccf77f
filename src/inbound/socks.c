/*
 * SOCKS on one port, the first byte being the version:
 *
 *     START --4--> request, answered by SOCKS4's reply          (V4)
 *       |--5--> methods --password--> LOGIN --right--> REQUEST
 *                 '-----none---------------------------> REQUEST, answered by SOCKS5's reply
 */
#include <assert.h>

#include "flow/flow.h"
#include "inbound/protocols.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

enum phase { PHASE_START = 0, PHASE_V4, PHASE_LOGIN, PHASE_REQUEST };

static void answer4(struct flow *flow, enum err err, const struct addr *bound)
{
    static const struct addr none = {.family = ADDR_NONE};
    uint8_t reply[SOCKS4_REPLY_BYTES];
    socks4_write_reply(reply, socks4_code(err), bound == NULL ? &none : bound);
    flow_answer(flow, reply, sizeof reply);
}

static void answer5(struct flow *flow, enum err err, const struct addr *bound)
{
    static const struct addr none = {.family = ADDR_NONE};
    uint8_t reply[SOCKS5_REPLY_MAX_BYTES];
    size_t n = socks5_write_reply(reply, socks5_code(err), bound == NULL ? &none : bound);
    flow_answer(flow, reply, n);
}

static void reply(struct flow *flow, enum err err, const struct addr *bound)
{
    if (flow->phase == PHASE_V4)
        answer4(flow, err, bound);
    else
        answer5(flow, err, bound);
}

static enum inbound_step refuse(enum err *why, enum err err)
{
    *why = err;
    return INBOUND_REFUSED;
}

/* What a command asks for; ERR_COMMAND: it is unknown, or not served here. */
static enum err serve(const struct flow *flow, enum socks5_command command, struct request *request)
{
    switch (command) {
    case SOCKS5_CONNECT:
        request->command = REQUEST_CONNECT;
        return ERR_NONE;
    case SOCKS5_BIND:
        request->command = REQUEST_BIND;
        return flow->inbound->bind.is_enabled ? ERR_NONE : ERR_COMMAND;
    case SOCKS5_UDP_ASSOCIATE:
        request->command = REQUEST_ASSOCIATE;
        /* SOCKS4 has no such command. */
        return flow->phase != PHASE_V4 && flow->inbound->udp.is_enabled ? ERR_NONE : ERR_COMMAND;
    default:
        return ERR_COMMAND;
    }
}

/* Of SOCKS4 they are the same. */
static_assert((int)SOCKS4_CONNECT == SOCKS5_CONNECT && (int)SOCKS4_BIND == SOCKS5_BIND, "commands");

static enum inbound_step take_request4(struct flow *flow, const uint8_t *bytes, size_t n,
                                       size_t *used, struct request *request, enum err *why)
{
    struct socks4_request asked;
    enum err err = socks4_parse_request(bytes, n, &asked, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    flow->phase = PHASE_V4;
    /* SOCKS4 has a user's name and no password: it cannot show that it may. */
    if (err == ERR_NONE && flow->inbound->users != NULL)
        err = ERR_AUTH;
    else if (err == ERR_NONE)
        err = serve(flow, (enum socks5_command)asked.command, request);
    if (err == ERR_AUTH)
        flow->env->counters.refused[REFUSAL_LOGIN]++;
    if (err != ERR_NONE) {
        answer4(flow, err, NULL);
        return refuse(why, err);
    }
    request->target = asked.target;
    return INBOUND_REQUEST;
}

static enum inbound_step take_greeting(struct flow *flow, const uint8_t *bytes, size_t n,
                                       size_t *used, enum err *why)
{
    struct socks5_greeting greeting;
    enum err err = socks5_parse_greeting(bytes, n, &greeting, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    if (err != ERR_NONE)
        return refuse(why, err);
    bool has_users = flow->inbound->users != NULL;
    enum socks5_method method = has_users ? SOCKS5_METHOD_PASSWORD : SOCKS5_METHOD_NONE;
    bool is_offered = socks5_offers(&greeting, method);
    uint8_t answer[SOCKS5_METHOD_REPLY_BYTES];
    socks5_write_method(answer, is_offered ? method : SOCKS5_METHOD_UNACCEPTABLE);
    flow_answer(flow, answer, sizeof answer);
    if (!is_offered) {
        flow->env->counters.refused[REFUSAL_LOGIN]++;
        return refuse(why, ERR_AUTH);
    }
    flow->phase = has_users ? PHASE_LOGIN : PHASE_REQUEST;
    return INBOUND_NEXT;
}

static enum inbound_step take_login(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                    enum err *why)
{
    struct socks5_login login;
    enum err err = socks5_parse_login(bytes, n, &login, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    enum flow_login verdict = LOGIN_WRONG;
    if (err == ERR_NONE)
        verdict = flow_login(flow, login.user.at, login.user.n, login.password.at, login.password.n,
                             "socks5");
    if (verdict == LOGIN_WAIT)
        return INBOUND_WAIT;
    bool is_right = verdict == LOGIN_RIGHT;
    uint8_t answer[SOCKS5_LOGIN_REPLY_BYTES];
    socks5_write_login_reply(answer, is_right);
    flow_answer(flow, answer, sizeof answer);
    if (!is_right)
        return refuse(why, err == ERR_NONE ? ERR_AUTH : err);
    flow->phase = PHASE_REQUEST;
    return INBOUND_NEXT;
}

static enum inbound_step take_request5(struct flow *flow, const uint8_t *bytes, size_t n,
                                       size_t *used, struct request *request, enum err *why)
{
    struct socks5_request asked;
    enum err err = socks5_parse_request(bytes, n, &asked, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    if (err == ERR_NONE)
        err = serve(flow, asked.command, request);
    if (err != ERR_NONE) {
        answer5(flow, err, NULL);
        return refuse(why, err);
    }
    request->target = asked.target;
    return INBOUND_REQUEST;
}

static enum inbound_step advance(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why)
{
    *used = 0;
    if (n == 0)
        return INBOUND_MORE;
    switch ((enum phase)flow->phase) {
    case PHASE_START:
    case PHASE_V4:
        if (bytes[0] == SOCKS4_VERSION)
            return take_request4(flow, bytes, n, used, request, why);
        return take_greeting(flow, bytes, n, used, why);
    case PHASE_LOGIN:
        return take_login(flow, bytes, n, used, why);
    case PHASE_REQUEST:
        return take_request5(flow, bytes, n, used, request, why);
    }
    return refuse(why, ERR_BAD);
}

const struct inbound_protocol inbound_socks = {
    .name = "socks",
    .advance = advance,
    .reply = reply,
};
