#include "inbound/http.h"

#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "inbound/forward.h"
#include "inbound/protocols.h"
#include "wire/http1_basic.h"
#include "wire/http1_reply.h"

/* What flow->phase remembers of the last request. */
enum phase { PHASE_ANY = 0, PHASE_TO_HEAD /* answers to it have no body */ };

/* A client that must be asked for its password may have a body of this size behind its request. */
#define SKIPPED_MAX_BYTES ((uint64_t)8 * 1024)

void http_answer(struct flow *flow, unsigned status, const char *text, bool keep_open)
{
    char reply[HTTP1_REPLY_MAX_BYTES];
    size_t n = flow->phase == PHASE_TO_HEAD
                   ? http1_write_reply_to_head(reply, status, text, keep_open)
                   : http1_write_reply(reply, status, text, keep_open);
    flow_answer(flow, reply, n);
}

static const char *why_not(const struct flow *flow, enum err err)
{
    bool has_bad_body =
        err == ERR_BAD && flow->exchange != NULL && exchange_of(flow)->up == UP_BROKEN;
    return has_bad_body ? FORWARD_BAD_BODY : err_text(err);
}

static void reply(struct flow *flow, enum err err, const struct addr *bound)
{
    (void)bound;
    if (err == ERR_NONE) {
        flow_answer(flow, HTTP1_CONNECTED, sizeof HTTP1_CONNECTED - 1);
        return;
    }
    char text[HTTP1_BODY_MAX_BYTES];
    bool has_way = err == ERR_TUNNEL && flow->outbound != NULL;
    snprintf(text, sizeof text, "%s: %s%s%s", flow->to == NULL ? "the target" : flow->to,
             why_not(flow, err), has_way ? ": " : "", has_way ? flow->outbound->name : "");
    http_answer(flow, http1_status(err), text, false);
}

static enum inbound_step refuse(struct flow *flow, unsigned status, const char *text, enum err *why,
                                enum err err)
{
    http_answer(flow, status, text, false);
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

/* How many bytes of body are behind the head that can be skipped; UINT64_MAX: too many, or nobody
 * knows, or the client may send them or not. */
static uint64_t skippable(const struct http1_head *head)
{
    switch (http1_request_framing(head)) {
    case HTTP1_NO_BODY:
        return 0;
    case HTTP1_BY_LENGTH:
        if (head->length <= SKIPPED_MAX_BYTES && !(head->expects_continue && head->length > 0))
            return head->length;
        return UINT64_MAX;
    case HTTP1_CHUNKED:
    case HTTP1_BY_CLOSE:
        break;
    }
    return UINT64_MAX;
}

/* Asks for a password. The connection stays open for the answer where the client wants that and
 * what it has sent can be passed over. */
static enum inbound_step ask_for_login(struct flow *flow, const struct http_request *http, size_t n,
                                       size_t *used, enum err *why)
{
    static const char text[] = "this proxy asks for a user name and a password";
    const struct http1_head *head = &http->head;
    bool has_failed = http1_find(head, "Proxy-Authorization") != NULL;
    uint64_t n_body = skippable(head);
    /* Who sends one request after the other and reads no answer is kept waiting for neither. */
    if (!head->keeps_open || flow->is_last || n_body == UINT64_MAX ||
        direction_wants_write(&flow->down))
        return refuse(flow, 407, text, why, ERR_AUTH);
    if (n_body > n - http->n_head) {
        if (has_failed)
            return refuse(flow, 407, text, why, ERR_AUTH);
        *used = 0;
        return INBOUND_MORE;
    }
    *used = http->n_head + (size_t)n_body;
    http_answer(flow, 407, text, true);
    return INBOUND_NEXT;
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

static enum inbound_step judge_connect(struct flow *flow, const struct http_request *http,
                                       struct request *request, enum err *why)
{
    enum err err = http1_parse_authority(&request->target, http->head.target);
    if (err != ERR_NONE)
        return refuse(flow, 400, "the target of CONNECT must be host:port", why, err);
    request->command = REQUEST_CONNECT;
    return INBOUND_REQUEST;
}

static enum inbound_step judge_forward(struct flow *flow, struct http_request *http,
                                       struct request *request, enum err *why)
{
    enum err err = http1_parse_absolute(&http->uri, &http->head);
    if (err == ERR_SCHEME)
        return refuse(flow, 400,
                      "this proxy forwards http:// only; https:// and others go through CONNECT",
                      why, err);
    if (err != ERR_NONE && (http->head.target.at[0] == '/' || http->head.target.at[0] == '*'))
        return refuse(flow, 400,
                      "this is a proxy and no web server: ask for http://host/path, or CONNECT",
                      why, err);
    if (err != ERR_NONE)
        return refuse(flow, 400, "the target must be http://host/path, with a Host field", why,
                      err);
    request->target = http->uri.target;
    request->command = REQUEST_EXCHANGE;
    return INBOUND_REQUEST;
}

enum inbound_step http_judge(struct flow *flow, const uint8_t *bytes, size_t n,
                             struct http_request *http, size_t *used, struct request *request,
                             enum err *why)
{
    *used = 0;
    enum err err = http1_parse_request(bytes, n, &http->head, used);
    if (err == ERR_MORE)
        return INBOUND_MORE;
    http->n_head = *used;
    flow->phase = PHASE_ANY;
    if (err != ERR_NONE)
        return refuse(flow, http1_status(err), what_is_wrong(err), why, err);
    if (http1_is_method(&http->head, "HEAD"))
        flow->phase = PHASE_TO_HEAD;
    switch (login(flow, &http->head)) {
    case LOGIN_WAIT:
        return INBOUND_WAIT;
    case LOGIN_WRONG:
        return ask_for_login(flow, http, n, used, why);
    case LOGIN_RIGHT:
        break;
    }
    if (http1_is_method(&http->head, "CONNECT"))
        return judge_connect(flow, http, request, why);
    return judge_forward(flow, http, request, why);
}

static enum inbound_step advance(struct flow *flow, const uint8_t *bytes, size_t n, size_t *used,
                                 struct request *request, enum err *why)
{
    struct http_request http;
    enum inbound_step step = http_judge(flow, bytes, n, &http, used, request, why);
    /* An exchange begins with the whole request before it. */
    if (step == INBOUND_REQUEST && request->command == REQUEST_EXCHANGE)
        *used = 0;
    return step;
}

const struct inbound_protocol inbound_http = {
    .name = "http",
    .exchange = &forward_ops,
    .advance = advance,
    .reply = reply,
};
