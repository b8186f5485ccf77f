/*
 * A client and the origin it wants, played by a script with plain non-blocking system calls, which
 * fault injection never hits. player_step() does what can be done now and never waits.
 *
 * Whatever goes wrong between the two, some things never may: a byte that differs, and an end that
 * looks whole when it is not. These fail the test at once; the rest is told by player->outcome.
 */
#ifndef SOCKEYE_TESTS_PLAYER_H
#define SOCKEYE_TESTS_PLAYER_H

#include <stdio.h>
#include <stdlib.h>

#include "../unit/tcp.h"

#define PLAYER_USER "ann"
#define PLAYER_PASSWORD "s3cret"
#define PLAYER_DENIED_PORT 9

enum player_outcome {
    PLAYING,
    COMPLETED, /* every byte both ways, and both ends */
    REFUSED,   /* a whole answer that says no; player->code says how */
    CLOSED,    /* an end before there was a whole answer */
    CUT,       /* a reset after it had begun */
    GONE,      /* the client left, as its script says */
};

struct script {
    enum { SOCKS5, SOCKS4A, HTTP } protocol;
    const char *name; /* of the target; NULL: its address */
    enum { NO_LOGIN, RIGHT_LOGIN, WRONG_LOGIN } login;
    bool is_silent;    /* from the beginning */
    bool step_by_step; /* each message waits for the answer to the one before */
    enum { LISTENS, REFUSES, HANGS, IS_DENIED } target;
    size_t n_up, n_down;
    enum {
        BOTH_AT_ONCE,
        CLIENT_FIRST, /* the origin answers after the client's fin */
        ORIGIN_FIRST,
        CLIENT_LEAVES, /* once its request is out */
        CLIENT_RESETS, /* the same */
        CLIENT_BREAKS, /* a reset when it has received half */
        ORIGIN_BREAKS,
        NOBODY_ENDS,
    } ending;
    unsigned reads_after;        /* the client reads nothing in its first so many steps */
    enum player_outcome outcome; /* without faults */
    int code;                    /* of REFUSED */
};

struct player_stream {
    size_t n, n_sent, n_received;
    bool is_fin_sent;
    bool is_broken; /* sending has met a reset, which receiving will not be told again */
    unsigned salt;
};

struct player {
    const struct script *script;
    struct addr target;
    int client, origin, listening, reserved; /* -1: none */
    struct player_stream up, down;
    char said[1024];
    size_t n_said, n_sent;
    size_t message_ends[3]; /* within said */
    unsigned n_messages;
    char heard[1024];
    size_t n_heard;
    bool is_open; /* the answer was heard, and it is yes */
    bool is_client_over, is_origin_over;
    unsigned n_steps, n_since_sent;
    enum player_outcome outcome;
    int code;
};

/* ---- what is said ---- */

static inline void player_say(struct player *player, const void *bytes, size_t n)
{
    assert_true(player->n_said + n <= sizeof player->said);
    memcpy(player->said + player->n_said, bytes, n);
    player->n_said += n;
}

static inline void player_end_message(struct player *player)
{
    player->message_ends[player->n_messages++] = player->n_said;
}

static inline void player_say_port(struct player *player)
{
    uint8_t port[] = {(uint8_t)(player->target.port >> 8), (uint8_t)player->target.port};
    player_say(player, port, 2);
}

static inline void player_say_socks5(struct player *player)
{
    const struct script *script = player->script;
    if (script->login == NO_LOGIN) {
        player_say(player, "\x05\x01\x00", 3);
    } else {
        player_say(player, "\x05\x02\x00\x02", 4);
        player_end_message(player);
        player_say(player, "\x01\x03" PLAYER_USER "\x06", 6);
        player_say(player, script->login == RIGHT_LOGIN ? PLAYER_PASSWORD : "wrong!", 6);
    }
    player_end_message(player);
    if (script->name == NULL) {
        player_say(player, "\x05\x01\x00\x01", 4);
        player_say(player, player->target.ip, 4);
    } else {
        uint8_t n = (uint8_t)strlen(script->name);
        player_say(player, "\x05\x01\x00\x03", 4);
        player_say(player, &n, 1);
        player_say(player, script->name, n);
    }
    player_say_port(player);
}

