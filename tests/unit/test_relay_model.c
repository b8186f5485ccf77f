/*
 * Whatever two sides do, a relay keeps what a stream promises. From a seed come their bytes, the
 * pieces these are written and read in, pauses, and how each side ends: by a fin, a reset or a
 * close that leaves bytes unread. The model:
 *
 *     what a reader has is the beginning of what its writer wrote
 *     a reader that meets the end has all of it, and its writer had ended it by a fin
 *     a reader meets a reset only where the other side broke off
 *     a side that is reset before its fin is met as a reset
 *     every flow ends, and leaves nothing
 *
 * A failure names its seed; SOCKEYE_SEED=seed plays that one alone.
 */
#include "flows.h"

#include <signal.h>
#include <stdio.h>

#include "random.h"

enum { N_SEEDS = 2000 };

enum ending { FINISHES, RESETS, LEAVES, N_ENDINGS };

struct side {
    int far; /* -1: gone */
    enum ending ending;
    unsigned breaks_at; /* the step in which it resets or leaves */
    size_t n, n_sent, n_received;
    unsigned write_max, read_max, patience;
    unsigned quiet_until; /* step */
    uint8_t salt;
    bool waits_for_end; /* before it sends its fin */
    bool has_sent_fin, has_broken, has_met_end, has_met_reset;
};

static struct {
    uint64_t seed, random;
    unsigned step;
    struct side sides[2]; /* client, origin */
} play;

/* What has happened in all plays: each must have, or they are not what they should be. */
static struct {
    unsigned n_resets, n_whole, n_half_closed; /* plays */
    unsigned n_held, n_stuck;                  /* turns that left bytes in a buffer, in a pipe */
} seen;

static const char *const names[] = {"client", "origin"};

static unsigned below(unsigned limit)
{
    return random_below(&play.random, limit);
}

/* Small numbers and large ones, each about as often. */
static unsigned any_size(unsigned max_bits)
{
    return below(1u << below(max_bits + 1));
}

static uint8_t byte_at(const struct side *writer, size_t i)
{
    return (uint8_t)(writer->salt + i * 31 + (i >> 8) * 7 + (i >> 16));
}

#define PLAY_FAIL(side, ...)                                                   \
    do {                                                                       \
        print_message("%s in step %u: ", names[(side)-play.sides], play.step); \
        fail_msg(__VA_ARGS__);                                                 \
    } while (0)

static struct side *other(struct side *side)
{
    return side == play.sides ? &play.sides[1] : &play.sides[0];
}

/* ---- what a side does ---- */

static void go(struct side *side, void (*how)(int far))
{
    how(side->far);
    side->far = -1;
    if (side == &play.sides[1])
        flows.origin = -1;
}

static void meet_reset(struct side *side, int why)
{
    if (!other(side)->has_broken)
        PLAY_FAIL(side, "an end (%s) though the other side has not broken off", strerror(why));
    side->has_met_reset = true;
    seen.n_resets++;
    go(side, far_close);
}

static void write_some(struct side *side)
{
    static uint8_t bytes[1 << 16];
    size_t n = side->n - side->n_sent, max = 1 + below(side->write_max);
    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(side, side->n_sent + i);
    ssize_t sent = far_send(side->far, bytes, n);
    if (sent >= 0)
        side->n_sent += (size_t)sent;
    else if (errno != EAGAIN)
        meet_reset(side, errno);
}

static void meet_end(struct side *side)
{
    const struct side *writer = other(side);
    if (side->n_received != writer->n_sent)
        PLAY_FAIL(side, "the end after %zu of %zu bytes", side->n_received, writer->n_sent);
    if (!writer->has_sent_fin)
        PLAY_FAIL(side, "an end that looks clean, and there was no fin");
    seen.n_half_closed += !side->has_met_end && !side->has_sent_fin;
    side->has_met_end = true;
}

static void read_some(struct side *side)
{
    static uint8_t bytes[1 << 16];
    const struct side *writer = other(side);
    ssize_t got = far_receive(side->far, bytes, 1 + below(side->read_max));
    if (got < 0 && errno != EAGAIN)
        meet_reset(side, errno);
    if (got == 0)
        meet_end(side);
    if (got > 0 && side->has_met_end)
        PLAY_FAIL(side, "bytes after the end");
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i] != byte_at(writer, side->n_received + (size_t)i))
            PLAY_FAIL(side, "byte %zu is wrong", side->n_received + (size_t)i);
    side->n_received += got > 0 ? (size_t)got : 0;
}

