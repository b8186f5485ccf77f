/*
 * A head is taken in one pass. Each field is looked at once more, where its line ends, for what it
 * says to a proxy; that is judged when the whole is there, so that the verdict does not depend on
 * how the bytes came.
 */
#include "wire/http1.h"

#include <stddef.h>
#include <string.h>

#include "wire/http1_scan.h"

static const struct {
    struct slice name;
    enum http1_name id;
} names[] = {
#define NAME(text, id)               \
    {                                \
        {text, sizeof(text) - 1}, id \
    }
    NAME("te", HTTP1_TE),
    NAME("host", HTTP1_HOST),
    NAME("expect", HTTP1_EXPECT),
    NAME("upgrade", HTTP1_UPGRADE),
    NAME("trailer", HTTP1_TRAILER),
    NAME("connection", HTTP1_CONNECTION),
    NAME("keep-alive", HTTP1_KEEP_ALIVE),
    NAME("content-length", HTTP1_CONTENT_LENGTH),
    NAME("proxy-connection", HTTP1_PROXY_CONNECTION),
    NAME("transfer-encoding", HTTP1_TRANSFER_ENCODING),
#undef NAME
};

enum http1_name http1_name_of(struct slice name)
{
    static const struct slice proxy = {"proxy-", 6};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (http1_is_same(name, names[i].name))
            return names[i].id;
    }
    struct slice start = {.at = name.at, .n = proxy.n};
    return name.n >= proxy.n && http1_is_same(start, proxy) ? HTTP1_PROXY : HTTP1_OTHER;
}

/* Takes "HTTP/1.1" and what may stand behind it. */
static enum err take_version(struct scan *scan, const char *after, uint8_t *minor)
{
    uint8_t major;
    enum err err = scan_version(scan, &major, minor);

    if (err == ERR_NONE)
        err = scan_text(scan, after);
    return err == ERR_NONE && major != 1 ? ERR_VERSION : err;
}

static enum err take_request_line(struct scan *scan, struct http1_head *out)
{
    enum err err = ERR_NONE;

    if (scan->at < scan->end && *scan->at == '\r')
        err = scan_line_end(scan);
    if (err == ERR_NONE)
        err = scan_word(scan, &out->method, HTTP1_TOKEN, ' ');
    if (err == ERR_NONE)
        err = scan_word(scan, &out->target, HTTP1_TARGET, ' ');
    return err == ERR_NONE ? take_version(scan, "\r\n", &out->minor) : err;
}

static enum err take_status_line(struct scan *scan, struct http1_head *out)
{
    enum err err = take_version(scan, " ", &out->minor);

    for (int i = 0; i < 3 && err == ERR_NONE; i++) {
        uint8_t digit;
        err = scan_digit(scan, &digit);
        if (err == ERR_NONE)
            out->status = out->status * 10 + digit;
    }
    if (err == ERR_NONE && out->status < 100)
        err = ERR_BAD;
    if (err == ERR_NONE && scan->at < scan->end && *scan->at == ' ') {
        scan->at++;
        out->reason = scan_run(scan, HTTP1_VALUE);
    }
    return err == ERR_NONE ? scan_line_end(scan) : err;
}

/* Takes a field and its line's end. */
static enum err take_field(struct scan *scan, struct http1_field *out)
{
    enum err err = scan_word(scan, &out->name, HTTP1_TOKEN, ':');

    if (err != ERR_NONE)
        return err;
    out->value = http1_trim(scan_run(scan, HTTP1_VALUE));
    out->id = http1_name_of(out->name);
    return scan_line_end(scan);
}

static enum err take_fields(struct scan *scan, struct http1_head *out)
{
    enum err err = ERR_NONE;

    while (err == ERR_NONE && scan->at < scan->end && *scan->at != '\r') {
        if (out->n_fields == HTTP1_MAX_FIELDS)
            return ERR_TOO_LONG;
        err = take_field(scan, &out->fields[out->n_fields]);
        out->n_fields++;
    }
    out->end = (const char *)scan->at;
    return err == ERR_NONE ? scan_line_end(scan) : err;
}

