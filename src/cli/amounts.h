/* Numbers as people read them. Each text comes by value, so that several may be arguments of one printf. */
#ifndef SOCKEYE_CLI_AMOUNTS_H
#define SOCKEYE_CLI_AMOUNTS_H

#include <stdint.h>

struct amount {
    char text[24];
};

/* "93.1 Mbit/s" */
struct amount amount_bit_rate(double bits_per_s);
/* "58.2 MB": of 1,000 kB, as rates are counted */
struct amount amount_bytes(double bytes);
/* "12.3 ms", "1.25 s" */
struct amount amount_us(double us);

#endif
