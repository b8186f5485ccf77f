#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "random.h"
#include "wire/http1_body.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])
#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

enum { OUTCOME_BYTES = 64 * 1024 };

/* What came of a body: the bytes that went on, and how it ended. */
struct outcome {
    enum err err; /* ERR_MORE: it is not done */
    size_t used;
    size_t n;
    char text[OUTCOME_BYTES];
};

static size_t all(uint64_t *state, size_t left)
{
    (void)state;
    return left;
}

static size_t one(uint64_t *state, size_t left)
{
    (void)state;
    (void)left;
    return 1;
}

static size_t some(uint64_t *state, size_t left)
{
    return 1 + random_below(state, left < 9 ? (unsigned)left : 9);
}

/* How many of the bytes that are left come at once. */
typedef size_t splitter(uint64_t *state, size_t left);

/* Feeds one piece, from an allocation of its own length. */
static void feed(struct outcome *out, struct http1_body *body, const char *bytes, size_t n)
{
    uint8_t *piece = malloc(n);
    size_t at = 0;

    assert_non_null(piece);
    memcpy(piece, bytes, n);
    while (at < n && out->err == ERR_MORE) {
        struct slice run;
        size_t used;
        out->err = http1_body_advance(body, piece + at, n - at, &used, &run);
        if (out->err != ERR_NONE)
            break;
        assert_true(used > 0 || run.n > 0);
        assert_in_range(used, 0, n - at);
        assert_true(out->n + run.n < sizeof out->text);
        memcpy(out->text + out->n, run.at, run.n);
        out->n += run.n;
        out->used += used;
        at += used;
        out->err = http1_body_is_done(body) ? ERR_NONE : ERR_MORE;
    }
    free(piece);
}

static void take(struct outcome *out, struct http1_body *body, struct slice bytes, splitter *split)
{
    uint64_t state = 1;

    *out = (struct outcome){.err = http1_body_is_done(body) ? ERR_NONE : ERR_MORE};
    for (size_t at = 0; at < bytes.n && out->err == ERR_MORE;) {
        size_t n = split(&state, bytes.n - at);
        feed(out, body, bytes.at + at, n);
        at += n;
    }
    out->text[out->n] = '\0';
}

/* Whatever the pieces, the outcome is the same. Returns it, in a buffer that is used again. */
static const struct outcome *outcome_of(struct slice bytes, enum http1_framing framing,
                                        uint64_t length, enum http1_way way)
{
    static splitter *const splitters[] = {all, one, some};
    static struct outcome outcomes[N_ITEMS(splitters)];

    for (size_t i = 0; i < N_ITEMS(splitters); i++) {
        struct http1_body body;
        http1_body_init(&body, framing, length, way);
        take(&outcomes[i], &body, bytes, splitters[i]);
        assert_int_equal(outcomes[i].err, outcomes[0].err);
        assert_int_equal(outcomes[i].used, outcomes[0].used);
        assert_int_equal(outcomes[i].n, outcomes[0].n);
        assert_memory_equal(outcomes[i].text, outcomes[0].text, outcomes[0].n);
    }
    return &outcomes[0];
}

static const struct outcome *chunked(struct slice bytes, enum http1_way way)
{
    return outcome_of(bytes, HTTP1_CHUNKED, 0, way);
}

/* The whole text is a body, of which this goes on. */
static void assert_gives(struct slice bytes, const char *passed, const char *decoded)
{
    const struct outcome *outcome = chunked(bytes, HTTP1_PASS);

    assert_int_equal(outcome->err, ERR_NONE);
    assert_int_equal(outcome->used, bytes.n);
    assert_string_equal(outcome->text, passed);
    outcome = chunked(bytes, HTTP1_DECODE);
    assert_int_equal(outcome->err, ERR_NONE);
    assert_int_equal(outcome->used, bytes.n);
    assert_string_equal(outcome->text, decoded);
}

static void a_body_without_chunks_ends_after_its_length(void **state)
{
    (void)state;
    const struct outcome *outcome = outcome_of(SLICE("12345GET"), HTTP1_BY_LENGTH, 5, HTTP1_PASS);
    assert_int_equal(outcome->err, ERR_NONE);
    assert_int_equal(outcome->used, 5);
    assert_string_equal(outcome->text, "12345");
    assert_int_equal(outcome_of(SLICE("1234"), HTTP1_BY_LENGTH, 5, HTTP1_DECODE)->err, ERR_MORE);
    assert_int_equal(outcome_of(SLICE("GET"), HTTP1_BY_LENGTH, 0, HTTP1_PASS)->used, 0);
    assert_int_equal(outcome_of(SLICE("GET"), HTTP1_NO_BODY, 7, HTTP1_PASS)->err, ERR_NONE);
}

