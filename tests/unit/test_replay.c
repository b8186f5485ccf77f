/* The replay set: exact, whoever asks and whenever the process dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "link/replay.h"
#include "random.h"

#define W 60000

static const uint8_t binding[REPLAY_BINDING_BYTES] = {9, 8, 7, 6, 5};

struct kept {
    void *memory;
    size_t n_bytes;
    struct replay_set *set;
};

static struct kept set_of(size_t n_salts)
{
    bool is_taken_up;
    struct kept kept = {.n_bytes = replay_set_bytes(n_salts)};
    kept.memory = calloc(1, kept.n_bytes);
    kept.set = replay_set_open(kept.memory, kept.n_bytes, binding, 0, &is_taken_up);
    assert_false(is_taken_up);
    return kept;
}

static bool reopen(struct kept *kept, const uint8_t *by, uint64_t low_water_ms)
{
    bool is_taken_up;
    kept->set = replay_set_open(kept->memory, kept->n_bytes, by, low_water_ms, &is_taken_up);
    return is_taken_up;
}

static void make_salt(uint8_t salt[static REPLAY_SALT_BYTES], uint64_t number)
{
    memset(salt, 0, REPLAY_SALT_BYTES);
    memcpy(salt, &number, sizeof number);
}

static enum replay_answer insert_within(struct replay_set *set, uint64_t number, uint64_t window_ms,
                                        uint64_t flight_ms, uint64_t now_ms)
{
    uint8_t salt[REPLAY_SALT_BYTES];
    make_salt(salt, number);
    return replay_set_insert(set, salt, NULL, flight_ms, window_ms, now_ms);
}

static enum replay_answer insert_at(struct replay_set *set, uint64_t number, uint64_t flight_ms,
                                    uint64_t now_ms)
{
    return insert_within(set, number, W, flight_ms, now_ms);
}

static void a_salt_is_new_once(void **state)
{
    struct kept kept = set_of(1000);

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(insert_at(kept.set, i, 100000, 100000), REPLAY_NEW);
        assert_int_equal(insert_at(kept.set, i, 100000, 100000), REPLAY_SEEN);
    }
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(insert_at(kept.set, i, 100000, 100000), REPLAY_SEEN);
    free(kept.memory);
}

static void each_bit_of_a_salt_counts(void **state)
{
    struct kept kept = set_of(1000);
    uint8_t salt[REPLAY_SALT_BYTES] = {0};

    (void)state;
    for (unsigned bit = 0; bit < 8 * REPLAY_SALT_BYTES; bit++) {
        salt[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(replay_set_insert(kept.set, salt, NULL, 5, W, 5), REPLAY_NEW);
        salt[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(replay_set_insert(kept.set, salt, NULL, 5, W, 5), REPLAY_NEW);
    free(kept.memory);
}

static void a_salt_is_kept_exactly_until_its_time_is_over(void **state)
{
    struct kept kept = set_of(3);

    (void)state;
    assert_int_equal(insert_at(kept.set, 1, 100000, 100000), REPLAY_NEW);
    assert_int_equal(insert_at(kept.set, 1, 100000, 100000 + W), REPLAY_SEEN);
    /* It made room, but a flight so old would not be believed again. */
    assert_int_equal(insert_at(kept.set, 1, 100000, 100001 + W), REPLAY_OLD);
    assert_int_equal(insert_at(kept.set, 1, 100001, 100001 + W), REPLAY_NEW);
    free(kept.memory);
}

static void a_clock_that_jumps_ahead_and_back_lets_nobody_in_twice(void **state)
{
    struct kept kept = set_of(100);

    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(insert_at(kept.set, i, 1000000, 1000000), REPLAY_NEW);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(insert_at(kept.set, 1000 + i, 9000000, 9000000), REPLAY_NEW);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_not_equal(insert_at(kept.set, i, 1000000, 1000000), REPLAY_NEW);
    free(kept.memory);
}

/* By a reload, a restart, or another inbound that has the same key. */
static void a_longer_window_lets_nobody_in_twice(void **state)
{
    (void)state;
    for (unsigned is_swept = 0; is_swept < 2; is_swept++) {
        struct kept kept = set_of(3);
        assert_int_equal(insert_within(kept.set, 1, 10000, 100000, 100000), REPLAY_NEW);
        if (is_swept)
            assert_int_equal(insert_within(kept.set, 2, 10000, 120000, 120000), REPLAY_NEW);
        else
            assert_true(reopen(&kept, binding, 0));
        assert_int_equal(insert_within(kept.set, 1, W, 100000, 120000),
                         is_swept ? REPLAY_OLD : REPLAY_SEEN);
        assert_int_equal(insert_within(kept.set, 3, W, 100001, 120000), REPLAY_NEW);
        /* The shorter one forgets nothing then that the longer one would believe. */
        assert_int_equal(insert_within(kept.set, 4, 10000, 150000, 150000), REPLAY_NEW);
        assert_int_equal(insert_within(kept.set, 3, W, 100001, 150000), REPLAY_SEEN);
        free(kept.memory);
    }
}

