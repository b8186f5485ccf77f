#include "session/frame.h"

#include <string.h>

enum address_type { TYPE_NOTHING = 0, TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };

enum {
    MAX_RESET_CODE = STREAM_RESET_DRAIN,
    MAX_OPENED_CODE = 8,
    MAX_END_CODE = 3,
    MAX_LISTENING_CODE = LISTENER_IN_USE,
    TOKEN_BYTES = 8,
    PORT_BYTES = 2
};

/* What is still to be read. Whoever reads beyond the end makes it bad, and reads zeros from then on. */
struct reader {
    const uint8_t *at, *end;
    bool is_bad;
};

static const uint8_t *take_bytes(struct reader *reader, size_t n)
{
    if (reader->is_bad || (size_t)(reader->end - reader->at) < n) {
        reader->is_bad = true;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += n;
    return bytes;
}

static uint8_t take_u8(struct reader *reader)
{
    const uint8_t *bytes = take_bytes(reader, 1);
    return bytes != NULL ? bytes[0] : 0;
}

static uint16_t take_u16(struct reader *reader)
{
    const uint8_t *bytes = take_bytes(reader, 2);

    if (bytes == NULL)
        return 0;
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint64_t take_u64(struct reader *reader)
{
    const uint8_t *bytes = take_bytes(reader, TOKEN_BYTES);
    uint64_t value = 0;

    for (size_t i = 0; bytes != NULL && i < TOKEN_BYTES; i++)
        value = value << 8 | bytes[i];
    return value;
}

static uint64_t take_varint(struct reader *reader)
{
    uint64_t value = 0;
    size_t used = 0;

    if (reader->is_bad ||
        varint_read(reader->at, (size_t)(reader->end - reader->at), &value, &used) != ERR_NONE) {
        reader->is_bad = true;
        return 0;
    }
    reader->at += used;
    return value;
}

/* A code from 0 to `most`. */
static uint8_t take_code(struct reader *reader, uint8_t most)
{
    uint8_t code = take_u8(reader);

    if (code > most)
        reader->is_bad = true;
    return code;
}

static void take_ip(struct reader *reader, enum addr_family family, size_t n, struct addr *out)
{
    const uint8_t *ip = take_bytes(reader, n);
    uint16_t port = take_u16(reader);

    *out = (struct addr){.family = (uint8_t)family, .port = port};
    if (!reader->is_bad)
        memcpy(out->ip, ip, n);
}

/* An address that is not a name. */
static void take_addr(struct reader *reader, struct addr *out)
{
    switch (take_u8(reader)) {
    case TYPE_NOTHING:
        *out = (struct addr){.family = ADDR_NONE};
        return;
    case TYPE_IPV4:
        take_ip(reader, ADDR_V4, 4, out);
        return;
    case TYPE_IPV6:
        take_ip(reader, ADDR_V6, 16, out);
        return;
    default:
        reader->is_bad = true;
    }
}

/* False: a name that could not be looked up. */
static bool take_name(struct reader *reader, struct target *target)
{
    take_u8(reader);
    uint8_t n = take_u8(reader);
    const uint8_t *name = take_bytes(reader, n);
    uint16_t port = take_u16(reader);
    if (n == 0)
        reader->is_bad = true;
    return !reader->is_bad && target_set_host(target, (const char *)name, n, port) == ERR_NONE;
}

/* Whether OPEN names what the stream belongs to. */
static bool is_of_another(enum stream_kind kind)
{
    return kind == STREAM_ACCEPTED || kind == STREAM_RELAYED;
}

static void take_open(struct reader *reader, struct frame *frame)
{
    frame->id = take_varint(reader);
    frame->code = take_u8(reader);
    frame->request.kind = (enum stream_kind)frame->code;
    frame->claim = take_varint(reader);
    frame->grant = take_varint(reader);
    frame->has_bad_name = false;
    frame->request.target = (struct target){.name_bytes = 0};
    frame->request.has_target = true;
    if (!reader->is_bad && reader->at < reader->end && reader->at[0] == TYPE_NAME) {
        frame->has_bad_name = !take_name(reader, &frame->request.target);
    } else {
        take_addr(reader, &frame->request.target.addr);
        frame->request.has_target = frame->request.target.addr.family != ADDR_NONE;
    }
    take_addr(reader, &frame->request.source);
    frame->request.of = is_of_another(frame->request.kind) ? take_varint(reader) : 0;
}

/* LISTEN: an address that is one. What kinds there are is for who answers. */
static void take_listen(struct reader *reader, struct frame *frame)
{
    frame->id = take_varint(reader);
    frame->code = take_u8(reader);
    take_addr(reader, &frame->bound);
    if (frame->id == 0 || frame->bound.family == ADDR_NONE || frame->bound.port == 0)
        reader->is_bad = true;
}

static void take_listener_frame(struct reader *reader, struct frame *frame)
{
    if (frame->type == FRAME_LISTEN) {
        take_listen(reader, frame);
        return;
    }
    frame->id = take_varint(reader);
    if (frame->type == FRAME_UNLISTEN)
        return;
    frame->code = take_code(reader, MAX_LISTENING_CODE);
    take_addr(reader, &frame->bound);
}

/* A number of bytes that follow. What size_t cannot hold is not there either. */
static size_t take_length(struct reader *reader)
{
    uint64_t n = take_varint(reader);
    if (n > (size_t)(reader->end - reader->at))
        reader->is_bad = true;
    return reader->is_bad ? 0 : (size_t)n;
}

static void take_data(struct reader *reader, struct frame *frame)
{
    frame->id = take_varint(reader);
    frame->value = take_varint(reader);
    frame->n_bytes = take_length(reader);
    frame->bytes = take_bytes(reader, frame->n_bytes);
    if (frame->value > VARINT_MAX - frame->n_bytes)
        reader->is_bad = true;
}

static void skip_address(struct reader *reader)
{
    uint8_t n_name;

    switch (take_u8(reader)) {
    case TYPE_IPV4:
        take_bytes(reader, 4 + PORT_BYTES);
        return;
    case TYPE_IPV6:
        take_bytes(reader, 16 + PORT_BYTES);
        return;
    case TYPE_NAME:
        n_name = take_u8(reader);
        take_bytes(reader, n_name + PORT_BYTES);
        reader->is_bad |= n_name == 0;
        return;
    default:
        reader->is_bad = true;
    }
}

static void take_datagram(struct reader *reader, struct frame *frame)
{
    frame->id = take_varint(reader);
    frame->n_bytes = take_length(reader);
    frame->address = reader->at;
    skip_address(reader);
    frame->bytes = take_bytes(reader, frame->n_bytes);
    if (frame->n_bytes > FRAME_DATAGRAM_MAX_BYTES)
        reader->is_bad = true;
}

static void take_auth(struct reader *reader, struct frame *frame)
{
    frame->n_bytes = take_u16(reader);
    frame->bytes = take_bytes(reader, frame->n_bytes);
    frame->n_signature = take_u16(reader);
    frame->signature = take_bytes(reader, frame->n_signature);
}

static void take_frame(struct reader *reader, struct frame *frame)
{
    switch (frame->type) {
    case FRAME_PADDING:
        while (reader->at < reader->end && *reader->at == FRAME_PADDING)
            reader->at++;
        return;
    case FRAME_OPEN:
        take_open(reader, frame);
        return;
    case FRAME_OPENED:
        frame->id = take_varint(reader);
        frame->code = take_code(reader, MAX_OPENED_CODE);
        take_addr(reader, &frame->bound);
        return;
    case FRAME_DATA:
    case FRAME_FIN:
        take_data(reader, frame);
        return;
    case FRAME_RESET:
        frame->id = take_varint(reader);
        frame->code = take_code(reader, MAX_RESET_CODE);
        frame->value = take_varint(reader);
        return;
    case FRAME_WINDOW:
    case FRAME_LOST:
        frame->id = take_varint(reader);
        frame->value = take_varint(reader);
        return;
    case FRAME_INITIAL:
    case FRAME_DRAIN:
        frame->value = take_varint(reader);
        return;
    case FRAME_ACK:
        frame->id = take_varint(reader);
        frame->value = take_varint(reader);
        frame->delay_us = take_varint(reader);
        return;
    case FRAME_PING:
    case FRAME_PONG:
        frame->value = take_u64(reader);
        return;
    case FRAME_AUTH:
        take_auth(reader, frame);
        return;
    case FRAME_INSTANCE:
        frame->n_bytes = INSTANCE_BYTES;
        frame->bytes = take_bytes(reader, INSTANCE_BYTES);
        return;
    case FRAME_BYE:
        return;
    case FRAME_END:
        frame->code = take_code(reader, MAX_END_CODE);
        return;
    case FRAME_DATAGRAM:
        take_datagram(reader, frame);
        return;
    case FRAME_LISTEN:
    case FRAME_LISTENING:
    case FRAME_UNLISTEN:
        take_listener_frame(reader, frame);
        return;
    default:
        reader->is_bad = true;
    }
}

enum err frame_parse(const uint8_t *bytes, size_t n, struct frame *frame, size_t *used)
{
    struct reader reader = {.at = bytes + 1, .end = bytes + n};

    frame->type = bytes[0];
    take_frame(&reader, frame);
    *used = (size_t)(reader.at - bytes);
    return reader.is_bad ? ERR_BAD : ERR_NONE;
}

enum err frame_parse_address(const uint8_t *bytes, size_t n, struct target *out, size_t *used)
{
    struct reader reader = {.at = bytes, .end = bytes + n};
    bool is_bad_name = false;

    if (bytes[0] == TYPE_NAME) {
        is_bad_name = !take_name(&reader, out);
        /* An address's text takes less than the address, for which a header must have room. */
        is_bad_name |= out->name_bytes == 0;
    } else {
        out->name_bytes = 0;
        out->name[0] = 0;
        take_addr(&reader, &out->addr);
    }
    *used = (size_t)(reader.at - bytes);
    return reader.is_bad || is_bad_name ? ERR_BAD : ERR_NONE;
}

size_t frame_address_bytes(const struct target *address)
{
    size_t n_port = PORT_BYTES;

    if (address->name_bytes > 0)
        return 2 + address->name_bytes + n_port;
    size_t n_ip = address->addr.family == ADDR_V4 ? 4 : 16;
    return 1 + n_ip + n_port;
}

static uint8_t *write_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return out + 2;
}

static uint8_t *write_addr(uint8_t *out, const struct addr *addr)
{
    size_t n_ip = addr->family == ADDR_V4 ? 4 : 16;

    if (addr->family == ADDR_NONE) {
        *out = TYPE_NOTHING;
        return out + 1;
    }
    *out++ = addr->family == ADDR_V4 ? TYPE_IPV4 : TYPE_IPV6;
    memcpy(out, addr->ip, n_ip);
    return write_u16(out + n_ip, addr->port);
}

static uint8_t *write_target(uint8_t *out, const struct target *target)
{
    if (target->name_bytes == 0)
        return write_addr(out, &target->addr);
    *out++ = TYPE_NAME;
    *out++ = target->name_bytes;
    memcpy(out, target->name, target->name_bytes);
    return write_u16(out + target->name_bytes, target->addr.port);
}

uint8_t *frame_write_open(uint8_t *out, uint64_t id, uint64_t claim, uint64_t grant,
                          const struct stream_request *request)
{
    *out++ = FRAME_OPEN;
    out = varint_write(out, id);
    *out++ = (uint8_t)request->kind;
    out = varint_write(out, claim);
    out = varint_write(out, grant);
    if (request->has_target)
        out = write_target(out, &request->target);
    else
        *out++ = TYPE_NOTHING;
    out = write_addr(out, &request->source);
    return is_of_another(request->kind) ? varint_write(out, request->of) : out;
}

uint8_t *frame_write_opened(uint8_t *out, uint64_t id, uint8_t code, const struct addr *bound)
{
    *out++ = FRAME_OPENED;
    out = varint_write(out, id);
    *out++ = code;
    return write_addr(out, bound);
}

uint8_t *frame_write_data(uint8_t *out, bool is_fin, uint64_t id, uint64_t offset, size_t n)
{
    *out++ = is_fin ? FRAME_FIN : FRAME_DATA;
    out = varint_write(out, id);
    out = varint_write(out, offset);
    return varint_write(out, n);
}

uint8_t *frame_write_reset(uint8_t *out, uint64_t id, uint8_t code, uint64_t final_size)
{
    *out++ = FRAME_RESET;
    out = varint_write(out, id);
    *out++ = code;
    return varint_write(out, final_size);
}

uint8_t *frame_write_window(uint8_t *out, uint64_t id, uint64_t limit)
{
    *out++ = FRAME_WINDOW;
    out = varint_write(out, id);
    return varint_write(out, limit);
}

uint8_t *frame_write_initial(uint8_t *out, uint64_t claim)
{
    *out++ = FRAME_INITIAL;
    return varint_write(out, claim);
}

uint8_t *frame_write_drain(uint8_t *out, uint64_t seconds)
{
    *out++ = FRAME_DRAIN;
    return varint_write(out, seconds);
}

uint8_t *frame_write_ack(uint8_t *out, uint64_t link, uint64_t count, uint64_t delay_us)
{
    *out++ = FRAME_ACK;
    out = varint_write(out, link);
    out = varint_write(out, count);
    return varint_write(out, delay_us);
}

uint8_t *frame_write_lost(uint8_t *out, uint64_t link, uint64_t count)
{
    *out++ = FRAME_LOST;
    out = varint_write(out, link);
    return varint_write(out, count);
}

uint8_t *frame_write_token(uint8_t *out, enum frame_type type, uint64_t token)
{
    *out++ = (uint8_t)type;
    for (size_t i = 0; i < TOKEN_BYTES; i++)
        *out++ = (uint8_t)(token >> 8 * (TOKEN_BYTES - 1 - i));
    return out;
}

uint8_t *frame_write_instance(uint8_t *out, const uint8_t instance[static INSTANCE_BYTES])
{
    *out++ = FRAME_INSTANCE;
    memcpy(out, instance, INSTANCE_BYTES);
    return out + INSTANCE_BYTES;
}

uint8_t *frame_write_bye(uint8_t *out)
{
    *out = FRAME_BYE;
    return out + 1;
}

uint8_t *frame_write_end(uint8_t *out, uint8_t code)
{
    *out++ = FRAME_END;
    *out++ = code;
    return out;
}

uint8_t *frame_write_listener(uint8_t *out, enum frame_type type, uint64_t listener, uint8_t code,
                              const struct addr *addr)
{
    *out++ = (uint8_t)type;
    out = varint_write(out, listener);
    *out++ = code;
    return write_addr(out, addr);
}

uint8_t *frame_write_unlisten(uint8_t *out, uint64_t listener)
{
    *out++ = FRAME_UNLISTEN;
    return varint_write(out, listener);
}

uint8_t *frame_write_datagram_id(uint8_t *out, uint64_t id)
{
    *out++ = FRAME_DATAGRAM;
    return varint_write(out, id);
}

uint8_t *frame_write_datagram_to(uint8_t *out, size_t n, const struct target *address)
{
    return write_target(varint_write(out, n), address);
}
