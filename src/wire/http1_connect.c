#include "wire/http1_connect.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/secret.h"

enum { TEXT_MAX_BYTES = 255, PAIR_MAX_BYTES = TEXT_MAX_BYTES + 1 + TEXT_MAX_BYTES };

static_assert(sizeof "CONNECT  HTTP/1.1\r\nHost: \r\nProxy-Authorization: Basic \r\n\r\n" +
                      2 * (size_t)TARGET_TEXT_BYTES + BASE64_BYTES(PAIR_MAX_BYTES) <=
                  HTTP1_CONNECT_MAX_BYTES,
              "the longest request fits");

static size_t write_basic(char *out, const struct slice *user, const struct slice *password)
{
    static const char field[] = "Proxy-Authorization: Basic ";
    uint8_t pair[PAIR_MAX_BYTES];
    size_t n = sizeof field - 1;
    assert(user->n <= TEXT_MAX_BYTES && password->n <= TEXT_MAX_BYTES);
    memcpy(pair, user->at, user->n);
    pair[user->n] = ':';
    memcpy(pair + user->n + 1, password->at, password->n);
    memcpy(out, field, n);
    n += base64_encode(out + n, pair, user->n + 1 + password->n);
    secret_wipe(pair, sizeof pair);
    memcpy(out + n, "\r\n", 2);
    return n + 2;
}

size_t http1_write_connect(char out[static HTTP1_CONNECT_MAX_BYTES], const struct target *target,
                           const struct slice *user, const struct slice *password)
{
    char text[TARGET_TEXT_BYTES];
    target_format(target, text);
    int written =
        snprintf(out, HTTP1_CONNECT_MAX_BYTES, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", text, text);
    assert(written > 0);
    size_t n = (size_t)written;
    if (user != NULL && password != NULL)
        n += write_basic(out + n, user, password);
    memcpy(out + n, "\r\n", 2);
    return n + 2;
}

enum err http1_connect_err(unsigned status)
{
    switch (status) {
    case 403:
        return ERR_DENIED;
    case 405:
        return ERR_COMMAND;
    case 401: /* tinyproxy says so of a wrong password */
    case 407:
        return ERR_AUTH;
    case 502:
    case 503:
        return ERR_HOST_UNREACH;
    case 504:
        return ERR_TIMEOUT;
    default:
        return status >= 200 && status < 300 ? ERR_NONE : ERR_UPSTREAM;
    }
}
