/*
 * Logins that are judged in their time: a wrong one's answer waits, a hash is verified elsewhere, and
 * meanwhile the client sends more, goes away, or runs out of time.
 */
#include <crypt.h>
#include <pthread.h>
#include <stdio.h>

#include "allocator.h"
#include "flows.h"

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);

static bool threads_fail;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return threads_fail ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#define PENALTY_MS 1000
#define HANDSHAKE_MS 10000

/* A tenth of a second or more: verdicts come when the test looks for them, not before. */
#define SLOW "$6$rounds=400000$saltsalt$"

static struct mailbox mailbox;
static char ann_hash[CRYPT_OUTPUT_SIZE];

static void begin(void **state, const struct inbound_protocol *protocol, const char *setting)
{
    static struct user list[2];
    static struct crypt_data data;
    flows_begin(backend_of(state), protocol,
                (struct flow_limits){.handshake_ms = HANDSHAKE_MS, .penalty_ms = PENALTY_MS});
    flows_set(state);
    assert_int_equal(mailbox_init(&mailbox, flows.env.loop), ERR_NONE);
    flows.env.mailbox = &mailbox;
    assert_int_equal(verifier_new(&flows.shared.verifier), ERR_NONE);
    list[0] = (struct user){"bob", "plain", false};
    list[1] = (struct user){"ann", "s3cret", false};
    if (setting != NULL) {
        const char *hash = crypt_r("s3cret", setting, &data);
        assert_non_null(hash);
        strcpy(ann_hash, hash);
        list[1] = (struct user){"ann", ann_hash, true};
    }
    flows_set_users(list, 2);
    threads_fail = false;
}

static void end(void)
{
    verifier_free(flows.shared.verifier);
    flows.shared.verifier = NULL;
    mailbox_deinit(&mailbox);
    flows_end();
}

#define QUICK "$5$rounds=1000$saltsalt$"

#define HELLO "\x05\x01\x02"
#define HELLO_ANSWER "\x05\x02"
#define ANN_RIGHT \
    "\x01\x03"    \
    "ann\x06"     \
    "s3cret"
#define ANN_WRONG \
    "\x01\x03"    \
    "ann\x05"     \
    "wrong"
#define EVE_WRONG \
    "\x01\x03"    \
    "eve\x06"     \
    "s3cret"
#define BOB_WRONG \
    "\x01\x03"    \
    "bob\x05"     \
    "wrong"
#define REQUEST "\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x50"
#define RIGHT "\x01\x00"
#define WRONG "\x01\x01"
#define OPENED "\x05\x00\x00\x01\xc0\x00\x02\x09\x03\xe7"

#define SEND(fd, text) flows_send(fd, text, sizeof(text) - 1, false)
#define EXPECT(fd, text) flows_expect(fd, text, sizeof(text) - 1)

