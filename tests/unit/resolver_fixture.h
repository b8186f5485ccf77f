/* A resolver with files of its own and the DNS server of dns_server.h, and someone who asks. */
#ifndef SOCKEYE_TESTS_RESOLVER_FIXTURE_H
#define SOCKEYE_TESTS_RESOLVER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "dns_server.h"
#include "folder.h"
#include "io/dns_channel.h"
#include "io/resolver.h"
#include "loops.h"

struct fixture {
    struct loop *loop;
    struct resolver *resolver;
    struct dns_server *server;
    struct addr server_addr;
    char dir[32], hosts[48], resolv[48];
    int turn_ms; /* how long a turn waits for events */
    size_t n_fds;
};

struct asker {
    struct lookup lookup;
    struct fixture *fixture;
    void (*then)(struct asker *); /* called when told, may be NULL */
    unsigned n_told;
    bool is_asking, at_once;
    enum err err;
    struct addr addrs[DNS_MAX_ADDRS];
    size_t n_addrs;
};

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The loop, the server and the files; no resolver yet. */
static inline void fixture_init(struct fixture *fixture, enum loop_backend backend,
                                struct dns_rule *rules, size_t n_rules, const char *hosts,
                                const char *resolv)
{
    static struct dns_server server;
    *fixture = (struct fixture){.server = &server, .turn_ms = 1};
    fixture->n_fds = count_fds();
    folder_make(fixture->dir);
    snprintf(fixture->hosts, sizeof fixture->hosts, "%s/hosts", fixture->dir);
    snprintf(fixture->resolv, sizeof fixture->resolv, "%s/resolv.conf", fixture->dir);
    write_file(fixture->hosts, hosts);
    write_file(fixture->resolv, resolv);
    dns_server_open(&server, rules, n_rules, NULL);
    fixture->server_addr =
        (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = server.port};
    fixture->loop = loop_new(backend);
    assert_non_null(fixture->loop);
}

static inline void fixture_resolve(struct fixture *fixture, struct resolver_options options)
{
    if (options.n_servers == 0) {
        options.servers = &fixture->server_addr;
        options.n_servers = 1;
    }
    options.hosts_path = fixture->hosts;
    options.resolv_path = fixture->resolv;
    assert_int_equal(resolver_new(&fixture->resolver, fixture->loop, &options), ERR_NONE);
}

static inline void fixture_turn(struct fixture *fixture)
{
    dns_server_step(fixture->server);
    (void)loop_turn(fixture->loop, fixture->turn_ms); /* waiting is a call that can fail too */
}

static inline void fixture_pass(struct fixture *fixture, unsigned ms)
{
    uint64_t end = dns_server_now_ms() + ms;
    while (dns_server_now_ms() < end)
        fixture_turn(fixture);
}

/* Nothing of the resolver's may be left, in the loop or open. */
static inline void fixture_deinit(struct fixture *fixture)
{
    resolver_free(fixture->resolver);
    fixture_turn(fixture);
    assert_int_equal(loop_n_watches(fixture->loop), 0);
    assert_true(timer_heap_next(loop_timers(fixture->loop)) == UINT64_MAX);
    loop_free(fixture->loop);
    dns_server_close(fixture->server);
    unlink(fixture->hosts);
    unlink(fixture->resolv);
    rmdir(fixture->dir);
    assert_int_equal(count_fds(), fixture->n_fds);
}

static inline void take_answer(struct asker *asker)
{
    asker->n_told++;
    asker->err = asker->lookup.err;
    asker->n_addrs = asker->lookup.n_addrs;
    assert_true(asker->n_addrs <= DNS_MAX_ADDRS);
    assert_true((asker->err == ERR_NONE) == (asker->n_addrs > 0));
    for (size_t i = 0; i < asker->n_addrs; i++)
        asker->addrs[i] = asker->lookup.addrs[i];
}

static inline void on_told(struct lookup *lookup)
{
    struct asker *asker = CONTAINER_OF(lookup, struct asker, lookup);
    assert_false(asker->is_asking); /* never from inside resolver_ask() */
    assert_false(lookup->pending);
    take_answer(asker);
    if (asker->then != NULL)
        asker->then(asker);
}

/* Asks; `then` of the asker is kept. */
static inline void ask(struct fixture *fixture, struct asker *asker, const char *name,
                       enum addr_family family)
{
    asker->fixture = fixture;
    asker->n_told = 0;
    asker->is_asking = true;
    enum err err = resolver_ask(fixture->resolver, &asker->lookup, name, family, on_told);
    asker->is_asking = false;
    assert_true(err == ERR_NONE || err == ERR_AGAIN);
    assert_true(asker->lookup.pending == (err == ERR_AGAIN));
    asker->at_once = err == ERR_NONE;
    if (asker->at_once)
        take_answer(asker);
}

static inline void wait_for(struct asker *asker)
{
    uint64_t end = dns_server_now_ms() + PATIENCE_MS;
    while (asker->n_told == 0) {
        if (dns_server_now_ms() > end)
            fail_msg("nobody was told within %d ms", PATIENCE_MS);
        fixture_turn(asker->fixture);
    }
}

static inline void ask_and_wait(struct fixture *fixture, struct asker *asker, const char *name,
                                enum addr_family family)
{
    ask(fixture, asker, name, family);
    wait_for(asker);
    assert_int_equal(asker->n_told, 1);
}

/* That the answer is these addresses, with commas between, in this order. */
static inline void assert_answer(const struct asker *asker, const char *expected)
{
    char text[2048] = "", ip[ADDR_TEXT_BYTES];
    for (size_t i = 0; i < asker->n_addrs; i++) {
        assert_int_equal(asker->addrs[i].port, 0);
        addr_format_ip(&asker->addrs[i], ip);
        strcat(text, i > 0 ? "," : "");
        strcat(text, ip);
    }
    if (asker->err != ERR_NONE)
        fail_msg("instead of %s: %s", expected, err_text(asker->err));
    assert_string_equal(text, expected);
}

static inline void assert_finds(struct fixture *fixture, const char *name, enum addr_family family,
                                const char *expected)
{
    struct asker asker = {0};
    ask_and_wait(fixture, &asker, name, family);
    assert_answer(&asker, expected);
}

static inline void assert_fails(struct fixture *fixture, const char *name, enum addr_family family,
                                enum err err)
{
    struct asker asker = {0};
    ask_and_wait(fixture, &asker, name, family);
    assert_string_equal(err_text(asker.err), err_text(err));
}

/* Nothing is set and nothing watched: the resolver does not wake the loop. */
static inline void assert_idle(struct fixture *fixture)
{
    assert_int_equal(loop_n_watches(fixture->loop), 0);
    assert_true(timer_heap_next(loop_timers(fixture->loop)) == UINT64_MAX);
}

#endif
