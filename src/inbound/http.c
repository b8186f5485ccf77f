#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "flow/flow.h"
#include "inbound/protocols.h"
#include "wire/http1.h"
#include "wire/http1_basic.h"
#include "wire/http1_reply.h"
#include "wire/http1_target.h"

static void answer(struct flow *flow, unsigned status, const char *text)
{
    char reply[HTTP1_REPLY_MAX_BYTES];
    size_t n = http1_write_reply(reply, status, text, false);
    flow_answer(flow, reply, n);
}

static void reply(struct flow *flow, enum err err, const struct addr *bound)
{
    (void)bound;
    if (err == ERR_NONE) {
        flow_answer(flow, HTTP1_CONNECTED, sizeof HTTP1_CONNECTED - 1);
        return;
    }
    char text[TARGET_TEXT_BYTES + 64];
    snprintf(text, sizeof text, "%s: %s", flow->to == NULL ? "the target" : flow->to,
             err_text(err));
    answer(flow, http1_status(err), text);
}

static enum inbound_step refuse(struct flow *flow, unsigned status, const char *text, enum err *why,
                                enum err err)
{
    answer(flow, status, text);
    *why = err;
    return INBOUND_REFUSED;
}

/* Whether the request is from a user of the inbound, or the inbound has none. */
static enum flow_login login(struct flow *flow, const struct http1_head *head)
{
    if (flow->inbound->users == NULL)
        return LOGIN_RIGHT;
    const struct slice *given = http1_find(head, "Proxy-Authorization");
    if (given == NULL)
        return LOGIN_WRONG; /* a client that is to be asked for its name has not failed */
    struct http1_basic basic;
    enum flow_login login = LOGIN_WRONG;
    if (http1_parse_basic(&basic, *given) == ERR_NONE)
        login = flow_login(flow, basic.user.at, basic.user.n, basic.password.at, basic.password.n,
                           "http");
    secret_wipe(&basic, sizeof basic);
    return login;
}

static const char *what_is_wrong(enum err err)
{
    switch (err) {
    case ERR_VERSION:
        return "not an HTTP/1 request";
    case ERR_TOO_LONG:
        return "the request's head is too long";
    default:
        return "malformed request";
    }
}

static enum inbound_step advance(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why)
{
    *used = 0;
    struct http1_head head;
    enum err err = http1_parse_request(bytes, n, &head, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    if (err != ERR_NONE)
        return refuse(flow, http1_status(err), what_is_wrong(err), why, err);
    enum flow_login verdict = login(flow, &head);
    if (verdict == LOGIN_WAIT)
        return INBOUND_WAIT;
    if (verdict == LOGIN_WRONG)
        return refuse(flow, 407, "this proxy asks for a user name and a password", why, ERR_AUTH);
    if (!http1_is_method(&head, "CONNECT"))
        return refuse(flow, 405, "this proxy serves CONNECT only", why, ERR_COMMAND);
    err = http1_parse_authority(&request->target, head.target);
    if (err != ERR_NONE)
        return refuse(flow, 400, "the target of CONNECT must be host:port", why, err);
    return INBOUND_REQUEST;
}

const struct inbound_protocol inbound_http = {
    .name = "http",
    .advance = advance,
    .reply = reply,
};
