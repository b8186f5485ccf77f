/*
 * The ways to and through upstreams: which dialect a server speaks, chains of upstreams over one
 * connection, connections without a descriptor, BIND.
 */
#include "upstreams.h"

#include "streams.h"

#define BYTES(literal) literal, sizeof(literal) - 1

#define GREETING "\x05\x01\0"
#define REQUEST5 "\x05\x01\0\x03\x09name.test\0\x50"
#define GRANTED5 "\x05\0\0\x01\xc0\0\x02\x09\x12\x34"
#define REQUEST4 "\x04\x01\0\x50\0\0\0\x01\0name.test\0"
#define GRANTED4 "\0\x5a\x12\x34\xc0\0\x02\x09"

static void assert_bound(const struct addr *addr, const char *expected)
{
    char text[ADDR_TEXT_BYTES] = "none";
    if (addr->family != ADDR_NONE)
        addr_format(addr, text);
    assert_string_equal(text, expected);
}

/* ---- SOCKS5 or SOCKS4 ---- */

enum reaction { CLOSES, RESETS, ANSWERS_0, IS_SILENT, N_REACTIONS };

/* What a server does that speaks SOCKS4 alone. */
static void react(enum reaction reaction)
{
    switch (reaction) {
    case ANSWERS_0:
        up_say(BYTES("\0\x5b"), false);
        up_close(false);
        break;
    case IS_SILENT:
        up_settle();
        up.now_ms += 2999;
        up_settle();
        assert_int_equal(recv(up.fd, &(char){0}, 1, 0), -1);
        assert_int_equal(errno, EAGAIN);
        up.now_ms += 1;
        up_settle();
        up_close(false);
        break;
    default:
        up_close(reaction == RESETS);
    }
}

static void grant4(void)
{
    up_accept();
    up_expect(BYTES(REQUEST4));
    up_say(BYTES(GRANTED4), false);
    up_done(ERR_NONE);
    assert_bound(&up.opening.bound, "192.0.2.9:4660");
}

static void grant5(void)
{
    up_accept();
    up_expect(BYTES(GREETING));
    up_say(BYTES("\x05\0"), false);
    up_expect(BYTES(REQUEST5));
    up_say(BYTES(GRANTED5), false);
    up_done(ERR_NONE);
}

static void acc_61_a_server_that_speaks_socks4a_alone_is_found_out_and_remembered(void **state)
{
    for (int reaction = 0; reaction < N_REACTIONS; reaction++) {
        up_begin(state);
        up_make(outbound_socks_new, NULL, NULL);
        up_open("name.test:80");
        up_accept();
        up_expect(BYTES(GREETING));
        react((enum reaction)reaction);
        grant4();
        up_drop();
        for (int i = 0; i < 2; i++) {
            up_open("name.test:80");
            grant4();
            up_drop();
        }
        assert_string_equal(up.lines, "");
        up_end();
    }
}

static void a_server_that_has_changed_its_mind_is_found_out_again(void **state)
{
    static const struct {
        const char *answer;
        size_t n;
    } cases[] = {{BYTES("\x05\xff")}, {BYTES("")}};
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        up_begin(state);
        up_make(outbound_socks_new, NULL, NULL);
        up_open("name.test:80");
        up_accept();
        up_close(false);
        grant4();
        up_drop();
        /* It speaks SOCKS5 now: that costs one request. */
        up_open("name.test:80");
        up_accept();
        up_expect(BYTES(REQUEST4));
        up_say(cases[i].answer, cases[i].n, false);
        up_close(false);
        up_done(ERR_UPSTREAM);
        up_drop();
        up_open("name.test:80");
        grant5();
        up_drop();
        up_end();
    }
}

static void a_server_that_has_spoken_socks5_is_not_asked_otherwise_when_it_closes(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    up_open("name.test:80");
    grant5();
    up_drop();
    up_open("name.test:80");
    up_accept();
    up_expect(BYTES(GREETING));
    up_close(false);
    up_done(ERR_UPSTREAM);
    up_drop();
    up_end();
}

static void a_login_is_never_left_away(void **state)
{
    for (int reaction = 0; reaction < IS_SILENT; reaction++) {
        up_begin(state);
        up_make(outbound_socks_new, "ann", "pw");
        up_open("name.test:80");
        up_accept();
        up_expect(BYTES("\x05\x02\0\x02"));
        react((enum reaction)reaction);
        up_done(ERR_UPSTREAM);
        up_end();
    }
}

