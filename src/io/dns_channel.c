/*
 * c-ares tells us its sockets by its socket functions: each gets a struct dns_socket with a watch
 * while it is open. Deadlines: ares_timeout() walks over all that is being asked, so it is called
 * when the timer fires and not each time something is asked; a new question needs no attention
 * earlier than one first timeout from now, and the timer is never set later than that.
 *
 * What the c-ares of Debian 12 (1.18.1) needs care with:
 * - The query's id comes from us: its own generator is seeded by a file that may not be readable
 *   when descriptors are short, and by rand() then.
 * - No EDNS: it does not survive a failed allocation in its fall-back from EDNS. A long answer
 *   comes over TCP instead.
 * - A server's failure (SERVFAIL, REFUSED) makes it go on to the next server; when none is left it
 *   says ARES_ECONNREFUSED, as it does when no socket could be opened. `socket_errno` tells which.
 * - Without servers it leaks; there is always one here.
 */
#include "io/dns_channel.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/list.h"
#include "io/sys.h"

#define DNS_PORT 53
#define HEADER_BYTES 12
#define RCODE_OK 0
#define RCODE_NO_NAME 3
#define CLASS_IN 1
#define TYPE_A 1
#define TYPE_AAAA 28
#define MAX_RECORDS 64       /* looked at in one answer, for DNS_MAX_ADDRS different addresses */
#define TIMER_MIN_WAIT_MS 10 /* thousands of questions that time out one by one are done in lots */

struct dns_channel {
    ares_channel ares;
    struct loop *loop;
    struct timer timer; /* set while n_asked > 0 */
    size_t n_asked;
    struct list sockets;
    struct addr *servers;
    size_t n_servers;
    unsigned timeout_ms;
    int socket_errno; /* of the last socket call that failed, since the last answer */
    bool is_dropping; /* what c-ares says now is not for anybody's ears */
    void (*settle)(void *owner);
    void *owner;
};

struct dns_socket {
    struct watch watch;
    struct list link;
    struct dns_channel *channel;
    struct deferred deferred;
    int fd;
};

static struct dns_socket *find_socket(struct dns_channel *channel, int fd)
{
    for (struct list *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
        struct dns_socket *dns_socket = CONTAINER_OF(at, struct dns_socket, link);
        if (dns_socket->fd == fd)
            return dns_socket;
    }
    return NULL;
}

/* Remembers why a call failed, and leaves errno for c-ares, which looks at it. */
static int fail(struct dns_channel *channel, int errno_value)
{
    channel->socket_errno = errno_value;
    errno = errno_value;
    return -1;
}

static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
    struct dns_channel *channel = arg;
    struct dns_socket *dns_socket = calloc(1, sizeof *dns_socket);
    if (dns_socket == NULL)
        return fail(channel, ENOMEM);
    dns_socket->fd = sys_socket(domain, type, protocol);
    if (dns_socket->fd < 0) {
        int why = errno;
        free(dns_socket);
        return fail(channel, why);
    }
    dns_socket->channel = channel;
    list_append(&channel->sockets, &dns_socket->link);
    return dns_socket->fd;
}

static void free_socket(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct dns_socket, deferred));
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct dns_channel *channel = arg;
    struct dns_socket *dns_socket = find_socket(channel, fd);
    loop_remove(&dns_socket->watch);
    list_remove(&dns_socket->link);
    /* Its handler may be what we are called from. */
    loop_defer(channel->loop, &dns_socket->deferred, free_socket);
    return sys_close(fd);
}

static void on_socket_event(struct watch *watch, unsigned events);

