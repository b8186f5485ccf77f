/* What those can do at the far end's door who have the key and mean harm. */
#include "ends.h"

#include <signal.h>

#define SESSION_OF(worker) ((const uint8_t[SESSION_ID_BYTES]){0, (worker), 1, 2, 3})

static void begin_with(void **state, size_t max_unlinked)
{
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
    ends_prepare();
    struct far_settings settings = ends_far_settings();
    settings.max_unlinked = max_unlinked;
    ends_begin_with(settings);
}

static void begin(void **state)
{
    begin_with(state, 0);
}

static int visit(void)
{
    int fd = tcp_connect(&ends.addr);
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
    return fd;
}

/* A flight with the right keys, which are to stay; with an id it joins that session. */
static struct handshake *begin_flight(const struct link_key *server, const struct link_key *user,
                                      const uint8_t *id, uint8_t out[static FLIGHT_MAX_BYTES],
                                      size_t *n)
{
    struct handshake *handshake;
    struct handshake_offer offer = {.server = server, .user = user, .keep_s = 600};
    if (id != NULL) {
        offer.joins = true;
        offer.join_number = 1;
        offer.cipher = RECORD_AES_256_GCM;
        memcpy(offer.session_id, id, sizeof offer.session_id);
    }
    assert_int_equal(handshake_start(&handshake, &offer, sys_wall_ms(), &system_rng), ERR_NONE);
    assert_int_equal(handshake_write(handshake, 0, &system_rng, out, n), ERR_NONE);
    return handshake;
}

static size_t make_flight(uint8_t out[static FLIGHT_MAX_BYTES], const uint8_t *id)
{
    struct link_key key;
    size_t n;
    link_key_init(&key, ends_key, sizeof ends_key);
    handshake_free(begin_flight(&key, &key, id, out, &n));
    return n;
}

/* A user's, of whom there are two. */
static const char *const users[] = {"ann", "bob", NULL};
static const char *const user_keys[] = {"the key of ann, who means no harm",
                                        "the key of bob, who means a harm"};

static size_t make_flight_of(size_t i, uint8_t out[static FLIGHT_MAX_BYTES], const uint8_t *id)
{
    struct link_key server, user;
    size_t n;
    link_key_init(&server, ends_key, sizeof ends_key);
    link_key_init(&user, (const uint8_t *)user_keys[i], 32);
    handshake_free(begin_flight(&server, &user, id, out, &n));
    return n;
}

static void send_flight_of(int fd, size_t i)
{
    uint8_t flight[FLIGHT_MAX_BYTES];
    far_send_all(fd, flight, make_flight_of(i, flight, NULL));
}

static void send_flight(int fd, const uint8_t *id)
{
    uint8_t flight[FLIGHT_MAX_BYTES];
    far_send_all(fd, flight, make_flight(flight, id));
}

static bool has_answer(int fd)
{
    uint8_t byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
}

static size_t n_sessions(void)
{
    size_t n = 0;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next)
        n += CONTAINER_OF(at, struct host, link)->is_near ? 0 : 1;
    return n;
}

/* ---- gone ---- */

/* What answers its first flight still lies in this worker's memory. */
static void behind_gone_nothing_moves_to_another_worker(void **state)
{
    uint8_t flights[2 * FLIGHT_MAX_BYTES];
    ends.n_workers = 2;
    begin(state);
    struct tunnel_env other = {.index = 1, .flow = &flows.env};
    ends.workers[1] = &other; /* where no mail is read */
    int fd = visit();
    size_t n = make_flight(flights, SESSION_OF(0));
    n += make_flight(flights + n, SESSION_OF(1));
    far_send_all(fd, flights, n);
    FLOWS_UNTIL(flows.env.counters.strangers_silenced == 1);
    assert_non_null(strstr(flows.lines, "why=\"a join that was used up\""));
    assert_true(flows_is_silent(fd));
    close(fd);
    ends.n_workers = 0;
    ends_end();
}

