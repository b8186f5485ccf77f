/*
 * Frames and what a session does about them, by the vectors of this folder, which another implementation has written from
 * doc/protocol.md.
 */
#include "sessions.h"

#include <jansson.h>

#include "hex.h"

enum { MAX_BYTES = 70000, WINDOW_BYTES = 64 * 1024 * 1024 };

static json_t *read_file(const char *name, size_t flags)
{
    json_error_t error;
    json_t *root = json_load_file(name, flags, &error);
    if (root == NULL)
        fail_msg("%s:%d: %s", name, error.line, error.text);
    return root;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    return text;
}

/* A token of 64 bits is beyond what this reader takes for an integer. */
static void assert_number(const json_t *object, const char *name, uint64_t value)
{
    const json_t *expected = json_object_get(object, name);
    assert_true(json_is_number(expected));
    assert_true(json_number_value(expected) == (double)value);
}

/* ---- frames.json ---- */

static void write_addr(const struct addr *addr, const char *name, size_t n_name, char *out)
{
    if (n_name > 0)
        memcpy(out, name, n_name + 1);
    else
        addr_format_ip(addr, out);
}

static void assert_address(const json_t *object, const char *field, const struct addr *addr,
                           const char *name, size_t n_name)
{
    const json_t *expected = json_object_get(object, field);
    char host[HOST_NAME_MAX_BYTES + 1] = "";
    uint64_t type = addr->family == ADDR_V4 ? 1 : addr->family == ADDR_V6 ? 4 : n_name > 0 ? 3 : 0;

    assert_number(expected, "type", type);
    if (type == 0)
        return;
    assert_number(expected, "port", addr->port);
    write_addr(addr, name, n_name, host);
    assert_string_equal(text_of(expected, "host"), host);
}

static void assert_bytes(const json_t *object, const char *field, const uint8_t *bytes, size_t n)
{
    static uint8_t expected[MAX_BYTES];
    assert_int_equal(hex_bytes(expected, sizeof expected, text_of(object, field)), n);
    assert_memory_equal(bytes, expected, n);
}

static const char *const names[] = {
    "PADDING", "OPEN",     "OPENED", "DATA",      "FIN",      "RESET", "WINDOW",
    "INITIAL", "ACK",      "LOST",   "PING",      "PONG",     "AUTH",  "BYE",
    "END",     "DATAGRAM", "LISTEN", "LISTENING", "UNLISTEN", "DRAIN", "INSTANCE",
};

static void assert_stream_frame(const json_t *vector, const struct frame *frame)
{
    assert_number(vector, "id", frame->id);
    switch (frame->type) {
    case FRAME_OPEN:
        assert_number(vector, "kind", frame->request.kind);
        assert_number(vector, "claim", frame->claim);
        assert_number(vector, "grant", frame->grant);
        assert_address(vector, "target", &frame->request.target.addr, frame->request.target.name,
                       frame->request.target.name_bytes);
        assert_address(vector, "source", &frame->request.source, "", 0);
        if (json_object_get(vector, "of") != NULL)
            assert_number(vector, "of", frame->request.of);
        break;
    case FRAME_OPENED:
        assert_number(vector, "code", frame->code);
        assert_address(vector, "bound", &frame->bound, "", 0);
        break;
    case FRAME_RESET:
        assert_number(vector, "code", frame->code);
        assert_number(vector, "final_size", frame->value);
        break;
    case FRAME_WINDOW:
        assert_number(vector, "limit", frame->value);
        break;
    default:
        assert_number(vector, "offset", frame->value);
        assert_bytes(vector, "data", frame->bytes, frame->n_bytes);
    }
}

static void assert_datagram(const json_t *vector, const struct frame *frame)
{
    struct target address;
    size_t n;

    assert_number(vector, "id", frame->id);
    assert_int_equal(
        frame_parse_address(frame->address, (size_t)(frame->bytes - frame->address), &address, &n),
        ERR_NONE);
    assert_address(vector, "address", &address.addr, address.name, address.name_bytes);
    assert_bytes(vector, "payload", frame->bytes, frame->n_bytes);
}

