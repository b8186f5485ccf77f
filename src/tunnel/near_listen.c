#include "tunnel/near_listen.h"

#include <stdio.h>
#include <stdlib.h>

#include "flow/flow.h"
#include "flow/inbound.h"
#include "flow/ruleset.h"
#include "tunnel/report.h"

/* What was refused is asked for again, at last so rarely. */
enum { MIN_PAUSE_MS = 1000, MAX_PAUSE_MS = 30000 };

#define WHY_BYTES (ADDR_TEXT_BYTES + 160)

struct near_listener {
    struct list link; /* in its near's */
    struct addr at;
    struct inbound *inbound; /* of the rules that its near goes by */
    bool is_optional;        /* one of a pair: the machine may lack the family */
    bool is_wanted;
    uint64_t number; /* 0: not asked for */
    uint64_t ask_at_ms;
    uint64_t pause_ms;        /* before it is asked for once more */
    enum listener_code state; /* as was last said */
    bool was_said;
};

static struct near_listener *listener_at(struct list *at)
{
    return CONTAINER_OF(at, struct near_listener, link);
}

static struct flow_env *env_of(const struct near *near)
{
    return near->host.tended.env->flow;
}

/* ---- what is said ---- */

static void log_listener(const struct near *near, const struct near_listener *listener,
                         enum log_level level, const char *what, const char *why)
{
    struct log *log = env_of(near)->log;
    if (!log_wants(log, level))
        return;
    struct log_line line;
    log_begin(&line, log, level, "listener");
    log_str(&line, "in", listener->inbound->name);
    log_str(&line, "out", near->host.name);
    log_addr(&line, "at", &listener->at);
    log_str(&line, "is", what);
    log_str(&line, "why", why);
    log_end(&line);
}

static void explain(char why[static WHY_BYTES], const struct near_listener *listener)
{
    char address[ADDR_TEXT_BYTES];
    addr_format(&listener->at, address);
    if (listener->state == LISTENER_DENIED)
        snprintf(why, WHY_BYTES,
                 "the far end does not allow it: its tunnel inbound needs allow_reverse: ['%s']",
                 address);
    else if (listener->state == LISTENER_IN_USE)
        snprintf(why, WHY_BYTES, "somebody else has this address at the far end");
    else
        snprintf(why, WHY_BYTES, "the far end cannot listen there");
}

/* Each thing once, until it changes. */
static void say(const struct near *near, struct near_listener *listener, enum listener_code state)
{
    if (listener->was_said && listener->state == state)
        return;
    listener->was_said = true;
    listener->state = state;
    if (state == LISTENER_BOUND) {
        log_listener(near, listener, LOG_LEVEL_INFO, "listening", NULL);
        return;
    }
    char why[WHY_BYTES];
    explain(why, listener);
    bool is_lack = listener->is_optional && state == LISTENER_FAILED;
    log_listener(near, listener, is_lack ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "refused", why);
}

static const char *state_text(const struct near_listener *listener)
{
    static const char *const texts[] = {
        [LISTENER_BOUND] = "listening",
        [LISTENER_FAILED] = "failed",
        [LISTENER_DENIED] = "denied",
        [LISTENER_IN_USE] = "in use",
    };
    bool is_known =
        listener->was_said && (listener->state != LISTENER_BOUND || listener->number != 0);
    return is_known ? texts[listener->state] : "asked for";
}

void near_listen_report(const struct near *near, struct tunnel_session_report *report)
{
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next) {
        const struct near_listener *listener = listener_at(at);
        tunnel_report_listener(report, &listener->at, listener->inbound->name,
                               state_text(listener));
    }
}

/* ---- asking ---- */

static void put_off(struct near_listener *listener, uint64_t now_ms)
{
    listener->number = 0;
    listener->ask_at_ms = now_ms + listener->pause_ms;
    listener->pause_ms =
        2 * listener->pause_ms < MAX_PAUSE_MS ? 2 * listener->pause_ms : MAX_PAUSE_MS;
}

static void ask_one(struct near *near, struct near_listener *listener, uint64_t now_ms)
{
    enum err err = session_listen(peer_session(near->host.peer), &listener->at, &listener->number);
    if (err == ERR_NONE)
        host_touch(&near->host);
    else
        put_off(listener, now_ms);
}

static void ask(struct near *near)
{
    struct loop *loop = env_of(near)->loop;
    uint64_t now_ms = loop_now_ms(loop), next_ms = UINT64_MAX;
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next) {
        struct near_listener *listener = listener_at(at);
        if (listener->number == 0 && listener->ask_at_ms <= now_ms)
            ask_one(near, listener, now_ms);
        if (listener->number == 0 && listener->ask_at_ms < next_ms)
            next_ms = listener->ask_at_ms;
    }
    if (next_ms == UINT64_MAX)
        timer_clear(loop_timers(loop), &near->asking);
    else if (timer_set(loop_timers(loop), &near->asking, next_ms) != ERR_NONE)
        near->host.tended.env->owes_listening = true;
}