static void gone_is_said_once(void **state)
{
    begin(state);
    int fd = visit();
    send_flight(fd, SESSION_OF(0));
    FLOWS_UNTIL(has_answer(fd));
    send_flight(fd, SESSION_OF(0));
    FLOWS_UNTIL(flows.env.counters.strangers_silenced == 1);
    close(fd);
    ends_end();
}

/* ---- many workers ---- */

/* Else its links would be sent to the first one, which has no such session. */
static void worker_256_is_not_worker_0(void **state)
{
    begin(state);
    ends.env.index = 256;
    uint8_t bytes[FLIGHT_MAX_BYTES];
    struct link_key key;
    size_t n, used;
    link_key_init(&key, ends_key, sizeof ends_key);
    struct handshake *handshake = begin_flight(&key, &key, NULL, bytes, &n);
    int fd = visit();
    far_send_all(fd, bytes, n);
    FLOWS_UNTIL(has_answer(fd));
    ssize_t n_got = recv(fd, bytes, sizeof bytes, 0);
    assert_true(n_got > 0);
    assert_int_equal(handshake_read(handshake, bytes, (size_t)n_got, 0, &used), ERR_NONE);
    const uint8_t *id = handshake_info(handshake)->session_id;
    assert_int_equal(id[0] << 8 | id[1], 256);
    handshake_free(handshake);
    close(fd);
    ends_end();
}

/* ---- sessions without end ---- */

static void of_sessions_without_a_link_there_are_only_so_many(void **state)
{
    begin_with(state, 3);
    for (int i = 0; i < 20; i++) {
        int fd = visit();
        send_flight(fd, NULL);
        FLOWS_UNTIL(has_answer(fd));
        close(fd);
        FLOWS_UNTIL(flows.shared.n_carriers == 0);
    }
    FLOWS_UNTIL(n_sessions() == 4);
    /* None of them has begun as far as the log knows: nobody has said anything behind the handshake. */
    assert_null(strstr(flows.lines, "session"));
    ends_end();
}

static size_t n_sessions_of(const char *user)
{
    size_t n = 0;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next) {
        const struct host *host = CONTAINER_OF(at, struct host, link);
        n += host->user != NULL && strcmp(host->user, user) == 0 ? 1 : 0;
    }
    return n;
}

static void begin_and_leave(size_t user)
{
    int fd = visit();
    send_flight_of(fd, user);
    FLOWS_UNTIL(has_answer(fd));
    close(fd);
    FLOWS_UNTIL(flows.shared.n_carriers == 0);
}

static void who_leaves_session_after_session_pays_with_his_own(void **state)
{
    begin_with(state, 3);
    far_roster_free(ends.far.roster);
    ends.far.roster = ends_make_roster(users, user_keys);
    begin_and_leave(0);
    for (int i = 0; i < 20; i++)
        begin_and_leave(1);
    FLOWS_UNTIL(n_sessions() == 4);
    assert_int_equal(n_sessions_of("ann"), 1);
    assert_int_equal(n_sessions_of("bob"), 3);
    ends_end();
}

/* ---- where a user may come from ---- */

static struct far_roster *make_roster_with_bob_elsewhere(void)
{
    static const struct cidr elsewhere = {.ip = {192, 0, 2}, .family = ADDR_V4, .prefix_bits = 24};
    static const struct user_rights rights = {.allow = {&elsewhere, 1}};
    struct far_roster_settings settings = {.state = ends.state,
                                           .n_keys = 1,
                                           .has_users = true,
                                           .n_users = 2,
                                           .clock_skew_ms = ends.clock_skew_ms};
    struct far_roster *roster;
    link_key_init(&settings.keys[0], ends_key, sizeof ends_key);
    assert_int_equal(far_roster_new(&roster, &ends.tunnels.fars, &settings), ERR_NONE);
    for (size_t i = 0; i < settings.n_users; i++)
        assert_int_equal(far_roster_add(roster, users[i], (const uint8_t *)user_keys[i], 32,
                                        i == 0 ? NULL : &rights),
                         ERR_NONE);
    return roster;
}

