/* Who has which address, among the sessions of several far ends: sessions of one peer follow each other, addresses change hands with their sockets. */
#include "loops.h"

#include <stdlib.h>

#include "io/listener.h"
#include "tcp.h"
#include "tunnel/claims.h"

static struct {
    struct loop *loop;
    struct mailbox mailbox;
    struct claims claims;
} all;

/* A session as a far end has it. */
struct someone {
    struct claimant *claimant;
    struct claim claim;
    unsigned n_told;
    bool is_replaced; /* as it was told */
    bool has_place;   /* of the one before it */
};

static const uint8_t ann[PEER_WHO_BYTES] = "ann", bob[PEER_WHO_BYTES] = "bob";
static const char here[1], elsewhere[1]; /* places */

static int begin(void **state)
{
    (void)state;
    all.loop = loop_new(LOOP_POLL);
    assert_non_null(all.loop);
    assert_int_equal(mailbox_init(&all.mailbox, all.loop), ERR_NONE);
    claims_init(&all.claims);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLAIMS_BUCKETS; i++)
        assert_true(list_empty(&all.claims.peers[i]) && list_empty(&all.claims.ports[i]));
    mailbox_deinit(&all.mailbox);
    claims_deinit(&all.claims);
    loop_free(all.loop);
    return 0;
}

static void on_told(struct claimant *claimant, bool is_replaced)
{
    struct someone *who = claimant->owner;

    who->n_told++;
    who->is_replaced = is_replaced;
}

static void come_for(struct someone *who, const uint8_t name[static PEER_WHO_BYTES], bool is_linked,
                     const void *place)
{
    *who = (struct someone){0};
    who->claimant = claimant_new(&all.claims, &all.mailbox, on_told, who);
    assert_non_null(who->claimant);
    claimant_set_linked(who->claimant, is_linked);
    who->has_place = claimant_begin(who->claimant, name, place);
}

static void come(struct someone *who, const uint8_t name[static PEER_WHO_BYTES], bool is_linked)
{
    come_for(who, name, is_linked, NULL);
}

static void leave(struct someone *who)
{
    claim_drop(&who->claim);
    claimant_free(who->claimant);
}

static enum err take(struct someone *who, const struct addr *addr, bool *is_taken_over)
{
    return claim_take(&who->claim, who->claimant, addr, is_taken_over);
}

/* A port that is free now. */
static struct addr free_addr(void)
{
    const struct listener_options options = {0};
    struct addr addr = tcp_addr("127.0.0.1", 0);
    int fd;

    assert_int_equal(listener_open(&fd, &addr, &options), ERR_NONE);
    sys_close(fd);
    return addr;
}

static void deliver(void)
{
    (void)mailbox_deliver(&all.mailbox);
}