/* c-ares keeps no zone of an IPv6 address; a link-local server cannot be reached without. */
static void add_zone(const struct dns_channel *channel, struct sockaddr_in6 *in6)
{
    for (size_t i = 0; i < channel->n_servers; i++) {
        const struct addr *server = &channel->servers[i];
        if (server->family == ADDR_V6 && memcmp(server->ip, &in6->sin6_addr, 16) == 0)
            in6->sin6_scope_id = server->scope;
    }
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t n, void *arg)
{
    struct dns_channel *channel = arg;
    struct sockaddr_storage to = {0};
    memcpy(&to, sa, n);
    if (sa->sa_family == AF_INET6)
        add_zone(channel, (struct sockaddr_in6 *)&to);
    int connected = sys_connect(fd, (const struct sockaddr *)&to, n);
    int why = errno;
    if (connected < 0 && why != EINPROGRESS)
        return fail(channel, why);
    struct dns_socket *dns_socket = find_socket(channel, fd);
    if (loop_add(channel->loop, &dns_socket->watch, fd, LOOP_READ, on_socket_event) != ERR_NONE)
        return fail(channel, ENOMEM);
    errno = why;
    return connected;
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                            ares_socklen_t *sa_n, void *arg)
{
    struct dns_channel *channel = arg;
    ssize_t got =
        sa != NULL ? sys_recvfrom(fd, buf, n, flags, sa, sa_n) : sys_recv(fd, buf, n, flags);
    if (got >= 0)
        return got;
    if (errno == EAGAIN)
        loop_used_up(&find_socket(channel, fd)->watch, LOOP_READ);
    else
        channel->socket_errno = errno;
    return -1;
}

static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *iov, int n_iov, void *arg)
{
    struct dns_channel *channel = arg;
    ssize_t sent = sys_writev(fd, iov, n_iov);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN)
        loop_used_up(&find_socket(channel, fd)->watch, LOOP_WRITE);
    else
        channel->socket_errno = errno;
    return -1;
}

static const struct ares_socket_functions socket_functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = send_vector,
};

/* What c-ares waits for on a socket; nothing when it is about to close it. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_socket *dns_socket = find_socket(arg, fd);
    loop_want(&dns_socket->watch, (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u));
}

static void on_socket_event(struct watch *watch, unsigned events)
{
    struct dns_socket *dns_socket = CONTAINER_OF(watch, struct dns_socket, watch);
    struct dns_channel *channel = dns_socket->channel;
    int fd = dns_socket->fd;
    bool can_read = (events & (LOOP_READ | LOOP_HANGUP | LOOP_ERROR)) != 0;
    bool can_write = (events & (LOOP_WRITE | LOOP_ERROR)) != 0;
    ares_process_fd(channel->ares, can_read ? fd : ARES_SOCKET_BAD,
                    can_write ? fd : ARES_SOCKET_BAD);
    if (channel->n_asked == 0)
        timer_clear(loop_timers(channel->loop), &channel->timer);
    channel->settle(channel->owner);
}

/* Until the earliest deadline of what is being asked. */
static uint64_t wait_ms(struct dns_channel *channel)
{
    struct timeval wait = {0};
    ares_timeout(channel->ares, NULL, &wait);
    /* A millisecond more: the clock of c-ares is finer than ours. */
    uint64_t ms = (uint64_t)wait.tv_sec * 1000 + (uint64_t)wait.tv_usec / 1000 + 1;
    return ms < TIMER_MIN_WAIT_MS ? TIMER_MIN_WAIT_MS : ms;
}

static void on_timer(struct timer *timer)
{
    struct dns_channel *channel = CONTAINER_OF(timer, struct dns_channel, timer);
    struct timer_heap *timers = loop_timers(channel->loop);
    uint64_t now = loop_now_ms(channel->loop);
    /* Set again before anything else can take its place among the timers: it cannot fail. */
    enum err err = timer_set(timers, timer, now + channel->timeout_ms);
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (channel->n_asked == 0)
        timer_clear(timers, timer);
    else if (err == ERR_NONE)
        err = timer_set(timers, timer, now + wait_ms(channel));
    assert(err == ERR_NONE);
    channel->settle(channel->owner);
}

/* Makes sure that the timer fires before what is asked now is late. */
static enum err set_timer(struct dns_channel *channel)
{
    uint64_t at_ms = loop_now_ms(channel->loop) + channel->timeout_ms;
    if (timer_is_set(&channel->timer) && channel->timer.at_ms <= at_ms)
        return ERR_NONE;
    return timer_set(loop_timers(channel->loop), &channel->timer, at_ms);
}

