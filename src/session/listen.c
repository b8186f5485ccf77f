/*
 * Listeners. The client asks, the server answers, and may take its answer back; either can end one. What is said of each is tracked
 * like what is said of a stream:
 *
 *     client   LISTEN --acknowledged--> (UNLISTEN --acknowledged-->) gone       by LISTENING with a code: gone at once
 *     server   LISTENING 0 ... LISTENING code --acknowledged--> gone            by UNLISTEN: gone at once
 *
 * Over several links LISTENING 0 may come behind the one that takes it back: then it is about a listener that is gone.
 */
#include <stdlib.h>

#include "session/state.h"

static struct session_listener *find_in(const struct list *listeners, uint64_t number)
{
    for (struct list *at = listeners->next; at != listeners; at = at->next) {
        struct session_listener *listener = CONTAINER_OF(at, struct session_listener, in_session);
        if (listener->number == number)
            return listener;
    }
    return NULL;
}

/* Those are few. What comes from the other end is about them alone: a frame is small, and many come at once. */
static struct session_listener *find_there(const struct session *session, uint64_t number)
{
    return find_in(&session->listeners, number);
}

/* Of those that are not there any more the first was said first, and is acknowledged first. */
static struct session_listener *find(const struct session *session, uint64_t number)
{
    struct session_listener *listener = find_there(session, number);

    return listener != NULL ? listener : find_in(&session->listeners_closing, number);
}

bool listener_is_there(const struct session *session, uint64_t number)
{
    return find_there(session, number) != NULL;
}

/* UNLISTEN waits until it cannot overtake LISTEN. */
static bool may_send(const struct session_listener *listener)
{
    unsigned needs = listener->needs;

    return (listener->is_known ? needs : needs & ~(unsigned)NEEDS_UNLISTEN) != 0;
}

static void queue(struct session *session, struct session_listener *listener)
{
    bool is_queued = !list_empty(&listener->in_needs);

    if (is_queued == may_send(listener))
        return;
    if (is_queued)
        list_remove(&listener->in_needs);
    else if (session->state == SESSION_ALIVE)
        list_append(&session->listener_needs, &listener->in_needs);
}

static enum err add(struct session *session, uint64_t number, uint8_t kind, const struct addr *addr,
                    struct session_listener **out)
{
    struct session_listener *listener = calloc(1, sizeof *listener);

    if (listener == NULL)
        return ERR_MEMORY;
    listener->number = number;
    listener->kind = kind;
    listener->addr = *addr;
    listener->is_there = true;
    list_init(&listener->in_needs);
    list_append(&session->listeners, &listener->in_session);
    session->n_listeners++;
    *out = listener;
    return ERR_NONE;
}

/* It is there no more; what is to be said of it is kept until it was. */
static void leave(struct session *session, struct session_listener *listener)
{
    if (!listener->is_there)
        return;
    listener->is_there = false;
    list_remove(&listener->in_session);
    list_append(&session->listeners_closing, &listener->in_session);
    session->n_listeners--;
    session->n_listeners_closing++;
}

static void drop(struct session *session, struct session_listener *listener)
{
    leave(session, listener);
    session->n_listeners_closing--;
    list_remove(&listener->in_session);
    list_remove(&listener->in_needs);
    free(listener);
}

/* The application is to be told something, and then it is gone. */
static void tell(struct session *session, bool *flag)
{
    *flag = true;
    session->has_listener_events = true;
}

/* ---- what the application does ---- */

enum err session_listen(struct session *session, const struct addr *at, uint64_t *number)
{
    struct session_listener *listener;

    if (session->state != SESSION_ALIVE)
        return ERR_EOF;
    /* Those count too of which the other end has not heard yet that they are not wanted. */
    if (session->n_listeners + session->n_listeners_closing >= SESSION_MAX_LISTENERS)
        return ERR_LIMIT;
    enum err err = add(session, session->newest_listener + 1, LISTENER_CONNECTIONS, at, &listener);
    if (err != ERR_NONE)
        return err;
    *number = ++session->newest_listener;
    listener->needs = NEEDS_LISTEN;
    queue(session, listener);
    return ERR_NONE;
}

void session_unlisten(struct session *session, uint64_t number)
{
    struct session_listener *listener = find(session, number);

    if (listener == NULL)
        return;
    if (!listener->is_there) {
        if (listener->tells_listening)
            drop(session, listener); /* refused, of which nobody wants to hear */
        return;
    }
    leave(session, listener);
    listener->tells_listening = false;
    listener->needs |= NEEDS_UNLISTEN;
    queue(session, listener);
}

void session_listening(struct session *session, uint64_t number, enum listener_code code,
                       const struct addr *bound)
{
    struct session_listener *listener = find_there(session, number);

    if (listener == NULL)
        return;
    listener->code = (uint8_t)code;
    listener->addr = *bound;
    listener->needs |= NEEDS_LISTENING;
    if (code != LISTENER_BOUND)
        leave(session, listener);
    queue(session, listener);
}

void session_hold_listens(struct session *session, bool is_on)
{
    session->holds_listens = is_on;
    session->has_listener_events = true;
}

/* ---- what comes ---- */

static enum err on_listen(struct session *session, const struct frame *frame)
{
    struct session_listener *listener;
    enum err err = ids_add(&session->listened, frame->id - 1);

    if (err != ERR_NONE)
        return err == ERR_AGAIN ? ERR_NONE : err;
    if (session->n_listeners >= SESSION_MAX_LISTENERS ||
        session->n_listeners_closing >= LISTENERS_CLOSING_MAX)
        return ERR_LIMIT;
    err = add(session, frame->id, frame->code, &frame->bound, &listener);
    if (err == ERR_NONE)
        tell(session, &listener->tells_listen);
    return err;
}

