/* Associations over real sockets: who may send, where to, what comes back, bounds, and the end. */
#include <stdio.h>

#include "dns_server.h"
#include "flow/association.h"
#include "flow/aliases.h"
#include "flow/way.h"
#include "flows.h"
#include "outbound/outbounds.h"
#include "route/route.h"
#include "udp.h"
#include "wire/socks5.h"

#define GREETING "\5\1\0"
#define ASSOCIATE "\5\3\0\1\0\0\0\0\0\0"
#define IDLE_MS 8000

static struct {
    struct outbound_direct direct;
    struct dns_server dns;
    struct addr at; /* where the association takes datagrams */
    int control;    /* its TCP connection; -1: none */
    int client;     /* its UDP socket */
    int target;
    struct addr client_at, target_at;
} test;

enum { ONE, TWO, SIX, DENIED, HALF, MANY };

static struct dns_rule rules[] = {
    [ONE] = {.name = "one.test", .type = DNS_A, .addrs = {"127.0.0.1"}},
    [TWO] = {.name = "two.test", .type = DNS_A, .addrs = {"127.0.0.1"}},
    [SIX] = {.name = "six.test", .type = DNS_AAAA, .addrs = {"::1"}},
    [DENIED] = {.name = "denied.test", .type = DNS_A, .addrs = {"10.9.9.9"}},
    [HALF] = {.name = "half.test", .type = DNS_A, .addrs = {"10.9.9.9", "127.0.0.1"}},
    [MANY] = {.name = "abcdefgh.test", .type = DNS_A, .addrs = {"127.0.0.1"}},
};

static uint64_t dropped(enum drop why)
{
    struct counters counters = flows.env.counters;
    flow_count_live(&flows.env, &counters);
    return counters.dropped[why];
}

/* ---- surroundings ---- */

static void begin(void **state)
{
    static const struct flow_limits limits = {.connect_ms = 4000,
                                              .handshake_ms = 10000,
                                              .idle_ms = 1000000,
                                              .half_closed_ms = 40000,
                                              .udp_idle_ms = IDLE_MS,
                                              .keepalive_s = 60};
    struct addr server = tcp_addr("127.0.0.1", 0);
    const struct resolver_options options = {
        .servers = &server, .n_servers = 1, .hosts_path = "/dev/null", .resolv_path = "/dev/null"};
    flows_begin(backend_of(state), &inbound_socks, limits);
    memset(&test, 0, sizeof test);
    test.direct.base = (struct outbound){.ops = &outbound_direct, .name = "direct"};
    flows.inbound.outbound = &test.direct.base;
    flows.inbound.udp.is_enabled = true;
    flows.shared.max_by_descriptors = 1000;
    for (size_t i = 0; i < N_ITEMS(rules); i++)
        rules[i].is_held = false;
    dns_server_open(&test.dns, rules, N_ITEMS(rules), NULL);
    server.port = test.dns.port;
    assert_int_equal(resolver_new(&flows.env.resolver, flows.env.loop, &options), ERR_NONE);
    test.client_at = test.target_at = tcp_addr("127.0.0.1", 0);
    test.client = udp_open(&test.client_at);
    test.target = udp_open(&test.target_at);
    test.control = -1;
}

static void turn(void)
{
    dns_server_step(&test.dns);
    assert_true(loop_turn(flows.env.loop, 1));
}

