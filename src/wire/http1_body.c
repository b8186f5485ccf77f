/*
 *     SIZE --CR--> SIZE_END --LF--> DATA --> DATA_END --CR--> DATA_LF --LF--> SIZE
 *       |          ^     |
 *       ; or space |     LF, of size 0
 *       v          |     v
 *     EXTENSION,  CR   LINE --CR--> LAST_LF --LF--> DONE
 *     PADDING -----+     |
 *                        v
 *                      NAME --colon--> HELD --> VALUE --CR--> VALUE_LF --LF--> LINE
 *
 * A step takes a stretch of bytes of which all go on or none, and changes nothing where it fails,
 * so that what was good before it can be handed out first. http1_body_advance() joins the
 * stretches. A trailer's name is held back until the colon says which field it is.
 */
#include "wire/http1_body.h"

#include <assert.h>
#include <string.h>

#include "wire/http1_scan.h"

enum { MAX_SIZE_DIGITS = 15 };

enum state {
    SIZE,
    EXTENSION,
    PADDING,
    SIZE_END,
    DATA,
    DATA_END,
    DATA_LF,
    LINE,
    NAME,
    HELD,
    VALUE,
    VALUE_LF,
    LAST_LF,
    RAW, /* data without chunks */
    DONE,
};

void http1_body_init(struct http1_body *body, enum http1_framing framing, uint64_t length,
                     enum http1_way way)
{
    *body = (struct http1_body){.way = (uint8_t)way};
    switch (framing) {
    case HTTP1_NO_BODY:
        body->state = DONE;
        break;
    case HTTP1_BY_LENGTH:
        body->state = length > 0 ? RAW : DONE;
        body->left = length;
        break;
    case HTTP1_CHUNKED:
        body->state = SIZE;
        break;
    case HTTP1_BY_CLOSE:
        body->state = RAW;
        body->left = UINT64_MAX;
        break;
    }
}

bool http1_body_is_done(const struct http1_body *body)
{
    return body->state == DONE;
}

bool http1_body_may_end(const struct http1_body *body)
{
    return body->state == DONE || (body->state == RAW && body->left == UINT64_MAX);
}

uint64_t http1_body_left(const struct http1_body *body)
{
    return body->state == DATA || body->state == RAW ? body->left : 0;
}

void http1_body_skip(struct http1_body *body, uint64_t n)
{
    assert(n <= http1_body_left(body));
    if (body->left == UINT64_MAX)
        return;
    body->left -= n;
    if (body->left == 0 && n > 0)
        body->state = body->state == DATA ? DATA_END : DONE;
}

/* A stretch of bytes. */
struct stretch {
    size_t n;
    bool goes_on;
};

static int digit_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static enum err step_size(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    int digit = digit_of(byte);

    if (digit >= 0) {
        if (body->n_digits == MAX_SIZE_DIGITS)
            return ERR_TOO_LONG;
        body->left = body->left << 4 | (uint64_t)digit;
        body->n_digits++;
        return ERR_NONE;
    }
    if (body->n_digits == 0)
        return ERR_BAD;
    if (byte == '\r') {
        body->state = SIZE_END;
        return ERR_NONE;
    }
    if (byte != ';' && byte != ' ')
        return ERR_BAD;
    body->state = byte == ';' ? EXTENSION : PADDING;
    out->n = 0;
    return ERR_NONE;
}

/* What stands behind the size goes no further: an extension, or the spaces by which some servers
 * make all sizes equally long. */
static enum err step_extension(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    if (byte == '\r') {
        body->state = SIZE_END;
        return ERR_NONE;
    }
    if (body->state == PADDING ? byte != ' ' : !http1_is_in(byte, HTTP1_VALUE))
        return ERR_BAD;
    if (body->n_extension == HTTP1_EXTENSION_MAX_BYTES ||
        body->n_extensions == HTTP1_EXTENSIONS_MAX_BYTES)
        return ERR_TOO_LONG;
    body->n_extension++;
    body->n_extensions++;
    out->goes_on = false;
    return ERR_NONE;
}

static void step_data(struct http1_body *body, size_t n, struct stretch *out)
{
    out->n = body->left < n ? (size_t)body->left : n;
    out->goes_on = true;
    http1_body_skip(body, out->n);
}

