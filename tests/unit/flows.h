/*
 * Flows with an outbound of the test's own: what a client sends goes in by a real connection (or by
 * an endpoint in memory, see ON_ALL), and the outbound opens whatever the test says, at once, later or never. The clock is the test's, by
 * the linker's --wrap=sys_monotonic_ms. Include it once.
 */
#ifndef SOCKEYE_TESTS_FLOWS_H
#define SOCKEYE_TESTS_FLOWS_H

#include <stdlib.h>

#include "flow/flow.h"
#include "flow/ruleset.h"
#include "flow/users.h"
#include "inbound/protocols.h"
#include "io/socket.h"
#include "loops.h"
#include "streams.h"
#include "tcp.h"

/* The linker chooses this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
uint64_t __wrap_sys_monotonic_us(void);

static struct {
    struct flow_env env;
    struct flow_shared shared;
    struct ruleset ruleset;
    struct inbound inbound;
    struct inbound_counts counts;
    struct outbound outbound;
    struct log log;
    uint64_t now_ms;
    char lines[16 * 1024];                       /* of the log, each with its newline */
    unsigned n_ended;                            /* calls of on_ended */
    bool client_is_stream, target_is_stream;     /* and not TCP */
    struct memory_kind client_kind, target_kind; /* where they are */

    /* The outbound: */
    enum err answer; /* ERR_AGAIN: it stays pending until flows_open() */
    struct opening *pending;
    unsigned n_asked, n_cancelled;
    char asked[TARGET_TEXT_BYTES];
    struct addr bound;
    int origin;       /* the far end of what was opened; -1: none */
    bool takes_ahead; /* some of what it may send with the opening, none and all of it too ... */
    bool takes_all;   /* ... or all */
    uint8_t ahead[4096];
    size_t n_ahead;
} flows;

uint64_t __wrap_sys_monotonic_us(void)
{
    return flows.now_ms * 1000;
}

static inline uint64_t flows_wall_ms(struct log *log)
{
    (void)log;
    return 0;
}

static inline void flows_emit(struct log *log, enum log_level level, const char *line, size_t n)
{
    (void)log;
    (void)level;
    size_t at = strlen(flows.lines);
    assert_true(at + n + 2 < sizeof flows.lines);
    memcpy(flows.lines + at, line, n);
    memcpy(flows.lines + at + n, "\n", 2);
}

static inline void flows_on_ended(struct flow_env *env)
{
    assert_ptr_equal(env, &flows.env);
    flows.n_ended++;
}

/* ---- the outbound ---- */

static inline size_t flows_take_some(const uint8_t *bytes, size_t given)
{
    static size_t n_times;
    size_t n = flows.takes_all ? given : given * (n_times++ % 4) / 3;
    assert_true(flows.n_ahead + n <= sizeof flows.ahead);
    if (n > 0)
        memcpy(flows.ahead + flows.n_ahead, bytes, n);
    flows.n_ahead += n;
    return n;
}

static inline void flows_take_ahead(struct opening *opening)
{
    flows.n_ahead = 0;
    if (flows.takes_ahead)
        opening->n_ahead_taken = flows_take_some(opening->ahead, opening->n_ahead);
}

static inline void flows_on_ahead(struct outbound *outbound, struct opening *opening,
                                  const uint8_t *bytes, size_t given, size_t *n)
{
    assert_ptr_equal(outbound, &flows.outbound);
    assert_ptr_equal(opening, flows.pending);
    *n = flows_take_some(bytes, given);
}

static inline void flows_send_ahead(struct endpoint *endpoint)
{
    for (size_t at = 0, n = 0; at < flows.n_ahead; at += n) {
        enum err err = endpoint_write(endpoint, flows.ahead + at, flows.n_ahead - at, &n);
        assert_true(err == ERR_NONE || err == ERR_AGAIN);
        if (err == ERR_AGAIN)
            n = 0;
    }
}