static void break_off(struct side *side)
{
    side->has_broken = true;
    /* Its close says that all has been sent, and a reader must get either that or a reset. */
    side->has_sent_fin |= side->ending == LEAVES;
    go(side, side->ending == LEAVES ? far_close : far_reset);
}

static void act(struct side *side)
{
    if (side->far < 0)
        return;
    if (side->ending != FINISHES && play.step >= side->breaks_at) {
        break_off(side);
        return;
    }
    if (below(side->patience) == 0)
        side->quiet_until = play.step + any_size(6);
    if (play.step < side->quiet_until)
        return;
    for (unsigned i = below(4); i > 0 && side->far >= 0 && side->n_sent < side->n; i--)
        write_some(side);
    bool is_its_time = !side->waits_for_end || side->has_met_end;
    if (side->far >= 0 && side->n_sent == side->n && !side->has_sent_fin && is_its_time) {
        side->has_sent_fin = true;
        far_shutdown(side->far);
    }
    if (side->far >= 0 && below(4) > 0)
        read_some(side);
    if (side->has_met_end && side->has_sent_fin && side->far >= 0)
        go(side, far_close);
}

/* ---- a play ---- */

static void choose_side(struct side *side)
{
    *side = (struct side){
        .far = -1,
        .ending = below(2) == 0 ? FINISHES : (enum ending)below(N_ENDINGS),
        .breaks_at = any_size(8),
        .n = any_size(19),
        .write_max = 1 + any_size(16),
        .read_max = 1 + any_size(16),
        .patience = 2 + any_size(8),
        .salt = (uint8_t)below(256),
    };
    /* Bulk, which is what splices. */
    if (below(8) == 0) {
        side->n = (size_t)1 << (19 + below(3));
        side->write_max = 1 << 16;
    }
}

/* What is moved in crumbs must not be much, or it would never end. */
static void bound(struct side *writer)
{
    size_t crumb = writer->write_max;
    if (other(writer)->read_max < crumb)
        crumb = other(writer)->read_max;
    if (flows.client_is_stream && flows.client_kind.queue_bytes < crumb)
        crumb = flows.client_kind.queue_bytes;
    if (flows.target_is_stream && flows.target_kind.queue_bytes < crumb)
        crumb = flows.target_kind.queue_bytes;
    writer->n = writer->n < 200 * crumb ? writer->n : 200 * crumb;
}

/* Not so far that TCP would wait for its own timers. */
static void shrink_buffers(int fd)
{
    int bytes = 1 << (14 + (int)below(4));
    if (fd < 0 || fd >= STREAM_FIRST || below(2) == 0)
        return;
    setsockopt(fd, SOL_SOCKET, below(2) == 0 ? SO_SNDBUF : SO_RCVBUF, &bytes, sizeof bytes);
}

static struct memory_kind choose_stream(void)
{
    return (struct memory_kind){
        .queue_bytes = 1 + any_size(16),
        .random = below(2) == 0 ? &play.random : NULL,
        .lends = below(2) == 0,
    };
}

static void choose_surroundings(void)
{
    flows.client_is_stream = below(2) == 0;
    flows.target_is_stream = below(2) == 0;
    flows.client_kind = choose_stream();
    flows.target_kind = choose_stream();
    flows.answer = below(2) == 0 ? ERR_NONE : ERR_AGAIN;
    if (below(3) == 0)
        flows.env.pipes.retry_at_ms = UINT64_MAX; /* there are no pipes */
}

static void open_up(void)
{
    struct side *client = &play.sides[0], *origin = &play.sides[1];
    client->far = flows_client();
    FLOWS_UNTIL(flows.n_asked == 1);
    /* Without these two there would be no relaying to break off from. */
    for (unsigned i = below(8); flows.pending != NULL && i > 0; i--) {
        if (client->n_sent < client->n)
            write_some(client);
        turn_at_once(flows.env.loop, 1);
    }
    if (flows.pending != NULL)
        flows_open(ERR_NONE);
    origin->far = flows.origin;
    const struct flow *flow = CONTAINER_OF(flows.env.live.next, struct flow, link);
    const int fds[] = {client->far, origin->far, flow->client->fd, flow->target->fd};
    for (size_t i = 0; i < N_ITEMS(fds); i++)
        shrink_buffers(fds[i]);
}

