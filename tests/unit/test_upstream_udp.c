/* Datagrams by way of an upstream's UDP ASSOCIATE, of which the test is the relay. */
#include "udp.h"
#include "upstreams.h"

#define BYTES(literal) literal, sizeof(literal) - 1

#define GREETING "\x05\x01\0"
#define ASSOCIATE "\x05\x03\0\x01\0\0\0\0\0\0"

static struct {
    int fd; /* the relay's socket */
    struct addr addr, client;
    unsigned n_packets, n_broken;
    char from[TARGET_TEXT_BYTES];
    uint8_t bytes[PACKET_MAX_BYTES];
    size_t n;
} relay;

static void on_packet(struct packets *packets, const struct target *from, uint8_t *bytes, size_t n)
{
    assert_ptr_equal(packets->owner, &relay);
    relay.n_packets++;
    target_format(from, relay.from);
    memset(bytes - PACKET_HEADROOM, 0xee, PACKET_HEADROOM); /* it is ours to overwrite */
    memcpy(relay.bytes, bytes, n);
    relay.n = n;
}

static void on_broken(struct packets *packets, enum err err)
{
    assert_int_not_equal(err, ERR_NONE);
    relay.n_broken++;
    packets->ops->close(packets);
    up.opening.packets = NULL;
}

static void ask_for_way(void)
{
    up_prepare("0.0.0.0:0");
    up.opening.target = (struct target){0};
    up_take(up.outbound->ops->associate(up.outbound, &up.opening));
}

/* The upstream grants it, naming its address or, by zeros, the one it was reached at. */
static void grant(bool by_zeros, bool one_by_one)
{
    uint8_t reply[10] = {5, 0, 0, 1};
    if (!by_zeros)
        memcpy(reply + 4, relay.addr.ip, 4);
    reply[8] = (uint8_t)(relay.addr.port >> 8);
    reply[9] = (uint8_t)relay.addr.port;
    ask_for_way();
    up_accept();
    up_expect(BYTES(GREETING));
    up_say(BYTES("\x05\0"), one_by_one);
    up_expect(BYTES(ASSOCIATE));
    up_say(reply, sizeof reply, one_by_one);
    UP_UNTIL(up.n_done > 0);
    assert_string_equal(err_text(up.outcome), err_text(ERR_NONE));
    assert_null(up.opening.endpoint);
    assert_non_null(up.opening.packets);
    up.opening.packets->on_packet = on_packet;
    up.opening.packets->on_broken = on_broken;
    up.opening.packets->owner = &relay;
    up.n_done = 0;
}

static void begin(void **state)
{
    memset(&relay, 0, sizeof relay);
    up_begin(state);
    up_make(outbound_socks_new, NULL, NULL);
    relay.addr = tcp_addr("127.0.0.1", 0);
    relay.fd = udp_open(&relay.addr);
}

static void end(void)
{
    if (up.opening.packets != NULL)
        up.opening.packets->ops->close(up.opening.packets);
    close(relay.fd);
    up_end();
}

static void send_packet(const char *target, const void *bytes, size_t n)
{
    static uint8_t room[PACKET_HEADROOM + PACKET_MAX_BYTES];
    struct target to;
    assert_int_equal(target_parse(&to, target, strlen(target)), ERR_NONE);
    memcpy(room + PACKET_HEADROOM, bytes, n);
    up.opening.packets->ops->send(up.opening.packets, &to, room + PACKET_HEADROOM, n);
    datagram_pool_flush(&up.env.datagrams);
}

static void relay_expect(const void *bytes, size_t n)
{
    uint8_t got[2048];
    ssize_t n_got;
    UP_UNTIL((n_got = udp_receive(relay.fd, got, sizeof got, &relay.client)) >= 0);
    assert_int_equal(n_got, n);
    assert_memory_equal(got, bytes, n);
}

static void send_from(int fd, const void *bytes, size_t n)
{
    udp_send(fd, &relay.client, bytes, n);
    up_settle();
}

static void expect_packet(unsigned n_packets, const char *from, const void *bytes, size_t n)
{
    UP_UNTIL(relay.n_packets >= n_packets);
    assert_int_equal(relay.n_packets, n_packets);
    assert_string_equal(relay.from, from);
    assert_int_equal(relay.n, n);
    assert_memory_equal(relay.bytes, bytes, n);
}

static void acc_60_datagrams_go_by_the_upstreams_relay_both_ways(void **state)
{
    for (int i = 0; i < 4; i++) {
        begin(state);
        grant(i % 2 > 0, i > 1);
        send_packet("name.test:53", "one", 3);
        relay_expect(BYTES("\0\0\0\x03\x09name.test\0\x35one"));
        send_packet("192.0.2.1:53", "", 0);
        relay_expect(BYTES("\0\0\0\x01\xc0\0\x02\x01\0\x35"));
        send_packet("[2001:db8::1]:53", "three", 5);
        relay_expect(BYTES("\0\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x35three"));

        send_from(relay.fd, BYTES("\0\0\0\x01\xc0\0\x02\x01\0\x35"
                                  "back"));
        expect_packet(1, "192.0.2.1:53", "back", 4);
        send_from(relay.fd, BYTES("\0\0\0\x03\x09name.test\0\x35"));
        expect_packet(2, "name.test:53", "", 0);
        assert_int_equal(relay.n_broken, 0);
        end();
    }
}