/* What the fields have said so far, where the head itself keeps only what comes of it. */
struct facts {
    bool closes, keeps_alive;
    bool lists_upgrade, has_upgrade;
    bool takes_trailers, expects_continue;
};

/* Takes the next item of a list (RFC 9110 section 5.6.1), empty ones left out. */
static bool next_item(struct slice *list, struct slice *item)
{
    while (list->n > 0) {
        const char *comma = memchr(list->at, ',', list->n);
        size_t n = comma == NULL ? list->n : (size_t)(comma - list->at);
        size_t n_taken = comma == NULL ? n : n + 1;
        *item = http1_trim((struct slice){.at = list->at, .n = n});
        *list = (struct slice){.at = list->at + n_taken, .n = list->n - n_taken};
        if (item->n > 0)
            return true;
    }
    return false;
}

/* What a Connection lists beside the options of RFC 9112 are names of fields that go no further.
 * Those that are dealt with under their own name are not kept: either they stay here whether
 * listed or not, or, as what says how long the body is, no list can take them away. */
static enum err note_connection(struct http1_head *head, struct facts *facts, struct slice list)
{
    struct slice item;

    while (next_item(&list, &item)) {
        if (http1_is_word(item, "close")) {
            facts->closes = true;
        } else if (http1_is_word(item, "keep-alive")) {
            facts->keeps_alive = true;
        } else if (http1_is_word(item, "upgrade")) {
            facts->lists_upgrade = true;
        } else if (http1_name_of(item) == HTTP1_OTHER) {
            if (head->n_listed == HTTP1_MAX_LISTED)
                return ERR_TOO_LONG;
            head->listed[head->n_listed++] = item;
        }
    }
    return ERR_NONE;
}

/* Proxy-Connection never became a standard: what it lists beyond these two is not for us. */
static void note_proxy_connection(struct facts *facts, struct slice list)
{
    struct slice item;

    while (next_item(&list, &item)) {
        facts->closes |= http1_is_word(item, "close");
        facts->keeps_alive |= http1_is_word(item, "keep-alive");
    }
}

static void note_te(struct facts *facts, struct slice list)
{
    struct slice item;

    while (next_item(&list, &item))
        facts->takes_trailers |= http1_is_word(item, "trailers");
}

static bool parse_length(struct slice text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.at[i] - '0');
    }
    return text.n > 0 && text.n <= 19; /* fits 64 bits whatever the digits */
}

/* Whether there is a tab in the field's line, which some readers take for a part of the value. */
static bool has_tab(const struct http1_field *field)
{
    const char *at = field->name.at;

    while (*at != '\t' && *at != '\r')
        at++;
    return *at == '\t';
}

static enum err note_length(struct http1_head *head, const struct http1_field *field)
{
    uint64_t length;

    if (!parse_length(field->value, &length) || has_tab(field))
        return ERR_BAD;
    if (head->has_length && (head->status == 0 || length != head->length))
        return ERR_BAD;
    head->has_length = true;
    head->length = length;
    return ERR_NONE;
}

static enum err note_encoding(struct http1_head *head, const struct http1_field *field)
{
    if (head->is_chunked || head->minor == 0 || !http1_is_word(field->value, "chunked") ||
        has_tab(field))
        return ERR_BAD;
    head->is_chunked = true;
    return ERR_NONE;
}

/* Whether servers that hand fields on as variables (CGI and its like), where '-' and '_' are one,
 * could take this one for what says how long the body is. */
static bool looks_like_framing(struct slice name)
{
    char text[sizeof "transfer-encoding"];

    if (name.n >= sizeof text || memchr(name.at, '_', name.n) == NULL)
        return false;
    for (size_t i = 0; i < name.n; i++)
        text[i] = name.at[i] == '_' ? '-' : name.at[i];
    enum http1_name id = http1_name_of((struct slice){.at = text, .n = name.n});
    return id == HTTP1_CONTENT_LENGTH || id == HTTP1_TRANSFER_ENCODING;
}