static bool is_reached(const struct addr *addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(addr, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_open = connect(fd, (struct sockaddr *)&sa, n) == 0;

    close(fd);
    return is_open;
}

static void a_peer_has_one_session(void **state)
{
    struct someone old, other, new;

    (void)state;
    come(&old, ann, true);
    come(&other, bob, true);
    come(&new, ann, true);
    deliver();
    assert_int_equal(old.n_told, 1);
    assert_true(old.is_replaced);
    assert_int_equal(other.n_told + new.n_told, 0);
    leave(&old);
    leave(&other);
    leave(&new);
}

/* Before the old one has heard of it, and only where it is one. */
static void a_place_goes_to_the_next_session_of_the_same_peer(void **state)
{
    struct someone first, next, elsewhere_still, kept, last;

    (void)state;
    come_for(&first, ann, true, here);
    assert_false(first.has_place);
    claimant_set_place(first.claimant, here);
    come_for(&next, ann, true, here);
    assert_true(next.has_place);
    assert_false(claimant_keep_place(first.claimant));
    come_for(&elsewhere_still, ann, true, elsewhere);
    assert_false(elsewhere_still.has_place);
    assert_true(claimant_keep_place(next.claimant));
    come_for(&kept, bob, true, here);
    claimant_set_place(kept.claimant, here);
    assert_true(claimant_keep_place(kept.claimant));
    come_for(&last, bob, true, here);
    assert_false(last.has_place);
    assert_true(claimant_keep_place(kept.claimant));
    deliver();
    leave(&first);
    leave(&next);
    leave(&elsewhere_still);
    leave(&kept);
    leave(&last);
}

static void an_address_stays_with_who_has_a_link(void **state)
{
    struct someone first, second;
    struct addr addr = free_addr();
    bool is_taken_over;

    (void)state;
    come(&first, ann, true);
    come(&second, bob, true);
    assert_int_equal(take(&first, &addr, &is_taken_over), ERR_NONE);
    assert_false(is_taken_over);
    assert_int_equal(take(&second, &addr, &is_taken_over), ERR_IN_USE);
    deliver();
    assert_int_equal(first.n_told, 0);
    assert_false(claim_is_lost(&first.claim));
    leave(&second);
    leave(&first);
    assert_false(is_reached(&addr));
}

static void from_who_has_none_it_is_taken_with_its_socket(void **state)
{
    struct someone first, second;
    struct addr addr = free_addr();
    bool is_taken_over;

    (void)state;
    come(&first, ann, true);
    come(&second, bob, true);
    assert_int_equal(take(&first, &addr, &is_taken_over), ERR_NONE);
    claimant_set_linked(first.claimant, false);
    assert_int_equal(take(&second, &addr, &is_taken_over), ERR_NONE);
    assert_true(is_taken_over);
    assert_true(claim_is_lost(&first.claim));
    assert_true(is_reached(&addr));
    deliver();
    assert_int_equal(first.n_told, 1);
    assert_false(first.is_replaced);
    claim_drop(&first.claim);
    assert_true(is_reached(&addr));
    /* It does not come back by itself, and nobody else's is told again. */
    assert_int_equal(take(&first, &addr, &is_taken_over), ERR_IN_USE);
    leave(&first);
    leave(&second);
    assert_false(is_reached(&addr));
}

static void the_same_peers_next_session_has_it_at_once(void **state)
{
    struct someone old, new;
    struct addr addr = free_addr();
    bool is_taken_over;

    (void)state;
    come(&old, ann, true);
    assert_int_equal(take(&old, &addr, &is_taken_over), ERR_NONE);
    come(&new, ann, true);
    /* Before the old one has heard of it. */
    assert_int_equal(take(&new, &addr, &is_taken_over), ERR_NONE);
    assert_true(is_taken_over);
    deliver();
    assert_int_equal(old.n_told, 1);
    assert_true(old.is_replaced && claim_is_lost(&old.claim));
    leave(&old);
    assert_true(is_reached(&addr));
    leave(&new);
}

/* Otherwise there would be a moment in which it is in use, and nobody's. */
static void an_address_that_is_dropped_is_free_at_once(void **state)
{
    struct someone first, second;
    struct addr addr = free_addr();
    bool is_taken_over;

    (void)state;
    come(&first, ann, true);
    come(&second, bob, true);
    assert_int_equal(take(&first, &addr, &is_taken_over), ERR_NONE);
    claim_drop(&first.claim);
    assert_int_equal(take(&second, &addr, &is_taken_over), ERR_NONE);
    assert_false(is_taken_over);
    leave(&first);
    leave(&second);
}

static void twice_in_one_session_is_once_too_often(void **state)
{
    struct someone one;
    struct claim again = {.by = NULL};
    struct addr addr = free_addr();
    bool is_taken_over;

    (void)state;
    come(&one, ann, false);
    assert_int_equal(take(&one, &addr, &is_taken_over), ERR_NONE);
    assert_int_equal(claim_take(&again, one.claimant, &addr, &is_taken_over), ERR_IN_USE);
    claim_drop(&again);
    leave(&one);
}

static void another_programs_address_is_in_use(void **state)
{
    const struct listener_options options = {0};
    struct addr addr = tcp_addr("127.0.0.1", 0);
    struct someone one;
    bool is_taken_over;
    int fd;

    (void)state;
    assert_int_equal(listener_open(&fd, &addr, &options), ERR_NONE);
    come(&one, ann, true);
    assert_int_equal(take(&one, &addr, &is_taken_over), ERR_IN_USE);
    sys_close(fd);
    leave(&one);
}

static void who_is_gone_is_told_nothing(void **state)
{
    struct someone old, new;

    (void)state;
    come(&old, ann, true);
    come(&new, ann, true);
    leave(&old);
    deliver();
    assert_int_equal(old.n_told, 0);
    leave(&new);
}

/* As many as a busy server has: what would look at each of them with each new one takes minutes. */
static void a_new_session_costs_the_same_among_many(void **state)
{
    enum { N = 200000 };
    struct someone *many = calloc(N, sizeof *many), one;
    uint8_t name[PEER_WHO_BYTES] = {0};

    (void)state;
    assert_non_null(many);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t spread = i * 2654435761u; /* the names are hashes */
        memcpy(name, &spread, sizeof spread);
        come(&many[i], name, true);
    }
    come(&one, name, true);
    deliver();
    assert_true(many[N - 1].is_replaced);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(many[i].n_told, i == N - 1 ? 1 : 0);
        leave(&many[i]);
    }
    leave(&one);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_peer_has_one_session, begin, end),
        cmocka_unit_test_setup_teardown(a_place_goes_to_the_next_session_of_the_same_peer, begin,
                                        end),
        cmocka_unit_test_setup_teardown(an_address_stays_with_who_has_a_link, begin, end),
        cmocka_unit_test_setup_teardown(from_who_has_none_it_is_taken_with_its_socket, begin, end),
        cmocka_unit_test_setup_teardown(the_same_peers_next_session_has_it_at_once, begin, end),
        cmocka_unit_test_setup_teardown(an_address_that_is_dropped_is_free_at_once, begin, end),
        cmocka_unit_test_setup_teardown(twice_in_one_session_is_once_too_often, begin, end),
        cmocka_unit_test_setup_teardown(another_programs_address_is_in_use, begin, end),
        cmocka_unit_test_setup_teardown(who_is_gone_is_told_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_new_session_costs_the_same_among_many, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
