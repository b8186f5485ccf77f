/*
 * The first two bytes of an input say how it comes: the framing, the length where there is one, and
 * in what pieces; the rest is the body and what follows it.
 */
#include "fuzz.h"
#include "wire/http1_body.h"

struct outcome {
    enum err err; /* ERR_MORE: not done */
    size_t used;
    size_t n;
    uint8_t *bytes; /* what went on */
};

struct plan {
    enum http1_framing framing;
    uint64_t length;
    enum http1_way way;
};

/* Feeds one piece. */
static enum err feed(struct outcome *out, struct http1_body *body, const uint8_t *piece, size_t n)
{
    size_t used = 0;
    struct slice run;
    enum err err = http1_body_advance(body, piece, n, &used, &run);

    if (err != ERR_NONE)
        return err;
    CHECK(used <= n && (used > 0 || run.n > 0));
    if (run.n > 0)
        memcpy(out->bytes + out->n, run.at, run.n);
    out->n += run.n;
    out->used += used;
    return ERR_NONE;
}

/* Feeds pieces of n_piece bytes, 0: of changing sizes. Each lies at the end of an allocation, so
 * that ASan sees a read beyond it. */
static struct outcome outcome_of(const uint8_t *data, size_t n, const struct plan *plan,
                                 size_t n_piece)
{
    struct http1_body body;
    struct outcome out = {.err = ERR_MORE, .bytes = exact_copy(data, n)};
    size_t n_room = n_piece > 0 ? n_piece : 13;
    uint8_t *room = malloc(n_room);

    CHECK(room != NULL);
    http1_body_init(&body, plan->framing, plan->length, plan->way);
    for (size_t turn = 0; out.used < n && out.err == ERR_MORE; turn++) {
        size_t k = n_piece > 0 ? n_piece : 1 + turn * 7 % 13;
        if (k > n - out.used)
            k = n - out.used;
        if (http1_body_is_done(&body))
            break;
        memcpy(room + n_room - k, data + out.used, k);
        enum err err = feed(&out, &body, room + n_room - k, k);
        if (err != ERR_NONE)
            out.err = err;
    }
    free(room);
    if (http1_body_is_done(&body)) {
        CHECK(http1_body_may_end(&body) && http1_body_left(&body) == 0);
        out.err = ERR_NONE;
    }
    return out;
}

static void check_same(struct outcome a, struct outcome b)
{
    CHECK(a.err == b.err && a.used == b.used && a.n == b.n);
    CHECK(a.n == 0 || memcmp(a.bytes, b.bytes, a.n) == 0);
    free(b.bytes);
}

static struct outcome in_any_pieces(const uint8_t *data, size_t n, const struct plan *plan)
{
    struct outcome whole = outcome_of(data, n, plan, n > 0 ? n : 1);

    check_same(whole, outcome_of(data, n, plan, 1));
    check_same(whole, outcome_of(data, n, plan, 0));
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum http1_framing framings[] = {HTTP1_CHUNKED, HTTP1_BY_LENGTH, HTTP1_BY_CLOSE,
                                                  HTTP1_NO_BODY};
    if (n < 2)
        return 0;
    struct plan plan = {.framing = framings[data[0] % 4], .length = data[1]};
    data += 2;
    n -= 2;

    plan.way = HTTP1_PASS;
    struct outcome passed = in_any_pieces(data, n, &plan);
    plan.way = HTTP1_DECODE;
    struct outcome decoded = in_any_pieces(data, n, &plan);
    CHECK(passed.err == decoded.err && passed.used == decoded.used && decoded.n <= passed.n);

    /* What was passed on is the same body, and nothing is left in it to be taken out. */
    struct outcome decoded_later = in_any_pieces(passed.bytes, passed.n, &plan);
    CHECK(decoded_later.n == decoded.n && decoded_later.used == passed.n);
    CHECK(decoded.n == 0 || memcmp(decoded.bytes, decoded_later.bytes, decoded.n) == 0);
    CHECK((decoded_later.err == ERR_NONE) == (passed.err == ERR_NONE));
    plan.way = HTTP1_PASS;
    struct outcome passed_twice = in_any_pieces(passed.bytes, passed.n, &plan);
    check_same(passed_twice, (struct outcome){.err = decoded_later.err,
                                              .used = passed.n,
                                              .n = passed.n,
                                              .bytes = exact_copy(passed.bytes, passed.n)});
    free(passed.bytes);
    free(decoded.bytes);
    free(decoded_later.bytes);
    free(passed_twice.bytes);
    return 0;
}