/* Whose flight is sent to another worker was judged before; who comes behind it, as that one has not got the session, was not. */
static void who_may_not_come_from_there_does_not_behind_anothers_flight(void **state)
{
    begin(state);
    far_roster_free(ends.far.roster);
    ends.far.roster = make_roster_with_bob_elsewhere();
    for (unsigned is_at_once = 0; is_at_once < 2; is_at_once++) {
        uint8_t flights[2 * FLIGHT_MAX_BYTES];
        int fd = visit();
        size_t n = make_flight_of(0, flights, SESSION_OF(9));
        if (!is_at_once) {
            far_send_all(fd, flights, n);
            FLOWS_UNTIL(has_answer(fd));
            n = 0;
        }
        n += make_flight_of(1, flights + n, NULL);
        far_send_all(fd, flights, n);
        FLOWS_UNTIL(flows.env.counters.strangers_silenced == is_at_once + 1);
        assert_int_equal(n_sessions(), 0);
        close(fd);
    }
    assert_non_null(strstr(flows.lines, "why=\"a user who may not come from there\""));
    ends_end();
}

/* ---- listeners ---- */

/* Descriptors are for all, so that nobody has them all by listening. */
static void listeners_have_a_part_of_the_descriptors(void **state)
{
    enum { WANTED = 10, ALLOWED = 4 };
    static struct target_rule all = {.port_to = UINT16_MAX, .has_port = true};
    struct inbound_listen listens[WANTED];
    struct inbound inbounds[2];
    for (size_t i = 0; i < WANTED; i++) {
        listens[i] = (struct inbound_listen){.addr = tcp_addr("127.0.0.1", 0)};
        close(tcp_listen(&listens[i].addr)); /* a port that is free */
    }
    begin(state);
    flows.shared.max_by_descriptors = ALLOWED * 8;
    ends.far.allow_reverse = (struct target_rule_list){&all, 1};
    inbounds[0] = ends.far;
    inbounds[1] = flows.inbound;
    inbounds[1].listen_via = ends.outbound;
    inbounds[1].listens = listens;
    inbounds[1].n_listens = WANTED;
    flows.ruleset.inbounds = inbounds;
    flows.ruleset.n_inbounds = 2;
    far_turn_all(&ends.env, &flows.ruleset);
    near_turn_all(&ends.env, &flows.ruleset);
    FLOWS_UNTIL(strstr(flows.lines, "is=refused") != NULL);
    assert_int_equal(flows.shared.n_listened, ALLOWED);
    assert_true(flow_shared_n_used(&flows.shared) >= ALLOWED / 2); /* one descriptor each */
    flows.ruleset.n_inbounds = 1;
    near_turn_all(&ends.env, &flows.ruleset);
    FLOWS_UNTIL(flows.shared.n_listened == 0);
    ends_end();
}

/* ---- keepalive tells that somebody is there ---- */

static bool keeps_alive(const struct endpoint *endpoint)
{
    int is_on = -1;
    socklen_t n = sizeof is_on;
    assert_int_equal(getsockopt(endpoint->fd, SOL_SOCKET, SO_KEEPALIVE, &is_on, &n), 0);
    return is_on != 0;
}

/* Of whom nobody knows yet who it is. */
static const struct endpoint *at_the_gate(void)
{
    const struct carrier *carrier = ends.env.strangers.all[0]->owner;
    assert_int_equal(ends.env.strangers.n, 1);
    return carrier->endpoint;
}

/* At the far end. */
static const struct endpoint *in_a_session(void)
{
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next) {
        const struct host *host = CONTAINER_OF(at, struct host, link);
        if (!host->is_near && !list_empty(&host->carriers))
            return CONTAINER_OF(host->carriers.next, struct carrier, link)->endpoint;
    }
    fail_msg("nothing carries a session");
    return NULL;
}