static void on_listening(struct session *session, const struct frame *frame)
{
    struct session_listener *listener = find_there(session, frame->id);

    if (listener == NULL)
        return;
    /* So LISTEN has come, and is not said again: with this address it would be another. */
    listener->is_known = true;
    listener->needs &= (uint8_t)~NEEDS_LISTEN;
    queue(session, listener);
    listener->code = frame->code;
    listener->addr = frame->bound;
    tell(session, &listener->tells_listening);
    if (frame->code != LISTENER_BOUND)
        leave(session, listener);
}

static void on_unlisten(struct session *session, const struct frame *frame)
{
    struct session_listener *listener = find_there(session, frame->id);

    if (listener == NULL)
        return; /* it comes again after a loss, or behind a refusal that is under way */
    if (listener->tells_listen) {
        drop(session, listener); /* nobody knows of it */
        return;
    }
    leave(session, listener);
    listener->needs = 0;
    queue(session, listener);
    tell(session, &listener->tells_unlisten);
}

enum err listener_received(struct session *session, const struct frame *frame)
{
    bool is_for_server = frame->type != FRAME_LISTENING;

    if (is_for_server == session->options.is_client)
        return ERR_BAD;
    if (frame->type == FRAME_LISTEN)
        return on_listen(session, frame);
    if (frame->type == FRAME_LISTENING)
        on_listening(session, frame);
    else
        on_unlisten(session, frame);
    return ERR_NONE;
}

/* ---- what becomes of frames ---- */

void listener_sent(struct session_listener *listener, enum listener_needs need)
{
    listener->needs &= (uint8_t) ~(unsigned)need;
    if (!may_send(listener))
        list_remove(&listener->in_needs);
}

/* Whatever there was to say has been heard. */
static void drop_if_done(struct session *session, struct session_listener *listener)
{
    bool tells = listener->tells_listening || listener->tells_unlisten;

    if (!listener->is_there && listener->needs == 0 && !tells)
        drop(session, listener);
}

void listener_acked(struct session *session, const struct sent *sent)
{
    struct session_listener *listener = find(session, sent->id);

    if (listener == NULL)
        return;
    switch (sent->kind) {
    case SENT_LISTEN:
        listener->is_known = true;
        listener->needs &= (uint8_t) ~(unsigned)NEEDS_LISTEN;
        queue(session, listener);
        return;
    case SENT_LISTENING:
        if (sent->offset != listener->code)
            return; /* it was taken back meanwhile */
        listener->needs &= (uint8_t) ~(unsigned)NEEDS_LISTENING;
        break;
    default:
        listener->needs &= (uint8_t) ~(unsigned)NEEDS_UNLISTEN;
    }
    queue(session, listener);
    drop_if_done(session, listener);
}

void listener_lost(struct session *session, const struct sent *sent)
{
    struct session_listener *listener = find(session, sent->id);

    if (listener == NULL)
        return;
    if (sent->kind == SENT_LISTEN)
        listener->needs |= listener->is_known ? 0 : NEEDS_LISTEN;
    else if (sent->kind == SENT_LISTENING)
        listener->needs |= listener->tells_unlisten ? 0 : NEEDS_LISTENING;
    else
        listener->needs |= NEEDS_UNLISTEN;
    queue(session, listener);
}

/* ---- what is told ---- */

static bool take_flag(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

static bool tells(struct session *session, struct session_listener *listener,
                  struct session_event *event)
{
    if (!session->holds_listens && take_flag(&listener->tells_listen)) {
        event->kind = SESSION_LISTEN;
        event->code = listener->kind;
    } else if (take_flag(&listener->tells_listening)) {
        event->kind = SESSION_LISTENING;
        event->code = listener->code;
    } else if (take_flag(&listener->tells_unlisten)) {
        event->kind = SESSION_UNLISTEN;
    } else {
        return false;
    }
    event->listener = listener->number;
    event->addr = listener->addr;
    return true;
}

static bool list_tells(struct session *session, struct list *listeners, struct session_event *event)
{
    for (struct list *at = listeners->next; at != listeners; at = at->next) {
        struct session_listener *listener = CONTAINER_OF(at, struct session_listener, in_session);
        if (!tells(session, listener, event))
            continue;
        /* Of one that is refused or unlistened that was the last; the answer of ours is kept until it is acknowledged. */
        bool is_last = event->kind == SESSION_UNLISTEN ||
                       (event->kind == SESSION_LISTENING && event->code != LISTENER_BOUND);
        if (is_last)
            drop(session, listener);
        return true;
    }
    return false;
}

bool listeners_tell(struct session *session, struct session_event *event)
{
    if (!session->has_listener_events || session->state == SESSION_OVER)
        return false;
    *event = (struct session_event){0};
    /* Those that are not wanted any more first: another may be wanted at the same address. */
    session->has_listener_events = list_tells(session, &session->listeners_closing, event) ||
                                   list_tells(session, &session->listeners, event);
    return session->has_listener_events;
}

void listeners_quieten(struct session *session)
{
    while (!list_empty(&session->listener_needs))
        list_remove(session->listener_needs.next);
}

static void free_all(struct session *session, struct list *listeners)
{
    while (!list_empty(listeners))
        drop(session, CONTAINER_OF(listeners->next, struct session_listener, in_session));
}

void listeners_free(struct session *session)
{
    free_all(session, &session->listeners);
    free_all(session, &session->listeners_closing);
    ids_deinit(&session->listened);
}