static void only_the_relay_is_heard_and_only_what_is_whole(void **state)
{
    static const char good[] = "\0\0\0\x01\xc0\0\x02\x01\0\x35good";
    struct addr other_addr = tcp_addr("127.0.0.1", 0);
    begin(state);
    grant(false, false);
    send_packet("192.0.2.1:53", "x", 1);
    relay_expect(BYTES("\0\0\0\x01\xc0\0\x02\x01\0\x35x"));
    int other = udp_open(&other_addr);
    send_from(other, good, sizeof good - 1);
    send_from(relay.fd, BYTES("\0\0\x01\x01\xc0\0\x02\x01\0\x35part"));
    send_from(relay.fd, BYTES("\0\0\0\x09\xc0\0\x02\x01\0\x35type"));
    for (size_t n = 0; n < 10; n++)
        send_from(relay.fd, good, n);
    send_from(relay.fd, good, sizeof good - 1);
    expect_packet(1, "192.0.2.1:53", "good", 4);
    close(other);
    end();
}

static void the_way_breaks_with_the_connection_it_was_asked_for_by(void **state)
{
    for (int i = 0; i < 4; i++) {
        begin(state);
        grant(false, false);
        if (i > 1)
            up_say(BYTES("chatter"), false);
        up_settle();
        assert_int_equal(relay.n_broken, 0);
        up_close(i % 2 > 0);
        UP_UNTIL(relay.n_broken > 0);
        up_settle();
        assert_int_equal(relay.n_broken, 1);
        end();
    }
}

static void refusals_and_useless_addresses_make_no_way(void **state)
{
    static const struct {
        const char *answer;
        size_t n;
        enum err expected;
    } cases[] = {
        {BYTES("\x05\x07"), ERR_COMMAND},
        {BYTES("\x05\0\0\x01\x7f\0\0\x01\0\0"), ERR_UPSTREAM},
        {BYTES("\x05\0\0\x03\x04name\0\x35"), ERR_UPSTREAM},
    };
    for (size_t i = 0; i < N_ITEMS(cases); i++) {
        begin(state);
        ask_for_way();
        up_accept();
        up_say(BYTES("\x05\0"), false);
        up_say(cases[i].answer, cases[i].n, false);
        UP_UNTIL(up.n_done > 0);
        assert_string_equal(err_text(up.outcome), err_text(cases[i].expected));
        assert_null(up.opening.packets);
        bool is_said = strstr(up.lines, "not understood") != NULL;
        assert_int_equal(is_said, cases[i].expected == ERR_UPSTREAM);
        end();
    }
}

static void socks4_carries_no_datagrams(void **state)
{
    begin(state);
    ask_for_way();
    up_accept();
    up_close(false);
    up_accept();
    up_done(ERR_COMMAND);
    end();
}

static void what_is_reached_through_another_proxy_carries_no_datagrams(void **state)
{
    begin(state);
    struct upstream_server server = {&up.server, NULL, NULL};
    struct outbound *behind = outbound_socks_new("behind", &server);
    behind->via = up.outbound;
    up_prepare("0.0.0.0:0");
    assert_int_equal(behind->ops->associate(behind, &up.opening), ERR_COMMAND);
    struct outbound_direct direct = {.base = {.ops = &outbound_direct, .name = "direct"}};
    behind->via = &direct.base;
    assert_int_equal(behind->ops->associate(behind, &up.opening), ERR_AGAIN);
    behind->ops->cancel(behind, &up.opening);
    free(behind);
    end();
}

static void giving_up_leaves_nothing(void **state)
{
    for (int i = 0; i < 3; i++) {
        begin(state);
        ask_for_way();
        up_accept();
        if (i > 0)
            up_say(BYTES("\x05\0"), false);
        if (i > 1)
            up_say(BYTES("\x05\0\0"), false);
        up.outbound->ops->cancel(up.outbound, &up.opening);
        up_settle();
        assert_int_equal(up.n_done, 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(acc_60_datagrams_go_by_the_upstreams_relay_both_ways),
        ON_BOTH(only_the_relay_is_heard_and_only_what_is_whole),
        ON_BOTH(the_way_breaks_with_the_connection_it_was_asked_for_by),
        ON_BOTH(refusals_and_useless_addresses_make_no_way),
        ON_BOTH(socks4_carries_no_datagrams),
        ON_BOTH(what_is_reached_through_another_proxy_carries_no_datagrams),
        ON_BOTH(giving_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
