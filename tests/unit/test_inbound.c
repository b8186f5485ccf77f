/*
 * What clients say and what they are answered, byte for byte, by each protocol; whole and byte by
 * byte it must make no difference.
 */
#include <stdio.h>

#include "flows.h"

#define USER "ann"
#define PASSWORD "s3cret"

static const struct user users[] = {{"bob", "other", false}, {USER, PASSWORD, false}};

static void begin(void **state, const struct inbound_protocol *protocol, bool has_users)
{
    flows_begin(backend_of(state), protocol, (struct flow_limits){0});
    flows_set(state);
    if (has_users)
        flows_set_users(users, N_ITEMS(users));
}

struct talk {
    const char *what;
    const char *said;
    size_t n_said;
    const char *answered;
    size_t n_answered;
    const char *asked; /* the target; NULL: refused, and closed */
};

/* With `said` and `answered` as string literals, which may hold zero bytes. */
#define TALK(what, said, answered, asked)                                   \
    {                                                                       \
        what, said, sizeof(said) - 1, answered, sizeof(answered) - 1, asked \
    }

static void end_both_ways(int client)
{
    far_close(client);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
}

/* What is sent behind the request goes to the target, first. */
static void expect_relaying(int client)
{
    flows_expect(flows.origin, "early", 5);
    far_send_all(flows.origin, "hello", 5);
    flows_expect(client, "hello", 5);
    far_send_all(client, "late", 4);
    flows_expect(flows.origin, "late", 4);
}

static void hold_talk(void **state, const struct inbound_protocol *protocol, bool has_users,
                      const struct talk *talk, bool one_by_one)
{
    begin(state, protocol, has_users);
    int client = flows_client();
    flows_send(client, talk->said, talk->n_said, one_by_one);
    if (talk->asked != NULL)
        flows_send(client, "early", 5, one_by_one);
    flows_expect(client, talk->answered, talk->n_answered);
    if (talk->asked != NULL) {
        assert_string_equal(flows.asked, talk->asked);
        expect_relaying(client);
        assert_int_equal(flows.env.counters.bytes_up + flows.env.counters.bytes_down, 0);
        end_both_ways(client);
        /* The answers are not counted as the target's bytes. */
        assert_int_equal(flows.env.counters.bytes_up, 9);
        assert_int_equal(flows.env.counters.bytes_down, 5);
    } else {
        flows_expect_end(client, 0);
        far_close(client);
    }
    assert_int_equal(flows.n_asked, talk->asked != NULL);
    flows_end();
}

static void hold_talks(void **state, const struct inbound_protocol *protocol, bool has_users,
                       const struct talk *talks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int one_by_one = 0; one_by_one < 2; one_by_one++)
            hold_talk(state, protocol, has_users, &talks[i], one_by_one);
}

/* The bound address of every opening: 192.0.2.9:999. */
#define BOUND5 "\x05\x00\x00\x01\xc0\x00\x02\x09\x03\xe7"
#define BOUND4 "\x00\x5a\x03\xe7\xc0\x00\x02\x09"
#define NO5(code) "\x05" code "\x00\x01\x00\x00\x00\x00\x00\x00"
#define NO4 "\x00\x5b\x00\x00\x00\x00\x00\x00"

static const struct talk socks5[] = {
    TALK("IPv4", "\x05\x01\x00\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x50", "\x05\x00" BOUND5,
         "203.0.113.5:80"),
    TALK("a name",
         "\x05\x02\x01\x00\x05\x01\x00\x03\x0b"
         "example.com\x01\xbb",
         "\x05\x00" BOUND5, "example.com:443"),
    TALK("IPv6", "\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
         "\x05\x00" BOUND5, "[2001:db8::1]:80"),
    TALK("acc_34 no method in common", "\x05\x01\x02", "\x05\xff", NULL),
    TALK("acc_34 no method at all", "\x05\x00", "\x05\xff", NULL),
    TALK("acc_36 BIND", "\x05\x01\x00\x05\x02\x00\x01\xcb\x00\x71\x05\x00\x50",
         "\x05\x00" NO5("\x07"), NULL),
    TALK("acc_51 an unknown command", "\x05\x01\x00\x05\x09\x00\x01\xcb\x00\x71\x05\x00\x50",
         "\x05\x00" NO5("\x07"), NULL),
    TALK("acc_51 an unknown address type", "\x05\x01\x00\x05\x01\x00\x02\xcb\x00\x71\x05\x00\x50",
         "\x05\x00" NO5("\x08"), NULL),
    TALK("an empty name", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "\x05\x00" NO5("\x01"), NULL),
    TALK("a zero byte in the name",
         "\x05\x01\x00\x05\x01\x00\x03\x03"
         "a\0b\x00\x50",
         "\x05\x00" NO5("\x01"), NULL),
    TALK("port 0", "\x05\x01\x00\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x00", "\x05\x00" NO5("\x01"),
         NULL),
    TALK("an unknown version", "\x06\x01\x00", "", NULL),
};

