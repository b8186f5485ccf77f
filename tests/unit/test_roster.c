/* Whom a tunnel inbound lets in: a hundred thousand users found as ten are, server's keys in turn, and what a stranger's flight costs. */
#include "allocator.h"
#include "handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "io/random.h"
#include "io/sys.h"
#include "tunnel/far_roster.h"
#include "tunnel/far_spec.h"

#define MANY 100000

/* ---- what is counted ---- */

static size_t n_compared, n_derived, n_authenticated;

/* The linker chooses these names. NOLINTBEGIN(bugprone-reserved-identifier) */
bool __real_secret_same(const void *a, const void *b, size_t n);
bool __wrap_secret_same(const void *a, const void *b, size_t n);
void __real_hkdf_expand(uint8_t *out, size_t n, const uint8_t *prk, const struct piece *info,
                        size_t n_info);
void __wrap_hkdf_expand(uint8_t *out, size_t n, const uint8_t *prk, const struct piece *info,
                        size_t n_info);
bool __real_hmac16_is_good(const uint8_t *mac, struct piece key, const struct piece *pieces,
                           size_t n);
bool __wrap_hmac16_is_good(const uint8_t *mac, struct piece key, const struct piece *pieces,
                           size_t n);

bool __wrap_secret_same(const void *a, const void *b, size_t n)
{
    n_compared++;
    return __real_secret_same(a, b, n);
}

void __wrap_hkdf_expand(uint8_t *out, size_t n, const uint8_t *prk, const struct piece *info,
                        size_t n_info)
{
    n_derived++;
    __real_hkdf_expand(out, n, prk, info, n_info);
}