static inline void flows_make_endpoint(struct opening *opening)
{
    int fds[2];
    struct sock *sock;
    assert_int_equal(flows.origin, -1);
    opening->bound = flows.bound;
    if (flows.target_is_stream) {
        opening->endpoint = memory_new(flows.env.loop, flows.target_kind, &flows.origin);
        flows_send_ahead(opening->endpoint);
        return;
    }
    tcp_pair(fds);
    flows.origin = fds[1];
    assert_int_equal(sock_new(&sock, flows.env.loop, &flows.env.socks, fds[0], 0, NULL, NULL),
                     ERR_NONE);
    opening->endpoint = &sock->ep;
    flows_send_ahead(opening->endpoint);
}

static inline enum err flows_on_open(struct outbound *outbound, struct opening *opening)
{
    assert_ptr_equal(outbound, &flows.outbound);
    flows.n_asked++;
    target_format(&opening->target, flows.asked);
    flows_take_ahead(opening);
    if (flows.answer == ERR_AGAIN)
        flows.pending = opening;
    if (flows.answer == ERR_NONE)
        flows_make_endpoint(opening);
    return flows.answer;
}

static inline void flows_on_cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    assert_ptr_equal(opening, flows.pending);
    flows.pending = NULL;
    flows.n_cancelled++;
}

/* Ends what is pending. */
static inline void flows_open(enum err err)
{
    struct opening *opening = flows.pending;
    flows.pending = NULL;
    if (err == ERR_NONE)
        flows_make_endpoint(opening);
    opening->done(opening, err);
}

/* ---- beginning and end ---- */

/* What a test listed by those below has for its state; backend_of() gives the first. */
enum {
    CLIENT_IN_MEMORY = 1,
    TARGET_IN_MEMORY = 2,
    BOTH_IN_MEMORY = 3,
    LENT = 4,
    HESITANT = 8,
    AHEAD = 16
};

struct flows_setting {
    enum loop_backend backend;
    unsigned how;
};

#define FLOWS_ON(test, where, ...)                                      \
    {                                                                   \
#test " (" where ")", test, NULL, NULL, &(struct flows_setting) \
        {                                                               \
            __VA_ARGS__                                                 \
        }                                                               \
    }

/* A test between TCP connections, on each backend, and with streams in the place of either. */
#define ON_ALL(test)                                                              \
    FLOWS_ON(test, "epoll", LOOP_EPOLL, 0), FLOWS_ON(test, "poll", LOOP_POLL, 0), \
        FLOWS_ON(test, "client in memory", LOOP_EPOLL, CLIENT_IN_MEMORY),         \
        FLOWS_ON(test, "client lends", LOOP_POLL, CLIENT_IN_MEMORY | LENT),       \
        FLOWS_ON(test, "target in memory", LOOP_POLL, TARGET_IN_MEMORY),          \
        FLOWS_ON(test, "target lends", LOOP_EPOLL, TARGET_IN_MEMORY | LENT),      \
        FLOWS_ON(test, "both in memory", LOOP_EPOLL, BOTH_IN_MEMORY),             \
        FLOWS_ON(test, "both lend", LOOP_POLL, BOTH_IN_MEMORY | LENT)

/* The same, and with streams that take and give a piece now and another later, for a test that does not
 * count turns. */
#define ON_ALL_AND_HESITANT(test)                                                         \
    ON_ALL(test),                                                                         \
        FLOWS_ON(test, "both in memory, hesitant", LOOP_POLL, BOTH_IN_MEMORY | HESITANT), \
        FLOWS_ON(test, "both lend, hesitant", LOOP_EPOLL, BOTH_IN_MEMORY | LENT | HESITANT)

/* By an outbound that sends with the opening what it may. */
#define AHEAD_ON_BOTH(test)                            \
    FLOWS_ON(test, "epoll, ahead", LOOP_EPOLL, AHEAD), \
        FLOWS_ON(test, "target lends, ahead", LOOP_POLL, TARGET_IN_MEMORY | LENT | AHEAD)