static void assert_listener_frame(const json_t *vector, const struct frame *frame)
{
    assert_number(vector, "listener", frame->id);
    if (frame->type == FRAME_UNLISTEN)
        return;
    assert_number(vector, frame->type == FRAME_LISTEN ? "kind" : "code", frame->code);
    assert_address(vector, frame->type == FRAME_LISTEN ? "at" : "bound", &frame->bound, "", 0);
}

static void assert_frame(const json_t *vector, const struct frame *frame)
{
    assert_string_equal(text_of(vector, "type"), names[frame->type]);
    if (frame->type >= FRAME_OPEN && frame->type <= FRAME_WINDOW) {
        assert_stream_frame(vector, frame);
    } else if (frame->type == FRAME_ACK || frame->type == FRAME_LOST) {
        assert_number(vector, "link", frame->id);
        assert_number(vector, "count", frame->value);
        if (frame->type == FRAME_ACK)
            assert_number(vector, "delay", frame->delay_us);
    } else if (frame->type == FRAME_INITIAL) {
        assert_number(vector, "claim", frame->value);
    } else if (frame->type == FRAME_PING || frame->type == FRAME_PONG) {
        assert_number(vector, "token", frame->value);
    } else if (frame->type == FRAME_AUTH) {
        assert_bytes(vector, "spki", frame->bytes, frame->n_bytes);
        assert_bytes(vector, "signature", frame->signature, frame->n_signature);
    } else if (frame->type == FRAME_DATAGRAM) {
        assert_datagram(vector, frame);
    } else if (frame->type >= FRAME_LISTEN && frame->type <= FRAME_UNLISTEN) {
        assert_listener_frame(vector, frame);
    } else if (frame->type == FRAME_INSTANCE) {
        assert_bytes(vector, "instance", frame->bytes, frame->n_bytes);
    } else if (frame->type == FRAME_DRAIN) {
        assert_number(vector, "seconds", frame->value);
    } else if (frame->type == FRAME_END) {
        assert_number(vector, "code", frame->code);
    }
}

static void each_payload_is_read_as_its_frames(void **state)
{
    static uint8_t bytes[MAX_BYTES];
    json_t *root = read_file("frames.json", JSON_DECODE_INT_AS_REAL);
    size_t i;
    json_t *vector;
    (void)state;

    json_array_foreach(json_object_get(root, "good"), i, vector)
    {
        const json_t *expected = json_object_get(vector, "frames");
        size_t n = hex_bytes(bytes, sizeof bytes, text_of(vector, "payload")), n_frames = 0, used;
        print_message("%s\n", text_of(vector, "name"));
        for (size_t at = 0; at < n; at += used) {
            struct frame frame;
            assert_int_equal(frame_parse(bytes + at, n - at, &frame, &used), ERR_NONE);
            size_t n_same = frame.type == FRAME_PADDING ? used : 1;
            while (n_same-- > 0)
                assert_frame(json_array_get(expected, n_frames++), &frame);
        }
        assert_int_equal(n_frames, json_array_size(expected));
    }
    assert_true(i > 0);
    json_decref(root);
}

static void each_malformed_payload_ends_the_session(void **state)
{
    static uint8_t bytes[MAX_BYTES];
    json_t *root = read_file("frames.json", JSON_DECODE_INT_AS_REAL);
    size_t i;
    json_t *vector;
    (void)state;

    json_array_foreach(json_object_get(root, "malformed"), i, vector)
    {
        struct pair pair;
        size_t n = hex_bytes(bytes, sizeof bytes, text_of(vector, "payload"));
        print_message("%s\n", text_of(vector, "name"));
        for (int end = 0; end < 2; end++) {
            pair_init(&pair, WINDOW_BYTES, WINDOW_BYTES);
            pair_link(&pair, 0);
            assert_int_equal(give(&pair, end, 0, bytes, n), ERR_BAD);
            pair_deinit(&pair);
        }
    }
    assert_true(i > 0);
    json_decref(root);
}

