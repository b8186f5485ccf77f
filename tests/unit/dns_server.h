/*
 * A DNS server for tests, by UDP and TCP on one port of 127.0.0.1. It has no thread: whoever tests
 * calls dns_server_step() between the turns of the loop. It uses the system's calls themselves, so
 * that it is never what fault injection hits, and no memory of the heap.
 */
#ifndef SOCKEYE_TESTS_DNS_SERVER_H
#define SOCKEYE_TESTS_DNS_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <cmocka.h>

enum {
    DNS_RULE_ADDRS = 4,
    DNS_SERVER_TCP = 8,      /* connections at once */
    DNS_SERVER_REPLIES = 64, /* waiting to be sent */
    DNS_PACKET_BYTES = 4096,
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_AAAA = 28,
    DNS_NXDOMAIN = 3,
    DNS_SERVFAIL = 2,
};

/* How a question is answered. What no rule is for gets NXDOMAIN. */
struct dns_rule {
    const char *name;
    int type; /* DNS_A or DNS_AAAA; the name's other type has no data */
    const char *addrs[DNS_RULE_ADDRS];
    unsigned n_made_up; /* so many addresses 10.0.x.y more */
    const char *cname;  /* by way of this name */
    uint32_t ttl_s, cname_ttl_s;
    int rcode;
    unsigned delay_ms;
    bool is_silent;    /* no answer */
    bool is_truncated; /* by UDP: come by TCP */
    bool is_dripped;   /* by TCP, a byte a step */
    bool is_cut;       /* by TCP: closed in the middle */
    bool is_garbage;   /* too short to be an answer, then nothing */
    bool is_foreign;   /* the answer to another question first, and one with another id */
    bool is_held;      /* the answer waits until this is false */
    unsigned n_asked;
};

struct dns_reply {
    bool is_used;
    const struct dns_rule *rule;
    int fd;
    struct sockaddr_in to; /* UDP only */
    uint64_t due_ms;
    bool is_tcp, is_dripped, is_cut, is_again;
    size_t n, n_sent;
    uint8_t bytes[2 + DNS_PACKET_BYTES];
};

struct dns_server {
    int udp_fd, listen_fd;
    uint16_t port;
    struct dns_rule *rules;
    size_t n_rules;
    unsigned n_asked, n_asked_by_tcp;
    unsigned again_ms; /* not 0: each answer by UDP comes again so much later */
    unsigned
        step_ms; /* what a step takes more than it does, so that who is late keeps nobody waiting */
    uint64_t ahead_ms; /* in all steps */
    char last_name[256];
    struct {
        int fd;
        size_t n;
        uint8_t bytes[2 + 512];
    } tcp[DNS_SERVER_TCP];
    struct dns_reply replies[DNS_SERVER_REPLIES];
};

static inline uint64_t dns_server_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline uint64_t dns_server_time_ms(const struct dns_server *server)
{
    return dns_server_now_ms() + server->ahead_ms;
}

/* Two sockets on one port; false: another has it by UDP or by TCP. */
static inline bool dns_server_bind(struct dns_server *server, struct sockaddr_in at)
{
    socklen_t n = sizeof at;
    int on = 1;
    server->udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(server->udp_fd >= 0 && server->listen_fd >= 0);
    setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server->udp_fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        getsockname(server->udp_fd, (struct sockaddr *)&at, &n) == 0 &&
        bind(server->listen_fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        listen(server->listen_fd, 16) == 0) {
        server->port = ntohs(at.sin_port);
        return true;
    }
    close(server->udp_fd);
    close(server->listen_fd);
    return false;
}

/* Listens on a free port, or on port 53 of another loopback address. */
static inline void dns_server_open(struct dns_server *server, struct dns_rule *rules,
                                   size_t n_rules, const char *address_for_53)
{
    memset(server, 0, sizeof *server);
    server->rules = rules;
    server->n_rules = n_rules;
    for (size_t i = 0; i < DNS_SERVER_TCP; i++)
        server->tcp[i].fd = -1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (address_for_53 != NULL) {
        at.sin_port = htons(53);
        assert_int_equal(inet_pton(AF_INET, address_for_53, &at.sin_addr), 1);
    }
    int tries = 100;
    while (!dns_server_bind(server, at))
        assert_true(--tries > 0);
}

static inline void dns_server_close(struct dns_server *server)
{
    close(server->udp_fd);
    close(server->listen_fd);
    for (size_t i = 0; i < DNS_SERVER_TCP; i++)
        if (server->tcp[i].fd >= 0)
            close(server->tcp[i].fd);
}

