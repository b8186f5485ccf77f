/* One direction of a relay between two endpoints: copying, splicing, holding, and how it ends. */
#include "loops.h"

#include <limits.h>
#include <signal.h>

#include "flow/env.h"
#include "flow/relay.h"
#include "io/socket.h"
#include "random.h"
#include "tcp.h"

static struct flow_shared shared;
static struct flow_env env;
static struct direction direction;
static struct sock *source, *sink;
static int sender, receiver; /* theirs */
static enum err last;
static unsigned n_advanced;

static void update_interest(void)
{
    endpoint_want(&source->ep, direction_wants_read(&direction) ? LOOP_READ : 0);
    endpoint_want(&sink->ep, direction_wants_write(&direction) ? LOOP_WRITE : 0);
}

/* As relaying.c does it, for this direction alone. */
static void on_ready(struct endpoint *ep, unsigned events)
{
    (void)ep;
    (void)events;
    last = direction_advance(&direction, &env, &source->ep, &sink->ep);
    n_advanced++;
    if (last == ERR_NONE || last == ERR_AGAIN) {
        update_interest();
    } else {
        endpoint_want(&source->ep, 0);
        endpoint_want(&sink->ep, 0);
    }
}

static struct sock *new_sock(int fd)
{
    struct sock *sock;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    assert_int_equal(sock_new(&sock, env.loop, &env.socks, fd, 0, on_ready, NULL), ERR_NONE);
    return sock;
}

static void begin(void **state)
{
    int from[2], to[2];
    shared = (struct flow_shared){0};
    memset(&env, 0, sizeof env);
    direction = (struct direction){0};
    last = ERR_NONE;
    n_advanced = 0;
    env.shared = &shared;
    env.loop = loop_new(backend_of(state));
    assert_non_null(env.loop);
    flow_env_init(&env);
    tcp_pair(from);
    tcp_pair(to);
    source = new_sock(from[0]);
    sink = new_sock(to[0]);
    sender = from[1];
    receiver = to[1];
    update_interest();
}

static void end(void)
{
    direction_deinit(&direction, &env);
    endpoint_close(&source->ep, false);
    endpoint_close(&sink->ep, false);
    turn_at_once(env.loop, 1);
    assert_int_equal(shared.n_held_bytes, 0);
    assert_int_equal(env.pipes.n_held, 0);
    flow_env_deinit(&env);
    assert_int_equal(loop_n_watches(env.loop), 0);
    loop_free(env.loop);
    if (sender >= 0)
        close(sender);
    if (receiver >= 0)
        close(receiver);
}

static bool is_over(void)
{
    return last != ERR_NONE && last != ERR_AGAIN;
}

/* ---- streams of bytes that tell where they belong ---- */

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

struct stream {
    size_t n_sent, n_received;
    bool is_at_end;
};

/* Sends up to n bytes more; returns how many went. */
static size_t send_more(struct stream *stream, size_t n)
{
    static uint8_t bytes[256 * 1024];
    n = n < sizeof bytes ? n : sizeof bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(stream->n_sent + i);
    ssize_t sent = send(sender, bytes, n, MSG_NOSIGNAL);
    if (sent < 0)
        assert_int_equal(errno, EAGAIN);
    stream->n_sent += sent > 0 ? (size_t)sent : 0;
    return sent > 0 ? (size_t)sent : 0;
}

/* Takes up to n bytes, which must be the right ones. */
static void receive_more(struct stream *stream, size_t n)
{
    static uint8_t bytes[256 * 1024];
    ssize_t got = recv(receiver, bytes, n < sizeof bytes ? n : sizeof bytes, 0);
    if (got < 0)
        assert_int_equal(errno, EAGAIN);
    stream->is_at_end = got == 0;
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] != byte_at(stream->n_received + (size_t)i))
            fail_msg("byte %zu is wrong", stream->n_received + (size_t)i);
    stream->n_received += got > 0 ? (size_t)got : 0;
}

/* Until all that was sent has been received. */
static void drain(struct stream *stream)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (stream->n_received < stream->n_sent) {
        if (now_ms() > give_up)
            fail_msg("%zu of %zu bytes came", stream->n_received, stream->n_sent);
        turn_at_once(env.loop, 1);
        receive_more(stream, SIZE_MAX);
    }
    assert_int_equal(stream->n_received, stream->n_sent);
}