static const struct talk socks4[] = {
    TALK("SOCKS4",
         "\x04\x01\x00\x50\xcb\x00\x71\x05"
         "me\0",
         BOUND4, "203.0.113.5:80"),
    TALK("SOCKS4a", "\x04\x01\x01\xbb\x00\x00\x00\x01\0example.com\0", BOUND4, "example.com:443"),
    TALK("SOCKS4 BIND", "\x04\x02\x00\x50\xcb\x00\x71\x05\0", NO4, NULL),
    TALK("SOCKS4 port 0", "\x04\x01\x00\x00\xcb\x00\x71\x05\0", NO4, NULL),
    TALK("SOCKS4a an empty name", "\x04\x01\x00\x50\x00\x00\x00\x01\0\0", NO4, NULL),
};

#define HTTP_OK "HTTP/1.1 200 Connection established\r\n\r\n"

static const struct talk http[] = {
    TALK("CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", HTTP_OK,
         "example.com:443"),
    TALK("CONNECT to an address", "CONNECT [2001:db8::1]:80 HTTP/1.0\r\n\r\n", HTTP_OK,
         "[2001:db8::1]:80"),
};

#define LOGIN5 "\x05\x01\x02\x01\x03" USER "\x06" PASSWORD
#define REQUEST5 "\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x50"

static const struct talk socks5_users[] = {
    TALK("acc_34 the right password", LOGIN5 REQUEST5, "\x05\x02\x01\x00" BOUND5, "203.0.113.5:80"),
    TALK("acc_34 both methods offered", "\x05\x02\x00\x02\x01\x03" USER "\x06" PASSWORD REQUEST5,
         "\x05\x02\x01\x00" BOUND5, "203.0.113.5:80"),
    TALK("acc_34 no password offered", "\x05\x01\x00", "\x05\xff", NULL),
    TALK("acc_34 a wrong password",
         "\x05\x01\x02\x01\x03" USER "\x06"
         "S3cret",
         "\x05\x02\x01\x01", NULL),
    TALK("acc_34 a password cut short",
         "\x05\x01\x02\x01\x03" USER "\x05"
         "s3cre",
         "\x05\x02\x01\x01", NULL),
    TALK("acc_34 another's password",
         "\x05\x01\x02\x01\x03"
         "bob"
         "\x06" PASSWORD,
         "\x05\x02\x01\x01", NULL),
    TALK("acc_34 an unknown user",
         "\x05\x01\x02\x01\x03"
         "eve"
         "\x06" PASSWORD,
         "\x05\x02\x01\x01", NULL),
    TALK("a user without a name", "\x05\x01\x02\x01\x00\x06" PASSWORD, "\x05\x02\x01\x01", NULL),
    TALK("acc_73 SOCKS4 cannot show who it is", "\x04\x01\x00\x50\xcb\x00\x71\x05" USER "\0", NO4,
         NULL),
};

/* "ann:s3cret" and "ann:wrong" in base64. */
#define RIGHT "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n"
#define WRONG "Proxy-Authorization: Basic YW5uOndyb25n\r\n"

static const struct talk http_users[] = {
    TALK("the right password", "CONNECT a.test:443 HTTP/1.1\r\n" RIGHT "\r\n", HTTP_OK,
         "a.test:443"),
};

static void socks_says_what_it_should(void **state)
{
    hold_talks(state, &inbound_socks, false, socks5, N_ITEMS(socks5));
    hold_talks(state, &inbound_socks, false, socks4, N_ITEMS(socks4));
}