static void check_end(struct side *side)
{
    const struct side *writer = other(side);
    if (side->has_broken)
        return;
    if (writer->ending == RESETS && writer->has_broken && !side->has_met_end &&
        !side->has_met_reset)
        PLAY_FAIL(side, "it has not met the other's reset");
    if (!writer->has_broken && side->n_received != writer->n)
        PLAY_FAIL(side, "%zu of %zu bytes, and nobody broke off", side->n_received, writer->n);
}

static bool is_over(void)
{
    return play.sides[0].far < 0 && play.sides[1].far < 0 && list_empty(&flows.env.live);
}

static void tell_of_hang(void)
{
    for (size_t i = 0; i < 2; i++) {
        const struct side *side = &play.sides[i];
        print_message("%s %d: sent %zu of %zu, received %zu, fin %d, end %d, broken %d\n", names[i],
                      side->far, side->n_sent, side->n, side->n_received, side->has_sent_fin,
                      side->has_met_end, side->has_broken);
    }
    if (!list_empty(&flows.env.live)) {
        const struct flow *flow = CONTAINER_OF(flows.env.live.next, struct flow, link);
        print_message("flow: state %d, up %llu, down %llu\n", flow->state,
                      (unsigned long long)flow->up.n_bytes, (unsigned long long)flow->down.n_bytes);
    }
    fail_msg("not over in step %u", play.step);
}

static void run(uint64_t seed, enum loop_backend backend)
{
    memset(&play, 0, sizeof play);
    play.seed = play.random = seed;
    flows_begin(backend, &inbound_relay, (struct flow_limits){0});
    assert_int_equal(target_parse(&flows.inbound.target, "origin.test:80", 14), ERR_NONE);
    choose_surroundings();
    choose_side(&play.sides[0]);
    choose_side(&play.sides[1]);
    bound(&play.sides[0]);
    bound(&play.sides[1]);
    play.sides[below(2)].waits_for_end = below(2) == 0;
    open_up();
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (play.step = 0; !is_over(); play.step++) {
        if (play.step % 1024 == 1023 && now_ms() > give_up)
            tell_of_hang();
        turn_at_once(flows.env.loop, 1);
        seen.n_held += flows.shared.n_held_bytes > 0;
        seen.n_stuck += flows.env.pipes.n_held > 0;
        unsigned first = below(2);
        act(&play.sides[first]);
        act(&play.sides[1 - first]);
    }
    check_end(&play.sides[0]);
    check_end(&play.sides[1]);
    bool is_clean = !play.sides[0].has_broken && !play.sides[1].has_broken;
    if (is_clean)
        assert_non_null(strstr(flows.lines, "end=closed\n"));
    seen.n_whole += is_clean;
    flows_end();
    play.seed = 0;
}

static void a_relay_keeps_the_promises_of_a_stream(void **state)
{
    const char *only = getenv("SOCKEYE_SEED");
    if (only != NULL) {
        run(strtoull(only, NULL, 10), backend_of(state));
        return;
    }
    memset(&seen, 0, sizeof seen);
    for (uint64_t seed = 1; seed <= N_SEEDS; seed++)
        run(seed, backend_of(state));
    print_message(
        "             %u resets, %u whole, %u half-closed; %u turns held bytes, %u a pipe\n",
        seen.n_resets, seen.n_whole, seen.n_half_closed, seen.n_held, seen.n_stuck);
    assert_true(seen.n_resets > N_SEEDS / 10 && seen.n_whole > N_SEEDS / 10);
    assert_true(seen.n_half_closed > N_SEEDS / 10);
    assert_true(seen.n_held > N_SEEDS / 10 && seen.n_stuck > N_SEEDS / 10);
}

static int tell_seed(void **state)
{
    (void)state;
    if (play.seed != 0)
        print_message("             SOCKEYE_SEED=%llu\n", (unsigned long long)play.seed);
    return 0;
}

int main(void)
{
    static enum loop_backend epoll = LOOP_EPOLL, poll = LOOP_POLL;
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        {"a_relay_keeps_the_promises_of_a_stream (epoll)", a_relay_keeps_the_promises_of_a_stream,
         NULL, tell_seed, &epoll},
        {"a_relay_keeps_the_promises_of_a_stream (poll)", a_relay_keeps_the_promises_of_a_stream,
         NULL, tell_seed, &poll},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