static void carry(struct stream *stream, size_t n)
{
    size_t until = stream->n_sent + n;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (stream->n_sent < until) {
        if (now_ms() > give_up)
            fail_msg("stuck at %zu sent, %zu received", stream->n_sent, stream->n_received);
        send_more(stream, until - stream->n_sent);
        turn_at_once(env.loop, 1);
        receive_more(stream, SIZE_MAX);
    }
    drain(stream);
}

static void assert_holds_nothing(void)
{
    assert_null(direction.held);
    assert_null(direction.pipe);
    assert_int_equal(env.pipes.n_held, 0);
    assert_int_equal(shared.n_held_bytes, 0);
}

/* ---- copying and splicing ---- */

static void small_exchanges_are_copied_and_leave_nothing(void **state)
{
    struct stream stream = {0};
    begin(state);
    for (int i = 0; i < 20; i++) {
        carry(&stream, 1 + (size_t)i * 100);
        assert_holds_nothing();
    }
    assert_int_equal(direction.n_bytes, stream.n_sent);
    assert_int_equal(env.pipes.n_spare, 0);
    assert_false(direction.is_bulk);
    end();
}

static void acc_68_bulk_is_spliced_and_when_it_pauses_no_pipe_is_held(void **state)
{
    struct stream stream = {0};
    begin(state);
    carry(&stream, 4 << 20);
    assert_true(env.pipes.n_spare > 0);
    assert_holds_nothing();
    assert_int_equal(direction.n_bytes, stream.n_sent);
    /* Small again: copied again. */
    for (int i = 0; i < 5; i++)
        carry(&stream, 100);
    assert_false(direction.is_bulk);
    assert_holds_nothing();
    end();
}

static void acc_69_where_no_pipe_is_to_be_had_bulk_is_copied(void **state)
{
    struct stream stream = {0};
    begin(state);
    env.pipes.pipe_bytes = INT_MAX; /* more than anybody gets */
    carry(&stream, 4 << 20);
    assert_int_equal(env.pipes.n_spare, 0);
    assert_true(env.pipes.retry_at_ms > 0); /* it was tried */
    assert_holds_nothing();
    end();
}

static void any_sizes_and_pauses_on_both_sides_change_no_byte(void **state)
{
    struct stream stream = {0};
    uint64_t seed = 4;
    begin(state);
    /* Small buffers make every kind of partial transfer likely. */
    int small = 32 * 1024;
    setsockopt(sink->ep.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (stream.n_sent < 8 << 20) {
        if (now_ms() > give_up)
            fail_msg("stuck at %zu sent, %zu received", stream.n_sent, stream.n_received);
        unsigned shift = random_below(&seed, 19);
        if (random_below(&seed, 3) > 0)
            send_more(&stream, random_below(&seed, 1u << shift));
        if (random_below(&seed, 20) == 0)
            env.pipes.retry_at_ms = random_below(&seed, 2) ? UINT64_MAX : 0;
        turn_at_once(env.loop, 1 + random_below(&seed, 3));
        if (random_below(&seed, 3) > 0)
            receive_more(&stream, random_below(&seed, 1u << shift));
    }
    drain(&stream);
    assert_true(env.pipes.n_spare > 0);
    assert_int_equal(direction.n_bytes, stream.n_sent);
    end();
}

static void acc_65_urgent_bytes_neither_stall_nor_get_lost_while_splicing(void **state)
{
    struct stream stream = {0};
    begin(state);
    carry(&stream, 1 << 20);
    assert_true(env.pipes.n_spare > 0);
    for (int i = 0; i < 20; i++) {
        /* With and without bytes waiting before and behind. */
        if (i % 2 == 0)
            send_more(&stream, 100000);
        uint8_t urgent = byte_at(stream.n_sent);
        assert_int_equal(send(sender, &urgent, 1, MSG_OOB | MSG_NOSIGNAL), 1);
        stream.n_sent++;
        if (i % 3 == 0)
            turn_at_once(env.loop, 2);
        if (i % 4 < 2)
            send_more(&stream, 60000);
        drain(&stream);
    }
    assert_int_equal(last, ERR_AGAIN);
    assert_holds_nothing();
    carry(&stream, 1 << 20);
    end();
}

/* ---- holding ---- */

static void what_the_sink_does_not_take_is_held_bounded_and_the_source_not_read(void **state)
{
    for (int splices = 0; splices < 2; splices++) {
        struct stream stream = {0};
        begin(state);
        if (!splices)
            env.pipes.retry_at_ms = UINT64_MAX;
        uint64_t give_up = now_ms() + PATIENCE_MS;
        unsigned n_idle = 0;
        /* Until neither side moves any more. */
        while (n_idle < 50) {
            assert_true(now_ms() < give_up);
            size_t n = send_more(&stream, SIZE_MAX);
            unsigned before = n_advanced;
            assert_true(loop_turn(env.loop, 1));
            n_idle = n == 0 && n_advanced == before ? n_idle + 1 : 0;
            assert_true(direction.n_held <= 64 * 1024);
            size_t n_stuck = direction.pipe == NULL ? 0 : direction.pipe->n_bytes;
            assert_int_equal(shared.n_held_bytes, direction.n_held + n_stuck);
        }
        assert_true(direction_wants_write(&direction));
        assert_int_equal(direction.pipe != NULL, splices);
        assert_int_equal(direction.held != NULL, !splices);
        drain(&stream);
        assert_holds_nothing();
        end();
    }
}

static void near_the_limit_of_memory_it_copies(void **state)
{
    struct stream stream = {0};
    begin(state);
    env.limits.max_held_bytes = 1 << 20;
    shared.n_held_bytes = (1 << 20) - 100000; /* others' */
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!direction_wants_write(&direction)) {
        assert_true(now_ms() < give_up);
        send_more(&stream, SIZE_MAX);
        turn_at_once(env.loop, 1);
    }
    assert_null(direction.pipe);
    assert_true(direction.n_held <= 32 * 1024);
    shared.n_held_bytes -= (1 << 20) - 100000;
    drain(&stream);
    assert_holds_nothing();
    end();
}