static void acc_38_mixed_says_the_same_on_one_port(void **state)
{
    hold_talks(state, &inbound_mixed, false, socks5, N_ITEMS(socks5) - 1);
    hold_talks(state, &inbound_mixed, false, socks4, N_ITEMS(socks4));
    hold_talks(state, &inbound_mixed, false, http, N_ITEMS(http));
}

static void acc_39_http_says_what_it_should(void **state)
{
    hold_talks(state, &inbound_http, false, http, N_ITEMS(http));
}

static void acc_34_with_users_only_they_get_through(void **state)
{
    hold_talks(state, &inbound_socks, true, socks5_users, N_ITEMS(socks5_users));
    hold_talks(state, &inbound_mixed, true, socks5_users, N_ITEMS(socks5_users));
    hold_talks(state, &inbound_http, true, http_users, N_ITEMS(http_users));
    hold_talks(state, &inbound_mixed, true, http_users, N_ITEMS(http_users));
}

/* ---- answers that begin so, and end with a body ---- */

struct refusal_case {
    const char *said;
    const char *status;
    const char *holds; /* somewhere in it */
};

static void expect_http_refusal(void **state, const struct refusal_case *expected, bool has_users,
                                bool one_by_one)
{
    char answer[2048] = "";
    size_t n = 0;
    begin(state, &inbound_http, has_users);
    int client = flows_client();
    flows_send(client, expected->said, strlen(expected->said), one_by_one);
    far_shutdown(client);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (ssize_t got = -1; got != 0;) {
        assert_true(now_ms() < give_up);
        assert_true(loop_turn(flows.env.loop, 1));
        got = far_receive(client, answer + n, sizeof answer - 1 - n);
        if (got < 0)
            assert_int_equal(errno, EAGAIN);
        n += got > 0 ? (size_t)got : 0;
    }
    assert_memory_equal(answer, expected->status, strlen(expected->status));
    assert_non_null(strstr(answer, expected->holds));
    assert_int_equal(flows.n_asked, 0);
    far_close(client);
    flows_end();
}

