/*
 * What an upstream is asked, byte for byte, and what becomes of all that it may answer: whole and
 * byte by byte, cut off at every byte, and when it is nonsense.
 */
#include "upstreams.h"

#define BYTES(literal) literal, sizeof(literal) - 1

struct exchange {
    const char *asked;
    size_t n_asked;
    const char *answered;
    size_t n_answered;
};

#define EXCHANGE(asked, answered)     \
    {                                 \
        BYTES(asked), BYTES(answered) \
    }

struct talk {
    up_maker *make;
    const char *username, *password;
    const char *target;
    struct exchange exchanges[3];
    const char *bound; /* told to the client; NULL: none */
};

#define GRANTED5 "\x05\0\0\x01\xc0\0\x02\x09\x12\x34"
#define BOUND5 "192.0.2.9:4660"

/* All that is well. */
static const struct talk talks[] = {
    {outbound_socks_new,
     NULL,
     NULL,
     "example.com:443",
     {EXCHANGE("\x05\x01\0", "\x05\0"), EXCHANGE("\x05\x01\0\x03\x0b"
                                                 "example.com\x01\xbb",
                                                 GRANTED5)},
     BOUND5},
    {outbound_socks_new,
     NULL,
     NULL,
     "192.0.2.1:80",
     {EXCHANGE("\x05\x01\0", "\x05\0"),
      EXCHANGE("\x05\x01\0\x01\xc0\0\x02\x01\0\x50", "\x05\0\0\x03\x04name\0\x50")},
     NULL},
    {outbound_socks_new,
     "ann",
     "pw",
     "[2001:db8::1]:80",
     {EXCHANGE("\x05\x02\0\x02", "\x05\x02"),
      EXCHANGE("\x01\x03"
               "ann\x02pw",
               "\x01\0"),
      EXCHANGE("\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50",
               "\x05\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\0\x09")},
     "[2001:db8::9]:9"},
    /* It was offered a login and wants none. */
    {outbound_socks_new,
     "ann",
     "pw",
     "192.0.2.1:80",
     {EXCHANGE("\x05\x02\0\x02", "\x05\0"),
      EXCHANGE("\x05\x01\0\x01\xc0\0\x02\x01\0\x50", GRANTED5)},
     BOUND5},
    {outbound_http_new,
     NULL,
     NULL,
     "example.com:443",
     {EXCHANGE("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
               "HTTP/1.1 200 Connection established\r\n\r\n")},
     NULL},
    {outbound_http_new,
     "ann",
     "pw",
     "[2001:db8::1]:80",
     {EXCHANGE("CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n"
               "Proxy-Authorization: Basic YW5uOnB3\r\n\r\n",
               "HTTP/1.0 200\r\nContent-Length: 3\r\n\r\n")},
     NULL},
    {outbound_http_new,
     NULL,
     NULL,
     "192.0.2.1:80",
     {EXCHANGE("CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n",
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n"
               "HTTP/1.1 204 No Content\r\n\r\n")},
     NULL},
};

static void hold_talk(const struct talk *talk, bool one_by_one, const char *early)
{
    up_make(talk->make, talk->username, talk->password);
    up_open(talk->target);
    up_accept();
    for (size_t i = 0; i < N_ITEMS(talk->exchanges) && talk->exchanges[i].asked != NULL; i++) {
        const struct exchange *exchange = &talk->exchanges[i];
        bool is_last = i + 1 == N_ITEMS(talk->exchanges) || exchange[1].asked == NULL;
        char answer[256];
        size_t n = exchange->n_answered, n_early = is_last ? strlen(early) : 0;
        memcpy(answer, exchange->answered, n);
        memcpy(answer + n, early, n_early);
        up_expect(exchange->asked, exchange->n_asked);
        assert_int_equal(up.n_done, 0);
        up_say(answer, n + n_early, one_by_one);
    }
    up_done(ERR_NONE);
}

static void assert_bound(const char *expected)
{
    char text[ADDR_TEXT_BYTES] = "";
    if (up.opening.bound.family != ADDR_NONE)
        addr_format(&up.opening.bound, text);
    assert_string_equal(text, expected == NULL ? "" : expected);
    assert_true(addr_equal(&up.opening.dialled, &up.addr, true));
}

/* What is opened is the connection to the upstream, in working order. */
static void assert_connected(void)
{
    char bytes[8];
    size_t n = 0;
    assert_int_equal(endpoint_write(up.opening.endpoint, "ping", 4, &n), ERR_NONE);
    assert_int_equal(n, 4);
    up_expect("ping", 4);
    up_say("pong", 4, false);
    UP_UNTIL(endpoint_read(up.opening.endpoint, bytes, sizeof bytes, &n) == ERR_NONE);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "pong", 4);
}