static void held_bytes_beyond_the_limit_of_memory_end_it(void **state)
{
    struct stream stream = {0};
    begin(state);
    env.limits.max_held_bytes = 10;
    env.pipes.retry_at_ms = UINT64_MAX;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!is_over()) {
        assert_true(now_ms() < give_up);
        send_more(&stream, SIZE_MAX);
        turn_at_once(env.loop, 1);
    }
    assert_int_equal(last, ERR_MEMORY);
    assert_int_equal(shared.n_held_bytes, 0);
    end();
}

static void what_is_held_first_goes_first_and_our_own_answers_are_not_counted(void **state)
{
    char bytes[64];
    begin(state);
    assert_int_equal(direction_hold(&direction, &env, "answer", 6), ERR_NONE);
    direction.n_own += 6;
    assert_int_equal(direction_hold(&direction, &env, "early", 5), ERR_NONE);
    assert_int_equal(direction_hold(&direction, &env, NULL, 0), ERR_NONE);
    assert_int_equal(direction.n_held, 11);
    tcp_send(sender, "late", 4);
    update_interest();
    TURN_UNTIL(env.loop, direction.n_bytes == 9);
    tcp_await(receiver);
    assert_int_equal(tcp_receive(receiver, bytes, sizeof bytes), 15);
    assert_memory_equal(bytes, "answerearlylate", 15);
    assert_holds_nothing();
    end();
}

static void what_is_held_can_be_taken_back(void **state)
{
    begin(state);
    direction_take_held(&direction, &env);
    assert_int_equal(direction_hold(&direction, &env, "abc", 3), ERR_NONE);
    assert_int_equal(direction_hold(&direction, &env, "def", 3), ERR_NONE);
    direction_take_held(&direction, &env);
    assert_memory_equal(env.scratch, "abcdef", 6);
    assert_holds_nothing();
    end();
}

static void acc_68_giving_up_in_the_middle_closes_the_pipe_with_its_residue(void **state)
{
    struct stream stream = {0};
    begin(state);
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (direction.pipe == NULL) {
        assert_true(now_ms() < give_up);
        send_more(&stream, SIZE_MAX);
        turn_at_once(env.loop, 1);
    }
    size_t n_spare = env.pipes.n_spare, n_fds = count_fds();
    direction_deinit(&direction, &env);
    assert_int_equal(env.pipes.n_spare, n_spare);
    assert_int_equal(count_fds(), n_fds - 2);
    assert_holds_nothing();
    end();
}

/* ---- a source that never ends, without a descriptor ---- */

static enum err endless_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    (void)ep;
    memset(buf, 'x', cap);
    *n = cap;
    return ERR_NONE;
}

static size_t n_swallowed;

static enum err swallow(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    (void)ep;
    (void)buf;
    n_swallowed += given;
    *n = given;
    return ERR_NONE;
}

static bool always_ready(struct endpoint *ep, unsigned events)
{
    (void)ep;
    (void)events;
    return true;
}