static inline void player_say_socks4a(struct player *player)
{
    player_say(player, "\x04\x01", 2);
    player_say_port(player);
    if (player->script->name == NULL) {
        player_say(player, player->target.ip, 4);
        player_say(player, "", 1);
    } else {
        player_say(player, "\0\0\0\x01", 5);
        player_say(player, player->script->name, strlen(player->script->name) + 1);
    }
}

static inline void player_say_http(struct player *player)
{
    /* ann:s3cret, ann:wrong! */
    static const char *const logins[] = {"", "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n",
                                         "Proxy-Authorization: Basic YW5uOndyb25nIQ==\r\n"};
    char text[256], where[ADDR_TEXT_BYTES];
    addr_format_ip(&player->target, where);
    /* A refused login is the end, and not an invitation to try again. */
    int n = snprintf(text, sizeof text, "CONNECT %s:%u HTTP/1.1\r\nConnection: close\r\n%s\r\n",
                     player->script->name != NULL ? player->script->name : where,
                     (unsigned)player->target.port, logins[player->script->login]);
    player_say(player, text, (size_t)n);
}

/* ---- what is heard ---- */

/* The length of the whole answer of a proxy, 0 while it is not complete; sets what it says. */
static inline size_t player_read_socks5(struct player *player)
{
    const uint8_t *heard = (const uint8_t *)player->heard;
    size_t n = player->script->login == NO_LOGIN ? 2 : 4;
    player->code = 0;
    if (player->n_heard >= 2 && heard[1] == 0xff) {
        player->code = 0xff;
        return 2;
    }
    if (n == 4 && player->n_heard >= 4 && heard[3] != 0) {
        player->code = heard[3];
        return 4;
    }
    if (player->n_heard < n + 4)
        return 0;
    player->code = heard[n + 1];
    n += heard[n + 3] == 4 ? 22 : 10;
    return player->n_heard < n ? 0 : n;
}

static inline size_t player_read_answer(struct player *player, bool is_at_end)
{
    switch (player->script->protocol) {
    case SOCKS5:
        return player_read_socks5(player);
    case SOCKS4A:
        player->code = player->n_heard > 1 && player->heard[1] == 90 ? 0 : 91;
        return player->n_heard < 8 ? 0 : 8;
    case HTTP:
        break;
    }
    const char *end = memmem(player->heard, player->n_heard, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    player->code = atoi(player->heard + 9);
    if (player->code != 200)
        return is_at_end ? player->n_heard : 0;
    player->code = 0;
    return (size_t)(end + 4 - player->heard);
}

static inline uint8_t player_byte(const struct player_stream *stream, size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16) + stream->salt);
}

static inline void player_check(struct player_stream *stream, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != player_byte(stream, stream->n_received + i))
            fail_msg("byte %zu of %zu is wrong", stream->n_received + i, stream->n);
    stream->n_received += n;
    assert_true(stream->n_received <= stream->n_sent);
}

static inline void player_hear(struct player *player, const uint8_t *bytes, size_t n)
{
    if (!player->is_open) {
        size_t n_kept = sizeof player->heard - player->n_heard;
        n_kept = n < n_kept ? n : n_kept;
        memcpy(player->heard + player->n_heard, bytes, n_kept);
        size_t n_before = player->n_heard;
        player->n_heard += n_kept;
        size_t n_answer = player_read_answer(player, false);
        player->is_open = n_answer > 0 && player->code == 0;
        if (!player->is_open)
            return;
        bytes += n_answer - n_before;
        n -= n_answer - n_before;
    }
    player_check(&player->down, bytes, n);
}

/* ---- sending and receiving ---- */

static inline bool player_may_say(const struct player *player)
{
    unsigned message = 0;
    while (message < player->n_messages && player->message_ends[message] <= player->n_sent)
        message++;
    /* Each of SOCKS5's first messages has an answer of two bytes. */
    return !player->script->step_by_step || player->n_heard >= (size_t)message * 2;
}

