/* Which boot of the machine this is. */
#ifndef SOCKEYE_IO_BOOTID_H
#define SOCKEYE_IO_BOOTID_H

#include <stddef.h>
#include <stdint.h>

#define BOOTID_MAX_BYTES 64

/* The system's name for it; returns its bytes, 0 where the system does not say. */
size_t bootid_read(uint8_t id[static BOOTID_MAX_BYTES]);

#endif
