/* Passwords verified by hashes in a thread: verdicts, what is known, shortage, and the end. */
#include "loops.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocator.h"
#include "flow/verifier.h"

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

char *__real_crypt_rn(const char *phrase, const char *setting, void *data, int size);
char *__wrap_crypt_rn(const char *phrase, const char *setting, void *data, int size);

static _Atomic(unsigned) n_computed;

char *__wrap_crypt_rn(const char *phrase, const char *setting, void *data, int size)
{
    n_computed++;
    return __real_crypt_rn(phrase, setting, data, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

#define QUICK "$5$rounds=1000$saltsalt$"
/* A second or more, which is time enough to do something meanwhile. */
#define SLOW "$6$rounds=1500000$saltsalt$"

static struct {
    struct loop *loop;
    struct mailbox mailbox;
    struct verifier *verifier;
    int64_t n_blocks_before;
} here;

/* A struct verification and its verdict. */
struct asked {
    struct verification *verification;
    enum verdict verdict;
    unsigned n_done;
};

static int set_up(void **state)
{
    here.n_blocks_before = n_blocks;
    here.loop = loop_new(backend_of(state));
    assert_non_null(here.loop);
    assert_int_equal(mailbox_init(&here.mailbox, here.loop), ERR_NONE);
    assert_int_equal(verifier_new(&here.verifier), ERR_NONE);
    return 0;
}

static int take_down(void **state)
{
    (void)state;
    verifier_free(here.verifier);
    mailbox_deinit(&here.mailbox);
    loop_free(here.loop);
    /* A thread that was hashing gives back what it has a little later. */
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_blocks != here.n_blocks_before && now_ms() < give_up) {
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(n_blocks, here.n_blocks_before);
    return 0;
}

static void on_done(void *arg, enum verdict verdict)
{
    struct asked *asked = arg;
    asked->verdict = verdict;
    asked->n_done++;
}

static enum err ask_from(const char *ip, struct asked *asked, const char *hash,
                         const char *password)
{
    struct addr from;
    assert_int_equal(addr_parse_ip(&from, ip, strlen(ip)), ERR_NONE);
    const struct verifier_question question = {
        .hash = hash,
        .password = password,
        .n_password = strlen(password),
        .from = &from,
        .mailbox = &here.mailbox,
        .done = on_done,
        .arg = asked,
    };
    return verifier_begin(here.verifier, &asked->verification, &question);
}

/* Everyone from an address of its own. */
static enum err ask(struct asked *asked, const char *hash, const char *password)
{
    static unsigned n;
    char ip[32];
    n++;
    snprintf(ip, sizeof ip, "10.0.%u.%u", n / 256 % 256, n % 256);
    return ask_from(ip, asked, hash, password);
}

static const char *make_hash(char made[static CRYPT_OUTPUT_SIZE], const char *setting,
                             const char *password)
{
    static struct crypt_data data;
    const char *hash = crypt_r(password, setting, &data);
    assert_non_null(hash);
    return strcpy(made, hash);
}

static enum verdict verdict_on(const char *hash, const char *password)
{
    struct asked asked = {0};
    assert_int_equal(ask(&asked, hash, password), ERR_NONE);
    TURN_UNTIL(here.loop, asked.n_done == 1);
    return asked.verdict;
}

static bool knows(const char *hash, const char *password)
{
    return verifier_knows(here.verifier, hash, password, strlen(password));
}

static void right_and_wrong_by_each_method(void **state)
{
    (void)state;
    static const char *const settings[] = {QUICK,
                                           "$6$rounds=1000$salt$",
                                           "$1$saltsalt$",
                                           "$2b$04$abcdefghijklmnopqrstuu",
                                           "$y$j75$saltsalt$",
                                           "$gy$j75$saltsalt$",
                                           "$7$3/..../....saltsalt$"};
    for (size_t i = 0; i < N_ITEMS(settings); i++) {
        char hash[CRYPT_OUTPUT_SIZE];
        make_hash(hash, settings[i], "s3cret");
        assert_int_equal(hash[0], '$');
        assert_int_equal(verdict_on(hash, "s3cre"), VERDICT_WRONG);
        assert_int_equal(verdict_on(hash, "S3cret"), VERDICT_WRONG);
        assert_int_equal(verdict_on(hash, ""), VERDICT_WRONG);
        assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
    }
}

static void what_is_no_hash_gives_no_verdict(void **state)
{
    (void)state;
    static const char *const hashes[] = {"$", "$9$what$ever", "*0", "$y$", "$2b$99$abc"};
    for (size_t i = 0; i < N_ITEMS(hashes); i++) {
        assert_int_equal(verdict_on(hashes[i], "s3cret"), VERDICT_NONE);
        assert_int_equal(verdict_on(hashes[i], hashes[i]), VERDICT_NONE);
        assert_false(knows(hashes[i], "s3cret"));
    }
}

static void what_was_right_is_known_and_what_was_wrong_is_not(void **state)
{
    (void)state;
    char hash[CRYPT_OUTPUT_SIZE], newer[CRYPT_OUTPUT_SIZE];
    make_hash(hash, QUICK, "s3cret");
    make_hash(newer, "$5$rounds=1000$pepper$", "s3cret");
    assert_false(knows(hash, "s3cret"));
    assert_int_equal(verdict_on(hash, "wrong"), VERDICT_WRONG);
    assert_false(knows(hash, "wrong"));
    assert_false(knows(hash, "s3cret"));
    assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
    assert_true(knows(hash, "s3cret"));
    assert_false(knows(hash, "s3cre"));
    assert_false(knows(hash, ""));
    /* A hash that has changed in its file is not known, though the password be the same. */
    assert_false(knows(newer, "s3cret"));
}

static void many_are_answered_each_with_its_own(void **state)
{
    (void)state;
    enum { N = 100 };
    char hash[CRYPT_OUTPUT_SIZE];
    struct asked asked[N] = {0};
    make_hash(hash, QUICK, "s3cret");
    for (size_t i = 0; i < N; i++)
        assert_int_equal(ask(&asked[i], hash, i % 3 == 0 ? "s3cret" : "wrong"), ERR_NONE);
    TURN_UNTIL(here.loop, asked[N - 1].n_done == 1);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(asked[i].n_done, 1);
        assert_int_equal(asked[i].verdict, i % 3 == 0 ? VERDICT_RIGHT : VERDICT_WRONG);
    }
}

static void of_the_same_question_asked_by_many_one_is_computed(void **state)
{
    (void)state;
    enum { N = 50 };
    char hash[CRYPT_OUTPUT_SIZE];
    struct asked asked[N] = {0};
    make_hash(hash, QUICK, "s3cret");
    unsigned before = n_computed;
    for (size_t i = 0; i < N; i++)
        assert_int_equal(ask(&asked[i], hash, "s3cret"), ERR_NONE);
    TURN_UNTIL(here.loop, asked[N - 1].n_done == 1);
    assert_int_equal(n_computed - before, 1);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(asked[i].n_done, 1);
        assert_int_equal(asked[i].verdict, VERDICT_RIGHT);
    }
}