static void acc_61_an_upstream_is_asked_and_its_connection_is_ours(void **state)
{
    for (size_t i = 0; i < 2 * N_ITEMS(talks); i++) {
        const struct talk *talk = &talks[i / 2];
        up_begin(state);
        hold_talk(talk, i % 2 > 0, "");
        assert_bound(talk->bound);
        assert_null(up.opening.early);
        assert_connected();
        assert_string_equal(up.lines, "");
        up_end();
    }
}

static void acc_61_bytes_of_the_target_behind_the_answer_are_handed_over(void **state)
{
    for (size_t i = 0; i < N_ITEMS(talks); i++) {
        up_begin(state);
        hold_talk(&talks[i], false, "SSH-2.0-");
        assert_int_equal(up.opening.n_early, 8);
        assert_memory_equal(up.opening.early, "SSH-2.0-", 8);
        assert_connected();
        up_end();
    }
}

/* What comes byte by byte is handed over as soon as the answer is whole; the rest waits. */
static void acc_61_bytes_of_the_target_that_come_later_are_left_where_they_are(void **state)
{
    for (size_t i = 0; i < N_ITEMS(talks); i++) {
        char bytes[8];
        size_t n;
        up_begin(state);
        hold_talk(&talks[i], true, "SSH");
        assert_null(up.opening.early);
        assert_int_equal(endpoint_read(up.opening.endpoint, bytes, sizeof bytes, &n), ERR_NONE);
        assert_int_equal(n, 3);
        assert_memory_equal(bytes, "SSH", 3);
        up_end();
    }
}

/* ---- bad luck ---- */

/* The upstream goes away when it has said so many bytes. False: that is more than it has to say. */
static bool cut_off(const struct talk *talk, size_t at, bool reset)
{
    size_t n_left = at;
    up_make(talk->make, talk->username, talk->password);
    up_open(talk->target);
    up_accept();
    for (size_t i = 0; i < N_ITEMS(talk->exchanges) && talk->exchanges[i].asked != NULL; i++) {
        const struct exchange *exchange = &talk->exchanges[i];
        up_expect(exchange->asked, exchange->n_asked);
        if (n_left < exchange->n_answered) {
            up_say(exchange->answered, n_left, false);
            up_close(reset);
            return true;
        }
        up_say(exchange->answered, exchange->n_answered, false);
        n_left -= exchange->n_answered;
    }
    return false;
}

static void acc_61_an_upstream_that_closes_at_any_byte_has_failed(void **state)
{
    for (size_t i = 0; i < N_ITEMS(talks); i++) {
        bool is_socks = talks[i].make == outbound_socks_new;
        /* One that closes at once may speak SOCKS4: see below. */
        size_t first = is_socks && talks[i].username == NULL ? 2 : 0;
        for (size_t at = first; at < 512; at++) {
            up_begin(state);
            bool was_cut = cut_off(&talks[i], at, at % 2 > 0);
            up_done(was_cut ? ERR_UPSTREAM : ERR_NONE);
            assert_true(was_cut == (strstr(up.lines, "closed before it answered") != NULL));
            assert_true(addr_equal(&up.opening.dialled, &up.addr, true));
            up_end();
            if (!was_cut)
                break;
            assert_true(at < 511);
        }
    }
}

struct rejection {
    up_maker *make;
    const char *username;
    const char *answers; /* the last of them; those before are as they should be */
    size_t n_answers;
    enum err expected;
    const char *line; /* within the log; NULL: it says nothing */
};

#define LOGIN "the upstream refuses our login, or asks for one"
#define NONSENSE "the upstream's answer is not understood"

