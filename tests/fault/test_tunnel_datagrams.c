/*
 * ACCEPTANCE 60, 70, 75: UDP ASSOCIATE through a tunnel, by the near end's own inbound or by a listener of the far end, while each
 * system call and each allocation fails in its turn, is short or is late. A datagram may get lost, and memory that runs out may end
 * the session; but what comes is what was sent, afterwards there is service again, by the same association where it lives, and when
 * all is over nothing is left at either end.
 */
#include "../unit/ends.h"
#include "../unit/reverse.h"
#include "../unit/udp.h"
#include "faults.h"
#include "outbound/outbounds.h"
#include "wire/socks5.h"

#include <signal.h>

#define REQUEST "\5\1\0\5\3\0\1\0\0\0\0\0\0"
#define N_REQUEST 13
#define N_REPLY 12
#define STEPS 20
#define LATE_TURNS 300
#define PAYLOAD "payload"
#define N_PAYLOAD 7

static struct {
    struct outbound_direct direct;
    int control; /* -1: closed */
    int client, target;
    struct addr client_at, target_at, relay_at;
    uint8_t reply[N_REPLY];
    size_t n_reply;
    bool is_over; /* its connection was ended for it */
    unsigned n_sent, n_back;
    bool is_reverse;
} stage;

/* ---- what the client and its target do ---- */

static void associate(void)
{
    stage.control = stage.is_reverse ? reverse_client() : flows_client_from("127.0.0.1");
    tcp_send(stage.control, REQUEST, N_REQUEST);
    stage.n_reply = 0;
    stage.is_over = false;
}

static void leave(void)
{
    close(stage.control);
    stage.control = -1;
}

static bool is_granted(void)
{
    return stage.n_reply == N_REPLY && stage.reply[3] == 0;
}

static void take_reply(void)
{
    uint8_t byte;
    while (stage.n_reply < N_REPLY && !stage.is_over) {
        ssize_t got = recv(stage.control, stage.reply + stage.n_reply, N_REPLY - stage.n_reply, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        stage.is_over = got <= 0;
        stage.n_reply += got > 0 ? (size_t)got : 0;
    }
    if (!stage.is_over)
        stage.is_over = recv(stage.control, &byte, 1, 0) >= 0 || errno != EAGAIN;
    stage.relay_at = tcp_addr("127.0.0.1", (uint16_t)(stage.reply[10] << 8 | stage.reply[11]));
}

static void send_one(void)
{
    uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES + N_PAYLOAD];
    struct target to = {.addr = stage.target_at};
    uint8_t *payload = room + SOCKS5_UDP_HEADER_MAX_BYTES;
    memcpy(payload, PAYLOAD, N_PAYLOAD);
    const uint8_t *at = socks5_put_udp_header(payload, &to);
    udp_send(stage.client, &stage.relay_at, at, (size_t)(payload - at) + N_PAYLOAD);
    stage.n_sent++;
}

static void turn(void)
{
    uint8_t bytes[512];
    struct addr from;
    struct socks5_datagram header;
    size_t n_header;
    ssize_t n;
    (void)loop_turn(flows.env.loop, 0);
    take_reply();
    while ((n = udp_receive(stage.target, bytes, sizeof bytes, &from)) >= 0) {
        assert_int_equal(n, N_PAYLOAD);
        assert_memory_equal(bytes, PAYLOAD, N_PAYLOAD);
        udp_send(stage.target, &from, bytes, N_PAYLOAD);
    }
    while ((n = udp_receive(stage.client, bytes, sizeof bytes, &from)) >= 0) {
        assert_int_equal(socks5_parse_datagram(bytes, (size_t)n, &header, &n_header), ERR_NONE);
        assert_int_equal((size_t)n - n_header, N_PAYLOAD);
        assert_memory_equal(bytes + n_header, PAYLOAD, N_PAYLOAD);
        stage.n_back++;
    }
}

/* ---- the play ---- */

static void play(void)
{
    uint64_t give_up = flows.now_ms + PATIENCE_TURNS;
    associate();
    while (stage.n_reply < N_REPLY && !stage.is_over) {
        assert_true(flows.now_ms < give_up);
        turn();
    }
    for (int i = 0; i < STEPS && is_granted() && !stage.is_over; i++) {
        if (i % 5 == 0)
            send_one();
        turn();
    }
}

static void assert_all_back(const struct fault *fault)
{
    for (int i = 0; i < LATE_TURNS && stage.n_back < stage.n_sent; i++)
        turn();
    if (!is_granted() || stage.is_over || stage.n_back < stage.n_sent)
        FAULT_FAIL(fault, "%u of %u came back", stage.n_back, stage.n_sent);
}

/* Whoever was turned away comes again, and a way that failed is tried again after a moment. */
static void assert_serves(void)
{
    uint64_t give_up = flows.now_ms + PATIENCE_TURNS;
    unsigned before = stage.n_back;
    for (unsigned i = 0; stage.n_back == before; i++) {
        assert_true(flows.now_ms < give_up);
        if (stage.is_over || (stage.n_reply == N_REPLY && !is_granted())) {
            leave();
            associate();
        }
        if (is_granted() && i % 50 == 0)
            send_one();
        turn();
    }
}

static void begin(enum loop_backend backend)
{
    flows_begin(backend, &inbound_socks, (struct flow_limits){.connect_ms = 8000});
    flows.inbound.udp.is_enabled = true;
    ends_begin();
    stage.direct = (struct outbound_direct){.base = {.ops = &outbound_direct, .name = "direct"}};
    ends.far.outbound = &stage.direct.base;
    if (stage.is_reverse)
        reverse_begin(&stage.direct.base);
    stage.client_at = stage.target_at = tcp_addr("127.0.0.1", 0);
    stage.client = udp_open(&stage.client_at);
    stage.target = udp_open(&stage.target_at);
    stage.n_sent = stage.n_back = 0;
    if (stage.is_reverse)
        close(reverse_client()); /* from now on it listens */
}

static void end(void)
{
    leave();
    FLOWS_UNTIL(list_empty(&flows.env.live));
    turn_at_once(flows.env.loop, 2);
    assert_int_equal(flows.shared.n_associations, 0);
    assert_int_equal(flows.env.associations.n_used, 0);
    assert_int_equal(flows.env.ways.n_used, 0);
    assert_int_equal(flows.env.senders.n_used, 0);
    close(stage.client);
    close(stage.target);
    ends_end();
}

static void play_with_fault(struct fault *fault)
{
    begin(fault->backend);
    fault_begin(fault);
    play();
    fault_end(fault);
    if (!fault_may_harm(fault))
        assert_all_back(fault);
    assert_serves();
    end();
}

static void with_each_fault(void **state)
{
    stage.is_reverse = false;
    fault_each(*state, play_with_fault, 10);
}

static void with_each_fault_in_reverse(void **state)
{
    stage.is_reverse = true;
    fault_each(*state, play_with_fault, 10);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    leave_network();
    const struct CMUnitTest tests[] = {
        EACH_CALL_FAILS("acc_70", with_each_fault),
        EACH_CALL_IS_SHORT_OR_LATE("acc_70", with_each_fault),
        EACH_ALLOCATION_FAILS("acc_70", with_each_fault),
        EACH_CALL_FAILS("acc_70_reverse", with_each_fault_in_reverse),
        EACH_ALLOCATION_FAILS("acc_70_reverse", with_each_fault_in_reverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