/* For a test that takes its time. */
#define ON_BOTH_AND_HESITANT(test)                                                         \
    FLOWS_ON(test, "epoll", LOOP_EPOLL, 0), FLOWS_ON(test, "poll", LOOP_POLL, 0),          \
        FLOWS_ON(test, "both in memory, hesitant", LOOP_EPOLL, BOTH_IN_MEMORY | HESITANT), \
        FLOWS_ON(test, "both lend, hesitant", LOOP_POLL, BOTH_IN_MEMORY | LENT | HESITANT)

/* For a test that needs a client with a socket. */
#define ON_BOTH_WITH_SOCKETS(test) \
    FLOWS_ON(test, "epoll", LOOP_EPOLL, 0), FLOWS_ON(test, "poll", LOOP_POLL, 0)

/* After flows_begin(), where one of these lists the test. */
static inline void flows_set(void **state)
{
    const struct flows_setting *setting = *state;
    flows.client_is_stream = setting->how & CLIENT_IN_MEMORY;
    flows.target_is_stream = setting->how & TARGET_IN_MEMORY;
    static uint64_t random;
    random = 1;
    flows.client_kind.random = flows.target_kind.random = setting->how & HESITANT ? &random : NULL;
    flows.client_kind.lends = flows.target_kind.lends = setting->how & LENT;
    flows.takes_ahead = setting->how & AHEAD;
    static const struct outbound_ops taking = {
        .open = flows_on_open, .ahead = flows_on_ahead, .cancel = flows_on_cancel};
    if (flows.takes_ahead)
        flows.outbound.ops = &taking;
}

/* Flows of one inbound; flows.inbound, flows.env.limits and flows.answer may be changed afterwards. */
static inline void flows_begin(enum loop_backend backend, const struct inbound_protocol *protocol,
                               struct flow_limits limits)
{
    static const struct outbound_ops ops = {.open = flows_on_open, .cancel = flows_on_cancel};
    memset(&flows, 0, sizeof flows);
    streams_forget();
    flows.now_ms = 1000000;
    flows.origin = -1;
    flows.client_kind.queue_bytes = flows.target_kind.queue_bytes = STREAM_BYTES;
    flows.bound = tcp_addr("192.0.2.9", 999);
    flows.outbound = (struct outbound){.ops = &ops, .name = "out"};
    ruleset_init(&flows.ruleset, NULL);
    flows.inbound.ruleset = &flows.ruleset;
    flows.inbound.counts = &flows.counts;
    flows.inbound.protocol = protocol;
    flows.inbound.name = "in";
    flows.inbound.outbound = &flows.outbound;
    flows.log = (struct log){
        .level = LOG_LEVEL_INFO, .access = true, .wall_ms = flows_wall_ms, .emit = flows_emit};
    flow_shared_init(&flows.shared);
    flows.env.shared = &flows.shared;
    flows.env.loop = loop_new(backend);
    assert_non_null(flows.env.loop);
    flows.env.log = &flows.log;
    flows.env.limits = limits;
    flows.env.on_ended = flows_on_ended;
    flow_env_init(&flows.env);
}

/* The inbound has users, whose texts are borrowed. */
static inline void flows_set_users(const struct user *list, size_t n)
{
    assert_null(flows.inbound.users);
    assert_int_equal(users_new(&flows.inbound.users, list, n), ERR_NONE);
}

/* Lets what is under way go on, without time passing. */
static inline void flows_settle(void)
{
    for (int i = 0; i < 8; i++)
        assert_true(loop_turn(flows.env.loop, 1));
}

static inline void flows_pass(uint64_t ms)
{
    flows.now_ms += ms;
    flows_settle();
}

#define FLOWS_UNTIL(condition) TURN_UNTIL(flows.env.loop, condition)

