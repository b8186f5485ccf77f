#include "wire/http1_basic.h"

#include <stdint.h>

#include "base/base64.h"
#include "wire/http1_scan.h"

enum err http1_parse_basic(struct http1_basic *out, struct slice value)
{
    static const size_t n_scheme = 5;
    struct slice scheme = {.at = value.at, .n = n_scheme};
    size_t n, colon = 0;

    if (value.n <= n_scheme || !http1_is_word(scheme, "basic") || value.at[n_scheme] != ' ')
        return ERR_AUTH;
    struct slice coded = http1_trim((struct slice){value.at + n_scheme, value.n - n_scheme});
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
