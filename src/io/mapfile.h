/*
 * Memory that outlives the process: a file that is mapped and shared, and locked, so that no other process works on it
 * at the same time.
 */
#ifndef SOCKEYE_IO_MAPFILE_H
#define SOCKEYE_IO_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct mapfile {
    int fd;
    void *memory;
    size_t n;
};

/*
 * Opens it, or makes it (0600) with n bytes of zeros where there is none of that size; *is_new says which. It is on the disk whole, so
 * that a full disk is met here and not when it is written to. ERR_IN_USE: another process has it. ERR_PERMITTED, ERR_NOT_FOUND (the
 * directory), ERR_MEMORY, ERR_SYSTEM: no room on the disk, or no plain file.
 * With is_new NULL another process has it, and goes on with it: its first n bytes are shared. ERR_NOT_FOUND: there are not so many.
 */
NODISCARD enum err mapfile_open(struct mapfile *file, const char *path, size_t n, bool *is_new);
void mapfile_close(struct mapfile *file);

#endif
