#include "cli/amounts.h"

#include <stdio.h>

static struct amount scaled(double number, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    struct amount amount;
    size_t i = 0;
    /* 999.96 would be printed as 1000.0. */
    while (number >= 999.95 && i + 1 < sizeof prefixes / sizeof prefixes[0]) {
        number /= 1000;
        i++;
    }
    snprintf(amount.text, sizeof amount.text, "%.*f %s%s", i == 0 ? 0 : 1, number, prefixes[i],
             unit);
    return amount;
}

struct amount amount_bit_rate(double bits_per_s)
{
    return scaled(bits_per_s, "bit/s");
}

struct amount amount_bytes(double bytes)
{
    return scaled(bytes, "B");
}

struct amount amount_us(double us)
{
    struct amount amount;
    if (us < 999950)
        snprintf(amount.text, sizeof amount.text, "%.*f ms", us < 99950 ? 1 : 0, us / 1000);
    else
        snprintf(amount.text, sizeof amount.text, "%.2f s", us / 1000000);
    return amount;
}
