/*
 * One pass over the head: each byte is looked up once in a table of classes, and each piece of the
 * grammar is a loop over its class followed by the one byte that may end it. Running out of bytes
 * anywhere is ERR_MORE; only what has been seen can be wrong.
 */
#include "wire/http1.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

/* Classes of bytes: tchar (RFC 9110 section 5.6.2), what a request target and what a field's
 * value may hold. */
enum { TOKEN = 1, TARGET = 2, VALUE = 4, ALL = TOKEN | TARGET | VALUE, NO_TOKEN = TARGET | VALUE };

static const uint8_t classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = ALL,
    ['"'] = NO_TOKEN,
    ['#' ... '\''] = ALL,
    ['('] = NO_TOKEN,
    [')'] = NO_TOKEN,
    ['*'] = ALL,
    ['+'] = ALL,
    [','] = NO_TOKEN,
    ['-'] = ALL,
    ['.'] = ALL,
    ['/'] = NO_TOKEN,
    ['0' ... '9'] = ALL,
    [':' ... '@'] = NO_TOKEN,
    ['A' ... 'Z'] = ALL,
    ['[' ... ']'] = NO_TOKEN,
    ['^' ... 'z'] = ALL,
    ['{'] = NO_TOKEN,
    ['|'] = ALL,
    ['}'] = NO_TOKEN,
    ['~'] = ALL,
    [0x80 ... 0xff] = NO_TOKEN,
};

/* What is left to parse. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

/* Takes the longest run of a class. That it ended at the end of the bytes, where it could still
 * grow, is for take_byte() to find. */
static struct slice take_run(struct scan *scan, unsigned class)
{
    const uint8_t *at = scan->at;

    while (at < scan->end && (classes[*at] & class) != 0)
        at++;
    struct slice run = {.at = (const char *)scan->at, .n = (size_t)(at - scan->at)};
    scan->at = at;
    return run;
}

static enum err take_byte(struct scan *scan, uint8_t byte)
{
    if (scan->at == scan->end)
        return ERR_MORE;
    if (*scan->at != byte)
        return ERR_BAD;
    scan->at++;
    return ERR_NONE;
}

static enum err take_text(struct scan *scan, const char *text)
{
    enum err err = ERR_NONE;

    for (; *text != '\0' && err == ERR_NONE; text++)
        err = take_byte(scan, (uint8_t)*text);
    return err;
}

/* Takes a run that is not empty and the byte behind it. */
static enum err take_word(struct scan *scan, struct slice *out, unsigned class, uint8_t end)
{
    *out = take_run(scan, class);
    if (out->n == 0 && scan->at < scan->end)
        return ERR_BAD;
    return take_byte(scan, end);
}

static enum err take_digit(struct scan *scan, uint8_t *out)
{
    if (scan->at == scan->end)
        return ERR_MORE;
    *out = (uint8_t)(*scan->at - '0');
    if (*out > 9)
        return ERR_BAD;
    scan->at++;
    return ERR_NONE;
}

/* Takes "HTTP/1.1" and the line's end. */
static enum err take_version(struct scan *scan, uint8_t *minor)
{
    uint8_t major;
    enum err err = take_text(scan, "HTTP/");

    if (err == ERR_NONE)
        err = take_digit(scan, &major);
    if (err == ERR_NONE)
        err = take_byte(scan, '.');
    if (err == ERR_NONE)
        err = take_digit(scan, minor);
    if (err == ERR_NONE)
        err = take_text(scan, "\r\n");
    if (err == ERR_NONE && major != 1)
        err = ERR_VERSION;
    return err;
}

static enum err take_request_line(struct scan *scan, struct http1_head *out)
{
    enum err err = take_word(scan, &out->method, TOKEN, ' ');

    if (err == ERR_NONE)
        err = take_word(scan, &out->target, TARGET, ' ');
    if (err == ERR_NONE)
        err = take_version(scan, &out->minor);
    return err;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.n > 0 && is_blank(text.at[0])) {
        text.at++;
        text.n--;
    }
    while (text.n > 0 && is_blank(text.at[text.n - 1]))
        text.n--;
    return text;
}

/* Takes a field and its line's end. */
static enum err take_field(struct scan *scan, struct http1_field *out)
{
    enum err err = take_word(scan, &out->name, TOKEN, ':');

    if (err != ERR_NONE)
        return err;
    out->value = trim(take_run(scan, VALUE));
    return take_text(scan, "\r\n");
}

static enum err take_fields(struct scan *scan, struct http1_head *out)
{
    enum err err = ERR_NONE;

    out->n_fields = 0;
    while (err == ERR_NONE && scan->at < scan->end && *scan->at != '\r') {
        if (out->n_fields == HTTP1_MAX_FIELDS)
            return ERR_TOO_LONG;
        err = take_field(scan, &out->fields[out->n_fields]);
        out->n_fields++;
    }
    return err == ERR_NONE ? take_text(scan, "\r\n") : err;
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether the text is this word, in any case. */
static bool is_word(struct slice text, const char *word)
{
    if (text.n != strlen(word))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (to_lower(text.at[i]) != to_lower(word[i]))
            return false;
    }
    return true;
}

/* Whether the text is a length that fits 64 bits whatever the digits. */
static bool is_length(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    }
    return text.n > 0 && text.n <= 19;
}

