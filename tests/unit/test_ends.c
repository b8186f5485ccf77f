/* A flow through both ends of a tunnel, and what the far end makes of it. */
#include "ends.h"

#include <signal.h>

static void begin(void **state)
{
    flows_begin(backend_of(state), &inbound_relay, (struct flow_limits){.connect_ms = 20000});
    flows_set(state);
    assert_int_equal(target_parse(&flows.inbound.target, "example.test:80", 15), ERR_NONE);
    ends_begin();
}

static void close_both(int far)
{
    far_close(far);
    far_close(flows.origin);
    flows.origin = -1;
    FLOWS_UNTIL(list_empty(&flows.env.live));
}

static void bytes_go_both_ways_and_each_fin_by_itself(void **state)
{
    begin(state);
    int far = flows_client();
    far_send_all(far, "early", 5);
    FLOWS_UNTIL(flows.origin >= 0);
    assert_string_equal(flows.asked, "example.test:80");
    flows_expect(flows.origin, "early", 5);
    far_send_all(flows.origin, "answer", 6);
    flows_expect(far, "answer", 6);
    far_shutdown(far);
    flows_expect_end(flows.origin, 0);
    far_send_all(flows.origin, "more", 4);
    flows_expect(far, "more", 4);
    far_shutdown(flows.origin);
    flows_expect_end(far, 0);
    close_both(far);
    ends_end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_ALL(bytes_go_both_ways_and_each_fin_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