static void a_decoy_is_computed_each_time_and_teaches_nothing(void **state)
{
    (void)state;
    char hash[CRYPT_OUTPUT_SIZE];
    make_hash(hash, QUICK, "s3cret");
    unsigned before = n_computed;
    for (unsigned i = 1; i <= 3; i++) {
        struct asked asked = {0};
        struct addr from = {.family = ADDR_V4};
        const struct verifier_question question = {
            .hash = hash,
            .password = "s3cret",
            .n_password = 6,
            .is_decoy = true,
            .from = &from,
            .mailbox = &here.mailbox,
            .done = on_done,
            .arg = &asked,
        };
        assert_int_equal(verifier_begin(here.verifier, &asked.verification, &question), ERR_NONE);
        TURN_UNTIL(here.loop, asked.n_done == 1);
        assert_int_equal(n_computed - before, i);
        assert_false(knows(hash, "s3cret"));
    }
}

/* The thread has taken the next out of the queue, and is busy with it for long. */
static void await_begun(unsigned before)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (n_computed == before && now_ms() < end)
        usleep(1000);
    assert_true(n_computed > before);
}

static void a_full_queue_refuses_and_recovers(void **state)
{
    (void)state;
    static struct asked first, asked[VERIFIER_QUEUE_MAX + 8];
    char quick[CRYPT_OUTPUT_SIZE];
    memset(asked, 0, sizeof asked);
    make_hash(quick, QUICK, "s3cret");
    unsigned before = n_computed;
    assert_int_equal(ask(&first, SLOW "x", "s3cret"), ERR_NONE);
    await_begun(before);
    size_t n = 0;
    while (n < N_ITEMS(asked) && ask(&asked[n], quick, "s3cret") == ERR_NONE)
        n++;
    assert_int_equal(n, VERIFIER_QUEUE_MAX);
    assert_int_equal(ask(&asked[n], quick, "s3cret"), ERR_LIMIT);
    TURN_UNTIL(here.loop, asked[n - 1].n_done == 1);
    assert_int_equal(asked[n].n_done, 0);
    assert_int_equal(verdict_on(quick, "s3cret"), VERDICT_RIGHT);
}