bool __wrap_hmac16_is_good(const uint8_t *mac, struct piece key, const struct piece *pieces,
                           size_t n)
{
    n_authenticated++;
    return __real_hmac16_is_good(mac, key, pieces, n);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- rosters ---- */

static struct far_specs specs;
static char names[MANY][8];

static void user_key(uint8_t key[static 32], size_t i)
{
    memset(key, 0x5a, 32);
    memcpy(key, &i, sizeof i);
}

static struct far_roster_settings settings_of(size_t n_keys, size_t n_users)
{
    struct far_roster_settings settings = {.n_keys = n_keys,
                                           .has_users = n_users > 0,
                                           .n_users = n_users,
                                           .clock_skew_ms = ENDS_SKEW_MS};
    for (size_t i = 0; i < n_keys; i++) {
        uint8_t key[32] = ENDS_SERVER_BYTES;
        key[0] = (uint8_t)('0' + i);
        link_key_init(&settings.keys[i], key, sizeof key);
    }
    return settings;
}

static enum err fill(struct far_roster *roster, size_t n_users, const struct user_rights *rights)
{
    enum err err = ERR_NONE;
    for (size_t i = 0; i < n_users && err == ERR_NONE; i++) {
        uint8_t key[32];
        user_key(key, i);
        err = far_roster_add(roster, names[i], key, sizeof key, rights);
    }
    return err;
}

static struct far_roster *make(size_t n_keys, size_t n_users)
{
    struct far_roster_settings settings = settings_of(n_keys, n_users);
    struct far_roster *roster;
    assert_int_equal(far_roster_new(&roster, &specs, &settings), ERR_NONE);
    assert_int_equal(fill(roster, n_users, NULL), ERR_NONE);
    return roster;
}

static const struct link_user *find(const struct far_roster *roster, const struct link_key *key)
{
    const struct handshake_ground *ground = far_roster_ground(roster);
    const struct link_user *user;
    const struct link_key *found = ground->find_user(ground->users, key->tag, &user);
    assert_ptr_equal(found, user == NULL ? NULL : &user->key);
    return user;
}

static void a_hundred_thousand_users_are_found_in_a_few_looks(void **state)
{
    (void)state;
    struct far_roster *roster = make(1, MANY);
    struct link_key key;
    uint8_t bytes[32];
    size_t most = 0, n_all = 0;
    for (size_t i = 0; i < 2 * MANY; i += 7) {
        user_key(bytes, i);
        link_key_init(&key, bytes, sizeof bytes);
        n_compared = 0;
        const struct link_user *user = find(roster, &key);
        assert_true((user != NULL) == (i < MANY));
        if (user != NULL)
            assert_ptr_equal(user->flow.name, names[i]);
        n_all += n_compared;
        most = n_compared > most ? n_compared : most;
    }
    assert_true(n_all < 2 * (2 * MANY / 7));
    assert_true(most < 40);
    far_roster_free(roster);
}

static void rights_are_a_users_own_and_a_key_belongs_to_the_first_who_has_it(void **state)
{
    (void)state;
    static const struct user_rights rights = {.per_client = 3, .sessions = 2};
    struct far_roster_settings settings = settings_of(1, 3);
    struct far_roster *roster;
    struct link_key key;
    uint8_t bytes[32];
    assert_int_equal(far_roster_new(&roster, &specs, &settings), ERR_NONE);
    user_key(bytes, 1);
    link_key_init(&key, bytes, sizeof bytes);
    assert_int_equal(far_roster_add(roster, "ann", bytes, 32, &rights), ERR_NONE);
    assert_int_equal(far_roster_add(roster, "eve", bytes, 32, NULL), ERR_NONE);
    user_key(bytes, 2);
    assert_int_equal(far_roster_add(roster, "bob", bytes, 32, NULL), ERR_NONE);
    const struct link_user *ann = find(roster, &key);
    assert_string_equal(ann->flow.name, "ann");
    assert_int_equal(ann->flow.rights->per_client, 3);
    assert_int_equal(ann->flow.rights->sessions, 2);
    assert_memory_equal(ann->flow.rights->id, key.tag, USER_ID_BYTES);
    link_key_init(&key, bytes, sizeof bytes);
    assert_string_equal(find(roster, &key)->flow.name, "bob");
    assert_null(find(roster, &key)->flow.rights);
    far_roster_free(roster);
}

static void memory_may_run_out_at_any_point(void **state)
{
    (void)state;
    static const struct user_rights rights = {.sessions = 1};
    struct far_roster_settings settings = settings_of(2, 5);
    int64_t n_before = n_blocks;
    enum err err = ERR_MEMORY;
    for (uint64_t n = 1; err == ERR_MEMORY; n++) {
        struct far_roster *roster = NULL;
        allocator_fail(n);
        err = far_roster_new(&roster, &specs, &settings);
        if (err == ERR_NONE)
            err = fill(roster, 5, &rights);
        allocator_fail(0);
        assert_true(err == ERR_NONE || n < 100);
        far_roster_free(roster);
        assert_int_equal(n_blocks, n_before);
    }
    assert_int_equal(err, ERR_NONE);
    assert_true(list_empty(&specs.replays));
}

/* ---- flights ---- */

struct visit {
    struct link_key server, user;
    struct handshake *client, *host;
    uint8_t flight[FLIGHT_MAX_BYTES];
    size_t n;
    uint64_t now_ms;
};

/* A flight by that key of the server's and that user's, beyond those of the roster: a stranger's. */
static void call(struct visit *visit, size_t server, size_t user)
{
    struct far_roster_settings settings = settings_of(3, 1);
    struct handshake_offer offer = {.server = &visit->server, .user = &visit->user, .keep_s = 60};
    uint8_t bytes[32];
    user_key(bytes, user);
    *visit = (struct visit){.server = settings.keys[server], .now_ms = sys_wall_ms() + 10000};
    link_key_init(&visit->user, bytes, sizeof bytes);
    assert_int_equal(handshake_start(&visit->client, &offer, visit->now_ms, &system_rng), ERR_NONE);
    assert_int_equal(handshake_write(visit->client, 0, &system_rng, visit->flight, &visit->n),
                     ERR_NONE);
}

static enum err hear_part(struct visit *visit, size_t from, size_t to)
{
    size_t used;
    return handshake_read(visit->host, visit->flight + from, to - from, visit->now_ms, &used);
}

static enum err hear(struct visit *visit, const struct far_roster *roster)
{
    assert_int_equal(handshake_expect(&visit->host, far_roster_ground(roster)), ERR_NONE);
    n_compared = n_derived = n_authenticated = 0;
    return hear_part(visit, 0, visit->n);
}

static void leave(struct visit *visit)
{
    handshake_free(visit->client);
    handshake_free(visit->host);
}

static void each_key_of_the_servers_lets_in_and_answers(void **state)
{
    (void)state;
    struct far_roster *roster = make(2, 3);
    for (size_t server = 0; server < 3; server++) {
        struct handshake_answer answer = {.session_id = "a new session's"};
        uint8_t flight2[FLIGHT_MAX_BYTES];
        struct visit visit;
        size_t n, used;
        call(&visit, server, 2);
        assert_int_equal(hear(&visit, roster), server < 2 ? ERR_NONE : ERR_BAD);
        if (server < 2) {
            const struct flight_info *info = handshake_info(visit.host);
            assert_string_equal(info->user->flow.name, "u2");
            assert_memory_equal(info->server_tag, visit.server.tag, LINK_TAG_BYTES);
            assert_memory_equal(info->user_tag, visit.user.tag, LINK_TAG_BYTES);
            assert_int_equal(handshake_open(visit.host, NULL, 0, &system_rng), ERR_NONE);
            assert_int_equal(
                handshake_answer(visit.host, &answer, visit.now_ms, &system_rng, flight2, &n),
                ERR_NONE);
            assert_int_equal(handshake_read(visit.client, flight2, n, 0, &used), ERR_NONE);
        }
        leave(&visit);
    }
    far_roster_free(roster);
}

/* What it costs: derivations, MACs and looks into the table. */
struct cost {
    size_t n_derived, n_authenticated;
};

static struct cost cost_of(const struct far_roster *roster, size_t server, size_t user,
                           bool is_damaged, enum err expected)
{
    struct visit visit;
    call(&visit, server, user);
    if (is_damaged)
        visit.flight[FLIGHT1_HEAD_BYTES] ^= 1; /* in MAC 1 */
    assert_int_equal(hear(&visit, roster), expected);
    leave(&visit);
    return (struct cost){n_derived, n_authenticated};
}

static void assert_same_cost(struct cost a, struct cost b)
{
    assert_int_equal(a.n_derived, b.n_derived);
    assert_int_equal(a.n_authenticated, b.n_authenticated);
}

static void a_stranger_costs_what_a_user_costs_and_many_what_few_do(void **state)
{
    (void)state;
    struct far_roster *few = make(1, 10), *many = make(1, MANY), *two = make(2, 10);
    struct cost user = cost_of(few, 0, 3, true, ERR_BAD);
    assert_int_equal(user.n_authenticated, 1);
    assert_true(user.n_derived > 0);
    assert_same_cost(cost_of(few, 0, 11, false, ERR_BAD), user);
    assert_same_cost(cost_of(few, 2, 3, false, ERR_BAD), user); /* not even the server's key */
    assert_same_cost(cost_of(many, 0, MANY + 1, false, ERR_BAD), user);
    assert_same_cost(cost_of(many, 0, MANY / 2, true, ERR_BAD), user);
    assert_same_cost(cost_of(many, 0, MANY / 2, false, ERR_NONE),
                     cost_of(few, 0, 3, false, ERR_NONE));
    /* Each key is tried once, whatever the tag. */
    struct cost both = cost_of(two, 0, 3, true, ERR_BAD);
    assert_int_equal(both.n_authenticated, 2);
    assert_int_equal(both.n_derived, 2 * user.n_derived);
    assert_same_cost(cost_of(two, 1, 11, false, ERR_BAD), both);
    far_roster_free(few);
    far_roster_free(many);
    far_roster_free(two);
}

static void who_is_removed_while_his_flight_comes_is_not_let_in(void **state)
{
    (void)state;
    struct far_roster *before = make(2, 3), *without = make(2, 2), *still = make(2, 3);
    struct far_roster *other_key = make(1, 3);
    const struct {
        const struct far_roster *then;
        size_t server;
        bool is_in;
    } cases[] = {{still, 0, true}, {still, 1, true}, {without, 0, false}, {other_key, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct visit visit;
        call(&visit, cases[i].server, 2);
        assert_int_equal(handshake_expect(&visit.host, far_roster_ground(before)), ERR_NONE);
        assert_int_equal(hear_part(&visit, 0, visit.n - 1), ERR_MORE);
        enum err err = handshake_move(visit.host, far_roster_ground(cases[i].then));
        assert_int_equal(err, cases[i].is_in ? ERR_NONE : ERR_BAD);
        assert_int_equal(hear_part(&visit, visit.n - 1, visit.n),
                         cases[i].is_in ? ERR_NONE : ERR_BAD);
        if (cases[i].is_in)
            assert_string_equal(handshake_info(visit.host)->user->flow.name, "u2");
        else
            assert_null(handshake_info(visit.host)->user);
        leave(&visit);
    }
    far_roster_free(before);
    far_roster_free(without);
    far_roster_free(still);
    far_roster_free(other_key);
}

static void one_users_flights_leave_room_for_anothers(void **state)
{
    (void)state;
    struct far_roster *roster = make(1, 2);
    struct replay_set *replays = far_roster_ground(roster)->servers[0].replays;
    uint64_t now_ms = sys_wall_ms() + 10000;
    enum replay_answer answer = REPLAY_NEW;
    for (uint64_t i = 0; answer == REPLAY_NEW; i++) {
        uint8_t salt[REPLAY_SALT_BYTES] = {0};
        memcpy(salt, &i, sizeof i);
        answer =
            replay_set_insert(replays, salt, (const uint8_t *)"user one", now_ms, 60000, now_ms);
    }
    assert_int_equal(answer, REPLAY_FULL);
    struct visit visit;
    call(&visit, 0, 1);
    assert_int_equal(hear(&visit, roster), ERR_NONE);
    leave(&visit);
    far_roster_free(roster);
}

static int load(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        snprintf(names[i], sizeof names[i], "u%zu", i);
    far_specs_init(&specs);
    return crypto_load() == ERR_NONE ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand_users_are_found_in_a_few_looks),
        cmocka_unit_test(rights_are_a_users_own_and_a_key_belongs_to_the_first_who_has_it),
        cmocka_unit_test(memory_may_run_out_at_any_point),
        cmocka_unit_test(each_key_of_the_servers_lets_in_and_answers),
        cmocka_unit_test(a_stranger_costs_what_a_user_costs_and_many_what_few_do),
        cmocka_unit_test(who_is_removed_while_his_flight_comes_is_not_let_in),
        cmocka_unit_test(one_users_flights_leave_room_for_anothers),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
