#include "flow/dial.h"

#include "flow/env.h"
#include "flow/policy.h"
#include "io/socket.h"

#define NEXT_ATTEMPT_MS 250    /* RFC 8305 section 5, Connection Attempt Delay */
#define RESOLUTION_DELAY_MS 50 /* RFC 8305 section 3 */

#define ADDRS_A_FAMILY 32 /* as many as the resolver gives */
#define ATTEMPTS_MAX 8    /* at the same time; by then the first is two seconds old */

enum { PREFERRED, OTHER, N_FAMILIES };

struct family {
    struct dial *dial;
    struct lookup lookup;
    uint8_t n_addrs, n_tried;
    struct addr addrs[ADDRS_A_FAMILY];
};

struct dial {
    struct opening *opening;
    const struct sock_options *options;
    struct family families[N_FAMILIES];
    struct attempt {
        struct sock *sock; /* NULL: the place is free */
        struct addr to;
    } attempts[ATTEMPTS_MAX];
    uint8_t n_alive;
    bool has_begun;       /* an address has been picked */
    bool was_other_last;  /* whose turn it is */
    bool has_waited;      /* the resolution delay is over */
    uint64_t tried_at_ms; /* when the last attempt began */
    enum err why_not;     /* of all failures the one that says most */
    struct timer next;    /* the resolution delay, then the attempt delay */
    struct slab *slab;
    struct deferred freeing;
};

size_t dial_bytes(void)
{
    return sizeof(struct dial);
}

/* How much a failure says about the target; the largest is told. */
static int weight(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return 0;
    case ERR_LOOKUP:
        return 1;
    case ERR_NET_UNREACH:
        return 2;
    case ERR_DENIED:
        return 3;
    case ERR_HOST_UNREACH:
        return 4;
    case ERR_TIMEOUT:
        return 5;
    case ERR_REFUSED:
        return 7;
    default: /* shortage, a reset: not the target's fault, so better known than not */
        return 6;
    }
}

static void note_failure(struct dial *dial, enum err err)
{
    if (weight(err) > weight(dial->why_not))
        dial->why_not = err;
}

static void free_dial(struct deferred *deferred)
{
    struct dial *dial = CONTAINER_OF(deferred, struct dial, freeing);
    slab_put(dial->slab, dial);
}

/* Closes and takes back everything that is still under way. */
static void end(struct dial *dial)
{
    struct loop *loop = dial->opening->env->loop;
    timer_clear(loop_timers(loop), &dial->next);
    for (int i = 0; i < N_FAMILIES; i++)
        resolver_cancel(&dial->families[i].lookup);
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        if (dial->attempts[i].sock != NULL)
            endpoint_close(&dial->attempts[i].sock->ep, false);
    }
    dial->opening->state = NULL;
    loop_defer(loop, &dial->freeing, free_dial);
}

void dial_cancel(struct opening *opening)
{
    end(opening->state);
}

static bool has_more(const struct family *family)
{
    return family->n_tried < family->n_addrs;
}

static bool is_pending(const struct dial *dial)
{
    return dial->families[PREFERRED].lookup.pending || dial->families[OTHER].lookup.pending;
}

/* The next address to try, families in turn; NULL: none now. */
static const struct addr *pick(struct dial *dial)
{
    struct family *preferred = &dial->families[PREFERRED];
    struct family *other = &dial->families[OTHER];
    if (dial->n_alive == ATTEMPTS_MAX)
        return NULL;
    if (preferred->lookup.pending && !dial->has_begun && !dial->has_waited)
        return NULL;
    bool is_others_turn = has_more(other) && (!dial->was_other_last || !has_more(preferred));
    if (!dial->has_begun && has_more(preferred))
        is_others_turn = false;
    struct family *family = is_others_turn ? other : preferred;
    if (!has_more(family))
        return NULL;
    dial->was_other_last = is_others_turn;
    dial->has_begun = true;
    return &family->addrs[family->n_tried++];
}

