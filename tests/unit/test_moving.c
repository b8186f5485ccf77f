/* Flows that move to the worker that has what their outbound needs: here two workers' loops in one thread. */
#include "flows.h"

#include "allocator.h"
#include "io/mailbox.h"

#include <signal.h>

static struct {
    struct flow_env env;
    struct mailbox mailbox;
    unsigned n_ended, n_opened;
    char ahead[64];
    int origin; /* the far end of what was opened; -1: none */
} there;

static struct outbound_ops ops;

static struct flow_env *home(struct outbound *outbound, const struct opening *opening, size_t which)
{
    assert_ptr_equal(outbound, &flows.outbound);
    assert_ptr_equal(opening->env, &flows.env);
    assert_true(which == OUTBOUND_ANY);
    return &there.env;
}

/* Sends along what there is, as a tunnel does. */
static enum err open_there(struct outbound *outbound, struct opening *opening)
{
    int fds[2];
    struct sock *sock;
    (void)outbound;
    assert_ptr_equal(opening->env, &there.env);
    tcp_pair(fds);
    enum err err = sock_new(&sock, there.env.loop, &there.env.socks, fds[0], 0, NULL, NULL);
    if (err != ERR_NONE) {
        close(fds[0]);
        close(fds[1]);
        return err;
    }
    memcpy(there.ahead, opening->ahead, opening->n_ahead);
    opening->n_ahead_taken = opening->n_ahead;
    opening->endpoint = &sock->ep;
    there.origin = fds[1];
    there.n_opened++;
    return ERR_NONE;
}

static void cancel_there(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    (void)opening;
    fail_msg("nothing is ever pending");
}

static void on_ended_there(struct flow_env *env)
{
    assert_ptr_equal(env, &there.env);
    there.n_ended++;
}

static void begin(void **state)
{
    flows_begin(backend_of(state), &inbound_socks,
                (struct flow_limits){.idle_ms = 1000, .connect_ms = 300, .handshake_ms = 100});
    ops = (struct outbound_ops){.open = open_there, .home = home, .cancel = cancel_there};
    flows.outbound.ops = &ops;
    memset(&there, 0, sizeof there);
    there.origin = -1;
    there.env.shared = &flows.shared;
    there.env.loop = loop_new(backend_of(state));
    there.env.log = &flows.log;
    there.env.limits = flows.env.limits;
    there.env.on_ended = on_ended_there;
    flow_env_init(&there.env);
    assert_int_equal(mailbox_init(&there.mailbox, there.env.loop), ERR_NONE);
    there.env.mailbox = &there.mailbox;
}

static void settle(void)
{
    for (int i = 0; i < 8; i++) {
        assert_true(loop_turn(flows.env.loop, 1));
        assert_true(loop_turn(there.env.loop, 1));
    }
}

static void end(void)
{
    settle();
    assert_true(list_empty(&there.env.live));
    assert_int_equal(there.env.counters.flows_now, 0);
    assert_int_equal(there.env.flows.n_used, 0);
    assert_int_equal(there.env.socks.n_used, 0);
    assert_int_equal(there.env.openings.n_used, 0);
    mailbox_deinit(&there.mailbox);
    loop_run_deferred(there.env.loop);
    assert_int_equal(loop_n_watches(there.env.loop), 0);
    flow_env_deinit(&there.env);
    loop_free(there.env.loop);
    if (there.origin >= 0)
        far_close(there.origin);
    flows_end();
}

static void expect(int fd, const char *expected, size_t n)
{
    char bytes[64];
    size_t n_got = 0;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (n_got < n) {
        assert_true(now_ms() < give_up);
        settle();
        ssize_t got = far_receive(fd, bytes + n_got, n - n_got);
        assert_true(got > 0 || (got < 0 && errno == EAGAIN));
        n_got += got > 0 ? (size_t)got : 0;
    }
    assert_memory_equal(bytes, expected, n);
}

static const char request[] = "\5\1\0\5\1\0\3\7example\0\120"
                              "early";

static int ask(void)
{
    int client = flows_client();
    far_send_all(client, request, sizeof request - 1);
    settle();
    return client;
}

static void it_goes_on_where_its_outbound_is(void **state)
{
    begin(state);
    int client = ask();
    assert_int_equal(there.n_opened, 1);
    assert_string_equal(there.ahead, "early");
    assert_true(list_empty(&flows.env.live));
    assert_int_equal(flows.env.counters.flows_now, 0);
    assert_int_equal(there.env.counters.flows_now, 1);
    assert_int_equal(flows.shared.n_connections, 1);
    assert_int_equal(flows.counts.n_connections, 1);
    expect(client, "\5\0\5\0\0\1\0\0\0\0\0\0", 12);
    far_send_all(client, "up", 2);
    far_send_all(there.origin, "down", 4);
    settle();
    expect(there.origin, "up", 2);
    expect(client, "down", 4);
    far_close(client);
    far_close(there.origin);
    there.origin = -1;
    settle();
    assert_int_equal(there.n_ended, 1);
    assert_non_null(strstr(flows.lines, "to=example:80 up=7 down=4 "));
    end();
}

static void where_every_flow_has_been_ended_it_is_too(void **state)
{
    begin(state);
    flow_end_all(&there.env);
    int client = ask();
    assert_int_equal(there.n_opened, 0);
    assert_int_equal(there.n_ended, 1);
    assert_non_null(strstr(flows.lines, "end=shutdown"));
    far_close(client);
    end();
}

/* Whatever fails, the client is answered or closed, and nothing is left. */
static void without_memory_it_is_turned_away(void **state)
{
    for (uint64_t n = 1; n <= 12; n++) {
        begin(state);
        int client = flows_client();
        far_send_all(client, request, sizeof request - 1);
        allocator_fail(n);
        settle();
        allocator_fail(0);
        far_close(client);
        if (there.origin >= 0)
            far_close(there.origin);
        there.origin = -1;
        settle();
        flows_pass(2000);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(it_goes_on_where_its_outbound_is),
        ON_BOTH(where_every_flow_has_been_ended_it_is_too),
        ON_BOTH(without_memory_it_is_turned_away),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