/* Sends what goes, and a fin behind the last byte where that may be. */
static inline void player_send_stream(struct player_stream *stream, int fd, bool may_end)
{
    static uint8_t bytes[64 * 1024];
    size_t n = stream->n - stream->n_sent;
    n = n < sizeof bytes ? n : sizeof bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = player_byte(stream, stream->n_sent + i);
    ssize_t sent = n == 0 ? 0 : send(fd, bytes, n, MSG_NOSIGNAL);
    stream->n_sent += sent > 0 ? (size_t)sent : 0;
    stream->is_broken |= sent < 0 && errno != EAGAIN;
    if (stream->n_sent == stream->n && may_end && !stream->is_fin_sent) {
        stream->is_fin_sent = true;
        shutdown(fd, SHUT_WR);
    }
}

static inline void player_end_client(struct player *player, enum player_outcome outcome)
{
    close(player->client);
    player->client = -1;
    player->is_client_over = true;
    /* The first word counts: one side's reset comes before the other's. */
    if (player->outcome == PLAYING)
        player->outcome = outcome;
}

static inline void player_end_origin(struct player *player, bool was_cut)
{
    close(player->origin);
    player->origin = -1;
    player->is_origin_over = true;
    if (was_cut && (player->outcome == PLAYING || player->outcome == COMPLETED))
        player->outcome = CUT;
}

/* A clean end: it must be a true one. False: it is not, but there was nothing else to be had: the
 * system refused to let a socket be reset, as no system does in truth. */
static inline bool player_is_true_end(const struct player_stream *stream)
{
    if (stream->n_received == stream->n && stream->is_fin_sent)
        return true;
    const char *fault = sys_fault_hit() == NULL ? "no fault" : sys_fault_hit();
    if (strcmp(fault, "setsockopt") != 0)
        fail_msg("a stream of %zu bytes ended cleanly after %zu (%s)", stream->n,
                 stream->n_received, fault);
    return false;
}

static inline void player_read_client(struct player *player)
{
    static uint8_t bytes[64 * 1024];
    ssize_t got = recv(player->client, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got == 0 && player->up.is_broken)
        got = -1;
    if (got > 0) {
        player_hear(player, bytes, (size_t)got);
    } else if (player->is_open && got == 0) {
        if (!player_is_true_end(&player->down))
            player_end_client(player, CUT);
        else if (player->up.is_fin_sent)
            player_end_client(player, COMPLETED);
    } else if (got == 0) {
        bool is_whole = player_read_answer(player, true) > 0;
        player_end_client(player, is_whole ? REFUSED : CLOSED);
    } else {
        player_end_client(player, player->is_open ? CUT : CLOSED);
    }
}

static inline bool player_is_leaving(struct player *player)
{
    switch (player->script->ending) {
    case CLIENT_LEAVES:
    case CLIENT_RESETS:
        return player->n_sent == player->n_said && player->n_since_sent++ > 3;
    case CLIENT_BREAKS:
        return player->down.n_received > player->down.n / 2;
    default:
        return false;
    }
}

static inline void player_step_client(struct player *player)
{
    const struct script *script = player->script;
    if (player->n_sent < player->n_said && player_may_say(player)) {
        size_t end = player->n_said;
        for (unsigned i = player->n_messages; script->step_by_step && i-- > 0;)
            if (player->message_ends[i] > player->n_sent)
                end = player->message_ends[i];
        ssize_t sent =
            send(player->client, player->said + player->n_sent, end - player->n_sent, MSG_NOSIGNAL);
        player->n_sent += sent > 0 ? (size_t)sent : 0;
    }
    if (player_is_leaving(player)) {
        if (script->ending == CLIENT_LEAVES)
            close(player->client);
        else
            tcp_reset(player->client);
        player->client = -1;
        player->is_client_over = true;
        player->outcome = GONE;
        return;
    }
    bool may_send = script->ending != ORIGIN_FIRST || player->down.n_received == player->down.n;
    bool is_its_time = player->is_open || !script->step_by_step;
    bool may_end = player->is_open && script->ending < CLIENT_BREAKS;
    if (player->n_sent == player->n_said && may_send && is_its_time)
        player_send_stream(&player->up, player->client, may_end);
    if (player->n_steps >= script->reads_after)
        player_read_client(player);
}