static void on_attempt_ready(struct endpoint *ep, unsigned events);

/* ERR_NONE: an attempt is under way. */
static enum err try_one(struct dial *dial, const struct addr *to)
{
    struct flow_env *env = dial->opening->env;
    const struct opening *opening = dial->opening;
    if (!opening->is_configured && !policy_allows(opening->inbound, opening->rights, to))
        return ERR_DENIED;
    struct sock *sock;
    enum err err =
        sock_connect(&sock, env->loop, &env->socks, to, dial->options, on_attempt_ready, dial);
    if (err != ERR_NONE)
        return err;
    int i = 0;
    while (dial->attempts[i].sock != NULL)
        i++;
    dial->attempts[i] = (struct attempt){.sock = sock, .to = *to};
    dial->n_alive++;
    dial->tried_at_ms = loop_now_ms(env->loop);
    return ERR_NONE;
}

static void wait_until(struct dial *dial, uint64_t at_ms)
{
    /* Without its timer the next address is tried when this one fails. */
    if (timer_set(loop_timers(dial->opening->env->loop), &dial->next, at_ms) != ERR_NONE)
        dial->has_waited = true;
}

/* Tries what can be tried now. ERR_AGAIN: something is under way; else all is over, and why. */
static enum err try_next(struct dial *dial)
{
    const struct addr *to;
    while ((to = pick(dial)) != NULL) {
        enum err err = try_one(dial, to);
        if (err == ERR_NONE) {
            if (is_pending(dial) || has_more(&dial->families[PREFERRED]) ||
                has_more(&dial->families[OTHER]))
                wait_until(dial, dial->tried_at_ms + NEXT_ATTEMPT_MS);
            return ERR_AGAIN;
        }
        note_failure(dial, err);
    }
    if (dial->n_alive > 0)
        return ERR_AGAIN;
    if (!is_pending(dial))
        return dial->why_not;
    if (has_more(&dial->families[OTHER]))
        wait_until(dial, loop_now_ms(dial->opening->env->loop) + RESOLUTION_DELAY_MS);
    return ERR_AGAIN;
}

/* Goes on from an event, and tells the outcome when there is one. */
static void go_on(struct dial *dial)
{
    struct opening *opening = dial->opening;
    enum err err = try_next(dial);
    if (err == ERR_AGAIN)
        return;
    end(dial);
    opening->done(opening, err);
}

static void on_next(struct timer *timer)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, next);
    dial->has_waited = true;
    go_on(dial);
}

/* A port of this machine that nobody listens on can be connected to by itself. */
static bool is_self(const struct opening *opening)
{
    return addr_equal(&opening->bound, &opening->dialled, true);
}

static void win(struct dial *dial, int i)
{
    struct opening *opening = dial->opening;
    struct sock *sock = dial->attempts[i].sock;
    dial->attempts[i].sock = NULL;
    dial->n_alive--;
    opening->dialled = dial->attempts[i].to;
    enum err err = sock_local_addr(sock, &opening->bound);
    if (err == ERR_NONE && is_self(opening))
        err = ERR_REFUSED;
    if (err != ERR_NONE) {
        endpoint_close(&sock->ep, false);
        note_failure(dial, err);
        go_on(dial);
        return;
    }
    endpoint_want(&sock->ep, 0);
    opening->endpoint = &sock->ep;
    end(dial);
    opening->done(opening, ERR_NONE);
}

static void on_attempt_ready(struct endpoint *ep, unsigned events)
{
    struct dial *dial = ep->owner;
    enum err err = sock_connect_result(sock_of(ep), events);
    if (err == ERR_AGAIN)
        return;
    int i = 0;
    while (dial->attempts[i].sock != sock_of(ep))
        i++;
    if (err == ERR_NONE) {
        win(dial, i);
        return;
    }
    dial->opening->dialled = dial->attempts[i].to;
    dial->attempts[i].sock = NULL;
    dial->n_alive--;
    endpoint_close(ep, false);
    note_failure(dial, err);
    go_on(dial);
}

