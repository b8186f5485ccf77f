/*
 * ACCEPTANCE 70 through a tunnel: each system call and each allocation fails in its turn, is short or is late, while two
 * flows go through both ends, or come the other way by a listener of the far end.
 *
 * A call that fails harms its own flow at most: a carrier that is lost by it is replaced. Memory that runs out may end the session, and
 * so both. Whatever happens: what a reader has is the beginning of what was written, an end that looks clean is one,
 * afterwards flows are served, and when all is over nothing is left.
 */
#include "../unit/ends.h"
#include "../unit/reverse.h"
#include "faults.h"
#include "outbound/outbounds.h"
#include "tunnel/near.h"

#include <signal.h>

enum { N_CUSTOMERS = 2, N_CONNS = 8, UP_BYTES = 30000, DOWN_BYTES = 50000, LATE_TURNS = 30 };

enum outcome { UNDER_WAY, COMPLETED, SUFFERED };

/* The first byte that a customer sends says who it is. */
struct customer {
    int fd; /* -1: closed */
    size_t n_sent, n_received;
    enum outcome outcome;
};

struct origin_conn {
    int fd;  /* -1: closed */
    int who; /* -1: unknown */
    size_t n_sent, n_received;
    bool is_at_end;
};

static struct {
    struct outbound_direct direct;
    int listening;
    struct origin_conn conns[N_CONNS];
    size_t n_conns;
    struct customer customers[N_CUSTOMERS];
    bool is_reverse;
} stage;

static uint8_t byte_at(int who, bool is_up, size_t i)
{
    if (is_up && i == 0)
        return (uint8_t)who;
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (unsigned)who * 50 + is_up);
}

/* ---- what customers and their server do ---- */

static bool is_broken(int why)
{
    return why == ECONNRESET || why == EPIPE;
}

/* Returns false when the connection is broken. */
static bool send_pattern(int fd, int who, bool is_up, size_t *n_sent, size_t n)
{
    uint8_t bytes[4096];
    size_t some = n - *n_sent < sizeof bytes ? n - *n_sent : sizeof bytes;
    for (size_t i = 0; i < some; i++)
        bytes[i] = byte_at(who, is_up, *n_sent + i);
    ssize_t sent = some == 0 ? 0 : send(fd, bytes, some, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        assert_true(is_broken(errno));
        return false;
    }
    *n_sent += sent > 0 ? (size_t)sent : 0;
    if (sent > 0 && *n_sent == n)
        shutdown(fd, SHUT_WR);
    return true;
}

static void check_pattern(const uint8_t *bytes, ssize_t n, int who, bool is_up, size_t from)
{
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != byte_at(who, is_up, from + (size_t)i))
            fail_msg("byte %zu of %d is wrong", from + (size_t)i, who);
}

static void close_customer(struct customer *customer, enum outcome outcome)
{
    close(customer->fd);
    customer->fd = -1;
    customer->outcome = outcome;
}

static void step_customer(int who)
{
    struct customer *customer = &stage.customers[who];
    uint8_t bytes[8192];
    if (customer->fd < 0)
        return;
    if (!send_pattern(customer->fd, who, true, &customer->n_sent, UP_BYTES)) {
        close_customer(customer, SUFFERED);
        return;
    }
    ssize_t got = recv(customer->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0) {
        assert_true(is_broken(errno));
        close_customer(customer, SUFFERED);
    } else if (got > 0) {
        check_pattern(bytes, got, who, false, customer->n_received);
        customer->n_received += (size_t)got;
    } else if (customer->n_received == DOWN_BYTES) {
        close_customer(customer, COMPLETED);
    } else if (customer->n_received == 0) {
        close_customer(customer, SUFFERED); /* turned away before it was a flow */
    } else {
        fail_msg("an end after %zu bytes", customer->n_received);
    }
}

static void close_conn(struct origin_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
}

static void step_conn(struct origin_conn *conn)
{
    uint8_t bytes[8192];
    if (conn->fd < 0)
        return;
    ssize_t got = conn->is_at_end ? -1 : recv(conn->fd, bytes, sizeof bytes, 0);
    if (got < 0 && !conn->is_at_end && errno != EAGAIN) {
        assert_true(is_broken(errno));
        close_conn(conn);
        return;
    }
    if (got > 0 && conn->who < 0) {
        assert_true(bytes[0] < N_CUSTOMERS);
        conn->who = bytes[0];
    }
    if (got > 0) {
        check_pattern(bytes, got, conn->who, true, conn->n_received);
        conn->n_received += (size_t)got;
    }
    if (got == 0) {
        /* A client that is turned away while its target is dialled leaves before it has said anything. */
        if (conn->n_received != UP_BYTES && conn->n_received > 0)
            fail_msg("an end that looks clean after %zu bytes", conn->n_received);
        conn->is_at_end = true;
    }
    if (conn->who >= 0 && !send_pattern(conn->fd, conn->who, false, &conn->n_sent, DOWN_BYTES))
        close_conn(conn);
    else if (conn->is_at_end && (conn->n_sent == DOWN_BYTES || conn->who < 0))
        close_conn(conn);
}