/* Every flow has ended by itself, and nothing of it is left. */
static inline void flows_end(void)
{
    if (!list_empty(&flows.env.live))
        flows_settle();
    turn_at_once(flows.env.loop, 1);
    assert_true(list_empty(&flows.env.live));
    assert_int_equal(flows.env.counters.flows_now, 0);
    assert_int_equal(flows.env.counters.flows_total, flows.n_ended);
    assert_int_equal(flows.shared.n_connections, 0);
    assert_int_equal(flows.shared.n_held_bytes, 0);
    assert_int_equal(flows.counts.n_connections, 0);
    assert_int_equal(flows.env.flows.n_used, 0);
    assert_int_equal(flows.env.socks.n_used, 0);
    assert_int_equal(flows.env.openings.n_used, 0);
    assert_int_equal(flows.env.associations.n_used, 0);
    assert_int_equal(n_streams, 0);
    assert_int_equal(flows.env.pipes.n_held, 0);
    assert_int_equal(loop_n_watches(flows.env.loop), 0);
    assert_true(timer_heap_next(loop_timers(flows.env.loop)) == UINT64_MAX);
    flow_env_deinit(&flows.env);
    loop_free(flows.env.loop);
    flow_shared_deinit(&flows.shared);
    assert_int_equal(flows.ruleset.n_holders, 1);
    users_free(flows.inbound.users);
    if (flows.origin >= 0)
        far_close(flows.origin);
}

/* ---- clients ---- */

/* Returns the client's end of a connection that was accepted from this address. */
static inline int flows_client_from(const char *ip)
{
    int fds[2];
    struct addr from = tcp_addr(ip, 4242);
    if (flows.client_is_stream) {
        struct endpoint *near = memory_new(flows.env.loop, flows.client_kind, &fds[1]);
        if (flow_accept_endpoint(&flows.env, &flows.inbound, near, &from, NULL) != ERR_NONE)
            endpoint_close(near, false);
        return fds[1];
    }
    tcp_pair(fds);
    flow_accept(&flows.env, &flows.inbound, fds[0], &from);
    return fds[1];
}

static inline int flows_client(void)
{
    return flows_client_from("192.0.2.7");
}

static inline void flows_send(int fd, const char *bytes, size_t n, bool one_by_one)
{
    for (size_t i = 0; one_by_one && i < n; i++) {
        /* It may have been refused in the middle, and closed. */
        if (far_send(fd, bytes + i, 1) < 0)
            return;
        assert_true(loop_turn(flows.env.loop, 0));
    }
    if (!one_by_one)
        far_send_all(fd, bytes, n);
}

/* Receives exactly this. */
static inline void flows_expect(int fd, const char *expected, size_t n)
{
    char bytes[4096];
    size_t n_got = 0;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    assert_true(n < sizeof bytes);
    while (n_got < n) {
        if (now_ms() > give_up)
            fail_msg("%zu of %zu bytes came", n_got, n);
        assert_true(loop_turn(flows.env.loop, 1));
        ssize_t got = far_receive(fd, bytes + n_got, n - n_got);
        if (got == 0)
            fail_msg("the end came after %zu of %zu bytes", n_got, n);
        n_got += got > 0 ? (size_t)got : 0;
    }
    assert_memory_equal(bytes, expected, n);
}

/* The end comes, and it is this: 0 a fin, ECONNRESET a reset. */
static inline void flows_expect_end(int fd, int why)
{
    char byte;
    ssize_t got;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while ((got = far_receive(fd, &byte, 1)) < 0 && errno == EAGAIN) {
        if (now_ms() > give_up)
            fail_msg("no end came");
        assert_true(loop_turn(flows.env.loop, 1));
    }
    assert_int_equal(got, why == 0 ? 0 : -1);
    if (why != 0)
        assert_int_equal(errno, why);
}

/* Whether anything has come: bytes, a fin or a reset. */
static inline bool flows_is_silent(int fd)
{
    char byte;
    return far_take(fd, &byte, 1, true) < 0 && errno == EAGAIN;
}

#endif