static bool serves(enum dial_prefer prefer, const struct addr *addr)
{
    if (prefer == DIAL_V4_ONLY)
        return addr->family == ADDR_V4;
    if (prefer == DIAL_V6_ONLY)
        return addr->family == ADDR_V6;
    return true;
}

/* Keeps an address for trying, unmapped, so that it is what it says. */
static void keep_addr(struct family *family, struct addr addr)
{
    const struct opening *opening = family->dial->opening;
    addr_unmap(&addr);
    addr.port = opening->target.addr.port;
    if (!serves(opening->env->prefer, &addr))
        note_failure(family->dial, ERR_NET_UNREACH);
    else if (family->n_addrs < ADDRS_A_FAMILY)
        family->addrs[family->n_addrs++] = addr;
}

static void keep_answer(struct family *family)
{
    const struct lookup *lookup = &family->lookup;
    if (lookup->err != ERR_NONE)
        note_failure(family->dial, lookup->err);
    for (size_t i = 0; lookup->err == ERR_NONE && i < lookup->n_addrs; i++)
        keep_addr(family, lookup->addrs[i]);
}

static void on_looked_up(struct lookup *lookup)
{
    struct family *family = CONTAINER_OF(lookup, struct family, lookup);
    struct dial *dial = family->dial;
    keep_answer(family);
    /* While an attempt runs, the next has its time. */
    if (dial->n_alive > 0 && !timer_is_set(&dial->next))
        wait_until(dial, dial->tried_at_ms + NEXT_ATTEMPT_MS);
    if (dial->n_alive == 0)
        go_on(dial);
}

static void ask(struct dial *dial, int which, enum addr_family wanted)
{
    struct family *family = &dial->families[which];
    struct opening *opening = dial->opening;
    enum err err = resolver_ask(opening->env->resolver, &family->lookup, opening->target.name,
                                wanted, on_looked_up);
    if (err != ERR_AGAIN)
        keep_answer(family);
}

/* Keeps what has been looked up already, as far as it would have been asked for. */
static void keep_known(struct dial *dial, enum addr_family preferred)
{
    const struct opening *opening = dial->opening;
    for (size_t i = 0; i < opening->n_addrs; i++) {
        const struct addr *addr = &opening->addrs[i];
        if (serves(opening->env->prefer, addr))
            keep_addr(&dial->families[addr->family == preferred ? PREFERRED : OTHER], *addr);
    }
}

static void begin(struct dial *dial)
{
    const struct opening *opening = dial->opening;
    enum dial_prefer prefer = opening->env->prefer;
    if (opening->target.name_bytes == 0) {
        keep_addr(&dial->families[PREFERRED], opening->target.addr);
        return;
    }
    bool is_v4_first = prefer == DIAL_V4_FIRST || prefer == DIAL_V4_ONLY;
    dial->why_not = ERR_LOOKUP;
    if (opening->is_looked_up) {
        keep_known(dial, is_v4_first ? ADDR_V4 : ADDR_V6);
        return;
    }
    ask(dial, PREFERRED, is_v4_first ? ADDR_V4 : ADDR_V6);
    if (prefer != DIAL_V4_ONLY && prefer != DIAL_V6_ONLY)
        ask(dial, OTHER, is_v4_first ? ADDR_V6 : ADDR_V4);
}

enum err dial_open(struct opening *opening, const struct sock_options *options)
{
    struct dial *dial = slab_get(&opening->env->dials);
    if (dial == NULL)
        return ERR_MEMORY;
    dial->opening = opening;
    dial->options = options;
    dial->slab = &opening->env->dials;
    timer_init(&dial->next, on_next);
    for (int i = 0; i < N_FAMILIES; i++) {
        dial->families[i].dial = dial;
        list_init(&dial->families[i].lookup.link);
    }
    opening->state = dial;
    begin(dial);
    enum err err = try_next(dial);
    if (err != ERR_AGAIN)
        end(dial);
    return err;
}