/* Takes a question apart; returns its end, 0 for none. */
static inline size_t dns_server_read_question(const uint8_t *bytes, size_t n, char name[256],
                                              int *type)
{
    size_t at = 12, n_name = 0;
    while (at < n && bytes[at] != 0) {
        size_t label = bytes[at++];
        if (label > 63 || at + label >= n || n_name + label + 1 >= 256)
            return 0;
        memcpy(name + n_name, bytes + at, label);
        name[n_name + label] = '.';
        n_name += label + 1;
        at += label;
    }
    if (at + 5 > n)
        return 0;
    name[n_name > 0 ? n_name - 1 : 0] = '\0';
    *type = bytes[at + 1] << 8 | bytes[at + 2];
    return at + 5;
}

static inline void dns_server_put(uint8_t *bytes, size_t *at, uint32_t value, size_t n)
{
    while (n-- > 0)
        bytes[(*at)++] = (uint8_t)(value >> 8 * n);
}

static inline void dns_server_put_name(uint8_t *bytes, size_t *at, const char *name)
{
    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        bytes[(*at)++] = (uint8_t)label;
        memcpy(bytes + *at, name, label);
        *at += label;
        name += label + (name[label] == '.');
    }
    bytes[(*at)++] = 0;
}

static inline void dns_server_put_record(uint8_t *bytes, size_t *at, const struct dns_rule *rule,
                                         const uint8_t *ip, size_t n_ip)
{
    if (rule->cname != NULL)
        dns_server_put_name(bytes, at, rule->cname);
    else
        dns_server_put(bytes, at, 0xc00c, 2);
    dns_server_put(bytes, at, (uint32_t)rule->type, 2);
    dns_server_put(bytes, at, 1, 2);
    dns_server_put(bytes, at, rule->ttl_s, 4);
    dns_server_put(bytes, at, (uint32_t)n_ip, 2);
    memcpy(bytes + *at, ip, n_ip);
    *at += n_ip;
}

/* Appends the records of a rule; returns how many. */
static inline unsigned dns_server_put_records(uint8_t *bytes, size_t *at,
                                              const struct dns_rule *rule)
{
    unsigned n = 0;
    if (rule->cname != NULL) {
        dns_server_put(bytes, at, 0xc00c, 2);
        dns_server_put(bytes, at, DNS_CNAME, 2);
        dns_server_put(bytes, at, 1, 2);
        dns_server_put(bytes, at, rule->cname_ttl_s, 4);
        size_t length_at = *at;
        *at += 2;
        dns_server_put_name(bytes, at, rule->cname);
        uint32_t length = (uint32_t)(*at - length_at - 2);
        dns_server_put(bytes, &length_at, length, 2);
        n++;
    }
    for (size_t i = 0; i < DNS_RULE_ADDRS && rule->addrs[i] != NULL; i++, n++) {
        uint8_t ip[16];
        bool is_v4 = rule->type == DNS_A;
        assert_int_equal(inet_pton(is_v4 ? AF_INET : AF_INET6, rule->addrs[i], ip), 1);
        dns_server_put_record(bytes, at, rule, ip, is_v4 ? 4 : 16);
    }
    for (unsigned i = 0; i < rule->n_made_up; i++, n++)
        dns_server_put_record(bytes, at, rule, (uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i},
                              4);
    return n;
}

/* The rule for a question; *has_name tells whether the name has one of another type. */
static inline struct dns_rule *dns_server_find(struct dns_server *server, const char *name,
                                               int type, bool *has_name)
{
    *has_name = false;
    for (size_t i = 0; i < server->n_rules; i++) {
        if (strcasecmp(server->rules[i].name, name) != 0)
            continue;
        *has_name = true;
        if (server->rules[i].type == type)
            return &server->rules[i];
    }
    return NULL;
}

static inline struct dns_reply *dns_server_new_reply(struct dns_server *server, int fd,
                                                     const struct sockaddr_in *to)
{
    for (size_t i = 0; i < DNS_SERVER_REPLIES; i++) {
        struct dns_reply *reply = &server->replies[i];
        if (reply->is_used)
            continue;
        *reply =
            (struct dns_reply){.is_used = true, .fd = fd, .due_ms = dns_server_time_ms(server)};
        reply->is_tcp = to == NULL;
        if (to != NULL)
            reply->to = *to;
        reply->n = 2; /* the length, by TCP */
        return reply;
    }
    fail_msg("too many replies are waiting");
    return NULL;
}

