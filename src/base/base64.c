#include "base/base64.h"

/* The value of a character; 0xff where it is none of the alphabet. Built from ranges rather than
 * written out: 64 numbers in a table are nothing a reader can check. */
static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    if (c == '+')
        return 62;
    if (c == '/')
        return 63;
    return 0xff;
}

enum err base64_decode(uint8_t *out, size_t cap, size_t *out_bytes, const char *text, size_t n)
{
    size_t n_pad = 0;
    size_t used = 0;
    uint32_t bits = 0;

    if (n % 4 != 0)
        return ERR_BAD;
    while (n_pad < 2 && n_pad < n && text[n - 1 - n_pad] == '=')
        n_pad++;
    if (n / 4 * 3 - n_pad > cap)
        return ERR_TOO_LONG;

    for (size_t i = 0; i < n; i++) {
        unsigned value = i < n - n_pad ? value_of(text[i]) : 0;
        if (value > 63)
            return ERR_BAD;
        bits = bits << 6 | value;
        if (i % 4 != 3)
            continue;
        size_t n_group = i + 1 == n ? 3 - n_pad : 3;
        /* Canonical: the bits that padding leaves over are zero. */
        if ((bits & ((UINT32_C(1) << 8 * (3 - n_group)) - 1)) != 0)
            return ERR_BAD;
        for (size_t k = 0; k < n_group; k++)
            out[used++] = (uint8_t)(bits >> (16 - 8 * k));
        bits = 0;
    }
    *out_bytes = used;
    return ERR_NONE;
}

static char char_of(unsigned value)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return alphabet[value & 63];
}

size_t base64_encode(char *text, const uint8_t *bytes, size_t n)
{
    char *at = text;
    for (size_t i = 0; i < n; i += 3) {
        size_t n_group = n - i < 3 ? n - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (n_group > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (n_group > 2)
            bits |= bytes[i + 2];
        for (unsigned k = 0; k < 4; k++)
            *at++ = k <= n_group ? char_of(bits >> (18 - 6 * k)) : '=';
    }
    return (size_t)(at - text);
}
