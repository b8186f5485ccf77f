/*
 * Small files of the system that may change under us (/etc/hosts, /etc/resolv.conf): read whole,
 * and again when they are another file, or of another size or time, than the one read last.
 */
#ifndef SOCKEYE_IO_TEXTFILE_H
#define SOCKEYE_IO_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"

/* A block list as /etc/hosts has a few MiB. What is beyond this is not read. */
#define TEXTFILE_MAX_BYTES ((size_t)16 << 20)

struct textfile {
    char *path;       /* owned */
    bool is_read;     /* `seen` is what was read last */
    struct stat seen; /* all zero: there was no such file */
};

NODISCARD enum err textfile_init(struct textfile *file, const char *path);
void textfile_deinit(struct textfile *file);

/*
 * ERR_NONE: the file is new or has changed; *text is the whole of it, returned owned and zero
 * terminated, empty where there is no such file. ERR_AGAIN: it is as it was. Any other: it could
 * not be read now; ask again later.
 */
NODISCARD enum err textfile_read(struct textfile *file, char **text, size_t *n);

/* The text that was read last was of no use (out of memory): the next look reads it again. */
void textfile_forget(struct textfile *file);

#endif
