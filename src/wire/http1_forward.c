/*
 * The lines that go on lie side by side in most heads, so they are copied as runs; a line that is
 * left out or written anew ends a run.
 */
#include "wire/http1_forward.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "wire/http1_scan.h"

/* What is being written. Beyond its end nothing is, and it stays too long. */
struct sink {
    char *at;
    char *end;
    bool is_too_long;
};

static void put(struct sink *sink, struct slice text)
{
    if (text.n > (size_t)(sink->end - sink->at)) {
        sink->is_too_long = true;
        return;
    }
    if (text.n > 0)
        memcpy(sink->at, text.at, text.n);
    sink->at += text.n;
}

static void put_text(struct sink *sink, const char *text)
{
    put(sink, (struct slice){.at = text, .n = strlen(text)});
}

static void put_length(struct sink *sink, uint64_t length)
{
    char line[64];
    int n = snprintf(line, sizeof line, "Content-Length: %llu\r\n", (unsigned long long)length);
    put(sink, (struct slice){.at = line, .n = (size_t)n});
}

static enum err finish(const struct sink *sink, const char *out, size_t *n)
{
    if (sink->is_too_long)
        return ERR_TOO_LONG;
    *n = (size_t)(sink->at - out);
    return ERR_NONE;
}

/* How the message goes on. */
struct onward {
    const struct http1_head *head;
    const struct http1_uri *uri; /* of a request; NULL of a response */
    bool writes_length;
    bool writes_chunked;
    bool is_upgrade;
};

static bool is_listed(const struct http1_head *head, struct slice name)
{
    for (size_t i = 0; i < head->n_listed; i++) {
        if (http1_is_same(head->listed[i], name))
            return true;
    }
    return false;
}

/* Whether the field's line goes on as it is. */
static bool goes_on(const struct onward *onward, const struct http1_field *field)
{
    switch (field->id) {
    case HTTP1_OTHER:
        return !is_listed(onward->head, field->name);
    case HTTP1_TRAILER:
        return true;
    case HTTP1_UPGRADE:
        return onward->is_upgrade;
    case HTTP1_EXPECT:
        return onward->head->minor > 0;
    case HTTP1_HOST:
        return onward->uri == NULL;
    default:
        return false;
    }
}

static void put_host(struct sink *sink, const struct http1_uri *uri)
{
    put_text(sink, "Host: ");
    put(sink, uri->authority);
    put_text(sink, "\r\n");
}

/* Writes in a line's place what says the same in our words. */
static void put_anew(struct sink *sink, struct onward *onward, const struct http1_field *field)
{
    if (field->id == HTTP1_HOST) {
        put_host(sink, onward->uri);
    } else if (field->id == HTTP1_CONTENT_LENGTH && onward->writes_length) {
        put_length(sink, onward->head->length);
        onward->writes_length = false; /* a response may have it again */
    } else if (field->id == HTTP1_TRANSFER_ENCODING && onward->writes_chunked) {
        put_text(sink, "Transfer-Encoding: chunked\r\n");
    }
}

static void put_fields(struct sink *sink, struct onward *onward)
{
    const struct http1_head *head = onward->head;
    const char *run = head->n_fields > 0 ? head->fields[0].name.at : head->end;

    for (size_t i = 0; i < head->n_fields; i++) {
        const struct http1_field *field = &head->fields[i];
        if (goes_on(onward, field))
            continue;
        put(sink, (struct slice){.at = run, .n = (size_t)(field->name.at - run)});
        put_anew(sink, onward, field);
        run = i + 1 < head->n_fields ? field[1].name.at : head->end;
    }
    put(sink, (struct slice){.at = run, .n = (size_t)(head->end - run)});
}

enum { N_OPTIONS = 3 };

/* Writes Connection, where there is something to say, and the end of the head. */
static void put_end(struct sink *sink, const char *const options[N_OPTIONS])
{
    const char *before = "Connection: ";
    bool is_empty = true;

    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i] == NULL)
            continue;
        put_text(sink, before);
        put_text(sink, options[i]);
        before = ", ";
        is_empty = false;
    }
    put_text(sink, is_empty ? "\r\n" : "\r\n\r\n");
}

/* "http://host" asks for "/", or for the server itself (RFC 9112 section 3.2.4). */
static void put_path(struct sink *sink, const struct http1_head *head, const struct http1_uri *uri)
{
    if (uri->path.n == 0)
        put_text(sink, http1_is_method(head, "OPTIONS") ? "*" : "/");
    else if (uri->path.at[0] == '?')
        put_text(sink, "/");
    put(sink, uri->path);
}

enum err http1_forward_request(char *out, size_t size, size_t *n, const struct http1_head *head,
                               const struct http1_uri *uri, bool keep_open)
{
    struct sink sink = {.at = out, .end = out + size};
    struct onward onward = {
        .head = head,
        .uri = uri,
        .writes_length = true,
        .writes_chunked = true,
        .is_upgrade = head->upgrades,
    };

    put(&sink, head->method);
    put_text(&sink, " ");
    put_path(&sink, head, uri);
    put_text(&sink, " HTTP/1.1\r\n");
    if (!head->has_host)
        put_host(&sink, uri);
    put_fields(&sink, &onward);
    if (head->takes_trailers)
        put_text(&sink, "TE: trailers\r\n");
    put_end(&sink, (const char *const[N_OPTIONS]){
                       head->upgrades ? "Upgrade" : NULL,
                       head->takes_trailers ? "TE" : NULL,
                       keep_open ? NULL : "close",
                   });
    return finish(&sink, out, n);
}

static const char *connection_option(unsigned status, bool keep_open)
{
    if (status == 101)
        return "Upgrade";
    if (status < 200)
        return NULL;
    return keep_open ? "keep-alive" : "close";
}

enum err http1_forward_response(char *out, size_t size, size_t *n, const struct http1_head *head,
                                enum http1_framing framing, bool keep_open)
{
    struct sink sink = {.at = out, .end = out + size};
    struct onward onward = {
        .head = head,
        /* With no body it is the length of what a GET would have had. */
        .writes_length = framing == HTTP1_BY_LENGTH ||
                         (framing == HTTP1_NO_BODY && head->status >= 200 && head->status != 204),
        .writes_chunked = framing == HTTP1_CHUNKED,
        .is_upgrade = head->status == 101,
    };
    char line[sizeof "HTTP/1.1 999 "];

    assert(framing != HTTP1_BY_CLOSE || !keep_open);
    snprintf(line, sizeof line, "HTTP/1.1 %03u ", head->status % 1000);
    put_text(&sink, line);
    put(&sink, head->reason);
    put_text(&sink, "\r\n");
    put_fields(&sink, &onward);
    put_end(&sink, (const char *const[N_OPTIONS]){connection_option(head->status, keep_open)});
    return finish(&sink, out, n);
}

enum http1_framing http1_framing_for(enum http1_framing framing, uint8_t client_minor)
{
    return framing == HTTP1_CHUNKED && client_minor == 0 ? HTTP1_BY_CLOSE : framing;
}