static inline void dns_server_answer(struct dns_server *server, const uint8_t *question, size_t n,
                                     int fd, const struct sockaddr_in *to)
{
    static const struct dns_rule nothing = {0};
    int type = 0;
    bool has_name;
    size_t end = dns_server_read_question(question, n, server->last_name, &type);
    assert_true(end > 0);
    server->n_asked++;
    server->n_asked_by_tcp += to == NULL;
    struct dns_rule *asked = dns_server_find(server, server->last_name, type, &has_name);
    if (asked != NULL)
        asked->n_asked++;
    const struct dns_rule *rule = asked != NULL ? asked : &nothing;
    if (rule->is_silent)
        return;

    for (int round = rule->is_foreign ? 0 : 2; round < 3; round++) {
        struct dns_reply *reply = dns_server_new_reply(server, fd, to);
        uint8_t *bytes = reply->bytes + 2;
        memcpy(bytes, question, end);
        size_t at = end;
        unsigned n_records = dns_server_put_records(bytes, &at, rule);
        bool is_truncated = to != NULL && (rule->is_truncated || at > 512);
        if (is_truncated) {
            at = end;
            n_records = 0;
        }
        int rcode = asked != NULL || has_name ? rule->rcode : DNS_NXDOMAIN;
        bytes[2] = (uint8_t)(0x84 | (question[2] & 1) | (is_truncated ? 2 : 0));
        bytes[3] = (uint8_t)(0x80 | rcode);
        bytes[6] = (uint8_t)(n_records >> 8);
        bytes[7] = (uint8_t)n_records;
        memset(bytes + 8, 0, 4);
        if (round == 0)
            bytes[13] ^= 1; /* a letter of the name */
        if (round == 1)
            bytes[0] ^= 1;
        reply->n += rule->is_garbage ? 7 : at;
        reply->bytes[0] = (uint8_t)((reply->n - 2) >> 8);
        reply->bytes[1] = (uint8_t)(reply->n - 2);
        reply->rule = rule;
        reply->due_ms += rule->delay_ms;
        reply->is_dripped = rule->is_dripped;
        reply->is_cut = rule->is_cut;
    }
}

static inline void dns_server_close_tcp(struct dns_server *server, size_t i)
{
    for (size_t k = 0; k < DNS_SERVER_REPLIES; k++)
        if (server->replies[k].is_tcp && server->replies[k].fd == server->tcp[i].fd)
            server->replies[k].is_used = false;
    close(server->tcp[i].fd);
    server->tcp[i].fd = -1;
}

static inline void dns_server_read_tcp(struct dns_server *server, size_t i)
{
    uint8_t *bytes = server->tcp[i].bytes;
    size_t *n = &server->tcp[i].n;
    ssize_t got = recv(server->tcp[i].fd, bytes + *n, sizeof server->tcp[i].bytes - *n, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        dns_server_close_tcp(server, i);
        return;
    }
    *n += got > 0 ? (size_t)got : 0;
    while (*n >= 2 && *n - 2 >= (size_t)(bytes[0] << 8 | bytes[1])) {
        size_t n_question = (size_t)(bytes[0] << 8 | bytes[1]);
        dns_server_answer(server, bytes + 2, n_question, server->tcp[i].fd, NULL);
        *n -= n_question + 2;
        memmove(bytes, bytes + 2 + n_question, *n);
    }
}

static inline void dns_server_accept(struct dns_server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < DNS_SERVER_TCP; i++) {
        if (server->tcp[i].fd >= 0)
            continue;
        server->tcp[i].fd = fd;
        server->tcp[i].n = 0;
        return;
    }
    assert_true(fd < 0);
}

static inline void dns_server_send_tcp(struct dns_server *server, struct dns_reply *reply)
{
    size_t end = reply->is_dripped ? reply->n_sent + 1 : reply->n;
    if (reply->is_cut)
        end = reply->n / 2;
    ssize_t sent = send(reply->fd, reply->bytes + reply->n_sent, end - reply->n_sent, MSG_NOSIGNAL);
    reply->n_sent += sent > 0 ? (size_t)sent : 0;
    reply->is_used = reply->n_sent < reply->n;
    if (!reply->is_cut || reply->n_sent < end)
        return;
    for (size_t i = 0; i < DNS_SERVER_TCP; i++)
        if (server->tcp[i].fd == reply->fd)
            dns_server_close_tcp(server, i);
}

/* Takes what has come and sends what is due; never waits. */
static inline void dns_server_step(struct dns_server *server)
{
    uint8_t bytes[512];
    struct sockaddr_in from;
    socklen_t n_from = sizeof from;
    ssize_t got;
    server->ahead_ms += server->step_ms;
    while ((got = recvfrom(server->udp_fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from,
                           &n_from)) > 0)
        dns_server_answer(server, bytes, (size_t)got, server->udp_fd, &from);
    dns_server_accept(server);
    for (size_t i = 0; i < DNS_SERVER_TCP; i++)
        if (server->tcp[i].fd >= 0)
            dns_server_read_tcp(server, i);
    uint64_t now_ms = dns_server_time_ms(server);
    for (size_t i = 0; i < DNS_SERVER_REPLIES; i++) {
        struct dns_reply *reply = &server->replies[i];
        if (!reply->is_used || reply->rule->is_held || reply->due_ms > now_ms)
            continue;
        if (reply->is_tcp) {
            dns_server_send_tcp(server, reply);
            continue;
        }
        sendto(reply->fd, reply->bytes + 2, reply->n - 2, 0, (struct sockaddr *)&reply->to,
               sizeof reply->to);
        reply->is_used = server->again_ms > 0 && !reply->is_again;
        reply->is_again = true;
        reply->due_ms += server->again_ms;
    }
}

#endif
