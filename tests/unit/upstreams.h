/*
 * An upstream that says what the test says, on loopback, and one request through it at a time. No
 * request may ask DNS: the resolver has a server that counts. The clock is the test's, by the
 * linker's --wrap=sys_monotonic_us. Include it once.
 */
#ifndef SOCKEYE_TESTS_UPSTREAMS_H
#define SOCKEYE_TESTS_UPSTREAMS_H

#include "resolver_fixture.h"

#include "flow/env.h"
#include "flow/inbound.h"
#include "flow/ruleset.h"
#include "io/socket.h"
#include "outbound/outbounds.h"
#include "tcp.h"

/* The linker chooses this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
uint64_t __wrap_sys_monotonic_us(void);

static struct {
    struct fixture fixture;
    struct flow_env env;
    struct flow_shared shared;
    struct ruleset ruleset;
    struct inbound inbound;
    struct log log;
    char lines[8 * 1024]; /* of the log, each with its newline */
    uint64_t now_ms;

    int listen_fd;
    struct addr addr;
    struct target server;
    int fd; /* the upstream's end of the connection; -1: none */
    struct outbound *outbound;

    struct opening opening;
    unsigned n_done, n_listening;
    struct addr listening;
    enum err outcome;
} up;

uint64_t __wrap_sys_monotonic_us(void)
{
    return up.now_ms * 1000;
}

static inline uint64_t up_wall_ms(struct log *log)
{
    (void)log;
    return 0;
}

static inline void up_emit(struct log *log, enum log_level level, const char *line, size_t n)
{
    (void)log;
    (void)level;
    size_t at = strlen(up.lines);
    assert_true(at + n + 2 < sizeof up.lines);
    memcpy(up.lines + at, line, n);
    memcpy(up.lines + at + n, "\n", 2);
}

#define UP_UNTIL(condition)                                                \
    do {                                                                   \
        uint64_t until_end = now_ms() + PATIENCE_MS;                       \
        while (!(condition)) {                                             \
            if (now_ms() > until_end)                                      \
                fail_msg("not within %d ms: %s", PATIENCE_MS, #condition); \
            fixture_turn(&up.fixture);                                     \
        }                                                                  \
    } while (0)

/* Everything that can happen without time passing happens. */
static inline void up_settle(void)
{
    up.fixture.turn_ms = 0;
    for (int i = 0; i < 8; i++)
        fixture_turn(&up.fixture);
    up.fixture.turn_ms = 1;
}

typedef struct outbound *up_maker(const char *name, const struct upstream_server *server);

static inline void up_begin(void **state)
{
    memset(&up, 0, sizeof up);
    up.now_ms = 1000000;
    up.fd = -1;
    fixture_init(&up.fixture, backend_of(state), NULL, 0, "", "");
    fixture_resolve(&up.fixture, (struct resolver_options){0});
    up.addr = tcp_addr("127.0.0.1", 0);
    up.listen_fd = tcp_listen(&up.addr);
    up.server = (struct target){.addr = up.addr};
    up.inbound = (struct inbound){.ruleset = &up.ruleset, .name = "in"};
    up.log = (struct log){.level = LOG_LEVEL_INFO, .wall_ms = up_wall_ms, .emit = up_emit};
    up.env.shared = &up.shared;
    up.env.loop = up.fixture.loop;
    up.env.resolver = up.fixture.resolver;
    up.env.log = &up.log;
    flow_env_init(&up.env);
}

/* The upstream, asked with this login (NULL: none). */
static inline void up_make(up_maker *make, const char *username, const char *password)
{
    struct upstream_server server = {&up.server, username, password};
    up.outbound = make("up", &server);
    assert_non_null(up.outbound);
}

static inline void up_on_listening(struct opening *opening, const struct addr *at)
{
    assert_ptr_equal(opening, &up.opening);
    up.n_listening++;
    up.listening = *at;
}

static inline void up_on_done(struct opening *opening, enum err err)
{
    assert_ptr_equal(opening, &up.opening);
    up.n_done++;
    up.outcome = err;
}

static inline void up_take(enum err err)
{
    assert_int_equal(up.n_done, 0); /* never from inside open() */
    if (err != ERR_AGAIN)
        up_on_done(&up.opening, err);
}

static inline void up_prepare(const char *target)
{
    up.n_done = up.n_listening = 0;
    up.opening = (struct opening){
        .env = &up.env, .inbound = &up.inbound, .listening = up_on_listening, .done = up_on_done};
    assert_int_equal(target_parse(&up.opening.target, target, strlen(target)), ERR_NONE);
}

static inline void up_open(const char *target)
{
    up_prepare(target);
    up_take(up.outbound->ops->open(up.outbound, &up.opening));
}

/* The upstream takes our connection. What it says goes at once, however little it is. */
static inline void up_accept(void)
{
    static const int on = 1;
    assert_int_equal(up.fd, -1);
    UP_UNTIL((up.fd = accept4(up.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    assert_int_equal(setsockopt(up.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/* The upstream closes: by a fin, or so that we see a reset. */
static inline void up_close(bool reset)
{
    if (reset)
        tcp_reset(up.fd);
    else
        close(up.fd);
    up.fd = -1;
}

/* Exactly this comes to the upstream, and nothing behind it yet. */
static inline void up_expect(const void *bytes, size_t n)
{
    uint8_t got[2048];
    size_t n_got = 0;
    assert_true(n < sizeof got);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_got < n) {
        if (now_ms() > give_up)
            fail_msg("%zu of %zu bytes came", n_got, n);
        fixture_turn(&up.fixture);
        ssize_t more = recv(up.fd, got + n_got, sizeof got - n_got, 0);
        assert_true(more > 0 || (more < 0 && errno == EAGAIN));
        n_got += more > 0 ? (size_t)more : 0;
    }
    assert_int_equal(n_got, n);
    assert_memory_equal(got, bytes, n);
}

/* The upstream says this, and it is read before it says more. */
static inline void up_say(const void *bytes, size_t n, bool one_by_one)
{
    if (!one_by_one && n > 0)
        tcp_send(up.fd, bytes, n);
    for (size_t i = 0; one_by_one && i < n; i++) {
        tcp_send(up.fd, (const uint8_t *)bytes + i, 1);
        fixture_turn(&up.fixture);
    }
    up_settle();
}

static inline void up_done(enum err expected)
{
    UP_UNTIL(up.n_done > 0);
    assert_int_equal(up.n_done, 1);
    assert_string_equal(err_text(up.outcome), err_text(expected));
    assert_null(up.opening.state);
    assert_int_equal(up.opening.endpoint != NULL, expected == ERR_NONE);
}

/* Gives back what was opened, and the upstream's end. */
static inline void up_drop(void)
{
    if (up.n_done > 0 && up.outcome == ERR_NONE)
        endpoint_close(up.opening.endpoint, false);
    free(up.opening.early);
    up.opening.early = NULL;
    up.n_done = 0;
    if (up.fd >= 0)
        up_close(false);
    up_settle();
}

/* Nothing is left, and nobody was asked for a name. */
static inline void up_end(void)
{
    up_drop();
    assert_int_equal(up.fixture.server->n_asked, 0);
    assert_int_equal(up.env.dials.n_used, 0);
    assert_int_equal(up.env.socks.n_used, 0);
    assert_int_equal(up.shared.n_held_bytes, 0);
    assert_idle(&up.fixture);
    free(up.outbound);
    flow_env_deinit(&up.env);
    close(up.listen_fd);
    fixture_deinit(&up.fixture);
}

#endif