#define UNTIL(condition)                                 \
    do {                                                 \
        uint64_t give_up = now_ms() + PATIENCE_MS;       \
        while (!(condition)) {                           \
            if (now_ms() > give_up)                      \
                fail_msg("not in time: %s", #condition); \
            turn();                                      \
        }                                                \
    } while (0)

static void settle(void)
{
    for (int i = 0; i < 10; i++)
        turn();
}

static void hang_up(void)
{
    if (test.control >= 0)
        close(test.control);
    test.control = -1;
    UNTIL(list_empty(&flows.env.live));
    settle();
}

static void end(void)
{
    hang_up();
    assert_int_equal(flows.shared.n_associations, 0);
    assert_int_equal(flows.counts.n_associations, 0);
    assert_int_equal(flows.env.counters.associations_now, 0);
    assert_int_equal(flows.env.associations.n_used, 0);
    assert_int_equal(flows.env.ways.n_used, 0);
    assert_int_equal(flows.env.senders.n_used, 0);
    resolver_free(flows.env.resolver);
    flows_end();
    dns_server_close(&test.dns);
    close(test.client);
    close(test.target);
}

/* ---- the client ---- */

/* Asks for an association from this address; returns its TCP connection, and what is answered. */
static int ask_from(const char *ip, const char *request, uint8_t reply[static 10])
{
    size_t n = 0;
    int control = flows_client_from(ip);
    flows_send(control, GREETING, 3, false);
    flows_expect(control, "\5\0", 2);
    flows_send(control, request, 10, false);
    while (n < 10) {
        ssize_t got;
        UNTIL((got = recv(control, reply + n, 10 - n, 0)) > 0);
        n += (size_t)got;
    }
    return control;
}

static int associate(const char *request, struct addr *at)
{
    uint8_t reply[10];
    int control = ask_from("127.0.0.1", request, reply);
    assert_memory_equal(reply, "\5\0\0\1", 4);
    *at = (struct addr){.family = ADDR_V4, .port = (uint16_t)(reply[8] << 8 | reply[9])};
    memcpy(at->ip, reply + 4, 4);
    return control;
}

static void begin_associated(void **state)
{
    begin(state);
    test.control = associate(ASSOCIATE, &test.at);
}

/* Makes a datagram to a target; returns its length. */
static size_t make(uint8_t *bytes, const char *host, uint16_t port, const void *payload, size_t n)
{
    struct target to;
    uint8_t room[SOCKS5_UDP_HEADER_MAX_BYTES];
    assert_int_equal(target_set_host(&to, host, strlen(host), port), ERR_NONE);
    const uint8_t *at = socks5_put_udp_header(room + sizeof room, &to);
    size_t n_header = (size_t)(room + sizeof room - at);
    memcpy(bytes, at, n_header);
    memcpy(bytes + n_header, payload, n);
    return n_header + n;
}

static void send_bytes(const char *host, uint16_t port, const void *payload, size_t n)
{
    static uint8_t bytes[70000];
    udp_send(test.client, &test.at, bytes, make(bytes, host, port, payload, n));
}

static void send_to(const char *host, uint16_t port, const char *payload)
{
    send_bytes(host, port, payload, strlen(payload));
}

/* This comes next at a socket outside; returns from where. */
static struct addr expect_at(int fd, const void *payload, size_t n)
{
    static uint8_t bytes[70000];
    struct addr from;
    ssize_t got;
    UNTIL((got = udp_receive(fd, bytes, sizeof bytes, &from)) >= 0);
    assert_int_equal(got, n);
    assert_memory_equal(bytes, payload, n);
    return from;
}

static struct addr expect_out(const char *payload)
{
    return expect_at(test.target, payload, strlen(payload));
}

/* This comes next to the client, from a target that reads so. */
static void expect_bytes_from(const char *target, const void *payload, size_t n)
{
    static uint8_t bytes[70000];
    char text[TARGET_TEXT_BYTES];
    struct addr from;
    struct socks5_datagram header;
    size_t n_header;
    ssize_t got;
    UNTIL((got = udp_receive(test.client, bytes, sizeof bytes, &from)) >= 0);
    assert_true(addr_equal(&from, &test.at, true));
    assert_int_equal(socks5_parse_datagram(bytes, (size_t)got, &header, &n_header), ERR_NONE);
    assert_int_equal(header.fragment, 0);
    target_format(&header.target, text);
    assert_string_equal(text, target);
    assert_int_equal((size_t)got - n_header, n);
    assert_memory_equal(bytes + n_header, payload, n);
}

static const char *text_of(const struct addr *addr)
{
    static char text[ADDR_TEXT_BYTES];
    addr_format(addr, text);
    return text;
}

static void expect_back(const char *payload)
{
    expect_bytes_from(text_of(&test.target_at), payload, strlen(payload));
}

static bool is_silent(int fd)
{
    char byte;
    settle();
    return recv(fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* What is sent there and back; returns where the target sees it come from. */
static struct addr round_trip(const char *payload)
{
    send_to("127.0.0.1", test.target_at.port, payload);
    struct addr from = expect_out(payload);
    udp_send(test.target, &from, payload, strlen(payload));
    expect_back(payload);
    return from;
}

/* ---- the way there and back ---- */

static void acc_60_datagrams_go_there_and_back(void **state)
{
    begin_associated(state);
    assert_true(test.at.port != 0 && addr_is_loopback(&test.at));
    round_trip("hello");
    assert_int_equal(flows.env.counters.datagrams_up, 1);
    assert_int_equal(flows.env.counters.datagrams_down, 1);
    hang_up();
    assert_non_null(
        strstr(flows.lines, "out=direct from=127.0.0.1:4242 up=5 down=5 ms=0 end=closed"));
    end();
}

static void acc_60_targets_of_both_families(void **state)
{
    struct addr six = tcp_addr("::1", 0);
    int fd;
    if (!udp_try_open(&fd, &six))
        skip();
    begin_associated(state);
    send_to("::1", six.port, "six");
    struct addr from = expect_at(fd, "six", 3);
    assert_int_equal(from.family, ADDR_V6);
    udp_send(fd, &from, "back", 4);
    expect_bytes_from(text_of(&six), "back", 4);
    round_trip("four");
    close(fd);
    end();
}

static void acc_60_the_cone_is_full(void **state)
{
    struct addr other_at = tcp_addr("127.0.0.1", 0), third_at = tcp_addr("127.0.0.9", 0);
    begin_associated(state);
    int other = udp_open(&other_at), third = udp_open(&third_at);
    struct addr seen = round_trip("first");
    /* One mapping, whoever is sent to. */
    send_to("127.0.0.1", other_at.port, "second");
    struct addr seen_by_other = expect_at(other, "second", 6);
    assert_true(addr_equal(&seen, &seen_by_other, true));
    /* And it is open to whoever knows it. */
    udp_send(third, &seen, "stranger", 8);
    expect_bytes_from(text_of(&third_at), "stranger", 8);
    close(other);
    close(third);
    end();
}

static void datagrams_of_any_size_go_through(void **state)
{
    static uint8_t bytes[65507];
    enum { HEADER = 10, MOST = sizeof bytes - HEADER };
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i % 251);
    begin_associated(state);
    static const size_t sizes[] = {0, 1, 1472, 9000, MOST};
    for (size_t i = 0; i < N_ITEMS(sizes); i++) {
        send_bytes("127.0.0.1", test.target_at.port, bytes, sizes[i]);
        struct addr from = expect_at(test.target, bytes, sizes[i]);
        udp_send(test.target, &from, bytes, sizes[i]);
        expect_bytes_from(text_of(&test.target_at), bytes, sizes[i]);
    }
    /* With its header the largest of all is larger than what UDP carries. */
    struct addr from = round_trip("x");
    udp_send(test.target, &from, bytes, sizeof bytes);
    UNTIL(dropped(DROP_UNSENT) == 1);
    round_trip("and it goes on");
    end();
}

/* ---- who is the client ---- */

static void acc_75_only_the_client_may_send(void **state)
{
    uint8_t bytes[64];
    struct addr foreign_at = tcp_addr("127.0.0.2", 0), port_at = tcp_addr("127.0.0.1", 0);
    begin_associated(state);
    int foreign = udp_open(&foreign_at), other_port = udp_open(&port_at);
    size_t n = make(bytes, "127.0.0.1", test.target_at.port, "no", 2);
    udp_send(foreign, &test.at, bytes, n);
    UNTIL(dropped(DROP_FOREIGN) == 1);
    round_trip("mine");
    /* From then on no other port of the client's address either. */
    udp_send(other_port, &test.at, bytes, n);
    udp_send(foreign, &test.at, bytes, n);
    assert_true(is_silent(test.target));
    round_trip("still mine");
    close(foreign);
    close(other_port);
    end();
}

static void acc_75_fragments_and_what_is_malformed_are_dropped(void **state)
{
    uint8_t bytes[64];
    begin_associated(state);
    size_t n = make(bytes, "127.0.0.1", test.target_at.port, "part", 4);
    bytes[2] = 1;
    udp_send(test.client, &test.at, bytes, n);
    bytes[2] = 0x81;
    udp_send(test.client, &test.at, bytes, n);
    bytes[2] = 0;
    udp_send(test.client, &test.at, bytes, 9);
    udp_send(test.client, &test.at, bytes, 0);
    bytes[3] = 9;
    udp_send(test.client, &test.at, bytes, n);
    send_to("127.0.0.1", 0, "to no port");
    UNTIL(dropped(DROP_MALFORMED) == 6);
    assert_true(is_silent(test.target));
    round_trip("whole");
    end();
}

/* The request that announces this address and the client's port. */
static void announce(char request[static 10], const char *ip, uint16_t port)
{
    struct addr addr = tcp_addr(ip, port);
    memcpy(request, "\5\3\0\1", 4);
    memcpy(request + 4, addr.ip, 4);
    request[8] = (char)(port >> 8);
    request[9] = (char)port;
}

static void a_port_that_was_announced_is_the_only_one(void **state)
{
    static const char *const ips[] = {"0.0.0.0", "127.0.0.1"};
    uint8_t bytes[64];
    char request[10];
    for (size_t i = 0; i < N_ITEMS(ips); i++) {
        struct addr other_at = tcp_addr("127.0.0.1", 0);
        begin(state);
        announce(request, ips[i], test.client_at.port);
        test.control = associate(request, &test.at);
        int other = udp_open(&other_at);
        udp_send(other, &test.at, bytes, make(bytes, "127.0.0.1", test.target_at.port, "no", 2));
        assert_true(is_silent(test.target));
        round_trip("announced");
        close(other);
        end();
    }
}

static void an_announced_address_that_was_translated_does_not_count(void **state)
{
    char request[10];
    begin(state);
    announce(request, "192.168.7.7", 5000);
    test.control = associate(request, &test.at);
    round_trip("by nat");
    hang_up();
    assert_non_null(strstr(flows.lines, "to=192.168.7.7:5000 up=6 down=6"));
    end();
}

static void the_reply_names_what_is_advertised(void **state)
{
    begin(state);
    flows.inbound.udp.advertise = tcp_addr("203.0.113.9", 0);
    test.control = associate(ASSOCIATE, &test.at);
    struct addr said = tcp_addr("203.0.113.9", test.at.port);
    assert_true(addr_equal(&test.at, &said, true));
    test.at = tcp_addr("127.0.0.1", test.at.port);
    round_trip("through the nat");
    end();
}

static void what_is_advertised_of_the_other_family_is_not_told(void **state)
{
    begin(state);
    flows.inbound.udp.advertise = tcp_addr("2001:db8::1", 0);
    test.control = associate(ASSOCIATE, &test.at);
    round_trip("by ipv4");
    end();
}

static void ports_are_of_the_range_and_a_full_one_evicts(void **state)
{
    struct addr first;
    int fd;
    begin(state);
    struct addr probe = tcp_addr("127.0.0.1", 0);
    fd = udp_open(&probe);
    close(fd);
    flows.inbound.udp.port_from = flows.inbound.udp.port_to = probe.port;
    int control = associate(ASSOCIATE, &first);
    assert_int_equal(first.port, probe.port);
    test.control = associate(ASSOCIATE, &test.at);
    assert_int_equal(test.at.port, probe.port);
    flows_expect_end(control, ECONNRESET);
    close(control);
    round_trip("the second");
    end();
}

/* ---- where to ---- */

static void denied_targets_are_dropped(void **state)
{
    static struct target_rule denied[2];
    static struct addr listening;
    begin(state);
    assert_int_equal(cidr_parse(&denied[0].cidr, "127.3.0.0/16", 12), ERR_NONE);
    denied[0].port_to = 65535;
    flows.inbound.deny_targets = (struct target_rule_list){denied, 1};
    listening = tcp_addr("127.0.0.1", 1080);
    flows.ruleset.listening = &listening;
    flows.ruleset.n_listening = 1;
    test.control = associate(ASSOCIATE, &test.at);
    send_to("127.3.0.1", test.target_at.port, "no");
    send_to("::ffff:127.3.0.1", test.target_at.port, "no");
    send_to("224.0.0.1", test.target_at.port, "no");
    send_to("255.255.255.255", test.target_at.port, "no");
    send_to("0.0.0.0", test.target_at.port, "no");
    send_to("169.254.1.1", test.target_at.port, "no");
    send_to("127.0.0.1", 1080, "no");
    UNTIL(dropped(DROP_DENIED) == 7);
    assert_true(is_silent(test.target));
    round_trip("yes");
    end();
}

static void what_is_denied_for_one_port_is_not_for_the_next(void **state)
{
    static struct target_rule denied;
    begin(state);
    assert_int_equal(cidr_parse(&denied.cidr, "127.0.0.0/8", 11), ERR_NONE);
    denied.port_from = denied.port_to = test.target_at.port;
    denied.has_port = true;
    flows.inbound.deny_targets = (struct target_rule_list){&denied, 1};
    test.control = associate(ASSOCIATE, &test.at);
    struct addr other_at = tcp_addr("127.0.0.1", 0);
    int other = udp_open(&other_at);
    for (int i = 0; i < 3; i++) {
        send_to("127.0.0.1", test.target_at.port, "no");
        send_to("127.0.0.1", other_at.port, "yes");
        expect_at(other, "yes", 3);
    }
    assert_true(is_silent(test.target));
    assert_int_equal(dropped(DROP_DENIED), 3);
    close(other);
    end();
}

/* ---- names ---- */

/* What an association keeps for a name is less. */
#define NAME_BYTES_MAX 1024

static void acc_60_what_comes_from_a_name_carries_the_name(void **state)
{
    char name[64];
    begin_associated(state);
    rules[ONE].is_held = true;
    /* They wait for the answer, and keep their order. */
    send_to("one.test", test.target_at.port, "a");
    send_to("one.test", test.target_at.port, "b");
    assert_true(is_silent(test.target));
    assert_true(flows.shared.n_held_bytes > 0);
    rules[ONE].is_held = false;
    struct addr from = expect_out("a");
    expect_out("b");
    assert_true(flows.shared.n_held_bytes < NAME_BYTES_MAX);
    udp_send(test.target, &from, "reply", 5);
    snprintf(name, sizeof name, "one.test:%u", test.target_at.port);
    expect_bytes_from(name, "reply", 5);
    /* What was used last is what the client means. */
    send_to("two.test", test.target_at.port, "c");
    expect_out("c");
    udp_send(test.target, &from, "reply", 5);
    name[0] = 't', name[1] = 'w', name[2] = 'o';
    expect_bytes_from(name, "reply", 5);
    round_trip("the address itself");
    send_to("one.test", test.target_at.port, "d");
    expect_out("d");
    udp_send(test.target, &from, "reply", 5);
    name[0] = 'o', name[1] = 'n', name[2] = 'e';
    expect_bytes_from(name, "reply", 5);
    assert_int_equal(test.dns.n_asked, 2); /* the address is kept */
    end();
}

static void a_name_with_ipv6_only(void **state)
{
    struct addr six = tcp_addr("::1", 0);
    char name[64];
    int fd;
    if (!udp_try_open(&fd, &six))
        skip();
    begin_associated(state);
    send_to("six.test", six.port, "six");
    struct addr from = expect_at(fd, "six", 3);
    udp_send(fd, &from, "back", 4);
    snprintf(name, sizeof name, "six.test:%u", six.port);
    expect_bytes_from(name, "back", 4);
    close(fd);
    end();
}

static void a_family_that_is_not_served_is_not_spoken(void **state)
{
    begin(state);
    flows.env.prefer = DIAL_V4_ONLY;
    test.control = associate(ASSOCIATE, &test.at);
    send_to("six.test", 99, "no");
    UNTIL(dropped(DROP_LOOKUP) == 1);
    send_to("::1", 99, "no");
    UNTIL(dropped(DROP_UNSENT) == 1);
    round_trip("yes");
    end();
}

static void names_that_lead_nowhere_are_dropped(void **state)
{
    static struct target_rule denied;
    begin(state);
    assert_int_equal(cidr_parse(&denied.cidr, "10.0.0.0/8", 10), ERR_NONE);
    denied.port_to = 65535;
    flows.inbound.deny_targets = (struct target_rule_list){&denied, 1};
    test.control = associate(ASSOCIATE, &test.at);
    send_to("nothing.test", 99, "no");
    UNTIL(dropped(DROP_LOOKUP) == 1);
    send_to("denied.test", 99, "no");
    UNTIL(dropped(DROP_DENIED) == 1);
    /* Of its addresses the denied one is passed over. */
    send_to("half.test", test.target_at.port, "yes");
    expect_out("yes");
    end();
}

static void acc_75_what_waits_for_a_name_is_capped(void **state)
{
    static uint8_t bytes[1200];
    begin_associated(state);
    rules[ONE].is_held = true;
    for (int i = 0; i < 200; i++) {
        send_bytes("one.test", test.target_at.port, bytes, sizeof bytes);
        turn();
    }
    UNTIL(dropped(DROP_FULL) > 100);
    assert_true(flows.shared.n_held_bytes <= PACKET_QUEUE_BYTES + NAME_BYTES_MAX);
    /* The end finds them waiting. */
    hang_up();
    assert_int_equal(flows.shared.n_held_bytes, 0);
    rules[ONE].is_held = false;
    settle();
    end();
}

static void a_client_has_only_so_many_questions_under_way(void **state)
{
    begin_associated(state);
    rules[MANY].is_held = true;
    for (int i = 0; i < 3 * ALIASES_MAX; i++) {
        char name[] = "abcdefgh.test";
        /* In letters of either case: each is a name of its own. */
        for (int k = 0; k < 8; k++)
            name[k] = (char)(i >> k & 1 ? name[k] - 'a' + 'A' : name[k]);
        send_to(name, test.target_at.port, "x");
    }
    UNTIL(dropped(DROP_FULL) == 2 * ALIASES_MAX);
    rules[MANY].is_held = false;
    for (int i = 0; i < ALIASES_MAX; i++)
        expect_out("x");
    assert_true(is_silent(test.target));
    assert_int_equal(dropped(DROP_FULL), 2 * ALIASES_MAX);
    end();
}

static void more_names_than_are_kept_are_served(void **state)
{
    char name[32];
    begin_associated(state);
    for (int i = 0; i < 3 * ALIASES_MAX; i++) {
        snprintf(name, sizeof name, "n%d.localhost", i); /* is loopback without being asked for */
        send_to(name, test.target_at.port, name);
        expect_out(name);
    }
    /* The first are forgotten, and found again. */
    send_to("n0.localhost", test.target_at.port, "again");
    struct addr from = expect_out("again");
    udp_send(test.target, &from, "x", 1);
    snprintf(name, sizeof name, "n0.localhost:%u", test.target_at.port);
    expect_bytes_from(name, "x", 1);
    end();
}

static void memory_mb_holds_for_names(void **state)
{
    char name[32];
    begin_associated(state);
    flows.env.limits.max_held_bytes = 8 * NAME_BYTES_MAX;
    for (int i = 0; i < ALIASES_MAX; i++) {
        snprintf(name, sizeof name, "n%d.localhost", i);
        send_to(name, test.target_at.port, "x");
    }
    UNTIL(dropped(DROP_FULL) > 0);
    assert_true(flows.shared.n_held_bytes > 0);
    assert_true(flows.shared.n_held_bytes <= 8 * NAME_BYTES_MAX);
    hang_up();
    assert_int_equal(flows.shared.n_held_bytes, 0);
    end();
}

/* ---- ways ---- */

static struct {
    struct outbound outbound;
    struct packets packets;
    struct opening *pending;
    unsigned n_asked, n_cancelled, n_closed, n_sent;
    char last[16];
    enum err answer;
} slow;

static enum err slow_associate(struct outbound *outbound, struct opening *opening)
{
    assert_ptr_equal(outbound, &slow.outbound);
    slow.n_asked++;
    if (slow.answer == ERR_AGAIN)
        slow.pending = opening;
    return slow.answer;
}

static void slow_cancel(struct outbound *outbound, struct opening *opening)
{
    (void)outbound;
    assert_ptr_equal(opening, slow.pending);
    slow.n_cancelled++;
    slow.pending = NULL;
}

static void slow_send(struct packets *packets, const struct target *to, uint8_t *bytes, size_t n)
{
    (void)packets;
    (void)to;
    assert_true(n < sizeof slow.last);
    memcpy(slow.last, bytes, n);
    slow.last[n] = '\0';
    slow.n_sent++;
}

static void slow_close(struct packets *packets)
{
    (void)packets;
    slow.n_closed++;
}

static void slow_open(enum err err)
{
    static const struct packets_ops ops = {.send = slow_send, .close = slow_close};
    struct opening *opening = slow.pending;
    slow.pending = NULL;
    slow.packets = (struct packets){.ops = &ops};
    opening->packets = &slow.packets;
    opening->done(opening, err);
}

static void begin_slow(void **state)
{
    static const struct outbound_ops ops = {.associate = slow_associate, .cancel = slow_cancel};
    memset(&slow, 0, sizeof slow);
    slow.outbound = (struct outbound){.ops = &ops, .name = "slow"};
    slow.answer = ERR_AGAIN;
    begin(state);
    flows.inbound.outbound = &slow.outbound;
    test.control = associate(ASSOCIATE, &test.at);
}

static void what_comes_while_a_way_opens_is_sent_when_it_is_open(void **state)
{
    begin_slow(state);
    settle();
    assert_int_equal(slow.n_asked, 0); /* not before the first datagram */
    send_to("127.0.0.1", 99, "one");
    UNTIL(slow.pending != NULL);
    send_to("a.test", 99, "two");
    settle();
    assert_int_equal(slow.n_sent, 0);
    slow_open(ERR_NONE);
    assert_int_equal(slow.n_sent, 2);
    assert_string_equal(slow.last, "two");
    send_to("127.0.0.1", 99, "three");
    UNTIL(slow.n_sent == 3);
    assert_int_equal(slow.n_asked, 1);
    hang_up();
    assert_int_equal(slow.n_closed, 1);
    assert_non_null(strstr(flows.lines, "out=slow"));
    end();
}

static void acc_75_what_waits_for_a_way_is_capped_and_given_back(void **state)
{
    static uint8_t bytes[1200];
    begin_slow(state);
    for (int i = 0; i < 200; i++) {
        send_bytes("127.0.0.1", 99, bytes, sizeof bytes);
        turn();
    }
    UNTIL(dropped(DROP_FULL) > 100);
    assert_true(flows.shared.n_held_bytes <= PACKET_QUEUE_BYTES);
    hang_up();
    assert_int_equal(slow.n_cancelled, 1);
    assert_int_equal(flows.shared.n_held_bytes, 0);
    end();
}

static void memory_mb_holds_for_what_waits(void **state)
{
    static uint8_t bytes[1200];
    begin_slow(state);
    flows.env.limits.max_held_bytes = 5000;
    for (int i = 0; i < 10; i++)
        send_bytes("127.0.0.1", 99, bytes, sizeof bytes);
    UNTIL(dropped(DROP_FULL) >= 7);
    assert_true(flows.shared.n_held_bytes <= 5000);
    end();
}

static void a_way_that_breaks_is_opened_again_after_a_moment(void **state)
{
    begin_slow(state);
    send_to("127.0.0.1", 99, "one");
    UNTIL(slow.pending != NULL);
    slow_open(ERR_NONE);
    slow.packets.on_broken(&slow.packets, ERR_RESET);
    assert_int_equal(slow.n_closed, 1);
    send_to("127.0.0.1", 99, "too early");
    UNTIL(dropped(DROP_UNSERVED) == 1);
    assert_int_equal(slow.n_asked, 1);
    flows.now_ms += 1000;
    turn();
    send_to("127.0.0.1", 99, "two");
    UNTIL(slow.n_asked == 2);
    slow_open(ERR_NONE);
    assert_string_equal(slow.last, "two");
    end();
}

static void a_way_that_cannot_be_opened_drops_and_is_tried_again(void **state)
{
    begin_slow(state);
    send_to("127.0.0.1", 99, "one");
    UNTIL(slow.pending != NULL);
    slow_open(ERR_REFUSED);
    assert_int_equal(dropped(DROP_UNSERVED), 1);
    slow.answer = ERR_NET_UNREACH;
    flows.now_ms += 1000;
    turn();
    send_to("127.0.0.1", 99, "two");
    UNTIL(dropped(DROP_UNSERVED) == 2);
    slow.answer = ERR_AGAIN;
    flows.now_ms += 1000;
    turn();
    send_to("127.0.0.1", 99, "three");
    UNTIL(slow.n_asked == 3);
    /* It is not waited for without end. */
    flows.now_ms += 4000;
    UNTIL(slow.n_cancelled == 1);
    assert_int_equal(dropped(DROP_UNSERVED), 3);
    end();
}

static void an_outbound_without_datagrams_drops_them(void **state)
{
    static const struct outbound_ops none = {0};
    begin(state);
    slow.outbound = (struct outbound){.ops = &none, .name = "none"};
    flows.inbound.outbound = &slow.outbound;
    test.control = associate(ASSOCIATE, &test.at);
    send_to("127.0.0.1", 99, "one");
    send_to("one.test", 99, "two");
    UNTIL(dropped(DROP_UNSERVED) == 2);
    end();
}

/* ---- rules ---- */

/* What is in 127.0.0.0/8 goes by `slow`, names looked up for that; everything else by `direct`. */
static void begin_with_rules(void **state)
{
    static struct outbound *outbounds[2];
    struct route_rule rule = {.kind = ROUTE_IP_CIDR, .outbound = 1, .resolve = true};
    struct route_table *table;
    begin_slow(state);
    assert_int_equal(cidr_parse(&rule.cidr, "127.0.0.0/8", 11), ERR_NONE);
    assert_int_equal(route_table_new(&table, &rule, 1, 0), ERR_NONE);
    outbounds[0] = &test.direct.base;
    outbounds[1] = &slow.outbound;
    flows.inbound.outbound = NULL;
    flows.ruleset.outbounds = outbounds;
    flows.ruleset.n_outbounds = 2;
    flows.ruleset.routes = table;
}

static void end_with_rules(void)
{
    hang_up();
    route_table_free((struct route_table *)(uintptr_t)flows.ruleset.routes);
    flows.ruleset.routes = NULL;
    end();
}

static void rules_may_want_a_names_addresses_first(void **state)
{
    begin_with_rules(state);
    rules[ONE].is_held = true;
    send_to("one.test", 99, "one");
    send_to("one.test", 99, "two");
    settle();
    assert_int_equal(slow.n_asked, 0);
    rules[ONE].is_held = false;
    UNTIL(slow.pending != NULL);
    slow_open(ERR_NONE);
    assert_int_equal(slow.n_sent, 2);
    assert_string_equal(slow.last, "two");
    send_to("127.0.0.1", 99, "three");
    UNTIL(slow.n_sent == 3);
    /* And at the same time by another outbound. */
    struct addr six = tcp_addr("::1", 0);
    int fd;
    if (udp_try_open(&fd, &six)) {
        send_to("::1", six.port, "six");
        expect_at(fd, "six", 3);
        close(fd);
    }
    end_with_rules();
}

static void what_rules_wait_for_is_bounded_and_given_up_in_the_end(void **state)
{
    begin_with_rules(state);
    rules[MANY].is_held = true;
    for (int i = 0; i < 40; i++) {
        char name[] = "abcdefgh.test";
        for (int k = 0; k < 8; k++)
            name[k] = (char)(i >> k & 1 ? name[k] - 'a' + 'A' : name[k]);
        send_to(name, 99, "x");
    }
    UNTIL(dropped(DROP_FULL) == 40 - 16);
    assert_true(flows.shared.n_held_bytes > 0);
    hang_up();
    assert_int_equal(flows.shared.n_held_bytes, 0);
    rules[MANY].is_held = false;
    settle();
    end_with_rules();
}

/* ---- the end ---- */

static bool is_gone(void)
{
    return flows.env.counters.associations_now == 0;
}

/* The port is free again. */
static void assert_port_is_free(void)
{
    struct addr at = test.at;
    int fd;
    settle();
    assert_true(udp_try_open(&fd, &at));
    close(fd);
}

static void acc_75_an_association_ends_with_its_tcp_connection(void **state)
{
    for (int i = 0; i < 3; i++) {
        begin_associated(state);
        round_trip("alive");
        /* Whatever it says there means nothing. */
        tcp_send(test.control, "GET / HTTP/1.1\r\n", 16);
        settle();
        round_trip("alive");
        if (i == 0)
            close(test.control);
        else if (i == 1)
            tcp_reset(test.control);
        else
            shutdown(test.control, SHUT_WR);
        UNTIL(is_gone());
        if (i == 2)
            close(test.control);
        test.control = -1;
        assert_port_is_free();
        assert_non_null(strstr(flows.lines, i == 1 ? "end=reset" : "end=closed"));
        end();
    }
}

static void an_association_without_datagrams_ends_in_time(void **state)
{
    begin_associated(state);
    for (int i = 0; i < 20; i++) {
        struct addr from = round_trip("up and down");
        flows_pass(IDLE_MS / 2);
        udp_send(test.target, &from, "down", 4);
        expect_back("down");
        flows_pass(IDLE_MS / 2);
    }
    flows_pass(IDLE_MS / 2);
    assert_false(is_gone());
    flows_pass(IDLE_MS);
    assert_true(is_gone());
    flows_expect_end(test.control, ECONNRESET);
    assert_non_null(strstr(flows.lines, "end=idle"));
    end();
}

static void all_end_when_the_program_does(void **state)
{
    begin_associated(state);
    rules[ONE].is_held = true;
    send_to("one.test", 99, "waits");
    settle();
    flow_end_all(&flows.env);
    flows_expect_end(test.control, ECONNRESET);
    rules[ONE].is_held = false;
    settle();
    end();
}

/* ---- how many ---- */

static void the_longest_unused_makes_room(void **state)
{
    enum { MAX = 4 };
    struct addr ats[MAX];
    int controls[MAX];
    begin(state);
    flows.shared.max_by_descriptors = MAX * 4;
    for (int i = 0; i < MAX; i++)
        controls[i] = associate(ASSOCIATE, &ats[i]);
    /* The first is used again, so the second is the one. */
    test.at = ats[0];
    round_trip("used");
    test.control = associate(ASSOCIATE, &test.at);
    flows_expect_end(controls[1], ECONNRESET);
    assert_int_equal(flows.env.counters.associations_now, MAX);
    assert_int_equal(flows.env.counters.ended[FLOW_END_LIMIT], 1);
    assert_non_null(strstr(flows.lines, "end=limit"));
    assert_true(flows_is_silent(controls[0]) && flows_is_silent(controls[2]) &&
                flows_is_silent(controls[3]));
    for (int i = 0; i < MAX; i++)
        close(controls[i]);
    end();
}

static void who_asks_for_many_drives_out_nobody(void **state)
{
    enum { MAX = 4 };
    uint8_t reply[10];
    struct addr at;
    int controls[3 * MAX];
    begin(state);
    flows.shared.max_by_descriptors = MAX * 4;
    int others = ask_from("127.0.0.2", ASSOCIATE, reply);
    for (int i = 0; i < 3 * MAX; i++)
        controls[i] = associate(ASSOCIATE, &at);
    assert_true(flows_is_silent(others));
    assert_int_equal(flows.env.counters.associations_now, MAX);
    flows_expect_end(controls[0], ECONNRESET);
    for (int i = 0; i < 3 * MAX; i++)
        close(controls[i]);
    close(others);
    end();
}

static void one_inbound_leaves_half_to_the_others(void **state)
{
    struct addr at;
    int controls[3];
    begin(state);
    flows.shared.max_by_descriptors = 16;
    flows.ruleset.n_inbounds = 2;
    for (int i = 0; i < 3; i++)
        controls[i] = associate(ASSOCIATE, &at);
    flows_expect_end(controls[0], ECONNRESET);
    assert_int_equal(flows.env.counters.associations_now, 2);
    for (int i = 0; i < 3; i++)
        close(controls[i]);
    end();
}

static void where_another_worker_has_all_it_is_refused(void **state)
{
    uint8_t reply[10];
    begin(state);
    flows.shared.max_by_descriptors = 8;
    flows.shared.n_associations = 2;
    test.control = ask_from("127.0.0.1", ASSOCIATE, reply);
    assert_memory_equal(reply, "\5\1\0\1\0\0\0\0\0\0", 10);
    flows_expect_end(test.control, 0);
    flows.shared.n_associations = 0;
    end();
}

/* ---- refusals ---- */

static void acc_60_where_it_is_off_the_command_is_not_supported(void **state)
{
    uint8_t reply[10];
    begin(state);
    flows.inbound.udp.is_enabled = false;
    test.control = ask_from("127.0.0.1", ASSOCIATE, reply);
    assert_memory_equal(reply, "\5\7\0\1\0\0\0\0\0\0", 10);
    end();
}

static void socks4_has_no_such_command(void **state)
{
    begin(state);
    test.control = flows_client_from("127.0.0.1");
    flows_send(test.control, "\4\3\0\x50\x7f\0\0\1\0", 9, false);
    flows_expect(test.control, "\0\x5b", 2);
    end();
}

static void without_memory_or_descriptors_it_is_refused(void **state)
{
    static const char *const calls[] = {"socket", "bind", "getsockname"};
    for (size_t i = 0; i < N_ITEMS(calls); i++) {
        uint8_t reply[10];
        const char *hit = NULL;
        begin(state);
        for (uint64_t n = 1; hit == NULL || strcmp(hit, calls[i]) != 0; n++) {
            assert_true(n < 200);
            int control = flows_client_from("127.0.0.1");
            flows_send(control, GREETING, 3, false);
            flows_expect(control, "\5\0", 2);
            flows_send(control, ASSOCIATE, 10, false);
            sys_fault_set(SYS_FAULT_FAIL, n);
            for (int k = 0; k < 4; k++)
                (void)loop_turn(flows.env.loop, 1);
            hit = sys_fault_hit();
            sys_fault_set(SYS_FAULT_NONE, 0);
            if (hit != NULL && strcmp(hit, calls[i]) == 0) {
                UNTIL(recv(control, reply, sizeof reply, 0) == sizeof reply);
                assert_int_not_equal(reply[1], 0);
            }
            close(control);
            UNTIL(list_empty(&flows.env.live));
        }
        end();
    }
}

static int forget_faults(void **state)
{
    (void)state;
    sys_fault_set(SYS_FAULT_NONE, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(acc_60_datagrams_go_there_and_back),
        ON_BOTH(acc_60_targets_of_both_families),
        ON_BOTH(acc_60_the_cone_is_full),
        ON_BOTH(datagrams_of_any_size_go_through),
        ON_BOTH(acc_75_only_the_client_may_send),
        ON_BOTH(acc_75_fragments_and_what_is_malformed_are_dropped),
        ON_BOTH(a_port_that_was_announced_is_the_only_one),
        ON_BOTH(an_announced_address_that_was_translated_does_not_count),
        ON_BOTH(the_reply_names_what_is_advertised),
        ON_BOTH(what_is_advertised_of_the_other_family_is_not_told),
        ON_BOTH(ports_are_of_the_range_and_a_full_one_evicts),
        ON_BOTH(denied_targets_are_dropped),
        ON_BOTH(what_is_denied_for_one_port_is_not_for_the_next),
        ON_BOTH(acc_60_what_comes_from_a_name_carries_the_name),
        ON_BOTH(a_name_with_ipv6_only),
        ON_BOTH(a_family_that_is_not_served_is_not_spoken),
        ON_BOTH(names_that_lead_nowhere_are_dropped),
        ON_BOTH(acc_75_what_waits_for_a_name_is_capped),
        ON_BOTH(a_client_has_only_so_many_questions_under_way),
        ON_BOTH(more_names_than_are_kept_are_served),
        ON_BOTH(memory_mb_holds_for_names),
        ON_BOTH(what_comes_while_a_way_opens_is_sent_when_it_is_open),
        ON_BOTH(acc_75_what_waits_for_a_way_is_capped_and_given_back),
        ON_BOTH(memory_mb_holds_for_what_waits),
        ON_BOTH(a_way_that_breaks_is_opened_again_after_a_moment),
        ON_BOTH(a_way_that_cannot_be_opened_drops_and_is_tried_again),
        ON_BOTH(an_outbound_without_datagrams_drops_them),
        ON_BOTH(rules_may_want_a_names_addresses_first),
        ON_BOTH(what_rules_wait_for_is_bounded_and_given_up_in_the_end),
        ON_BOTH(acc_75_an_association_ends_with_its_tcp_connection),
        ON_BOTH(an_association_without_datagrams_ends_in_time),
        ON_BOTH(all_end_when_the_program_does),
        ON_BOTH(the_longest_unused_makes_room),
        ON_BOTH(who_asks_for_many_drives_out_nobody),
        ON_BOTH(one_inbound_leaves_half_to_the_others),
        ON_BOTH(where_another_worker_has_all_it_is_refused),
        ON_BOTH(acc_60_where_it_is_off_the_command_is_not_supported),
        ON_BOTH(socks4_has_no_such_command),
        ON_BOTH(without_memory_or_descriptors_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, forget_faults);
}
