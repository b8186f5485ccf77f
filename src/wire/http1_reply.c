#include "wire/http1_reply.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Errors without an entry mean that what is behind us failed: 502. */
static const uint16_t statuses[N_ERRS] = {
    [ERR_NONE] = 200,   [ERR_BAD] = 400,      [ERR_DENIED] = 403,  [ERR_COMMAND] = 405,
    [ERR_AUTH] = 407,   [ERR_TOO_LONG] = 431, [ERR_TIMEOUT] = 504, [ERR_TUNNEL] = 504,
    [ERR_SCHEME] = 400, [ERR_VERSION] = 505,
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
    {405, "Method Not Allowed", "Allow: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n"},
    {407, "Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n"},
    {408, "Request Timeout", ""},
    {431, "Request Header Fields Too Large", ""},
    {502, "Bad Gateway", ""},
    {504, "Gateway Timeout", ""},
    {505, "HTTP Version Not Supported", ""},
    {0, "Error", ""},
};

static size_t write_reply(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status, const char *body,
                          bool keep_open, bool is_to_head)
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
                     "%.*s%s",
                     status, reply->reason, reply->field, n_body + 1,
                     keep_open ? "keep-alive" : "close", is_to_head ? 0 : (int)n_body, body,
                     is_to_head ? "" : "\n");
    assert(n > 0 && n < HTTP1_REPLY_MAX_BYTES);
    return (size_t)n;
}

size_t http1_write_reply(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status, const char *body,
                         bool keep_open)
{
    return write_reply(out, status, body, keep_open, false);
}

size_t http1_write_reply_to_head(char out[static HTTP1_REPLY_MAX_BYTES], unsigned status,
                                 const char *body, bool keep_open)
{
    return write_reply(out, status, body, keep_open, true);
}