static const struct rejection rejections[] = {
    {outbound_socks_new, NULL, BYTES("\x05\xff"), ERR_UPSTREAM, LOGIN},
    {outbound_socks_new, NULL, BYTES("\x05\x02"), ERR_UPSTREAM, LOGIN},
    {outbound_socks_new, "ann", BYTES("\x05\x01"), ERR_UPSTREAM, LOGIN},
    {outbound_socks_new, "ann", BYTES("\x05\x02\x01\x01"), ERR_UPSTREAM, LOGIN},
    {outbound_socks_new, "ann", BYTES("\x05\x02\x02\0"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, "ann", BYTES("\0\x5b"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, NULL, BYTES("\x06\0"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, NULL, BYTES("SSH-2.0-OpenSSH"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, NULL, BYTES("\x05\0\x04\0"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\0\0\x02"), ERR_UPSTREAM, NONSENSE},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x01\0\x01\0\0\0\0\0\0"), ERR_UPSTREAM, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x02"), ERR_DENIED, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x03"), ERR_NET_UNREACH, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x04"), ERR_HOST_UNREACH, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x05"), ERR_REFUSED, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x06"), ERR_TTL_EXPIRED, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x07"), ERR_COMMAND, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x08"), ERR_ADDRESS_TYPE, NULL},
    {outbound_socks_new, NULL, BYTES("\x05\0\x05\x5b"), ERR_UPSTREAM, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 403 No\r\n\r\n"), ERR_DENIED, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 407 Who\r\n\r\n"), ERR_UPSTREAM, LOGIN},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 502 Bad\r\n\r\nbody"), ERR_HOST_UNREACH, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 504 Late\r\n\r\n"), ERR_TIMEOUT, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 301 There\r\n\r\n"), ERR_UPSTREAM, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/1.1 101 Else\r\n\r\n"), ERR_UPSTREAM, NULL},
    {outbound_http_new, NULL, BYTES("HTTP/2 200\r\n\r\n"), ERR_UPSTREAM, NONSENSE},
    {outbound_http_new, NULL, BYTES("SSH-2.0-OpenSSH\r\n"), ERR_UPSTREAM, NONSENSE},
    {outbound_http_new, NULL, BYTES("\x05\0"), ERR_UPSTREAM, NONSENSE},
};

static void acc_61_what_an_upstream_answers_is_passed_on_or_is_its_own_failure(void **state)
{
    for (size_t i = 0; i < 2 * N_ITEMS(rejections); i++) {
        const struct rejection *rejection = &rejections[i / 2];
        up_begin(state);
        up_make(rejection->make, rejection->username, rejection->username == NULL ? NULL : "pw");
        up_open("192.0.2.1:80");
        up_accept();
        for (size_t at = 0; at < rejection->n_answers && up.n_done == 0; at++) {
            bool at_once = i % 2 == 0;
            size_t n = at_once ? rejection->n_answers : 1;
            up_settle();
            if (send(up.fd, rejection->answers + at, n, MSG_NOSIGNAL) < 0 || at_once)
                break;
        }
        up_done(rejection->expected);
        if (rejection->line == NULL)
            assert_string_equal(up.lines, "");
        else
            assert_non_null(strstr(up.lines, rejection->line));
        assert_null(strstr(up.lines, "pw"));
        up_end();
    }
}

static void acc_61_an_endless_head_ends_at_its_bound(void **state)
{
    static const char *const begins[] = {"HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nA: "};
    static char filler[1024];
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < N_ITEMS(begins); i++) {
        size_t n_sent = 0;
        up_begin(state);
        up_make(outbound_http_new, NULL, NULL);
        up_open("192.0.2.1:80");
        up_accept();
        up_say(begins[i], strlen(begins[i]), false);
        while (up.n_done == 0) {
            assert_true(n_sent < 64 * 1024);
            up_say(filler, sizeof filler, false);
            n_sent += sizeof filler;
            assert_true(up.shared.n_held_bytes <= 16 * 1024);
        }
        up_done(ERR_UPSTREAM);
        up_end();
    }
}

static void acc_61_a_trouble_is_said_once_a_minute_with_the_outbounds_name(void **state)
{
    up_begin(state);
    up_make(outbound_http_new, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        if (i == 4)
            up.now_ms += 60000;
        up_open("192.0.2.1:80");
        up_accept();
        up_say(BYTES("HTTP/1.1 407 Who\r\n\r\n"), false);
        up_done(ERR_UPSTREAM);
        up_drop();
    }
    char expected[1024], server[ADDR_TEXT_BYTES];
    addr_format(&up.addr, server);
    snprintf(expected, sizeof expected,
             "1970-01-01T00:00:00.000Z warn upstream out=up server=%s why=\"" LOGIN "\" n=1\n"
             "1970-01-01T00:00:00.000Z warn upstream out=up server=%s why=\"" LOGIN "\" n=4\n",
             server, server);
    assert_string_equal(up.lines, expected);
    up_end();
}

static void acc_61_a_server_that_refuses_is_the_outbounds_failure_not_the_targets(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    close(up.listen_fd);
    up_open("192.0.2.1:80");
    up_done(ERR_UPSTREAM);
    assert_non_null(strstr(up.lines, "why=\"connection refused\""));
    assert_true(addr_equal(&up.opening.dialled, &up.addr, true));
    up.listen_fd = tcp_listen(&up.addr);
    up_end();
}