static void on_asking(struct timer *timer)
{
    ask(CONTAINER_OF(timer, struct near, asking));
}

void near_listen_init(struct near *near)
{
    list_init(&near->listeners);
    timer_init(&near->asking, on_asking);
}

void near_listen_renew(struct near *near)
{
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next) {
        listener_at(at)->number = listener_at(at)->ask_at_ms = 0;
        listener_at(at)->pause_ms = MIN_PAUSE_MS;
    }
    ask(near);
}

/* ---- what is wanted ---- */

static void drop(struct near *near, struct near_listener *listener)
{
    if (listener->number != 0)
        session_unlisten(peer_session(near->host.peer), listener->number);
    list_remove(&listener->link);
    free(listener);
    host_touch(&near->host);
}

void near_listen_deinit(struct near *near)
{
    timer_clear(loop_timers(env_of(near)->loop), &near->asking);
    while (!list_empty(&near->listeners))
        drop(near, listener_at(near->listeners.next));
}

static struct near_listener *find_at(const struct near *near, const struct addr *addr)
{
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next)
        if (addr_equal(&listener_at(at)->at, addr, true))
            return listener_at(at);
    return NULL;
}

static void want(struct near *near, struct inbound *inbound, const struct inbound_listen *listen)
{
    struct near_listener *listener = find_at(near, &listen->addr);
    if (listener == NULL) {
        listener = calloc(1, sizeof *listener);
        if (listener == NULL) {
            flow_env_complain(env_of(near), REFUSAL_MEMORY, inbound->name, NULL);
            near->host.tended.env->owes_listening = true;
            return;
        }
        listener->at = listen->addr;
        listener->ask_at_ms = near->listen_from_ms;
        listener->pause_ms = MIN_PAUSE_MS;
        list_append(&near->listeners, &listener->link);
    }
    listener->inbound = inbound;
    listener->is_optional = listen->is_optional;
    listener->is_wanted = true;
}

bool near_listen_is_wanted(const struct ruleset *ruleset, const struct outbound *outbound)
{
    for (size_t i = 0; i < ruleset->n_inbounds; i++)
        if (ruleset->inbounds[i].listen_via == outbound)
            return true;
    return false;
}

void near_listen_turn(struct near *near, const struct ruleset *ruleset,
                      const struct outbound *outbound)
{
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next)
        listener_at(at)->is_wanted = false;
    for (size_t i = 0; ruleset != NULL && i < ruleset->n_inbounds; i++) {
        struct inbound *inbound = &ruleset->inbounds[i];
        for (size_t j = 0; inbound->listen_via == outbound && j < inbound->n_listens; j++)
            want(near, inbound, &inbound->listens[j]);
    }
    for (struct list *at = near->listeners.next, *next; at != &near->listeners; at = next) {
        next = at->next;
        if (!listener_at(at)->is_wanted)
            drop(near, listener_at(at));
    }
    ask(near);
}

/* ---- what comes ---- */

static struct near_listener *find(const struct near *near, uint64_t number)
{
    for (struct list *at = near->listeners.next; at != &near->listeners; at = at->next)
        if (listener_at(at)->number == number)
            return listener_at(at);
    return NULL;
}

void near_listen_event(struct near *near, const struct session_event *event)
{
    struct near_listener *listener = find(near, event->listener);
    if (listener == NULL)
        return;
    say(near, listener, (enum listener_code)event->code);
    if (event->code == LISTENER_BOUND) {
        listener->pause_ms = MIN_PAUSE_MS;
        return;
    }
    /* What was not allowed will not be in a moment. */
    if (event->code == LISTENER_DENIED)
        listener->pause_ms = MAX_PAUSE_MS;
    put_off(listener, loop_now_ms(env_of(near)->loop));
    ask(near);
}

/* From now on what it has to say may go. */
static void answer(struct endpoint *client)
{
    static const struct addr unknown = {.family = ADDR_NONE};
    struct stream *stream = tunnel_stream_of(client)->stream;
    if (stream_answer(stream, 0, &unknown) != ERR_NONE)
        stream_reset(stream, STREAM_RESET_LIMIT);
}

void near_listen_incoming(struct near *near, struct stream *session_stream)
{
    struct host *host = &near->host;
    const struct stream_request *asked = stream_request(session_stream);
    const struct near_listener *listener = find(near, asked->of);
    struct addr source = asked->source;
    struct tunnel_stream *stream;
    if (listener == NULL || host->tended.env->is_draining) {
        host_refuse(host, session_stream, ERR_LIMIT);
        return;
    }
    if (tunnel_stream_new(&stream, host, session_stream) != ERR_NONE) {
        host_refuse(host, session_stream, ERR_MEMORY);
        return;
    }
    enum err err =
        flow_accept_endpoint(env_of(near), listener->inbound, &stream->ep, &source, answer);
    if (err == ERR_NONE)
        return;
    stream->stream = NULL;
    endpoint_close(&stream->ep, false);
    host_refuse(host, session_stream, err);
}