static void acc_39_http_refuses_in_its_own_words(void **state)
{
    static const struct refusal_case open_cases[] = {
        {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 400 ", "this is a proxy"},
        {"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 400 ", "this is a proxy"},
        {"GET https://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 400 ", "CONNECT"},
        {"GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 400 ", "CONNECT"},
        {"GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 400 ", "http://host"},
        {"GET http://a.test/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "Host"},
        {"CONNECT a.test HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "host:port"},
        {"CONNECT a.test:0 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "host:port"},
        {"CONNECT a.test:443 HTTP/1.1\n\n", "HTTP/1.1 400 ", "malformed"},
        {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 ", "malformed"},
    };
    static const struct refusal_case user_cases[] = {
        {"CONNECT a.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 407 ", "\r\nProxy-Authenticate: Basic"},
        {"CONNECT a.test:443 HTTP/1.1\r\n" WRONG "\r\n", "HTTP/1.1 407 ",
         "\r\nProxy-Authenticate: Basic"},
        {"CONNECT a.test:443 HTTP/1.1\r\nProxy-Authorization: Bearer x\r\n\r\n", "HTTP/1.1 407 ",
         "\r\nProxy-Authenticate: Basic"},
    };
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        for (size_t i = 0; i < N_ITEMS(open_cases); i++)
            expect_http_refusal(state, &open_cases[i], false, one_by_one);
        for (size_t i = 0; i < N_ITEMS(user_cases); i++)
            expect_http_refusal(state, &user_cases[i], true, one_by_one);
    }
}

/* ---- outcomes ---- */

static void acc_51_each_outcome_has_its_code_in_each_protocol(void **state)
{
    static const struct {
        enum err err;
        char socks5;
        const char *status;
        const char *end;
    } outcomes[] = {
        {ERR_DENIED, 2, "HTTP/1.1 403 ", "denied"},
        {ERR_NET_UNREACH, 3, "HTTP/1.1 502 ", "unreachable"},
        {ERR_HOST_UNREACH, 4, "HTTP/1.1 502 ", "unreachable"},
        {ERR_LOOKUP, 4, "HTTP/1.1 502 ", "lookup"},
        {ERR_TIMEOUT, 4, "HTTP/1.1 504 ", "timeout"},
        {ERR_REFUSED, 5, "HTTP/1.1 502 ", "refused"},
        {ERR_MEMORY, 1, "HTTP/1.1 502 ", "limit"},
        {ERR_DESCRIPTORS, 1, "HTTP/1.1 502 ", "limit"},
        {ERR_RESET, 1, "HTTP/1.1 502 ", "reset"},
        {ERR_SYSTEM, 1, "HTTP/1.1 502 ", "error"},
    };
    for (size_t i = 0; i < N_ITEMS(outcomes); i++) {
        for (int is_late = 0; is_late < 2; is_late++) {
            begin(state, &inbound_mixed, false);
            flows.answer = is_late ? ERR_AGAIN : outcomes[i].err;
            int clients[3] = {flows_client(), flows_client(), flows_client()};
            static const char *const said[] = {("\x05\x01\x00" REQUEST5),
                                               "\x04\x01\x00\x50\xcb\x00\x71\x05\0",
                                               "CONNECT a.test:443 HTTP/1.1\r\n\r\n"};
            static const size_t n_said[] = {13, 9, 32};
            for (size_t k = 0; k < 3; k++) {
                flows_send(clients[k], said[k], n_said[k], false);
                FLOWS_UNTIL(flows.n_asked == k + 1);
                if (is_late)
                    flows_open(outcomes[i].err);
            }
            char answer5[] = "\x05\x00" NO5("\x00");
            answer5[3] = outcomes[i].socks5;
            flows_expect(clients[0], answer5, sizeof answer5 - 1);
            flows_expect(clients[1], NO4, 8);
            flows_expect(clients[2], outcomes[i].status, strlen(outcomes[i].status));
            for (size_t k = 0; k < 3; k++)
                far_close(clients[k]);
            FLOWS_UNTIL(list_empty(&flows.env.live));
            char word[32];
            snprintf(word, sizeof word, "end=%s\n", outcomes[i].end);
            assert_non_null(strstr(flows.lines, word));
            flows_end();
        }
    }
}

static void acc_37_no_password_is_ever_logged_and_a_failed_login_is(void **state)
{
    static const char *const said[] = {"\x05\x01\x02\x01\x03" USER "\x06"
                                       "wr0ng!",
                                       "CONNECT a.test:1 HTTP/1.1\r\n" WRONG "\r\n",
                                       LOGIN5 REQUEST5};
    static const size_t n_said[] = {15, 70, 25};
    static const char *const secrets[] = {PASSWORD, "wr0ng!", "wrong", "YW5u"};
    begin(state, &inbound_mixed, true);
    flows.log.level = LOG_LEVEL_TRACE;
    for (size_t i = 0; i < N_ITEMS(said); i++) {
        int client = flows_client();
        assert_int_equal(n_said[i], i == 1 ? strlen(said[i]) : n_said[i]);
        flows_send(client, said[i], n_said[i], false);
        flows_settle();
        far_close(client);
    }
    FLOWS_UNTIL(flows.origin >= 0);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    for (size_t i = 0; i < N_ITEMS(secrets); i++)
        assert_null(strstr(flows.lines, secrets[i]));
    assert_non_null(
        strstr(flows.lines, " warn login in=in from=192.0.2.7:4242 user=ann method=socks5\n"));
    assert_non_null(
        strstr(flows.lines, " warn login in=in from=192.0.2.7:4242 user=ann method=http\n"));
    assert_int_equal(flows.env.counters.refused[REFUSAL_LOGIN], 2);
    flows_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL_AND_HESITANT(socks_says_what_it_should),
        ON_ALL_AND_HESITANT(acc_38_mixed_says_the_same_on_one_port),
        ON_ALL_AND_HESITANT(acc_39_http_says_what_it_should),
        ON_ALL_AND_HESITANT(acc_34_with_users_only_they_get_through),
        ON_ALL_AND_HESITANT(acc_39_http_refuses_in_its_own_words),
        ON_ALL_AND_HESITANT(acc_51_each_outcome_has_its_code_in_each_protocol),
        ON_ALL_AND_HESITANT(acc_37_no_password_is_ever_logged_and_a_failed_login_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