static void a_full_set_refuses_until_there_is_room(void **state)
{
    enum { N = 96 }; /* three quarters of 128 places */
    struct kept kept = set_of(N);

    (void)state;
    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(insert_at(kept.set, i, 1000 + i, 1000), REPLAY_NEW);
    assert_int_equal(insert_at(kept.set, N, 2000, 1000), REPLAY_FULL);
    assert_int_equal(insert_at(kept.set, 0, 1000, 1000), REPLAY_SEEN);
    /* At that time the first is over, and no other. */
    assert_int_equal(insert_at(kept.set, N, 2000, 1001 + W), REPLAY_NEW);
    assert_int_equal(insert_at(kept.set, N + 1, 2000, 1001 + W), REPLAY_FULL);
    for (uint64_t i = 1; i <= N; i++)
        assert_int_equal(insert_at(kept.set, i, 2000, 1001 + W), REPLAY_SEEN);
    free(kept.memory);
}

static void no_user_has_more_than_a_quarter(void **state)
{
    enum { N = 96 };
    static const uint8_t ann[REPLAY_USER_BYTES] = "ann", bob[REPLAY_USER_BYTES] = "bob";
    struct kept kept = set_of(N);
    uint8_t salt[REPLAY_SALT_BYTES];

    (void)state;
    for (unsigned times = 0; times < 2; times++) {
        uint64_t now_ms = 1000 + times * 10 * W;
        for (uint64_t i = 0; i < N; i++) {
            make_salt(salt, i);
            assert_int_equal(replay_set_insert(kept.set, salt, ann, now_ms, W, now_ms),
                             i < N / 4 ? REPLAY_NEW : REPLAY_FULL);
        }
        make_salt(salt, 1000);
        assert_int_equal(replay_set_insert(kept.set, salt, bob, now_ms, W, now_ms), REPLAY_NEW);
        /* What was counted is counted after a restart. */
        assert_true(reopen(&kept, binding, 0));
        make_salt(salt, 1001);
        assert_int_equal(replay_set_insert(kept.set, salt, ann, now_ms, W, now_ms), REPLAY_FULL);
    }
    free(kept.memory);
}

/* Beside a list that is searched from its beginning. */
static void it_agrees_with_a_list_over_a_long_time(void **state)
{
    enum { N_NUMBERS = 400, N_STEPS = 200000 };
    uint64_t until_ms[N_NUMBERS] = {0}, now_ms = 1000000, seed = 7;
    struct kept kept = set_of(N_NUMBERS);

    (void)state;
    for (unsigned step = 0; step < N_STEPS; step++) {
        now_ms += random_below(&seed, 200);
        unsigned number = random_below(&seed, N_NUMBERS);
        uint64_t flight_ms = now_ms - W + random_below(&seed, 2 * W);
        enum replay_answer expected = until_ms[number] >= now_ms ? REPLAY_SEEN : REPLAY_NEW;
        enum replay_answer answer = insert_at(kept.set, number, flight_ms, now_ms);
        assert_int_equal(answer, expected);
        if (answer == REPLAY_NEW)
            until_ms[number] = flight_ms + W;
        if (step % 10000 == 0)
            assert_true(reopen(&kept, binding, 0));
    }
    free(kept.memory);
}

static void what_outlives_the_process_is_taken_up_if_it_is_bound_to_the_same(void **state)
{
    static const uint8_t other[REPLAY_BINDING_BYTES] = {1};
    struct kept kept = set_of(100);

    (void)state;
    assert_int_equal(insert_at(kept.set, 1, 5000, 5000), REPLAY_NEW);
    assert_int_equal(replay_set_high_ms(kept.set), 5000);
    assert_true(reopen(&kept, binding, 0));
    assert_int_equal(insert_at(kept.set, 1, 5000, 5000), REPLAY_SEEN);
    assert_int_equal(insert_at(kept.set, 2, 4000, 5000), REPLAY_NEW);
    assert_int_equal(replay_set_high_ms(kept.set), 5000);
    assert_false(reopen(&kept, other, 5000));
    assert_int_equal(replay_set_high_ms(kept.set), 0);
    assert_int_equal(insert_at(kept.set, 1, 5000, 5000), REPLAY_OLD);
    assert_int_equal(insert_at(kept.set, 1, 5001, 5001), REPLAY_NEW);
    free(kept.memory);
}