/* Refuses what two readers could take for two different messages (RFC 9112 section 6). */
static enum err check_framing(const struct http1_head *head)
{
    unsigned n_hosts = 0, n_lengths = 0, n_encodings = 0;

    for (size_t i = 0; i < head->n_fields; i++) {
        const struct http1_field *field = &head->fields[i];
        if (is_word(field->name, "host")) {
            n_hosts++;
        } else if (is_word(field->name, "content-length")) {
            n_lengths++;
            if (!is_length(field->value))
                return ERR_BAD;
        } else if (is_word(field->name, "transfer-encoding")) {
            n_encodings++;
            if (head->minor == 0 || !is_word(field->value, "chunked"))
                return ERR_BAD;
        }
    }
    return n_hosts <= 1 && n_lengths + n_encodings <= 1 ? ERR_NONE : ERR_BAD;
}

enum err http1_parse_head(const uint8_t *bytes, size_t n, struct http1_head *out, size_t *used)
{
    size_t within = n < HTTP1_HEAD_MAX_BYTES ? n : HTTP1_HEAD_MAX_BYTES;
    struct scan scan = {.at = bytes, .end = bytes + within};
    enum err err = ERR_NONE;

    if (n > 0 && bytes[0] == '\r')
        err = take_text(&scan, "\r\n");
    if (err == ERR_NONE)
        err = take_request_line(&scan, out);
    if (err == ERR_NONE)
        err = take_fields(&scan, out);
    if (err == ERR_MORE && within == HTTP1_HEAD_MAX_BYTES)
        err = ERR_TOO_LONG;
    if (err == ERR_NONE)
        err = check_framing(out);
    if (err == ERR_NONE)
        *used = (size_t)(scan.at - bytes);
    return err;
}

bool http1_is_method(const struct http1_head *head, const char *method)
{
    return head->method.n == strlen(method) && memcmp(head->method.at, method, head->method.n) == 0;
}

const struct slice *http1_find(const struct http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (is_word(head->fields[i].name, name))
            return &head->fields[i].value;
    }
    return NULL;
}

enum err http1_parse_authority(struct target *out, struct slice text)
{
    enum err err = target_parse(out, text.at, text.n);
    return err == ERR_NONE && out->addr.port == 0 ? ERR_BAD : err;
}

enum err http1_parse_basic(struct http1_basic *out, struct slice value)
{
    static const size_t n_scheme = 5;
    struct slice scheme = {.at = value.at, .n = n_scheme};
    size_t n, colon = 0;

    if (value.n <= n_scheme || !is_word(scheme, "basic") || value.at[n_scheme] != ' ')
        return ERR_AUTH;
    struct slice coded = trim((struct slice){value.at + n_scheme, value.n - n_scheme});
    if (base64_decode((uint8_t *)out->text, sizeof out->text, &n, coded.at, coded.n) != ERR_NONE)
        return ERR_AUTH;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)out->text[i] < ' ' || out->text[i] == 0x7f)
            return ERR_AUTH;
    }
    while (colon < n && out->text[colon] != ':')
        colon++;
    if (colon == n)
        return ERR_AUTH;
    out->user = (struct slice){out->text, colon};
    out->password = (struct slice){out->text + colon + 1, n - colon - 1};
    return ERR_NONE;
}

/* Errors without an entry mean that what is behind us failed: 502. */
static const uint16_t statuses[N_ERRS] = {
    [ERR_NONE] = 200, [ERR_BAD] = 400,      [ERR_DENIED] = 403,  [ERR_COMMAND] = 405,
    [ERR_AUTH] = 407, [ERR_TOO_LONG] = 431, [ERR_TIMEOUT] = 504, [ERR_VERSION] = 505,
};

unsigned http1_status(enum err err)
{
    if ((unsigned)err >= N_ERRS || statuses[err] == 0)
        return 502;
    return statuses[err];
}

/* Words for a status, and the field that some need. */
struct reply {
    unsigned status;
    const char *reason;
    const char *field;
};

static const struct reply replies[] = {
    {200, "OK", ""},
    {400, "Bad Request", ""},
    {403, "Forbidden", ""},
    {405, "Method Not Allowed", "Allow: CONNECT\r\n"},
    {407, "Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n"},
    {431, "Request Header Fields Too Large", ""},
    {502, "Bad Gateway", ""},
    {504, "Gateway Timeout", ""},
    {505, "HTTP Version Not Supported", ""},
    {0, "Error", ""},
};

size_t http1_write_reply(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status, const char *body,
                         bool keep_open)
{
    const struct reply *reply = replies;
    size_t n_body = strlen(body);

    if (n_body > HTTP1_BODY_MAX_BYTES)
        n_body = HTTP1_BODY_MAX_BYTES;
    while (reply->status != 0 && reply->status != status)
        reply++;
    int n = snprintf(out, HTTP1_REPLY_MAX_BYTES,
                     "HTTP/1.1 %u %s\r\n"
                     "%s"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Length: %zu\r\n"
                     "Connection: %s\r\n"
                     "\r\n"
                     "%.*s\n",
                     status, reply->reason, reply->field, n_body + 1,
                     keep_open ? "keep-alive" : "close", (int)n_body, body);
    assert(n > 0 && n < HTTP1_REPLY_MAX_BYTES);
    return (size_t)n;
}