/* ---- sessions.json ---- */

/* What an application was told, in the order that the vectors have; bytes in pieces are joined. */
struct told {
    json_t *list;
    int end;
    struct pair *pair;
    uint8_t code;
    bool has_ended;
};

static void tell(struct told *told, json_t *entry)
{
    json_array_append_new(told->list, entry);
}

static void tell_data(struct told *told, uint64_t id, const uint8_t *bytes, size_t n)
{
    static char hex[2 * MAX_BYTES + 1];
    json_t *last = json_array_get(told->list, json_array_size(told->list) - 1);
    bool goes_on = last != NULL &&
                   strcmp(json_string_value(json_array_get(last, 0)), "data") == 0 &&
                   (uint64_t)json_integer_value(json_array_get(last, 1)) == id;
    size_t at = 0;

    if (goes_on) {
        const char *before = json_string_value(json_array_get(last, 2));
        at = strlen(before);
        memcpy(hex, before, at);
    }
    for (size_t i = 0; i < n; i++, at += 2)
        (void)snprintf(hex + at, 3, "%02x", bytes[i]);
    hex[at] = '\0';
    if (goes_on)
        json_array_set_new(last, 2, json_string(hex));
    else
        tell(told, json_pack("[s,I,s]", "data", (json_int_t)id, hex));
}

