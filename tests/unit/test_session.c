/* A session on one link: opening, bytes, ends, acknowledgements. */
#include "sessions.h"

#define MIB ((uint64_t)1024 * 1024)

static int begin(void **state)
{
    static struct pair pair;

    pair_init(&pair, 64 * MIB, 16 * MIB);
    pair_link(&pair, 0);
    *state = &pair;
    return 0;
}

static int end(void **state)
{
    pair_deinit(*state);
    return 0;
}

static void a_stream_opens_with_its_first_bytes_and_is_answered(void **state)
{
    struct pair *pair = *state;
    struct stream *near, *far;
    struct addr bound;
    uint8_t bytes[16];
    size_t n;

    assert_int_equal(session_open(pair->ends[CLIENT], some_request(), &near), ERR_NONE);
    assert_int_equal(stream_write(near, "hello", 5, &n), ERR_NONE);
    assert_int_equal(n, 5);
    assert_int_equal(carry(pair, CLIENT, 0), 1);

    far = expect(pair, SERVER, STREAM_INCOMING).stream;
    assert_int_equal(stream_id(far), 2);
    assert_int_equal(stream_id(near), 2);
    assert_string_equal(stream_request(far)->target.name, "example.com");
    assert_int_equal(stream_request(far)->target.addr.port, 443);
    assert_true(addr_equal(&stream_request(far)->source, &some_request()->source, true));
    assert_int_equal(read_all(far, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "hello", 5);

    const struct addr ours = {.family = ADDR_V6, .ip = {[15] = 1}, .port = 7};
    assert_int_equal(stream_answer(far, 0, &ours), ERR_NONE);
    carry_all(pair, 0);
    assert_ptr_equal(expect(pair, CLIENT, STREAM_ANSWERED).stream, near);
    assert_int_equal(stream_code(near, &bound), 0);
    assert_true(addr_equal(&bound, &ours, true));
}

static void both_directions_end_by_fins_and_nothing_is_left(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    struct session_stats stats;
    const uint8_t *bytes;
    size_t n;

    open_stream(pair, 0, streams);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stream_write(streams[i], "bye", 3, &n), ERR_NONE);
        stream_finish(streams[i]);
    }
    carry_all(pair, 0);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(expect(pair, i, STREAM_READABLE).stream, streams[i]);
        assert_int_equal(stream_peek(streams[i], &bytes, &n), ERR_NONE);
        assert_int_equal(n, 3);
        stream_consume(streams[i], 3);
        assert_int_equal(stream_peek(streams[i], &bytes, &n), ERR_EOF);
        stream_release(streams[i]);
    }
    pair->now_us += 25000;
    for (int i = 0; i < 2; i++)
        session_advance(pair->ends[i], pair->now_us);
    carry_all(pair, 0);
    for (int i = 0; i < 2; i++) {
        session_settle(pair->ends[i]);
        session_stats(pair->ends[i], &stats);
        assert_int_equal(stats.n_streams, 0);
        assert_int_equal(stats.n_held_bytes, 0);
        assert_int_equal(stats.n_granted_bytes, 0);
        assert_true(session_deadline_us(pair->ends[i]) == UINT64_MAX);
        expect_nothing(pair, i);
    }
    assert_int_equal(pair->heap.n_chunks, 0);
}

static void bulk_arrives_whole_in_both_directions(void **state)
{
    struct pair *pair = *state;
    struct stream *streams[2];
    uint64_t written[2] = {0}, read[2] = {0};
    static uint8_t bytes[100000];
    size_t n;

    open_stream(pair, 0, streams);
    while (read[0] < 8 * MIB || read[1] < 8 * MIB) {
        for (int i = 0; i < 2; i++) {
            for (size_t k = 0; k < sizeof bytes; k++)
                bytes[k] = (uint8_t)((written[i] + k) % 251);
            if (stream_write(streams[i], bytes, sizeof bytes, &n) == ERR_NONE)
                written[i] += n;
        }
        carry_all(pair, 0);
        for (int i = 0; i < 2; i++) {
            (void)read_all(streams[i], bytes, sizeof bytes, &n);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(bytes[k], (read[i] + k) % 251);
            read[i] += n;
            session_settle(pair->ends[i]);
        }
        pair->now_us += 1000;
    }
    stream_reset(streams[CLIENT], STREAM_RESET_APPLICATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_opens_with_its_first_bytes_and_is_answered, begin,
                                        end),
        cmocka_unit_test_setup_teardown(both_directions_end_by_fins_and_nothing_is_left, begin,
                                        end),
        cmocka_unit_test_setup_teardown(bulk_arrives_whole_in_both_directions, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