static void memory_of_anything_else_is_no_set(void **state)
{
    uint64_t seed = 3;
    struct kept kept = set_of(100);

    (void)state;
    for (unsigned times = 0; times < 100; times++) {
        uint8_t *bytes = kept.memory;
        for (size_t i = 0; i < kept.n_bytes; i++)
            bytes[i] = (uint8_t)random_u64(&seed);
        assert_false(reopen(&kept, binding, 0));
        assert_int_equal(insert_at(kept.set, 1, 5000, 5000), REPLAY_NEW);
    }
    /* A set whose places were all overwritten, and nothing else. */
    uint8_t *bytes = kept.memory;
    memset(bytes + kept.n_bytes / 2, 0x55, kept.n_bytes - kept.n_bytes / 2);
    memset(bytes + sizeof(uint64_t) * 600, 0x55, kept.n_bytes - sizeof(uint64_t) * 600);
    reopen(&kept, binding, 0);
    assert_int_equal(insert_at(kept.set, 77, 5000, 5000), REPLAY_NEW);
    free(kept.memory);
}

/* ---- several at once ---- */

enum { N_THREADS = 2, N_SALTS = 20000 };

struct crowd {
    struct replay_set *set;
    _Atomic(uint32_t) n_new[N_SALTS], n_there[N_SALTS];
};

/* Each salt at the same time as the other. */
static void *insert_all(void *arg)
{
    struct crowd *crowd = arg;
    for (uint64_t i = 0; i < N_SALTS; i++) {
        crowd->n_there[i]++;
        for (unsigned n = 0; crowd->n_there[i] < N_THREADS; n++) {
            if (n > 2000)
                sched_yield(); /* there may be one processor only */
        }
        if (insert_at(crowd->set, i, 1000, 1000) == REPLAY_NEW)
            crowd->n_new[i]++;
    }
    return NULL;
}

static void of_two_threads_one_gets_each_salt(void **state)
{
    struct kept kept = set_of(N_SALTS);
    struct crowd *crowd = calloc(1, sizeof *crowd);
    pthread_t threads[N_THREADS];

    (void)state;
    crowd->set = kept.set;
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, insert_all, crowd), 0);
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < N_SALTS; i++)
        assert_int_equal(crowd->n_new[i], 1);
    free(crowd);
    free(kept.memory);
}

/* A process that inserts and forgets as fast as it can, is killed wherever it happens to be, and says before each insertion
 * what comes next: whatever it had said to be in is in for the next one. */
struct diary {
    _Atomic(uint64_t) n_inserted; /* numbers below are in, or over */
};

enum { LIVES = 40, ALIVE = 64 };

static void live(struct kept *kept, struct diary *diary)
{
    for (;;) {
        uint64_t number = diary->n_inserted, now_ms = 1000000 + number * 1000;
        enum replay_answer answer = insert_at(kept->set, number, now_ms, now_ms);
        if (answer != REPLAY_NEW && answer != REPLAY_SEEN)
            _exit(1);
        diary->n_inserted = number + 1;
    }
}

static void a_process_that_is_killed_leaves_nothing_out(void **state)
{
    struct kept kept = {.n_bytes = replay_set_bytes(2 * ALIVE)};
    kept.memory =
        mmap(NULL, kept.n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct diary *diary =
        mmap(NULL, sizeof *diary, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_false(reopen(&kept, binding, 0));
    for (unsigned life = 0; life < LIVES; life++) {
        uint64_t before = diary->n_inserted;
        pid_t pid = fork();
        if (pid == 0)
            live(&kept, diary);
        while (diary->n_inserted < before + 500 + life * 37) {
            assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
            usleep(100);
        }
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        assert_true(reopen(&kept, binding, 0));
        uint64_t n = diary->n_inserted, now_ms = 1000000 + n * 1000;
        for (uint64_t number = n - W / 1000 + 1; number < n; number++)
            assert_int_equal(insert_at(kept.set, number, 1000000 + number * 1000, now_ms),
                             REPLAY_SEEN);
    }
    munmap(diary, sizeof *diary);
    munmap(kept.memory, kept.n_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_salt_is_new_once),
        cmocka_unit_test(each_bit_of_a_salt_counts),
        cmocka_unit_test(a_salt_is_kept_exactly_until_its_time_is_over),
        cmocka_unit_test(a_clock_that_jumps_ahead_and_back_lets_nobody_in_twice),
        cmocka_unit_test(a_longer_window_lets_nobody_in_twice),
        cmocka_unit_test(a_full_set_refuses_until_there_is_room),
        cmocka_unit_test(no_user_has_more_than_a_quarter),
        cmocka_unit_test(it_agrees_with_a_list_over_a_long_time),
        cmocka_unit_test(what_outlives_the_process_is_taken_up_if_it_is_bound_to_the_same),
        cmocka_unit_test(memory_of_anything_else_is_no_set),
        cmocka_unit_test(of_two_threads_one_gets_each_salt),
        cmocka_unit_test(a_process_that_is_killed_leaves_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