static void add_addr(struct dns_answer *answer, const void *ip, size_t n_ip, int ttl_s)
{
    struct addr addr = {.family = n_ip == 4 ? ADDR_V4 : ADDR_V6};
    memcpy(addr.ip, ip, n_ip);
    for (size_t i = 0; i < answer->n_addrs; i++)
        if (addr_equal(&answer->addrs[i], &addr, false))
            return;
    if (answer->n_addrs == DNS_MAX_ADDRS)
        return;
    answer->addrs[answer->n_addrs++] = addr;
    /* A time with the highest bit set is none (RFC 2181 section 8). */
    uint32_t ttl = ttl_s < 0 ? 0 : (uint32_t)ttl_s;
    if (answer->n_addrs == 1 || ttl < answer->ttl_s)
        answer->ttl_s = ttl;
}

static int read_v4(struct dns_answer *answer, const unsigned char *reply, int n_reply)
{
    struct ares_addrttl records[MAX_RECORDS];
    int n = MAX_RECORDS;
    int status = ares_parse_a_reply(reply, n_reply, NULL, records, &n);
    for (int i = 0; status == ARES_SUCCESS && i < n; i++)
        add_addr(answer, &records[i].ipaddr, 4, records[i].ttl);
    return status;
}

static int read_v6(struct dns_answer *answer, const unsigned char *reply, int n_reply)
{
    struct ares_addr6ttl records[MAX_RECORDS];
    int n = MAX_RECORDS;
    int status = ares_parse_aaaa_reply(reply, n_reply, NULL, records, &n);
    for (int i = 0; status == ARES_SUCCESS && i < n; i++)
        add_addr(answer, &records[i].ip6addr, 16, records[i].ttl);
    return status;
}

static void set_not_asked(struct dns_answer *answer, enum err err)
{
    answer->outcome = DNS_NOT_ASKED;
    answer->err = err;
}

/* What a server has answered. */
static void read_reply(struct dns_answer *answer, enum addr_family family,
                       const unsigned char *reply, int n_reply)
{
    int rcode = n_reply >= HEADER_BYTES ? reply[3] & 0xf : -1;
    if (rcode != RCODE_OK) {
        answer->outcome = rcode == RCODE_NO_NAME ? DNS_NO_NAME : DNS_SERVER_FAILED;
        return;
    }
    int status =
        family == ADDR_V4 ? read_v4(answer, reply, n_reply) : read_v6(answer, reply, n_reply);
    if (status == ARES_ENOMEM)
        set_not_asked(answer, ERR_MEMORY);
    else if (status == ARES_SUCCESS && answer->n_addrs > 0)
        answer->outcome = DNS_FOUND;
    else
        answer->outcome =
            status == ARES_SUCCESS || status == ARES_ENODATA ? DNS_NO_DATA : DNS_SERVER_FAILED;
}

/* No server has answered. */
static void read_failure(struct dns_answer *answer, int status, int socket_errno)
{
    if (status == ARES_ETIMEOUT)
        set_not_asked(answer, ERR_TIMEOUT);
    else if (status == ARES_ENOMEM)
        set_not_asked(answer, ERR_MEMORY);
    else if (socket_errno == 0)
        answer->outcome = DNS_SERVER_FAILED;
    else {
        /* That the server is out of reach says nothing about the target: the look-up failed. */
        enum err err = sys_err(socket_errno);
        set_not_asked(answer, err == ERR_MEMORY || err == ERR_DESCRIPTORS ? err : ERR_LOOKUP);
    }
}

static void on_answer(void *arg, int status, int n_timeouts, unsigned char *reply, int n_reply)
{
    (void)n_timeouts;
    struct dns_query *query = arg;
    struct dns_channel *channel = query->channel;
    channel->n_asked--;
    if (channel->is_dropping)
        return;
    struct dns_answer answer = {.outcome = DNS_NO_DATA};
    if (status == ARES_SUCCESS)
        read_reply(&answer, query->family, reply, n_reply);
    else
        read_failure(&answer, status, channel->socket_errno);
    channel->socket_errno = 0;
    query->answered(query, &answer);
}