static void a_body_may_end_where_its_framing_says_so(void **state)
{
    struct http1_body body;

    (void)state;
    const struct outcome *outcome = outcome_of(SLICE("\0\r\n0"), HTTP1_BY_CLOSE, 0, HTTP1_PASS);
    assert_int_equal(outcome->err, ERR_MORE);
    assert_int_equal(outcome->n, 4);
    http1_body_init(&body, HTTP1_BY_CLOSE, 0, HTTP1_PASS);
    assert_true(http1_body_may_end(&body));
    http1_body_init(&body, HTTP1_NO_BODY, 0, HTTP1_PASS);
    assert_true(http1_body_may_end(&body));
    http1_body_init(&body, HTTP1_BY_LENGTH, 1, HTTP1_PASS);
    assert_false(http1_body_may_end(&body));
    http1_body_skip(&body, 1);
    assert_true(http1_body_may_end(&body));
    http1_body_init(&body, HTTP1_CHUNKED, 0, HTTP1_PASS);
    assert_false(http1_body_may_end(&body));
}

static void chunks_go_on_as_they_came_or_without_their_framing(void **state)
{
    (void)state;
    assert_gives(SLICE("0\r\n\r\n"), "0\r\n\r\n", "");
    assert_gives(SLICE("3\r\nabc\r\n0A\r\n0\r\n\r\n12345\r\n0\r\n\r\n"),
                 "3\r\nabc\r\n0A\r\n0\r\n\r\n12345\r\n0\r\n\r\n", "abc0\r\n\r\n12345");
    assert_gives(SLICE("000000000000001\r\nx\r\n000\r\n\r\n"),
                 "000000000000001\r\nx\r\n000\r\n\r\n", "x");
}

static void what_follows_the_last_chunk_is_not_taken(void **state)
{
    (void)state;
    const struct outcome *outcome = chunked(SLICE("1\r\nx\r\n0\r\n\r\nGET /"), HTTP1_PASS);
    assert_int_equal(outcome->err, ERR_NONE);
    assert_int_equal(outcome->used, 11);
}

static void a_plain_body_is_one_run(void **state)
{
    static const char bytes[] = "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    struct http1_body body;
    struct slice run;
    size_t used;

    (void)state;
    http1_body_init(&body, HTTP1_CHUNKED, 0, HTTP1_PASS);
    assert_int_equal(
        http1_body_advance(&body, (const uint8_t *)bytes, sizeof bytes - 1, &used, &run), ERR_NONE);
    assert_ptr_equal(run.at, bytes);
    assert_int_equal(run.n, sizeof bytes - 1);
    assert_int_equal(used, sizeof bytes - 1);
    assert_true(http1_body_is_done(&body));
}

static void extensions_go_no_further(void **state)
{
    (void)state;
    assert_gives(SLICE("1;a=b\r\nx\r\n1;a\t;\"\xff\" \r\ny\r\n1  \r\nz\r\n0;l\r\n\r\n"),
                 "1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n0\r\n\r\n", "xyz");
}

static void trailers_go_on_but_those_that_mean_something_to_a_proxy(void **state)
{
    (void)state;
    assert_gives(SLICE("0\r\nEtag: x\r\n\r\n"), "0\r\nEtag: x\r\n\r\n", "");
    assert_gives(
        SLICE("1\r\nx\r\n0\r\nA:\r\nContent-Length: 5\r\nb: c:d \r\ntransfer-ENCODING: chunked\r\n"
              "Host: h\r\nConnection: a\r\nProxy-Authorization: Basic YTpi\r\nTE: x\r\n"
              "Expect: y\r\nTrailer: z\r\nUpgrade: q\r\nKeep-Alive: 1\r\nE: f\r\n\r\n"),
        "1\r\nx\r\n0\r\nA:\r\nb: c:d \r\nE: f\r\n\r\n", "x");
}