static void a_server_that_speaks_neither_has_failed(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        up_open("name.test:80");
        for (int k = 0; k < 2; k++) {
            up_accept();
            up_close(false);
        }
        up_done(ERR_UPSTREAM);
        up_drop();
    }
    up_end();
}

static void ipv6_is_no_address_for_socks4(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    up_open("[2001:db8::1]:80");
    up_accept();
    up_close(false);
    up_accept();
    up_done(ERR_ADDRESS_TYPE);
    up_end();
}

static void what_socks4_cannot_ask_for_is_asked_by_socks5_again(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    up_open("name.test:80");
    up_accept();
    up_close(false);
    grant4();
    up_drop();
    up_open("[2001:db8::1]:80");
    up_accept();
    up_expect(BYTES(GREETING));
    up_say(BYTES("\x05\0"), false);
    up_say(BYTES(GRANTED5), false);
    up_done(ERR_NONE);
    up_drop();
    up_open("name.test:80");
    grant5();
    up_end();
}

static void a_server_that_has_begun_to_answer_may_take_its_time(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    up_open("name.test:80");
    up_accept();
    up_expect(BYTES(GREETING));
    up_say("\x05", 1, false);
    up.now_ms += 10000;
    up_settle();
    up_say("\0", 1, false);
    up_expect(BYTES(REQUEST5));
    up_say(BYTES(GRANTED5), false);
    up_done(ERR_NONE);
    up_end();
}

static void giving_up_while_a_silent_server_is_asked_leaves_nothing(void **state)
{
    for (int i = 0; i < 2; i++) {
        up_begin(state);
        up_make(outbound_socks_new, NULL, NULL);
        up_open("name.test:80");
        up_accept();
        up_expect(BYTES(GREETING));
        if (i > 0) {
            react(IS_SILENT);
            up_accept();
            up_expect(BYTES(REQUEST4));
        }
        up.outbound->ops->cancel(up.outbound, &up.opening);
        up.now_ms += 10000;
        up_settle();
        assert_int_equal(up.n_done, 0);
        up_end();
    }
}

/* ---- chains ---- */

static struct {
    struct target second, third;
    struct outbound *hops[3];
} chain;

/* socks, then http with a login, then socks: only the first is dialled. */
static void make_chain(void)
{
    assert_int_equal(target_parse(&chain.second, "hop.test:3128", 13), ERR_NONE);
    assert_int_equal(target_parse(&chain.third, "127.0.0.1:9", 11), ERR_NONE);
    struct upstream_server first = {&up.server, NULL, NULL};
    struct upstream_server second = {&chain.second, "ann", "pw"};
    struct upstream_server third = {&chain.third, NULL, NULL};
    chain.hops[0] = outbound_socks_new("one", &first);
    chain.hops[1] = outbound_http_new("two", &second);
    chain.hops[2] = outbound_socks_new("three", &third);
    chain.hops[1]->via = chain.hops[0];
    chain.hops[2]->via = chain.hops[1];
    up.outbound = chain.hops[2];
}

static void end_chain(void)
{
    up_end();
    free(chain.hops[0]);
    free(chain.hops[1]);
}

static const struct {
    const char *asked;
    size_t n_asked;
    const char *answered;
    size_t n_answered;
} chained[] = {
    {BYTES(GREETING), BYTES("\x05\0")},
    {BYTES("\x05\x01\0\x03\x08hop.test\x0c\x38"), BYTES(GRANTED5)},
    {BYTES("CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"
           "Proxy-Authorization: Basic YW5uOnB3\r\n\r\n"),
     BYTES("HTTP/1.1 200 OK\r\n\r\n")},
    {BYTES(GREETING), BYTES("\x05\0")},
    {BYTES(REQUEST5), BYTES("\x05\0\0\x01\xc0\0\x02\x07\0\x07")},
};

/* So many bytes of all answers are given. False: that is more than there are. */
static bool play_chain(size_t at, bool one_by_one)
{
    up_open("name.test:80");
    up_accept();
    for (size_t i = 0; i < N_ITEMS(chained); i++) {
        up_expect(chained[i].asked, chained[i].n_asked);
        if (at < chained[i].n_answered) {
            up_say(chained[i].answered, at, one_by_one);
            return true;
        }
        up_say(chained[i].answered, chained[i].n_answered, one_by_one);
        at -= chained[i].n_answered;
    }
    return false;
}