static enum err note_field(struct http1_head *head, struct facts *facts,
                           const struct http1_field *field)
{
    switch (field->id) {
    case HTTP1_OTHER:
        return looks_like_framing(field->name) ? ERR_BAD : ERR_NONE;
    case HTTP1_HOST:
        if (head->has_host && head->status == 0)
            return ERR_BAD;
        head->has_host = true;
        return ERR_NONE;
    case HTTP1_CONTENT_LENGTH:
        return note_length(head, field);
    case HTTP1_TRANSFER_ENCODING:
        return note_encoding(head, field);
    case HTTP1_CONNECTION:
        return note_connection(head, facts, field->value);
    case HTTP1_PROXY_CONNECTION:
        if (head->status == 0)
            note_proxy_connection(facts, field->value);
        return ERR_NONE;
    case HTTP1_TE:
        note_te(facts, field->value);
        return ERR_NONE;
    case HTTP1_UPGRADE:
        facts->has_upgrade = true;
        return ERR_NONE;
    case HTTP1_EXPECT:
        facts->expects_continue |= http1_is_word(field->value, "100-continue");
        return ERR_NONE;
    default:
        return ERR_NONE;
    }
}

/* Finds what the fields say, and refuses what two readers could take for two different messages
 * (RFC 9112 section 6). */
static enum err judge(struct http1_head *head)
{
    struct facts facts = {0};
    enum err err = ERR_NONE;

    for (size_t i = 0; i < head->n_fields && err == ERR_NONE; i++)
        err = note_field(head, &facts, &head->fields[i]);
    if (err != ERR_NONE)
        return err;
    if (head->has_length && head->is_chunked)
        return ERR_BAD;
    bool is_1_1 = head->minor > 0;
    head->expects_continue = is_1_1 && facts.expects_continue;
    /* Some servers take what follows such a head for the new protocol, body or not. */
    bool has_body = head->is_chunked || (head->has_length && head->length > 0);
    head->upgrades = is_1_1 && facts.has_upgrade && facts.lists_upgrade && !has_body;
    head->takes_trailers = is_1_1 && facts.takes_trailers;
    head->keeps_open = !facts.closes && (is_1_1 || facts.keeps_alive);
    return ERR_NONE;
}

typedef enum err take_first_line(struct scan *scan, struct http1_head *out);

static enum err parse(const uint8_t *bytes, size_t n, struct http1_head *out, size_t *used,
                      take_first_line *take_first)
{
    size_t within = n < HTTP1_HEAD_MAX_BYTES ? n : HTTP1_HEAD_MAX_BYTES;
    struct scan scan = {.at = bytes, .end = bytes + within};

    memset(out, 0, offsetof(struct http1_head, fields));
    enum err err = take_first(&scan, out);
    if (err == ERR_NONE)
        err = take_fields(&scan, out);
    if (err == ERR_MORE && within == HTTP1_HEAD_MAX_BYTES)
        err = ERR_TOO_LONG;
    if (err == ERR_NONE)
        err = judge(out);
    if (err == ERR_NONE)
        *used = (size_t)(scan.at - bytes);
    return err;
}

enum err http1_parse_request(const uint8_t *bytes, size_t n, struct http1_head *out, size_t *used)
{
    return parse(bytes, n, out, used, take_request_line);
}

enum err http1_parse_response(const uint8_t *bytes, size_t n, struct http1_head *out, size_t *used)
{
    return parse(bytes, n, out, used, take_status_line);
}

bool http1_is_method(const struct http1_head *head, const char *method)
{
    return head->method.n == strlen(method) && memcmp(head->method.at, method, head->method.n) == 0;
}

const struct slice *http1_find(const struct http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (http1_is_word(head->fields[i].name, name))
            return &head->fields[i].value;
    }
    return NULL;
}

enum http1_framing http1_request_framing(const struct http1_head *head)
{
    if (head->is_chunked)
        return HTTP1_CHUNKED;
    return head->has_length ? HTTP1_BY_LENGTH : HTTP1_NO_BODY;
}

enum http1_framing http1_response_framing(const struct http1_head *head, bool is_to_head)
{
    if (is_to_head || head->status < 200 || head->status == 204 || head->status == 304)
        return HTTP1_NO_BODY;
    if (head->is_chunked)
        return HTTP1_CHUNKED;
    return head->has_length ? HTTP1_BY_LENGTH : HTTP1_BY_CLOSE;
}