enum err dns_channel_ask(struct dns_channel *channel, struct dns_query *query, const char *name,
                         enum addr_family family,
                         void (*answered)(struct dns_query *, const struct dns_answer *))
{
    unsigned short id;
    if (sys_random(&id, sizeof id) != ERR_NONE)
        return ERR_SYSTEM;
    unsigned char *packet = NULL;
    int n_packet = 0;
    int status = ares_create_query(name, CLASS_IN, family == ADDR_V4 ? TYPE_A : TYPE_AAAA, id, 1,
                                   &packet, &n_packet, 0);
    if (status != ARES_SUCCESS)
        return status == ARES_ENOMEM ? ERR_MEMORY : ERR_BAD;
    enum err err = set_timer(channel);
    if (err == ERR_NONE) {
        query->channel = channel;
        query->family = family;
        query->answered = answered;
        channel->n_asked++;
        ares_send(channel->ares, packet, n_packet, on_answer, query);
        if (channel->n_asked == 0)
            timer_clear(loop_timers(channel->loop), &channel->timer);
    }
    ares_free_string(packet);
    return err;
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int set_servers(struct dns_channel *channel)
{
    struct ares_addr_port_node *nodes = calloc(channel->n_servers, sizeof *nodes);
    if (nodes == NULL)
        return ARES_ENOMEM;
    for (size_t i = 0; i < channel->n_servers; i++) {
        const struct addr *server = &channel->servers[i];
        struct ares_addr_port_node *node = &nodes[i];
        bool is_v4 = server->family == ADDR_V4;
        node->next = i + 1 < channel->n_servers ? node + 1 : NULL;
        node->family = is_v4 ? AF_INET : AF_INET6;
        memcpy(&node->addr, server->ip, is_v4 ? 4 : 16);
        node->udp_port = node->tcp_port = server->port != 0 ? server->port : DNS_PORT;
    }
    int status = ares_set_servers_ports(channel->ares, nodes);
    free(nodes);
    return status;
}

/* Everything is said, so that c-ares reads no file and no variable of the environment. */
static int init_ares(struct dns_channel *channel, const struct dns_channel_options *options)
{
    char lookups[] = "b"; /* DNS only */
    struct ares_options ares = {
        .flags = ARES_FLAG_NOALIASES | (options->use_tcp ? ARES_FLAG_USEVC : 0),
        .timeout = (int)options->timeout_ms,
        .tries = (int)options->n_attempts,
        .ndots = 1,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
               ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_SERVERS | ARES_OPT_DOMAINS |
               ARES_OPT_SORTLIST | (options->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
    int status = ares_init_options(&channel->ares, &ares, mask);
    if (status != ARES_SUCCESS) {
        channel->ares = NULL;
        return status;
    }
    ares_set_socket_functions(channel->ares, &socket_functions, channel);
    return set_servers(channel);
}

enum err dns_channel_new(struct dns_channel **out, struct loop *loop,
                         const struct dns_channel_options *options)
{
    pthread_once(&library_once, init_library);
    struct dns_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return ERR_MEMORY;
    channel->loop = loop;
    channel->timeout_ms = options->timeout_ms;
    channel->settle = options->settle;
    channel->owner = options->owner;
    list_init(&channel->sockets);
    timer_init(&channel->timer, on_timer);
    channel->servers = calloc(options->n_servers, sizeof *channel->servers);
    int status = library_status;
    if (channel->servers == NULL)
        status = ARES_ENOMEM;
    if (status == ARES_SUCCESS) {
        channel->n_servers = options->n_servers;
        memcpy(channel->servers, options->servers, options->n_servers * sizeof *options->servers);
        status = init_ares(channel, options);
    }
    if (status != ARES_SUCCESS) {
        dns_channel_free(channel);
        return status == ARES_ENOMEM ? ERR_MEMORY : ERR_SYSTEM;
    }
    *out = channel;
    return ERR_NONE;
}

void dns_channel_cancel(struct dns_channel *channel)
{
    channel->is_dropping = true;
    ares_cancel(channel->ares);
    channel->is_dropping = false;
    timer_clear(loop_timers(channel->loop), &channel->timer);
}

void dns_channel_free(struct dns_channel *channel)
{
    if (channel == NULL)
        return;
    channel->is_dropping = true;
    ares_destroy(channel->ares);
    timer_clear(loop_timers(channel->loop), &channel->timer);
    free(channel->servers);
    free(channel);
}