/* What is refused, and what has gone on until then. */
static void acc_74_malformed_chunks_are_refused(void **state)
{
    static const struct {
        struct slice bytes;
        const char *passed;
    } bad[] = {
        /* sizes */
        {SLICE("\r\n"), ""},
        {SLICE(";x\r\n"), ""},
        {SLICE(" 5\r\n"), ""},
        {SLICE("-1\r\n"), ""},
        {SLICE("+5\r\n"), ""},
        {SLICE("0x5\r\n"), "0"},
        {SLICE("5_0\r\n"), "5"},
        {SLICE("5.\r\n"), "5"},
        {SLICE("5 ;a\r\nhello\r\n"), "5"},
        {SLICE("5 a\r\nhello\r\n"), "5"},
        {SLICE("5 5\r\nhello\r\n"), "5"},
        {SLICE("5\t\r\nhello\r\n"), "5"},
        {SLICE("g\r\n"), ""},
        {SLICE("5\0\r\n"), "5"},
        {SLICE("5\v\r\n"), "5"},
        {SLICE("\xef\xbc\x95\r\n"), ""},
        /* line ends */
        {SLICE("5\nhello\r\n"), "5"},
        {SLICE("5\r\r\nhello\r\n"), "5\r"},
        {SLICE("5\rhello\r\n"), "5\r"},
        {SLICE("5;a\nhello\r\n"), "5"},
        {SLICE("5;a\rb\r\nhello"), "5\r"},
        {SLICE("5;\"a\r\n\"\r\n"), "5\r\n\"\r\n"},
        {SLICE("5;a\0\r\nhello"), "5"},
        {SLICE("1\r\nx\n0\r\n\r\n"), "1\r\nx"},
        {SLICE("1\r\nxy\r\n0\r\n\r\n"), "1\r\nx"},
        {SLICE("1\r\nx0\r\n\r\n"), "1\r\nx"},
        {SLICE("1\r\nx\r0\r\n\r\n"), "1\r\nx\r"},
        {SLICE("1\r\nx\r\n\r\n0\r\n\r\n"), "1\r\nx\r\n"},
        {SLICE("0\r\n\n"), "0\r\n"},
        {SLICE("0\r\n\r\r\n"), "0\r\n\r"},
        /* trailers */
        {SLICE("0\r\n a: b\r\n\r\n"), "0\r\n"},
        {SLICE("0\r\na: b\r\n c\r\n\r\n"), "0\r\na: b\r\n"},
        {SLICE("0\r\na : b\r\n\r\n"), "0\r\n"},
        {SLICE("0\r\n: b\r\n\r\n"), "0\r\n"},
        {SLICE("0\r\na\r\n\r\n"), "0\r\n"},
        {SLICE("0\r\na: b\n\r\n"), "0\r\na: b"},
        {SLICE("0\r\na: b\0\r\n\r\n"), "0\r\na: b"},
        {SLICE("0\r\na: b\rc: d\r\n\r\n"), "0\r\na: b\r"},
    };

    (void)state;
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        const struct outcome *outcome = chunked(bad[i].bytes, HTTP1_PASS);
        /* A line's end within quotes is one all the same: what follows is data. */
        enum err expected = strstr(bad[i].bytes.at, "\"a\r") != NULL ? ERR_MORE : ERR_BAD;
        if (outcome->err != expected || strcmp(outcome->text, bad[i].passed) != 0)
            fail_msg("%zu: '%s' gave '%s', %s", i, bad[i].bytes.at, outcome->text,
                     err_text(outcome->err));
        assert_int_equal(chunked(bad[i].bytes, HTTP1_DECODE)->err, expected);
    }
}

static enum err verdict_on(const char *text, size_t n)
{
    return chunked((struct slice){.at = text, .n = n}, HTTP1_PASS)->err;
}

static void a_chunk_has_at_most_15_digits(void **state)
{
    struct http1_body body;
    struct slice run;
    size_t used;

    (void)state;
    http1_body_init(&body, HTTP1_CHUNKED, 0, HTTP1_PASS);
    assert_int_equal(
        http1_body_advance(&body, (const uint8_t *)"fffffffffffffff\r\n", 17, &used, &run),
        ERR_NONE);
    assert_true(http1_body_left(&body) == UINT64_C(0xfffffffffffffff));
    assert_int_equal(verdict_on("0000000000000000\r\n\r\n", 20), ERR_TOO_LONG);
    assert_int_equal(verdict_on("10000000000000001\r\n", 19), ERR_TOO_LONG);
}

static void extensions_have_their_bounds(void **state)
{
    static char text[OUTCOME_BYTES];

    (void)state;
    for (int n_bytes = 256; n_bytes <= 257; n_bytes++) {
        int n = snprintf(text, sizeof text, "0;%0*d\r\n\r\n", n_bytes - 1, 0);
        assert_int_equal(verdict_on(text, (size_t)n),
                         n_bytes <= HTTP1_EXTENSION_MAX_BYTES ? ERR_NONE : ERR_TOO_LONG);
    }
    for (int n_chunks = 64; n_chunks <= 65; n_chunks++) {
        int n = 0;
        for (int i = 0; i < n_chunks; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "1;%0255d\r\nx\r\n", 0);
        n += snprintf(text + n, sizeof text - (size_t)n, "0\r\n\r\n");
        assert_int_equal(verdict_on(text, (size_t)n), n_chunks == 64 ? ERR_NONE : ERR_TOO_LONG);
    }
}