static void tell_datagram(struct told *told, uint64_t id, const struct target *address,
                          const uint8_t *bytes, size_t n)
{
    static char hex[2 * MAX_BYTES + 1];
    int type = address->name_bytes > 0 ? 3 : address->addr.family == ADDR_V4 ? 1 : 4;

    hex[0] = '\0';
    for (size_t i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    tell(told, json_pack("[s,I,i,s]", "datagram", (json_int_t)id, type, hex));
}

static enum err read_datagrams(struct told *told, struct stream *stream)
{
    struct target address;
    uint8_t *bytes;
    size_t n;
    enum err err;

    while ((err = stream_take_datagram(stream, &address, &bytes, &n)) == ERR_NONE)
        tell_datagram(told, stream_id(stream), &address, bytes, n);
    return err;
}

static enum err read_bytes(struct told *told, struct stream *stream)
{
    const uint8_t *bytes;
    size_t n;
    enum err err;

    while ((err = stream_peek(stream, &bytes, &n)) == ERR_NONE) {
        tell_data(told, stream_id(stream), bytes, n);
        stream_consume(stream, n);
    }
    return err;
}

/* Reads what is there. */
static void read_stream(struct told *told, struct stream *stream)
{
    enum err err =
        stream_has_datagrams(stream) ? read_datagrams(told, stream) : read_bytes(told, stream);

    if (err != ERR_EOF || stream_owner(stream) == told)
        return;
    /* Once. */
    stream_set_owner(stream, told);
    tell(told, json_pack("[s,I]", "end", (json_int_t)stream_id(stream)));
}

static void on_event(struct told *told, const struct session_event *event)
{
    const struct addr bound = {.family = ADDR_V4, .port = 1};
    struct addr theirs;
    json_int_t id = event->stream != NULL ? (json_int_t)stream_id(event->stream) : 0;

    switch (event->kind) {
    case STREAM_INCOMING:
        tell(told, json_pack("[s,I]", "open", id));
        assert_int_equal(stream_answer(event->stream, 0, &bound), ERR_NONE);
        read_stream(told, event->stream);
        break;
    case STREAM_ANSWERED:
        tell(told, json_pack("[s,I,i]", "opened", id, (int)stream_code(event->stream, &theirs)));
        if (stream_code(event->stream, &theirs) == 0)
            read_stream(told, event->stream);
        break;
    case STREAM_READABLE:
        read_stream(told, event->stream);
        break;
    case STREAM_DEAD:
        tell(told, json_pack("[s,I,i]", "reset", id, (int)stream_reset_code(event->stream)));
        break;
    case SESSION_ENDED:
        told->has_ended = true;
        told->code = event->code;
        break;
    default:
        break;
    }
}

/* Everything that goes out between two records; whether END was in it, and with which code. */
static bool send_out(struct told *told, uint8_t *code)
{
    static uint8_t bytes[SESSION_RECORD_MAX_BYTES];
    bool has_end = false;
    size_t n, used;

    while ((n = take(told->pair, told->end, 0, bytes)) > 0) {
        for (size_t at = 0; at < n; at += used) {
            struct frame frame;
            assert_int_equal(frame_parse(bytes + at, n - at, &frame, &used), ERR_NONE);
            has_end = has_end || frame.type == FRAME_END;
            *code = frame.type == FRAME_END ? frame.code : *code;
        }
    }
    return has_end;
}

static void take_events(struct told *told, bool is_over)
{
    struct session_event event;

    while (session_next_event(told->pair->ends[told->end], &event)) {
        /* What dies with the session does not stand in the vector. */
        if (event.kind != STREAM_DEAD || !is_over)
            on_event(told, &event);
    }
    session_settle(told->pair->ends[told->end]);
}

static bool is_end_of(const json_t *vector)
{
    return json_is_integer(json_object_get(vector, "ended"));
}

static void play_records(struct told *told, const json_t *vector)
{
    static uint8_t bytes[MAX_BYTES];
    const json_t *records = json_object_get(vector, "records");
    size_t n_records = json_array_size(records);
    uint8_t code = 0;

    for (size_t i = 0; i < n_records; i++) {
        bool is_over = is_end_of(vector) && i + 1 == n_records;
        size_t n = hex_bytes(bytes, sizeof bytes, json_string_value(json_array_get(records, i)));
        enum err err = give(told->pair, told->end, 0, bytes, n);
        assert_true(err == ERR_NONE || (is_over && err == ERR_BAD));
        take_events(told, is_over);
        if (send_out(told, &code)) {
            told->has_ended = true;
            told->code = code;
        }
        assert_int_equal(told->has_ended, is_over);
    }
}

static void play(const json_t *vector, int end)
{
    struct pair pair;
    struct told told = {.list = json_array(), .end = end, .pair = &pair};
    struct stream *stream;
    uint8_t code = 0;

    print_message("%s\n", text_of(vector, "name"));
    pair_init(&pair, WINDOW_BYTES, WINDOW_BYTES);
    pair_link(&pair, 0);
    if (end == CLIENT) {
        assert_int_equal(session_open(pair.ends[CLIENT], some_request(), &stream), ERR_NONE);
        assert_false(send_out(&told, &code));
    }
    play_records(&told, vector);
    if (is_end_of(vector))
        assert_number(vector, "ended", told.code);
    const json_t *expected = json_object_get(vector, "told");
    if (!json_equal(told.list, expected)) {
        char *text = json_dumps(told.list, 0);
        fail_msg("told %s", text);
    }
    json_decref(told.list);
    pair_deinit(&pair);
}

static void each_end_does_what_the_vectors_say(void **state)
{
    json_t *root = read_file("sessions.json", 0);
    size_t i;
    json_t *vector;
    (void)state;

    json_array_foreach(json_object_get(root, "at_server"), i, vector) play(vector, SERVER);
    assert_true(i > 0);
    json_array_foreach(json_object_get(root, "at_client"), i, vector) play(vector, CLIENT);
    assert_true(i > 0);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_payload_is_read_as_its_frames),
        cmocka_unit_test(each_malformed_payload_ends_the_session),
        cmocka_unit_test(each_end_does_what_the_vectors_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