/* A client that has been told which method. */
static int greeted_client(void)
{
    int client = flows_client();
    SEND(client, HELLO);
    EXPECT(client, HELLO_ANSWER);
    return client;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (const char *at = flows.lines; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void finish(int client)
{
    far_close(client);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
}

static void the_right_password_behind_a_hash_gets_through_with_all_that_follows(void **state)
{
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        static const char all[] = HELLO ANN_RIGHT REQUEST "early";
        begin(state, &inbound_socks, QUICK);
        int client = flows_client();
        flows_send(client, all, sizeof all - 1, one_by_one);
        EXPECT(client, HELLO_ANSWER RIGHT OPENED);
        EXPECT(flows.origin, "early");
        finish(client);
        assert_non_null(strstr(flows.lines, " user=ann "));
        assert_int_equal(count_lines(" warn "), 0);
        end();
    }
}

static void a_second_login_with_a_hash_costs_nothing(void **state)
{
    begin(state, &inbound_mixed, SLOW);
    int first = greeted_client();
    SEND(first, ANN_RIGHT);
    EXPECT(first, RIGHT);
    far_close(first);
    /* Were it verified again, the answer would not be there within four turns. */
    int second = greeted_client();
    SEND(second, ANN_RIGHT);
    turn_at_once(flows.env.loop, 4);
    assert_false(flows_is_silent(second));
    EXPECT(second, RIGHT);
    far_close(second);
    int third = flows_client();
    SEND(third, "CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic YW5uOnMzY3JldA==\r\n\r\n");
    turn_at_once(flows.env.loop, 4);
    assert_false(flows_is_silent(third));
    EXPECT(third, "HTTP/1.1 200 ");
    finish(third);
    end();
}

/* The line at once, the answer a second later. */
static void expect_delay(int client, const char *user)
{
    char line[128];
    snprintf(line, sizeof line, " warn login in=in from=192.0.2.7:4242 user=%s method=socks5\n",
             user);
    FLOWS_UNTIL(strstr(flows.lines, line) != NULL);
    assert_int_equal(flows.env.counters.refused[REFUSAL_LOGIN], 1);
    flows_pass(PENALTY_MS - 1);
    assert_true(flows_is_silent(client));
    flows_pass(1);
    EXPECT(client, WRONG);
    flows_expect_end(client, 0);
    assert_int_equal(count_lines(" warn login "), 1);
    assert_int_equal(flows.env.counters.refused[REFUSAL_LOGIN], 1);
    assert_int_equal(flows.env.counters.refused[REFUSAL_HANDSHAKE], 0);
    far_close(client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
}

static void a_wrong_login_is_logged_at_once_and_answered_later(void **state)
{
    begin(state, &inbound_socks, NULL);
    int client = greeted_client();
    SEND(client, ANN_WRONG);
    expect_delay(client, "ann");
    end();
}

static void so_is_a_wrong_one_behind_a_hash(void **state)
{
    static const struct {
        const char *user;
        const char *login;
        size_t n;
    } wrongs[] = {{"ann", ANN_WRONG, sizeof(ANN_WRONG) - 1},
                  {"eve", EVE_WRONG, sizeof(EVE_WRONG) - 1},
                  {"bob", BOB_WRONG, sizeof(BOB_WRONG) - 1}};
    for (size_t i = 0; i < N_ITEMS(wrongs); i++) {
        begin(state, &inbound_socks, QUICK);
        int client = greeted_client();
        flows_send(client, wrongs[i].login, wrongs[i].n, false);
        expect_delay(client, wrongs[i].user);
        end();
    }
}

static void an_unknown_name_takes_the_time_of_a_known_one(void **state)
{
    begin(state, &inbound_socks, SLOW);
    int eve = greeted_client();
    SEND(eve, EVE_WRONG);
    turn_for(flows.env.loop, 30);
    /* It is being verified: a wrong password of a plain set would be logged by now. */
    assert_int_equal(count_lines(" warn "), 0);
    FLOWS_UNTIL(count_lines(" warn login ") == 1);
    far_close(eve);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    /* It was the password of ann, and still nobody's; nor does it take any less now. */
    eve = greeted_client();
    SEND(eve, EVE_WRONG);
    turn_for(flows.env.loop, 30);
    assert_int_equal(count_lines(" warn "), 1);
    far_close(eve);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    end();
}

static void http_waits_likewise(void **state)
{
    begin(state, &inbound_http, QUICK);
    int client = flows_client();
    SEND(client, "CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic YW5uOndyb25n\r\n\r\n");
    FLOWS_UNTIL(count_lines(" user=ann method=http\n") == 1);
    flows_pass(PENALTY_MS - 1);
    assert_true(flows_is_silent(client));
    flows_pass(1);
    EXPECT(client, "HTTP/1.1 407 ");
    assert_int_equal(count_lines(" warn login "), 1);
    far_close(client);
    FLOWS_UNTIL(list_empty(&flows.env.live));

    client = flows_client();
    SEND(client, "CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic YW5uOnMzY3JldA==\r\n\r\n"
                 "early");
    EXPECT(client, "HTTP/1.1 200 Connection established\r\n\r\n");
    EXPECT(flows.origin, "early");
    finish(client);
    end();
}

static void what_comes_meanwhile_is_neither_read_nor_lost(void **state)
{
    begin(state, &inbound_socks, SLOW);
    int client = greeted_client();
    SEND(client, ANN_RIGHT);
    flows_settle();
    uint64_t held = flows.shared.n_held_bytes;
    assert_true(held > 0);
    SEND(client, REQUEST "some");
    flows_settle();
    SEND(client, "thing");
    flows_settle();
    assert_int_equal(flows.shared.n_held_bytes, held);
    EXPECT(client, RIGHT OPENED);
    EXPECT(flows.origin, "something");
    finish(client);
    end();
}

enum leaving { BY_FIN, BY_RESET, N_LEAVINGS };

static void leave(int client, enum leaving how)
{
    struct linger at_once = {.l_onoff = 1};
    if (how == BY_RESET)
        setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    far_close(client);
}

static void a_client_that_goes_away_meanwhile_is_gone_at_once(void **state)
{
    for (int how = 0; how < N_LEAVINGS; how++) {
        begin(state, &inbound_socks, SLOW);
        int hashed = greeted_client();
        SEND(hashed, ANN_RIGHT);
        flows_settle();
        leave(hashed, (enum leaving)how);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        assert_int_equal(flows.shared.n_held_bytes, 0);
        end();

        begin(state, &inbound_socks, NULL);
        int punished = greeted_client();
        SEND(punished, ANN_WRONG);
        FLOWS_UNTIL(count_lines(" warn login ") == 1);
        leave(punished, (enum leaving)how);
        FLOWS_UNTIL(list_empty(&flows.env.live));
        assert_int_equal(flows.shared.n_held_bytes, 0);
        end();
    }
}

/* A verdict that is under way when its flow ends reaches nobody. */
static void a_flow_may_end_at_any_time_before_its_verdict(void **state)
{
    begin(state, &inbound_socks, QUICK);
    for (int i = 0; i < 60; i++) {
        int client = greeted_client();
        SEND(client, ANN_WRONG);
        turn_for(flows.env.loop, (unsigned)i % 4);
        flow_end_all(&flows.env);
        far_close(client);
    }
    flows_settle();
    end();
}

static void a_fin_behind_a_pipelined_request_is_not_the_end_of_it(void **state)
{
    begin(state, &inbound_socks, SLOW);
    int client = flows_client();
    SEND(client, HELLO ANN_RIGHT REQUEST "early");
    far_shutdown(client);
    EXPECT(client, HELLO_ANSWER RIGHT OPENED);
    EXPECT(flows.origin, "early");
    flows_expect_end(flows.origin, 0);
    far_send_all(flows.origin, "hello", 5);
    EXPECT(client, "hello");
    finish(client);
    end();
}

static void a_fin_and_a_request_may_come_while_the_login_is_judged(void **state)
{
    begin(state, &inbound_socks, SLOW);
    int client = greeted_client();
    SEND(client, ANN_RIGHT);
    flows_settle();
    SEND(client, REQUEST "early");
    far_shutdown(client);
    EXPECT(client, RIGHT OPENED);
    EXPECT(flows.origin, "early");
    flows_expect_end(flows.origin, 0);
    finish(client);
    end();
}

static void handshake_ms_bounds_it_all(void **state)
{
    begin(state, &inbound_socks, SLOW);
    int client = greeted_client();
    SEND(client, ANN_RIGHT);
    flows_settle();
    flows_pass(HANDSHAKE_MS);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_int_equal(count_lines(" end=timeout\n"), 1);
    far_close(client);
    end();

    begin(state, &inbound_socks, NULL);
    client = greeted_client();
    flows_pass(HANDSHAKE_MS - PENALTY_MS / 2);
    SEND(client, ANN_WRONG);
    FLOWS_UNTIL(count_lines(" warn login ") == 1);
    flows_pass(PENALTY_MS / 2);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_int_equal(count_lines(" end=timeout\n"), 1);
    far_close(client);
    end();
}

static void what_cannot_be_verified_is_refused_and_said_so(void **state)
{
    begin(state, &inbound_socks, QUICK);
    threads_fail = true;
    for (int i = 0; i < 3; i++) {
        int client = greeted_client();
        SEND(client, ANN_RIGHT);
        flows_settle();
        flows_pass(PENALTY_MS);
        EXPECT(client, WRONG);
        flows_expect_end(client, 0);
        far_close(client);
    }
    assert_int_equal(count_lines(" warn refused in=in from=192.0.2.7:4242 why=unverified n=1\n"),
                     1);
    assert_int_equal(flows.env.counters.refused[REFUSAL_UNVERIFIED], 3);
    /* It is not the client who failed. */
    assert_int_equal(count_lines(" warn login "), 0);
    assert_int_equal(flows.env.counters.refused[REFUSAL_LOGIN], 0);
    /* Who needs no hash is served. */
    int bob = greeted_client();
    SEND(bob, "\x01\x03"
              "bob\x05"
              "plain");
    EXPECT(bob, RIGHT);
    far_close(bob);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    end();
}

/* Any allocation may fail: who is right gets in or not, who is wrong never does. */
static void without_memory_nobody_gets_in_who_should_not(void **state)
{
    static const struct {
        const char *login;
        size_t n;
        bool is_right;
    } logins[] = {{ANN_RIGHT, sizeof(ANN_RIGHT) - 1, true},
                  {ANN_WRONG, sizeof(ANN_WRONG) - 1, false},
                  {EVE_WRONG, sizeof(EVE_WRONG) - 1, false},
                  {BOB_WRONG, sizeof(BOB_WRONG) - 1, false}};
    unsigned n_refused = 0;
    for (size_t i = 0; i < N_ITEMS(logins); i++) {
        for (uint64_t nth = 1; nth <= 12; nth++) {
            begin(state, &inbound_socks, QUICK);
            int client = greeted_client();
            allocator_fail(nth);
            flows_send(client, logins[i].login, logins[i].n, false);
            char answer[3] = "";
            ssize_t got = -1;
            for (int turns = 0; got < 0 && turns < 2000; turns++) {
                assert_true(loop_turn(flows.env.loop, 1));
                flows.now_ms += 100; /* so that a penalty is over, and handshake_ms at the end */
                got = far_receive(client, answer, sizeof answer);
            }
            allocator_fail(0);
            bool is_in = got == 2 && answer[1] == 0;
            assert_true(got >= 0 || errno == ECONNRESET);
            assert_true(logins[i].is_right || !is_in);
            n_refused += logins[i].is_right && !is_in;
            far_close(client);
            FLOWS_UNTIL(list_empty(&flows.env.live));
            end();
        }
    }
    assert_true(n_refused > 0); /* some of them did matter */
}

static void a_hash_that_is_none_lets_nobody_in(void **state)
{
    static const struct user broken[] = {{"ann", "$9$what$ever", true}};
    begin(state, &inbound_socks, NULL);
    users_free(flows.inbound.users);
    flows.inbound.users = NULL;
    flows_set_users(broken, 1);
    int client = greeted_client();
    SEND(client, ANN_RIGHT);
    FLOWS_UNTIL(flows.env.counters.refused[REFUSAL_UNVERIFIED] == 1);
    flows_pass(PENALTY_MS);
    EXPECT(client, WRONG);
    far_close(client);
    /* Nor does it tell who exists: nobody is verified either. */
    int eve = greeted_client();
    SEND(eve, EVE_WRONG);
    FLOWS_UNTIL(flows.env.counters.refused[REFUSAL_LOGIN] == 1);
    far_close(eve);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    end();
}

static void acc_37_neither_password_nor_hash_is_ever_logged(void **state)
{
    begin(state, &inbound_mixed, QUICK);
    flows.log.level = LOG_LEVEL_TRACE;
    int right = greeted_client();
    SEND(right, ANN_RIGHT REQUEST);
    EXPECT(right, RIGHT OPENED);
    finish(right);
    int wrong = greeted_client();
    SEND(wrong, "\x01\x03"
                "a\nb\x05"
                "wr0ng");
    FLOWS_UNTIL(count_lines(" user=\"a\\x0ab\" method=socks5\n") == 1);
    flows_pass(PENALTY_MS);
    far_close(wrong);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    assert_true(count_lines(" trace ") > 0);
    assert_int_equal(count_lines("s3cret") + count_lines("wr0ng") + count_lines("$5$"), 0);
    assert_int_equal(count_lines(strrchr(ann_hash, '$') + 1), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_AND_HESITANT(the_right_password_behind_a_hash_gets_through_with_all_that_follows),
        ON_BOTH_AND_HESITANT(a_second_login_with_a_hash_costs_nothing),
        ON_BOTH_AND_HESITANT(a_wrong_login_is_logged_at_once_and_answered_later),
        ON_BOTH_AND_HESITANT(so_is_a_wrong_one_behind_a_hash),
        ON_BOTH_AND_HESITANT(an_unknown_name_takes_the_time_of_a_known_one),
        ON_BOTH_AND_HESITANT(http_waits_likewise),
        ON_BOTH_AND_HESITANT(what_comes_meanwhile_is_neither_read_nor_lost),
        ON_BOTH_AND_HESITANT(a_client_that_goes_away_meanwhile_is_gone_at_once),
        ON_BOTH_AND_HESITANT(a_flow_may_end_at_any_time_before_its_verdict),
        ON_BOTH_AND_HESITANT(a_fin_behind_a_pipelined_request_is_not_the_end_of_it),
        ON_BOTH_AND_HESITANT(a_fin_and_a_request_may_come_while_the_login_is_judged),
        ON_BOTH_AND_HESITANT(handshake_ms_bounds_it_all),
        ON_BOTH_AND_HESITANT(what_cannot_be_verified_is_refused_and_said_so),
        ON_BOTH_AND_HESITANT(without_memory_nobody_gets_in_who_should_not),
        ON_BOTH_AND_HESITANT(a_hash_that_is_none_lets_nobody_in),
        ON_BOTH_AND_HESITANT(acc_37_neither_password_nor_hash_is_ever_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