static void one_address_cannot_fill_the_queue(void **state)
{
    (void)state;
    static const struct {
        const char *one, *same, *other;
    } clients[] = {{"192.0.2.1", "192.0.2.1", "192.0.2.2"},
                   {"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}};
    static struct asked asked[VERIFIER_CLIENT_MAX + 4];
    for (size_t i = 0; i < N_ITEMS(clients); i++) {
        size_t n = 1;
        unsigned before = n_computed;
        memset(asked, 0, sizeof asked);
        assert_int_equal(ask_from(clients[i].one, &asked[0], SLOW "x", "s3cret"), ERR_NONE);
        await_begun(before);
        while (ask_from(clients[i].one, &asked[n], SLOW "x", "s3cret") == ERR_NONE)
            n++;
        assert_int_equal(n, VERIFIER_CLIENT_MAX + 1);
        assert_int_equal(ask_from(clients[i].same, &asked[n], SLOW "x", "s3cret"), ERR_LIMIT);
        assert_int_equal(ask_from(clients[i].other, &asked[n], SLOW "x", "s3cret"), ERR_NONE);
        /* What is given up makes room at once. */
        for (size_t k = 0; k <= n; k++)
            verification_abandon(asked[k].verification);
        assert_int_equal(ask_from(clients[i].one, &asked[0], SLOW "x", "s3cret"), ERR_NONE);
        verification_abandon(asked[0].verification);
    }
}

static void what_is_abandoned_is_neither_told_nor_computed(void **state)
{
    (void)state;
    enum { N = 50 };
    static struct asked asked[N];
    memset(asked, 0, sizeof asked);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(ask(&asked[i], SLOW "x", "s3cret"), ERR_NONE);
        verification_abandon(asked[i].verification);
    }
    char hash[CRYPT_OUTPUT_SIZE];
    make_hash(hash, QUICK, "s3cret");
    unsigned before = n_computed;
    assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
    assert_in_range(n_computed - before, 1, 2); /* the first may have been begun */
    for (size_t i = 0; i < N; i++)
        assert_int_equal(asked[i].n_done, 0);
}

static void the_end_waits_for_no_hash(void **state)
{
    (void)state;
    static struct asked asked[5];
    memset(asked, 0, sizeof asked);
    for (size_t i = 0; i < N_ITEMS(asked); i++)
        assert_int_equal(ask(&asked[i], SLOW "x", "s3cret"), ERR_NONE);
    turn_for(here.loop, 20); /* so that the first is being computed, most probably */
    verifier_free(here.verifier);
    here.verifier = NULL;
    turn_for(here.loop, 20);
    for (size_t i = 0; i < N_ITEMS(asked); i++)
        assert_int_equal(asked[i].n_done, 0);
}

static void the_end_may_come_at_any_time(void **state)
{
    (void)state;
    char hash[CRYPT_OUTPUT_SIZE];
    make_hash(hash, QUICK, "s3cret");
    for (unsigned round = 0; round < 60; round++) {
        struct asked asked[3] = {0};
        for (size_t i = 0; i < N_ITEMS(asked); i++)
            assert_int_equal(ask(&asked[i], hash, "wrong"), ERR_NONE);
        for (unsigned i = 0; i < round % 4; i++)
            turn_for(here.loop, 1);
        verifier_free(here.verifier);
        here.verifier = NULL;
        turn_at_once(here.loop, 2); /* what was posted before */
        assert_int_equal(verifier_new(&here.verifier), ERR_NONE);
    }
}

static void without_a_thread_it_says_so_and_tries_again(void **state)
{
    (void)state;
    char hash[CRYPT_OUTPUT_SIZE];
    struct asked asked = {0};
    make_hash(hash, QUICK, "s3cret");
    threads_fail = true;
    assert_int_equal(ask(&asked, hash, "s3cret"), ERR_SYSTEM);
    assert_int_equal(ask(&asked, hash, "s3cret"), ERR_SYSTEM);
    threads_fail = false;
    assert_int_equal(asked.n_done, 0);
    assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
}

static void without_memory_it_says_so_and_goes_on(void **state)
{
    (void)state;
    char hash[CRYPT_OUTPUT_SIZE];
    struct asked asked = {0};
    struct verifier *none;
    make_hash(hash, QUICK, "s3cret");
    allocator_fail(1);
    assert_int_equal(ask(&asked, hash, "s3cret"), ERR_MEMORY);
    allocator_fail(1);
    assert_int_equal(verifier_new(&none), ERR_MEMORY);
    /* The second allocation is the table of what is known: it is right all the same. */
    allocator_fail(2);
    assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
    allocator_fail(0);
    assert_false(knows(hash, "s3cret"));
    assert_int_equal(verdict_on(hash, "s3cret"), VERDICT_RIGHT);
    assert_true(knows(hash, "s3cret"));
}

/* As ON_BOTH, with everything set up. */
#define HERE(test)                                                                 \
    {#test " (epoll)", test, set_up, take_down, &(enum loop_backend){LOOP_EPOLL}}, \
    {                                                                              \
#test " (poll)", test, set_up, take_down, &(enum loop_backend)             \
        {                                                                          \
            LOOP_POLL                                                              \
        }                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        HERE(right_and_wrong_by_each_method),
        HERE(what_is_no_hash_gives_no_verdict),
        HERE(what_was_right_is_known_and_what_was_wrong_is_not),
        HERE(many_are_answered_each_with_its_own),
        HERE(of_the_same_question_asked_by_many_one_is_computed),
        HERE(a_decoy_is_computed_each_time_and_teaches_nothing),
        HERE(a_full_queue_refuses_and_recovers),
        HERE(one_address_cannot_fill_the_queue),
        HERE(what_is_abandoned_is_neither_told_nor_computed),
        HERE(the_end_waits_for_no_hash),
        HERE(the_end_may_come_at_any_time),
        HERE(without_a_thread_it_says_so_and_tries_again),
        HERE(without_memory_it_says_so_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