static bool is_read(const struct endpoint *endpoint)
{
    uint8_t byte;
    return recv(endpoint->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

static void nothing_is_asked_of_who_has_not_proved_himself(void **state)
{
    uint8_t flight[FLIGHT_MAX_BYTES];
    begin(state);
    flows.env.limits.keepalive_s = 30;
    int fd = visit();
    FLOWS_UNTIL(ends.env.strangers.n == 1);
    assert_false(keeps_alive(at_the_gate()));
    size_t n = make_flight(flight, NULL);
    far_send_all(fd, flight, n - 1);
    FLOWS_UNTIL(is_read(at_the_gate()));
    assert_false(keeps_alive(at_the_gate()));
    far_send_all(fd, flight + n - 1, 1);
    FLOWS_UNTIL(has_answer(fd));
    assert_false(keeps_alive(in_a_session())); /* it may be a flight that somebody repeats */
    close(fd);
    ends_end();
}

static void who_has_proved_himself_is_noticed_when_he_vanishes(void **state)
{
    begin(state);
    flows.env.limits.keepalive_s = 30;
    int fd = flows_client();
    FLOWS_UNTIL(flows.origin >= 0);
    FLOWS_UNTIL(keeps_alive(in_a_session()));
    close(fd);
    ends_end();
}

static void nothing_is_asked_of_a_link_that_fell_silent(void **state)
{
    static const char garbage[64] = "no record";
    begin(state);
    flows.env.limits.keepalive_s = 30;
    int fd = visit();
    send_flight(fd, NULL);
    FLOWS_UNTIL(has_answer(fd));
    far_send_all(fd, garbage, sizeof garbage);
    FLOWS_UNTIL(ends.env.strangers.n == 1 && ends.env.strangers.all[0]->endpoint != NULL);
    assert_false(keeps_alive(ends.env.strangers.all[0]->endpoint));
    close(fd);
    ends_end();
}

static struct carrier *only_carrier(void)
{
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next) {
        struct host *host = CONTAINER_OF(at, struct host, link);
        if (!list_empty(&host->carriers))
            return CONTAINER_OF(host->carriers.next, struct carrier, link);
    }
    return NULL;
}

/* The program ends in the turn in which it did, before that was told. */
static void a_link_that_fell_silent_ends_with_its_session(void **state)
{
    static const char garbage[64] = "no record";
    begin(state);
    int fd = visit();
    send_flight(fd, NULL);
    FLOWS_UNTIL(only_carrier() != NULL && only_carrier()->has_stood);
    struct endpoint *endpoint = only_carrier()->endpoint;
    struct pollfd pollfd = {.fd = endpoint->fd, .events = POLLIN};
    far_send_all(fd, garbage, sizeof garbage);
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
    endpoint->on_ready(endpoint, LOOP_READ);
    tunnel_env_cut(&ends.env);
    loop_run_deferred(flows.env.loop);
    turn_at_once(flows.env.loop, 3);
    assert_int_equal(ends.env.strangers.n, 0);
    assert_int_equal(flows.shared.n_carriers, 0);
    assert_int_equal(flows.env.counters.strangers_silenced, 0);
    close(fd);
    ends_end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_BOTH(behind_gone_nothing_moves_to_another_worker),
        ON_BOTH(gone_is_said_once),
        ON_BOTH(worker_256_is_not_worker_0),
        ON_BOTH(of_sessions_without_a_link_there_are_only_so_many),
        ON_BOTH(who_leaves_session_after_session_pays_with_his_own),
        ON_BOTH(who_may_not_come_from_there_does_not_behind_anothers_flight),
        ON_BOTH(listeners_have_a_part_of_the_descriptors),
        ON_BOTH(nothing_is_asked_of_who_has_not_proved_himself),
        ON_BOTH(who_has_proved_himself_is_noticed_when_he_vanishes),
        ON_BOTH(nothing_is_asked_of_a_link_that_fell_silent),
        ON_BOTH(a_link_that_fell_silent_ends_with_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