static enum err step_name(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    if (byte == ':') {
        struct slice name = {.at = body->name, .n = body->n_name};
        body->drops_trailer = body->way == HTTP1_DECODE || http1_name_of(name) != HTTP1_OTHER;
        body->state = body->drops_trailer ? VALUE : HELD;
        out->n = 0;
        return ERR_NONE;
    }
    if (!http1_is_in(byte, HTTP1_TOKEN))
        return ERR_BAD;
    if (body->n_name == HTTP1_TRAILER_NAME_MAX_BYTES)
        return ERR_TOO_LONG;
    body->name[body->n_name++] = (char)byte;
    out->goes_on = false;
    return ERR_NONE;
}

/* Where a trailer field or the last line begins. */
static enum err step_line(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    if (byte == '\r') {
        body->state = LAST_LF;
        return ERR_NONE;
    }
    if (!http1_is_in(byte, HTTP1_TOKEN))
        return ERR_BAD;
    body->n_name = 0;
    body->state = NAME;
    out->n = 0;
    return ERR_NONE;
}

static enum err step_value(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    if (byte == '\r')
        body->state = VALUE_LF;
    else if (!http1_is_in(byte, HTTP1_VALUE))
        return ERR_BAD;
    out->goes_on = !body->drops_trailer;
    return ERR_NONE;
}

/* Takes the one byte that may come, and goes to the next state. */
static enum err step_expected(struct http1_body *body, uint8_t byte, uint8_t expected,
                              enum state next)
{
    if (byte != expected)
        return ERR_BAD;
    body->state = (uint8_t)next;
    return ERR_NONE;
}

static enum err step_size_end(struct http1_body *body, uint8_t byte)
{
    enum err err = step_expected(body, byte, '\n', body->left > 0 ? DATA : LINE);

    if (err == ERR_NONE) {
        body->n_digits = 0;
        body->n_extension = 0;
        body->n_extensions -=
            body->left < body->n_extensions ? (uint16_t)body->left : body->n_extensions;
    }
    return err;
}

static enum err step_trailer(struct http1_body *body, uint8_t byte, struct stretch *out)
{
    enum err err;

    if (body->n_trailers == HTTP1_TRAILERS_MAX_BYTES)
        return ERR_TOO_LONG;
    switch (body->state) {
    case LINE:
        err = step_line(body, byte, out);
        break;
    case NAME:
        err = step_name(body, byte, out);
        break;
    case VALUE:
        err = step_value(body, byte, out);
        break;
    case VALUE_LF:
        err = step_expected(body, byte, '\n', LINE);
        out->goes_on = !body->drops_trailer;
        break;
    default:
        err = step_expected(body, byte, '\n', DONE);
        break;
    }
    if (err == ERR_NONE)
        body->n_trailers = (uint16_t)(body->n_trailers + out->n);
    return err;
}

/* Takes a stretch of the n > 0 bytes, which is empty where only the state changes. */
static enum err step(struct http1_body *body, const uint8_t *bytes, size_t n, struct stretch *out)
{
    *out = (struct stretch){.n = 1, .goes_on = body->way == HTTP1_PASS};
    switch (body->state) {
    case SIZE:
        return step_size(body, *bytes, out);
    case EXTENSION:
    case PADDING:
        return step_extension(body, *bytes, out);
    case SIZE_END:
        return step_size_end(body, *bytes);
    case DATA:
    case RAW:
        step_data(body, n, out);
        return ERR_NONE;
    case DATA_END:
        return step_expected(body, *bytes, '\r', DATA_LF);
    case DATA_LF:
        return step_expected(body, *bytes, '\n', SIZE);
    default:
        return step_trailer(body, *bytes, out);
    }
}

enum err http1_body_advance(struct http1_body *body, const uint8_t *bytes, size_t n, size_t *used,
                            struct slice *run)
{
    struct stretch stretch;

    assert(n > 0 && body->state != DONE);
    *run = (struct slice){.at = (const char *)bytes, .n = 0};
    for (*used = 0; *used < n && body->state != DONE; *used += stretch.n) {
        if (body->state == HELD) {
            *run = (struct slice){.at = body->name, .n = body->n_name};
            body->state = VALUE;
            return ERR_NONE;
        }
        enum err err = step(body, bytes + *used, n - *used, &stretch);
        if (err != ERR_NONE)
            return *used > 0 ? ERR_NONE : err;
        if (stretch.goes_on) {
            if (run->n == 0)
                run->at = (const char *)bytes + *used;
            run->n += stretch.n;
        } else if (run->n > 0) {
            *used += stretch.n;
            break;
        }
    }
    return ERR_NONE;
}