static void acc_61_a_chain_goes_through_one_connection_and_asks_for_no_name(void **state)
{
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        up_begin(state);
        make_chain();
        assert_false(play_chain(SIZE_MAX / 2, one_by_one));
        up_done(ERR_NONE);
        assert_bound(&up.opening.bound, "192.0.2.7:7");
        assert_true(addr_equal(&up.opening.dialled, &up.addr, true));
        assert_string_equal(up.lines, "");
        end_chain();
    }
}

static void acc_61_a_chain_that_breaks_at_any_byte_leaves_nothing(void **state)
{
    bool was_cut = true;
    for (size_t at = 2; was_cut; at++) {
        up_begin(state);
        make_chain();
        was_cut = play_chain(at, false);
        if (was_cut)
            up_close(at % 2 > 0);
        /* The last server may speak SOCKS4: it is asked again, through all the others. */
        if (at == 31 || at == 32) {
            up_accept();
            up_close(false);
        }
        up_done(was_cut ? ERR_UPSTREAM : ERR_NONE);
        end_chain();
    }
}

static void acc_61_giving_up_a_chain_at_any_byte_leaves_nothing(void **state)
{
    bool was_cut = true;
    for (size_t at = 0; was_cut; at++) {
        up_begin(state);
        make_chain();
        was_cut = play_chain(at, false);
        if (was_cut) {
            up.outbound->ops->cancel(up.outbound, &up.opening);
            up_settle();
            assert_int_equal(up.n_done, 0);
        }
        end_chain();
    }
}

static void what_a_server_says_before_it_is_asked_is_no_answer(void **state)
{
    up_begin(state);
    make_chain();
    up_open("name.test:80");
    up_accept();
    up_expect(BYTES(GREETING));
    up_say(BYTES("\x05\0"), false);
    up_expect(chained[1].asked, chained[1].n_asked);
    up_say(BYTES(GRANTED5 "HTTP/1.1 200 OK\r\n\r\n"), false);
    up_done(ERR_UPSTREAM);
    assert_non_null(strstr(up.lines, "out=two"));
    end_chain();
}

static void a_refusal_on_the_way_is_the_failure_of_the_hop_behind(void **state)
{
    up_begin(state);
    make_chain();
    up_open("name.test:80");
    up_accept();
    up_expect(BYTES(GREETING));
    up_say(BYTES("\x05\0"), false);
    up_say(BYTES("\x05\x05"), false);
    up_done(ERR_UPSTREAM);
    assert_non_null(strstr(up.lines, "out=two server=hop.test:3128 why=\"connection refused\""));
    assert_null(strstr(up.lines, "out=one"));
    end_chain();
}

/* ---- a connection without a descriptor ---- */

static struct {
    struct outbound outbound;
    struct endpoint *endpoint;
    size_t queue_bytes;
    uint64_t random; /* 0: it does not hesitate */
    int far;
    bool at_once;
    struct opening *pending;
} memory;

static enum err open_memory(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    struct memory_kind kind = {.queue_bytes = memory.queue_bytes,
                               .random = memory.random == 0 ? NULL : &memory.random,
                               .lends = true};
    memory.endpoint = memory_new(up.env.loop, kind, &memory.far);
    opening->endpoint = memory.endpoint;
    memory.pending = opening;
    return memory.at_once ? ERR_NONE : ERR_AGAIN;
}

static const struct outbound_ops memory_ops = {.open = open_memory};

/* Exactly this comes out at the far end. */
static void far_expect(const char *bytes, size_t n)
{
    char got[512];
    size_t n_got = 0;
    assert_true(n <= sizeof got);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_got < n) {
        if (now_ms() > give_up)
            fail_msg("%zu of %zu bytes came", n_got, n);
        up_settle();
        ssize_t more = far_receive(memory.far, got + n_got, n - n_got);
        assert_true(more > 0 || (more < 0 && errno == EAGAIN));
        n_got += more > 0 ? (size_t)more : 0;
    }
    assert_memory_equal(got, bytes, n);
}

static void far_say(const char *bytes, size_t n)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n > 0 && now_ms() < give_up) {
        ssize_t sent = far_send(memory.far, bytes, n);
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        up_settle();
    }
    assert_int_equal(n, 0);
}

