/* How long a near end dials by another outbound, which may stand still meanwhile. */
#include "ends.h"

#include <signal.h>

#include "tunnel/near.h"

enum { DIAL_MS = 10000 };

/* The first dial comes through; those behind it are under way until they are given up. */
static struct {
    struct outbound base;
    struct endpoint_ops carrier_ops;
    bool stands_still;             /* with what has come through it */
    const struct opening *hanging; /* the second */
    unsigned n_asked;
    bool has_given_up; /* that one */
} via;

static bool stands_still(struct outbound *outbound, const struct opening *opening)
{
    (void)outbound;
    (void)opening;
    return via.stands_still;
}

static bool carrier_stands_still(struct endpoint *endpoint)
{
    (void)endpoint;
    return via.stands_still;
}

static void come_through(struct opening *opening)
{
    int fd = tcp_connect(&opening->target.addr);
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    struct sock *sock;
    assert_int_equal(poll(&pollfd, 1, PATIENCE_MS), 1);
    assert_int_equal(sock_new(&sock, flows.env.loop, &flows.env.socks, fd, 0, NULL, NULL),
                     ERR_NONE);
    via.carrier_ops = *sock->ep.ops;
    via.carrier_ops.is_suspended = carrier_stands_still;
    sock->ep.ops = &via.carrier_ops;
    opening->endpoint = &sock->ep;
}

static enum err open_by(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    if (via.n_asked++ == 0) {
        come_through(opening);
        return ERR_NONE;
    }
    if (via.hanging == NULL)
        via.hanging = opening;
    return ERR_AGAIN;
}

static void cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    via.has_given_up |= opening == via.hanging;
}

static void turn_near(bool stands_still_now)
{
    via.stands_still = stands_still_now;
    for (struct list *at = ends.env.hosts.next; at != &ends.env.hosts; at = at->next)
        host_touch(CONTAINER_OF(at, struct host, link));
    turn_at_once(flows.env.loop, 2);
}

static void pass(uint64_t ms)
{
    for (uint64_t end = flows.now_ms + ms; flows.now_ms < end;)
        turn_at_once(flows.env.loop, 1);
}

/* Although a link of the session moves by then. */
static void a_dial_that_stood_still_has_its_time_when_it_moves_again(void **state)
{
    static const struct outbound_ops ops = {
        .open = open_by, .is_suspended = stands_still, .cancel = cancel};
    memset(&via, 0, sizeof via);
    via.base = (struct outbound){.ops = &ops, .name = "via"};
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
    ends_prepare();
    ends.near_links = 2;
    ends_begin_with(ends_far_settings());
    ends.outbound->via = &via.base;
    int far = flows_client();
    FLOWS_UNTIL(flows.origin >= 0 && via.hanging != NULL);
    turn_near(true);
    pass(2 * DIAL_MS);
    assert_false(via.has_given_up);
    turn_near(false);
    pass(DIAL_MS / 2);
    assert_false(via.has_given_up);
    pass(DIAL_MS);
    assert_true(via.has_given_up);
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
    ends_end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_dial_that_stood_still_has_its_time_when_it_moves_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