static void accept_conn(void)
{
    int fd = accept4(stage.listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    assert_true(stage.n_conns < N_CONNS);
    stage.conns[stage.n_conns++] = (struct origin_conn){.fd = fd, .who = -1};
}

/* ---- the play ---- */

static bool is_over(void)
{
    for (size_t i = 0; i < N_CUSTOMERS; i++)
        if (stage.customers[i].outcome == UNDER_WAY)
            return false;
    for (size_t i = 0; i < stage.n_conns; i++)
        if (stage.conns[i].fd >= 0)
            return false;
    return list_empty(&flows.env.live);
}

static void play(void)
{
    uint64_t give_up = flows.now_ms + PATIENCE_TURNS;
    stage.n_conns = 0;
    for (int i = 0; i < N_CUSTOMERS; i++)
        stage.customers[i] =
            (struct customer){.fd = stage.is_reverse ? reverse_client() : flows_client()};
    while (!is_over()) {
        if (flows.now_ms > give_up)
            fail_msg("not over: %zu flows by %zu carriers; sent %zu %zu, received %zu %zu",
                     stage.n_conns, tap.n_conns, stage.customers[0].n_sent,
                     stage.customers[1].n_sent, stage.customers[0].n_received,
                     stage.customers[1].n_received);
        (void)loop_turn(flows.env.loop, 0);
        accept_conn();
        for (int i = 0; i < N_CUSTOMERS; i++)
            step_customer(i);
        for (size_t i = 0; i < stage.n_conns; i++)
            step_conn(&stage.conns[i]);
    }
    /* What is acknowledged late. */
    for (int i = 0; stage.is_reverse && i < LATE_TURNS; i++)
        (void)loop_turn(flows.env.loop, 0);
}

static unsigned n_suffering(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < N_CUSTOMERS; i++)
        n += stage.customers[i].outcome == SUFFERED;
    return n;
}

static void begin(enum loop_backend backend)
{
    struct addr addr = tcp_addr("127.0.0.1", 0);
    flows_begin(backend, &inbound_relay, (struct flow_limits){.connect_ms = 8000});
    stage.listening = tcp_listen(&addr);
    flows.inbound.target = (struct target){.addr = addr};
    ends_begin();
    stage.direct = (struct outbound_direct){.base = {.ops = &outbound_direct, .name = "direct"}};
    ends.far.outbound = &stage.direct.base;
    if (stage.is_reverse)
        reverse_begin(&stage.direct.base);
}

static void end(void)
{
    close(stage.listening);
    ends_end();
}

static void play_with_fault(struct fault *fault)
{
    begin(fault->backend);
    fault_begin(fault);
    play();
    fault_end(fault);
    unsigned n_may = !fault_may_harm(fault) ? 0 : fault->kind == SYS_FAULT_FAIL ? 1 : N_CUSTOMERS;
    if (n_suffering() > n_may)
        FAULT_FAIL(fault, "%u suffered", n_suffering());
    /* A listener that had no memory is asked for again a little later. */
    uint64_t give_up = flows.now_ms + PATIENCE_TURNS;
    do {
        play();
    } while (stage.is_reverse && n_suffering() > 0 && flows.now_ms < give_up);
    if (n_suffering() > 0)
        FAULT_FAIL(fault, "nobody is served afterwards");
    end();
}

static void with_each_fault(void **state)
{
    stage.is_reverse = false;
    fault_each(*state, play_with_fault, 40);
}

static void with_each_fault_in_reverse(void **state)
{
    stage.is_reverse = true;
    fault_each(*state, play_with_fault, 40);
}

/* A link that a record right behind its flight has silenced is told of twice: as a session's, and as silent. */
static void meet_bad_record(struct fault *fault)
{
    enum { AT_IN_RECORD = 2000 };
    static const uint8_t bytes[UP_BYTES];
    struct far_settings settings;
    flows_begin(fault->backend, &inbound_relay, (struct flow_limits){.connect_ms = 8000});
    flows.inbound.target = (struct target){.addr = tcp_addr("127.0.0.1", 9)};
    stage.is_reverse = false;
    ends_prepare();
    ends.near_sends_early = true;
    settings = ends_far_settings();
    settings.early = GATE_EARLY_OPEN;
    ends_begin_with(settings);
    tap.is_frozen = true;
    tap.flips_at = AT_IN_RECORD;
    int fd = flows_client();
    far_send_all(fd, bytes, sizeof bytes);
    FLOWS_UNTIL(tap.n_conns == 1);
    turn_at_once(flows.env.loop, 3);
    fault_begin(fault);
    tap.is_frozen = false;
    turn_at_once(flows.env.loop, 10);
    fault_end(fault);
    assert_true(tap.n_seen[0] > AT_IN_RECORD);
    far_reset(fd);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

static void with_a_bad_record(void **state)
{
    fault_each(*state, meet_bad_record, 10);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    leave_network();
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
        FAULT_TEST("acc_70_each_call_fails (reverse)", with_each_fault_in_reverse, LOOP_EPOLL,
                   SYS_FAULT_FAIL),
        FAULT_TEST("acc_70_each_allocation_fails (reverse)", with_each_fault_in_reverse, LOOP_EPOLL,
                   SYS_FAULT_NONE),
        FAULT_TEST("each_allocation_fails_behind_a_bad_record", with_a_bad_record, LOOP_EPOLL,
                   SYS_FAULT_NONE),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