static void begin_in_memory(void **state, up_maker *make, bool at_once, uint64_t seed)
{
    up_begin(state);
    up_make(make, "ann", "pw");
    memory.queue_bytes = seed == 0 ? 20 : 7;
    memory.random = seed;
    memory.at_once = at_once;
    memory.outbound = (struct outbound){.ops = &memory_ops, .name = "memory"};
    up.outbound->via = &memory.outbound;
    up_open("name.test:80");
    if (!at_once)
        memory.pending->done(memory.pending, ERR_NONE);
}

static const struct {
    up_maker *make;
    const char *texts[6]; /* asked and answered in turn */
    size_t n[6];
} in_memory[] = {
    {outbound_socks_new,
     {"\x05\x02\0\x02", "\x05\x02",
      "\x01\x03"
      "ann\x02pw",
      "\x01\0", REQUEST5, GRANTED5},
     {4, 2, 8, 2, 16, 10}},
    {outbound_http_new,
     {"CONNECT name.test:80 HTTP/1.1\r\nHost: name.test:80\r\n"
      "Proxy-Authorization: Basic YW5uOnB3\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n"},
     {90, 19}},
};

static void acc_61_what_carries_an_upstream_needs_no_descriptor(void **state)
{
    for (uint64_t i = 0; i < 100; i++) {
        size_t which = i % 2;
        begin_in_memory(state, in_memory[which].make, i % 4 < 2, i + 1);
        for (size_t k = 0; k < N_ITEMS(in_memory[which].n); k += 2) {
            far_expect(in_memory[which].texts[k], in_memory[which].n[k]);
            far_say(in_memory[which].texts[k + 1], in_memory[which].n[k + 1]);
        }
        up_done(ERR_NONE);
        assert_ptr_equal(up.opening.endpoint, memory.endpoint);
        up_drop();
        far_close(memory.far);
        assert_int_equal(n_streams, 0);
        up_end();
    }
}

static void what_carries_an_upstream_may_be_reset_at_any_byte(void **state)
{
    for (size_t i = 0; i < 200; i++) {
        size_t which = i % 2, at = i / 2 % 26;
        begin_in_memory(state, in_memory[which].make, i % 4 < 2, i + 1);
        for (size_t k = 0; k < N_ITEMS(in_memory[which].n); k += 2) {
            size_t n = in_memory[which].n[k + 1];
            far_expect(in_memory[which].texts[k], in_memory[which].n[k]);
            far_say(in_memory[which].texts[k + 1], at < n ? at : n);
            if (at < n)
                break;
            at -= n;
        }
        far_reset(memory.far);
        UP_UNTIL(up.n_done > 0);
        up_drop();
        far_close(memory.far);
        assert_int_equal(n_streams, 0);
        up_end();
    }
}

static void answers_that_come_ahead_of_their_questions_wait_for_these(void **state)
{
    begin_in_memory(state, outbound_socks_new, true, 0);
    far_say("\x05\x02\x01\0" GRANTED5, 14);
    assert_int_equal(up.n_done, 0);
    far_expect("\x05\x02\0\x02\x01\x03"
               "ann\x02pw" REQUEST5,
               28);
    up_done(ERR_NONE);
    up_drop();
    far_close(memory.far);
    up_end();
}

static void giving_up_while_a_question_is_half_sent_leaves_nothing(void **state)
{
    begin_in_memory(state, outbound_http_new, true, 0);
    up_settle();
    assert_true(up.shared.n_held_bytes > 0);
    up.outbound->ops->cancel(up.outbound, &up.opening);
    far_close(memory.far);
    up_end();
}

/* ---- BIND ---- */

static void open_bind(const char *target)
{
    up_prepare(target);
    up.opening.is_bind = true;
    up_take(up.outbound->ops->bind(up.outbound, &up.opening));
}

