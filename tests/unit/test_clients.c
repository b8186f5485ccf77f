/* Counting connections of each client to each inbound. */
#include "loops.h"

#include <pthread.h>

#include "allocator.h"
#include "flow/clients.h"
#include "tcp.h"

static const char inbound_a, inbound_b; /* only their addresses count */

static enum err enter(struct clients *clients, const void *inbound, const char *ip, uint64_t max)
{
    struct addr from = tcp_addr(ip, 1);
    return clients_enter(clients, &(struct counted){.of = inbound, .at = &from}, max);
}

static void leave(struct clients *clients, const void *inbound, const char *ip)
{
    struct addr from = tcp_addr(ip, 2);
    clients_leave(clients, &(struct counted){.of = inbound, .at = &from});
}

static void an_address_may_come_as_often_as_allowed_whatever_its_port(void **state)
{
    (void)state;
    struct clients clients;
    clients_init(&clients);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 2), ERR_NONE);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 2), ERR_NONE);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 2), ERR_LIMIT);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.2", 2), ERR_NONE);
    leave(&clients, &inbound_a, "192.0.2.1");
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 2), ERR_NONE);
    leave(&clients, &inbound_a, "192.0.2.1");
    leave(&clients, &inbound_a, "192.0.2.1");
    leave(&clients, &inbound_a, "192.0.2.2");
    assert_null(clients.counts);
    clients_deinit(&clients);
}

static void each_inbound_counts_for_itself(void **state)
{
    (void)state;
    struct clients clients;
    clients_init(&clients);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 1), ERR_NONE);
    assert_int_equal(enter(&clients, &inbound_b, "192.0.2.1", 1), ERR_NONE);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 1), ERR_LIMIT);
    leave(&clients, &inbound_b, "192.0.2.1");
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 1), ERR_LIMIT);
    leave(&clients, &inbound_a, "192.0.2.1");
    clients_deinit(&clients);
}

static void acc_72_one_address_written_in_two_ways_is_one_client(void **state)
{
    (void)state;
    struct clients clients;
    clients_init(&clients);
    assert_int_equal(enter(&clients, &inbound_a, "192.0.2.1", 1), ERR_NONE);
    assert_int_equal(enter(&clients, &inbound_a, "::ffff:192.0.2.1", 1), ERR_LIMIT);
    assert_int_equal(enter(&clients, &inbound_a, "2001:db8::1", 1), ERR_NONE);
    leave(&clients, &inbound_a, "::ffff:192.0.2.1");
    leave(&clients, &inbound_a, "2001:db8::1");
    assert_null(clients.counts);
    clients_deinit(&clients);
}

static void each_user_counts_for_himself_wherever_he_comes_from(void **state)
{
    (void)state;
    static const uint8_t ann[USER_ID_BYTES] = "ann", bob[USER_ID_BYTES] = "bob";
    struct addr from = tcp_addr("192.0.2.1", 1);
    const struct counted anns = {.of = &inbound_a, .user = ann};
    const struct counted bobs = {.of = &inbound_a, .user = bob};
    const struct counted anns_there = {.of = &inbound_a, .user = ann, .at = &from};
    const struct counted there = {.of = &inbound_a, .at = &from};
    struct clients clients;
    clients_init(&clients);
    assert_int_equal(clients_enter(&clients, &anns, 1), ERR_NONE);
    assert_int_equal(clients_enter(&clients, &anns, 1), ERR_LIMIT);
    assert_int_equal(clients_enter(&clients, &bobs, 1), ERR_NONE);
    assert_int_equal(clients_enter(&clients, &anns_there, 1), ERR_NONE);
    assert_int_equal(clients_enter(&clients, &anns_there, 1), ERR_LIMIT);
    assert_int_equal(clients_enter(&clients, &there, 1), ERR_NONE);
    clients_leave(&clients, &anns);
    assert_int_equal(clients_count(&clients, &anns), 0);
    assert_int_equal(clients_count(&clients, &bobs), 1);
    clients_leave(&clients, &bobs);
    clients_leave(&clients, &anns_there);
    clients_leave(&clients, &there);
    assert_null(clients.counts);
    clients_deinit(&clients);
}

/* More than enough for the table to grow several times. */
static void thousands_of_addresses_come_and_go_while_allocations_fail(void **state)
{
    (void)state;
    enum { N = 3000 };
    static bool is_in[N];
    struct clients clients;
    int64_t n_blocks_before = n_blocks;
    size_t n_refused = 0;
    clients_init(&clients);
    for (unsigned round = 0; round < 3; round++) {
        for (uint16_t i = 0; i < N; i++) {
            struct addr from = {.family = ADDR_V4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
            if (is_in[i])
                continue;
            allocator_fail(i % 5 == round ? 1 + i % 2 : 0);
            enum err err =
                clients_enter(&clients, &(struct counted){.of = &inbound_a, .at = &from}, 1);
            allocator_fail(0);
            assert_true(err == ERR_NONE || err == ERR_MEMORY);
            is_in[i] = err == ERR_NONE;
            n_refused += err == ERR_MEMORY;
        }
    }
    assert_true(n_refused >= N / 10);
    for (uint16_t i = 0; i < N; i++) {
        struct addr from = {.family = ADDR_V4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        assert_true(is_in[i]);
        assert_int_equal(
            clients_enter(&clients, &(struct counted){.of = &inbound_a, .at = &from}, 1),
            ERR_LIMIT);
        clients_leave(&clients, &(struct counted){.of = &inbound_a, .at = &from});
    }
    clients_deinit(&clients);
    assert_int_equal(n_blocks, n_blocks_before);
}

static struct clients shared;
static _Atomic(unsigned) n_in;

static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        if (enter(&shared, &inbound_a, "192.0.2.1", 2) != ERR_NONE)
            continue;
        /* cmocka's assertions belong to the main thread. */
        if (++n_in > 2)
            return &n_in;
        n_in--;
        leave(&shared, &inbound_a, "192.0.2.1");
    }
    return NULL;
}

static void threads_together_do_not_pass_the_limit(void **state)
{
    (void)state;
    pthread_t threads[4];
    clients_init(&shared);
    for (size_t i = 0; i < N_ITEMS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < N_ITEMS(threads); i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    clients_deinit(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_may_come_as_often_as_allowed_whatever_its_port),
        cmocka_unit_test(each_inbound_counts_for_itself),
        cmocka_unit_test(acc_72_one_address_written_in_two_ways_is_one_client),
        cmocka_unit_test(each_user_counts_for_himself_wherever_he_comes_from),
        cmocka_unit_test(thousands_of_addresses_come_and_go_while_allocations_fail),
        cmocka_unit_test(threads_together_do_not_pass_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