/* Some servers make all sizes equally long: with what has data behind it a body may go on for ever. */
static void padding_beside_data_is_never_too_much(void **state)
{
    static const char chunk[] = "10      \r\n0123456789abcdef\r\n";
    struct http1_body body;
    struct slice run;
    size_t used;

    (void)state;
    http1_body_init(&body, HTTP1_CHUNKED, 0, HTTP1_PASS);
    for (int i = 0; i < 2 * HTTP1_EXTENSIONS_MAX_BYTES; i++) {
        for (size_t at = 0; at < sizeof chunk - 1; at += used)
            assert_int_equal(http1_body_advance(&body, (const uint8_t *)chunk + at,
                                                sizeof chunk - 1 - at, &used, &run),
                             ERR_NONE);
    }
}

static void trailers_have_their_bounds(void **state)
{
    static char text[OUTCOME_BYTES];

    (void)state;
    for (int n_name = 64; n_name <= 65; n_name++) {
        int n = snprintf(text, sizeof text, "0\r\n%0*d: x\r\n\r\n", n_name, 0);
        assert_int_equal(verdict_on(text, (size_t)n), n_name == 64 ? ERR_NONE : ERR_TOO_LONG);
    }
    for (int n_all = HTTP1_TRAILERS_MAX_BYTES; n_all <= HTTP1_TRAILERS_MAX_BYTES + 1; n_all++) {
        int n = snprintf(text, sizeof text, "0\r\na:%0*d\r\nb:c\r\n\r\n", n_all - 11, 0);
        assert_int_equal(n, 3 + n_all);
        assert_int_equal(verdict_on(text, (size_t)n),
                         n_all == HTTP1_TRAILERS_MAX_BYTES ? ERR_NONE : ERR_TOO_LONG);
    }
}

static void data_can_be_moved_unseen(void **state)
{
    struct http1_body body;
    struct slice run;
    size_t used;

    (void)state;
    http1_body_init(&body, HTTP1_CHUNKED, 0, HTTP1_PASS);
    assert_true(http1_body_left(&body) == 0);
    assert_int_equal(http1_body_advance(&body, (const uint8_t *)"10\r\nabc", 7, &used, &run),
                     ERR_NONE);
    assert_int_equal(used, 7);
    assert_true(http1_body_left(&body) == 13);
    http1_body_skip(&body, 12);
    assert_true(http1_body_left(&body) == 1);
    http1_body_skip(&body, 1);
    assert_true(http1_body_left(&body) == 0);
    assert_int_equal(http1_body_advance(&body, (const uint8_t *)"\r\n0\r\n\r\n", 7, &used, &run),
                     ERR_NONE);
    assert_true(http1_body_is_done(&body));

    http1_body_init(&body, HTTP1_BY_LENGTH, UINT64_C(9999999999999999999), HTTP1_PASS);
    http1_body_skip(&body, UINT64_C(9999999999999999998));
    assert_false(http1_body_is_done(&body));
    http1_body_skip(&body, 1);
    assert_true(http1_body_is_done(&body));

    http1_body_init(&body, HTTP1_BY_CLOSE, 0, HTTP1_PASS);
    http1_body_skip(&body, 1000);
    assert_true(http1_body_left(&body) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_without_chunks_ends_after_its_length),
        cmocka_unit_test(a_body_may_end_where_its_framing_says_so),
        cmocka_unit_test(chunks_go_on_as_they_came_or_without_their_framing),
        cmocka_unit_test(what_follows_the_last_chunk_is_not_taken),
        cmocka_unit_test(a_plain_body_is_one_run),
        cmocka_unit_test(extensions_go_no_further),
        cmocka_unit_test(trailers_go_on_but_those_that_mean_something_to_a_proxy),
        cmocka_unit_test(acc_74_malformed_chunks_are_refused),
        cmocka_unit_test(a_chunk_has_at_most_15_digits),
        cmocka_unit_test(extensions_have_their_bounds),
        cmocka_unit_test(padding_beside_data_is_never_too_much),
        cmocka_unit_test(trailers_have_their_bounds),
        cmocka_unit_test(data_can_be_moved_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