static void acc_60_bind_through_an_upstream_passes_both_answers_on(void **state)
{
    static const char *const firsts[] = {"\x05\0\0\x01\xc0\0\x02\x09\x12\x34",
                                         "\x05\0\0\x01\0\0\0\0\x12\x34"};
    static const char *const listening[] = {"192.0.2.9:4660", "127.0.0.1:4660"};
    for (size_t i = 0; i < 4; i++) {
        bool one_by_one = i > 1;
        up_begin(state);
        up_make(outbound_socks_new, NULL, NULL);
        open_bind("192.0.2.1:20");
        up_accept();
        up_expect(BYTES(GREETING));
        up_say(BYTES("\x05\0"), one_by_one);
        up_expect(BYTES("\x05\x02\0\x01\xc0\0\x02\x01\0\x14"));
        up_say(firsts[i % 2], 10, one_by_one);
        UP_UNTIL(up.n_listening > 0);
        assert_bound(&up.listening, listening[i % 2]);
        assert_int_equal(up.n_done, 0);
        up_say(BYTES("\x05\0\0\x01\xc0\0\x02\x01\0\x14"), one_by_one);
        up_done(ERR_NONE);
        assert_int_equal(up.n_listening, 1);
        assert_bound(&up.opening.dialled, "192.0.2.1:20");
        up_end();
    }
}

static void acc_60_bind_by_socks4_has_two_answers_too(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    open_bind("0.0.0.0:0");
    up_accept();
    up_close(false);
    up_accept();
    up_expect(BYTES("\x04\x02\0\0\0\0\0\0\0"));
    up_say(BYTES(GRANTED4 "\0\x5a\0\x14\xc0\0\x02\x01"
                          "220 "),
           false);
    up_done(ERR_NONE);
    assert_bound(&up.listening, "192.0.2.9:4660");
    assert_bound(&up.opening.dialled, "192.0.2.1:20");
    assert_int_equal(up.opening.n_early, 4);
    up_end();
}

static void bind_that_is_refused_or_breaks_says_so_at_either_answer(void **state)
{
    for (int i = 0; i < 4; i++) {
        up_begin(state);
        up_make(outbound_socks_new, NULL, NULL);
        open_bind("192.0.2.1:20");
        up_accept();
        up_say(BYTES("\x05\0"), false);
        if (i > 1)
            up_say(BYTES(GRANTED5), false);
        if (i % 2 == 0)
            up_say(BYTES("\x05\x07"), false);
        else
            up_close(true);
        up_done(i % 2 == 0 ? ERR_COMMAND : ERR_UPSTREAM);
        assert_int_equal(up.n_listening, i > 1);
        up_end();
    }
}

static void http_knows_no_bind(void **state)
{
    up_begin(state);
    up_make(outbound_http_new, NULL, NULL);
    assert_null(up.outbound->ops->bind);
    up_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(acc_61_a_server_that_speaks_socks4a_alone_is_found_out_and_remembered),
        ON_BOTH(a_server_that_has_changed_its_mind_is_found_out_again),
        ON_BOTH(a_server_that_has_spoken_socks5_is_not_asked_otherwise_when_it_closes),
        ON_BOTH(a_login_is_never_left_away),
        ON_BOTH(a_server_that_speaks_neither_has_failed),
        ON_BOTH(ipv6_is_no_address_for_socks4),
        ON_BOTH(what_socks4_cannot_ask_for_is_asked_by_socks5_again),
        ON_BOTH(a_server_that_has_begun_to_answer_may_take_its_time),
        ON_BOTH(giving_up_while_a_silent_server_is_asked_leaves_nothing),
        ON_BOTH(acc_61_a_chain_goes_through_one_connection_and_asks_for_no_name),
        ON_BOTH(acc_61_a_chain_that_breaks_at_any_byte_leaves_nothing),
        ON_BOTH(acc_61_giving_up_a_chain_at_any_byte_leaves_nothing),
        ON_BOTH(what_a_server_says_before_it_is_asked_is_no_answer),
        ON_BOTH(a_refusal_on_the_way_is_the_failure_of_the_hop_behind),
        ON_BOTH(acc_61_what_carries_an_upstream_needs_no_descriptor),
        ON_BOTH(what_carries_an_upstream_may_be_reset_at_any_byte),
        ON_BOTH(answers_that_come_ahead_of_their_questions_wait_for_these),
        ON_BOTH(giving_up_while_a_question_is_half_sent_leaves_nothing),
        ON_BOTH(acc_60_bind_through_an_upstream_passes_both_answers_on),
        ON_BOTH(acc_60_bind_by_socks4_has_two_answers_too),
        ON_BOTH(bind_that_is_refused_or_breaks_says_so_at_either_answer),
        ON_BOTH(http_knows_no_bind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