static inline void player_step_origin(struct player *player)
{
    static uint8_t bytes[64 * 1024];
    bool may_send = player->script->ending != CLIENT_FIRST || player->up.n_received == player->up.n;
    if (may_send)
        player_send_stream(&player->down, player->origin, player->script->ending < CLIENT_BREAKS);
    ssize_t got = recv(player->origin, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got == 0 && player->down.is_broken)
        got = -1;
    if (got > 0) {
        player_check(&player->up, bytes, (size_t)got);
        if (player->script->ending == ORIGIN_BREAKS && player->up.n_received > player->up.n / 2) {
            tcp_reset(player->origin);
            player->origin = -1;
            player->is_origin_over = true;
        }
    } else if (got == 0 && player->up.n_received == 0 && !player->is_open) {
        player_end_origin(player, true); /* it came to nothing, and nobody was told otherwise */
    } else if (got == 0) {
        bool is_true = player_is_true_end(&player->up);
        if (!is_true || player->down.is_fin_sent)
            player_end_origin(player, !is_true);
    } else {
        player_end_origin(player, true);
    }
}

static inline void player_step(struct player *player)
{
    player->n_steps++;
    if (player->client >= 0)
        player_step_client(player);
    if (player->origin < 0 && player->listening >= 0 && !player->is_origin_over)
        player->origin = accept4(player->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (player->origin >= 0)
        player_step_origin(player);
}

/* ---- beginning and end ---- */

/* A port that is ours and refuses: bound, and not listened on. */
static inline void player_reserve_port(struct player *player)
{
    struct sockaddr_storage sa;
    socklen_t n = sys_addr_to_sockaddr(&player->target, &sa);
    player->reserved = tcp_socket(&player->target);
    assert_int_equal(bind(player->reserved, (struct sockaddr *)&sa, n), 0);
    n = sizeof sa;
    assert_int_equal(getsockname(player->reserved, (struct sockaddr *)&sa, &n), 0);
    assert_int_equal(sys_addr_from_sockaddr(&player->target, (struct sockaddr *)&sa, n), ERR_NONE);
}

static inline void player_open_target(struct player *player, const struct addr *hanging)
{
    switch (player->script->target) {
    case LISTENS:
        player->listening = tcp_listen(&player->target);
        break;
    case REFUSES:
        player_reserve_port(player);
        break;
    case IS_DENIED:
        player->target.port = PLAYER_DENIED_PORT;
        break;
    case HANGS:
        player->target = *hanging;
        break;
    }
}

/* `number` tells this player's bytes from others'; the target is on the proxy's address. */
static inline void player_begin(struct player *player, const struct script *script,
                                const struct addr *proxy, const struct addr *hanging,
                                unsigned number)
{
    memset(player, 0, sizeof *player);
    player->script = script;
    player->target = *proxy;
    player->target.port = 0;
    player->origin = player->listening = player->reserved = -1;
    player->up = (struct player_stream){.n = script->n_up, .salt = number * 2};
    player->down = (struct player_stream){.n = script->n_down, .salt = number * 2 + 1};
    player_open_target(player, hanging);
    if (script->is_silent)
        player->n_said = 0;
    else if (script->protocol == SOCKS5)
        player_say_socks5(player);
    else if (script->protocol == SOCKS4A)
        player_say_socks4a(player);
    else
        player_say_http(player);
    player->client = tcp_connect(proxy);
}

static inline bool player_is_over(const struct player *player)
{
    return player->is_client_over && player->origin < 0;
}

/* Closes what is left; what still waits in the backlog goes with it. */
static inline void player_end(struct player *player)
{
    const int fds[] = {player->client, player->origin, player->listening, player->reserved};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static inline bool player_has_suffered(const struct player *player)
{
    const struct script *script = player->script;
    return player->outcome != script->outcome ||
           (player->outcome == REFUSED && player->code != script->code);
}

#endif