static void one_turn_moves_no_more_than_its_budget(void **state)
{
    static const struct endpoint_ops ops = {
        .read = endless_read, .write = swallow, .is_ready = always_ready};
    struct endpoint from = {.ops = &ops, .fd = -1}, to = {.ops = &ops, .fd = -1};
    begin(state);
    n_swallowed = 0;
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_NONE);
    assert_in_range(n_swallowed, 1 << 20, (1 << 20) + FLOW_READ_BYTES);
    assert_true(direction_wants_read(&direction));
    assert_false(direction.is_bulk);
    end();
}

/* ---- endpoints that lend ---- */

/* A source of n_left bytes, a sink with room for n_room more; both in the same memory, of which each
 * lends the beginning. */
static struct {
    uint8_t bytes[100];
    size_t n_left, n_room, n_given_back;
    unsigned n_out; /* lent and not given back */
} lender;

static enum err lend_room(struct endpoint *ep, uint8_t **room, size_t *cap)
{
    (void)ep;
    if (lender.n_room == 0)
        return ERR_AGAIN;
    *room = lender.bytes;
    *cap = lender.n_room < sizeof lender.bytes ? lender.n_room : sizeof lender.bytes;
    lender.n_out++;
    return ERR_NONE;
}

static void take_back_room(struct endpoint *ep, size_t n)
{
    (void)ep;
    lender.n_room -= n;
    lender.n_given_back += n;
    lender.n_out--;
}

static enum err lend_bytes(struct endpoint *ep, const uint8_t **bytes, size_t *n)
{
    (void)ep;
    if (lender.n_left == 0)
        return ERR_EOF;
    *bytes = lender.bytes;
    *n = lender.n_left < sizeof lender.bytes ? lender.n_left : sizeof lender.bytes;
    lender.n_out++;
    return ERR_NONE;
}

static void take_back_bytes(struct endpoint *ep, size_t n)
{
    (void)ep;
    lender.n_left -= n;
    lender.n_given_back += n;
    lender.n_out--;
}

static enum err read_lent(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    assert_ptr_equal(buf, lender.bytes);
    return endless_read(ep, buf, cap, n);
}

static enum err write_lent(struct endpoint *ep, const void *buf, size_t given, size_t *n)
{
    (void)ep;
    assert_ptr_equal(buf, lender.bytes);
    if (lender.n_room == 0)
        return ERR_AGAIN;
    *n = given < lender.n_room ? given : lender.n_room;
    lender.n_room -= *n;
    return ERR_NONE;
}

static enum err fail_to_read(struct endpoint *ep, void *buf, size_t cap, size_t *n)
{
    (void)ep;
    (void)buf;
    (void)cap;
    (void)n;
    return ERR_RESET;
}

static void bytes_are_read_into_what_the_sink_lends(void **state)
{
    static const struct endpoint_ops reading = {.read = read_lent, .is_ready = always_ready};
    static const struct endpoint_ops lending = {.reserve = lend_room, .commit = take_back_room};
    struct endpoint from = {.ops = &reading, .fd = -1}, to = {.ops = &lending, .fd = -1};
    uint64_t n_taken;
    begin(state);
    memset(&lender, 0, sizeof lender);
    lender.n_room = 1050;
    assert_int_equal(direction_advance_within(&direction, &env, &from, &to, 330, &n_taken),
                     ERR_NONE);
    assert_int_equal(n_taken, 330);
    assert_true(direction_wants_read(&direction));
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_AGAIN);
    assert_int_equal(direction.n_bytes, 1050);
    assert_int_equal(lender.n_given_back, 1050);
    /* The sink is waited for, and the source not read. */
    assert_true(direction_wants_write(&direction));
    assert_false(direction_wants_read(&direction));
    lender.n_room = 10;
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_AGAIN);
    assert_int_equal(direction.n_bytes, 1060);
    assert_int_equal(lender.n_out, 0);
    assert_holds_nothing();
    end();
}

static void room_that_was_lent_for_nothing_is_given_back(void **state)
{
    static const struct endpoint_ops broken = {.read = fail_to_read, .is_ready = always_ready};
    static const struct endpoint_ops lending = {.reserve = lend_room, .commit = take_back_room};
    struct endpoint from = {.ops = &broken, .fd = -1}, to = {.ops = &lending, .fd = -1};
    begin(state);
    memset(&lender, 0, sizeof lender);
    lender.n_room = 50;
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_RESET);
    assert_false(direction.is_sink_broken);
    assert_int_equal(lender.n_out, 0);
    assert_int_equal(lender.n_room, 50);
    end();
}