static void acc_61_giving_up_leaves_nothing_at_whatever_stage(void **state)
{
    for (size_t i = 0; i < N_ITEMS(talks); i++) {
        for (size_t stage = 0; stage < 5; stage++) {
            up_begin(state);
            up_make(talks[i].make, talks[i].username, talks[i].password);
            up_open(talks[i].target);
            if (stage > 0)
                up_accept();
            for (size_t k = 0; k + 1 < stage; k++) {
                const struct exchange *exchange = &talks[i].exchanges[k];
                /* Of the last answer not all is said. */
                size_t n = exchange->n_answered;
                bool is_last = k + 1 == N_ITEMS(talks[i].exchanges) || exchange[1].asked == NULL;
                up_expect(exchange->asked, exchange->n_asked);
                up_say(exchange->answered, is_last ? n - 1 : n, false);
                if (is_last)
                    break;
            }
            up.outbound->ops->cancel(up.outbound, &up.opening);
            assert_null(up.opening.state);
            up_settle();
            assert_int_equal(up.n_done, 0);
            up_end();
        }
    }
}

/* ---- whom to ask for ---- */

static void names_are_sent_on_unjudged_and_addresses_are_not(void **state)
{
    static const struct {
        const char *target;
        enum err expected;
    } cases[] = {
        {"127.0.0.1:80", ERR_DENIED},          {"[::1]:80", ERR_DENIED},
        {"[::ffff:127.0.0.1]:80", ERR_DENIED}, {"0.0.0.0:80", ERR_DENIED},
        {"localhost:80", ERR_AGAIN},           {"192.0.2.1:80", ERR_AGAIN},
    };
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        up_begin(state);
        up.inbound.denies_loopback = true; /* which the server's address is */
        up_make(outbound_http_new, NULL, NULL);
        up_prepare(cases[i].target);
        enum err err = up.outbound->ops->open(up.outbound, &up.opening);
        assert_string_equal(err_text(err), err_text(cases[i].expected));
        if (err == ERR_AGAIN) {
            up_accept();
            up_say(BYTES("HTTP/1.1 200 OK\r\n\r\n"), false);
            up_done(ERR_NONE);
        }
        up_end();
    }
}

static void our_own_listeners_are_denied_and_what_the_configuration_names_is_not(void **state)
{
    struct addr own = tcp_addr("192.0.2.1", 1080);
    for (int is_configured = 0; is_configured < 2; is_configured++) {
        up_begin(state);
        up.ruleset.listening = &own;
        up.ruleset.n_listening = 1;
        up_make(outbound_socks_new, NULL, NULL);
        up_prepare("192.0.2.1:1080");
        up.opening.is_configured = is_configured;
        enum err err = up.outbound->ops->open(up.outbound, &up.opening);
        assert_int_equal(err, is_configured ? ERR_AGAIN : ERR_DENIED);
        if (err == ERR_AGAIN)
            up.outbound->ops->cancel(up.outbound, &up.opening);
        up_end();
    }
}

static void a_zone_is_this_machines_own_and_is_not_sent_on(void **state)
{
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    up_prepare("[fe80::1%1]:80");
    up.opening.is_configured = true;
    assert_int_equal(up.outbound->ops->open(up.outbound, &up.opening), ERR_ADDRESS_TYPE);
    up_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(acc_61_an_upstream_is_asked_and_its_connection_is_ours),
        ON_BOTH(acc_61_bytes_of_the_target_behind_the_answer_are_handed_over),
        ON_BOTH(acc_61_bytes_of_the_target_that_come_later_are_left_where_they_are),
        ON_BOTH(acc_61_an_upstream_that_closes_at_any_byte_has_failed),
        ON_BOTH(acc_61_what_an_upstream_answers_is_passed_on_or_is_its_own_failure),
        ON_BOTH(acc_61_an_endless_head_ends_at_its_bound),
        ON_BOTH(acc_61_a_trouble_is_said_once_a_minute_with_the_outbounds_name),
        ON_BOTH(acc_61_a_server_that_refuses_is_the_outbounds_failure_not_the_targets),
        ON_BOTH(acc_61_giving_up_leaves_nothing_at_whatever_stage),
        ON_BOTH(names_are_sent_on_unjudged_and_addresses_are_not),
        ON_BOTH(our_own_listeners_are_denied_and_what_the_configuration_names_is_not),
        ON_BOTH(a_zone_is_this_machines_own_and_is_not_sent_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