static void bytes_are_written_from_where_the_source_has_them(void **state)
{
    static const struct endpoint_ops lending = {
        .peek = lend_bytes, .consume = take_back_bytes, .is_ready = always_ready};
    static const struct endpoint_ops writing = {.write = write_lent};
    struct endpoint from = {.ops = &lending, .fd = -1}, to = {.ops = &writing, .fd = -1};
    uint64_t n_taken;
    begin(state);
    memset(&lender, 0, sizeof lender);
    lender.n_left = 1000;
    lender.n_room = 640;
    assert_int_equal(direction_advance_within(&direction, &env, &from, &to, 330, &n_taken),
                     ERR_NONE);
    assert_int_equal(n_taken, 330);
    assert_true(direction_wants_read(&direction));
    /* What the sink does not take stays in the source. */
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_NONE);
    assert_int_equal(direction.n_bytes, 640);
    assert_int_equal(lender.n_left, 360);
    assert_true(direction_wants_write(&direction));
    assert_holds_nothing();
    lender.n_room = 2000;
    assert_int_equal(direction_advance(&direction, &env, &from, &to), ERR_EOF);
    assert_int_equal(direction.n_bytes, 1000);
    assert_false(direction_wants_read(&direction) || direction_wants_write(&direction));
    assert_int_equal(lender.n_out, 0);
    end();
}

/* ---- the end ---- */

static void the_fin_comes_when_all_before_it_is_delivered(void **state)
{
    for (int splices = 0; splices < 2; splices++) {
        struct stream stream = {0};
        begin(state);
        if (!splices)
            env.pipes.retry_at_ms = UINT64_MAX;
        while (!direction_wants_write(&direction)) {
            send_more(&stream, SIZE_MAX);
            turn_at_once(env.loop, 1);
        }
        shutdown(sender, SHUT_WR);
        turn_for(env.loop, 20);
        assert_false(is_over());
        uint64_t give_up = now_ms() + PATIENCE_MS;
        while (!is_over()) {
            assert_true(now_ms() < give_up);
            turn_at_once(env.loop, 1);
            receive_more(&stream, 100000);
        }
        assert_int_equal(last, ERR_EOF);
        assert_true(direction.is_at_end);
        assert_false(direction_wants_read(&direction) || direction_wants_write(&direction));
        drain(&stream);
        end();
    }
}

static void a_reset_of_the_source_is_told(void **state)
{
    begin(state);
    tcp_reset(sender);
    sender = -1;
    TURN_UNTIL(env.loop, is_over());
    assert_int_equal(last, ERR_RESET);
    end();
}

static void a_reset_of_the_sink_is_told(void **state)
{
    struct stream stream = {0};
    for (int bulk = 0; bulk < 2; bulk++) {
        begin(state);
        stream = (struct stream){0};
        if (bulk)
            carry(&stream, 1 << 20);
        tcp_reset(receiver);
        receiver = -1;
        uint64_t give_up = now_ms() + PATIENCE_MS;
        while (!is_over()) {
            assert_true(now_ms() < give_up);
            send_more(&stream, 100000);
            turn_at_once(env.loop, 1);
        }
        assert_int_equal(last, ERR_RESET);
        end();
    }
}

int main(void)
{
    /* As the program does: splice raises it. */
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_BOTH(small_exchanges_are_copied_and_leave_nothing),
        ON_BOTH(acc_68_bulk_is_spliced_and_when_it_pauses_no_pipe_is_held),
        ON_BOTH(acc_69_where_no_pipe_is_to_be_had_bulk_is_copied),
        ON_BOTH(any_sizes_and_pauses_on_both_sides_change_no_byte),
        ON_BOTH(acc_65_urgent_bytes_neither_stall_nor_get_lost_while_splicing),
        ON_BOTH(what_the_sink_does_not_take_is_held_bounded_and_the_source_not_read),
        ON_BOTH(near_the_limit_of_memory_it_copies),
        ON_BOTH(held_bytes_beyond_the_limit_of_memory_end_it),
        ON_BOTH(what_is_held_first_goes_first_and_our_own_answers_are_not_counted),
        ON_BOTH(what_is_held_can_be_taken_back),
        ON_BOTH(acc_68_giving_up_in_the_middle_closes_the_pipe_with_its_residue),
        ON_BOTH(one_turn_moves_no_more_than_its_budget),
        ON_BOTH(bytes_are_read_into_what_the_sink_lends),
        ON_BOTH(room_that_was_lent_for_nothing_is_given_back),
        ON_BOTH(bytes_are_written_from_where_the_source_has_them),
        ON_BOTH(the_fin_comes_when_all_before_it_is_delivered),
        ON_BOTH(a_reset_of_the_source_is_told),
        ON_BOTH(a_reset_of_the_sink_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
