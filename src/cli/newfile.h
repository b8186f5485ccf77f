/* Files that hold keys: they are made, never written over. */
#ifndef SOCKEYE_CLI_NEWFILE_H
#define SOCKEYE_CLI_NEWFILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Makes a file of n bytes; `mode` is 0600 for what is secret. Returns 0, or an exit code of
 * sysexits(3), after saying why: EX_CANTCREAT where there is something of that name or the file
 * cannot be made, EX_IOERR where it cannot be written. Then there is no file, or the one that was
 * there.
 */
NODISCARD int newfile_make(const char *path, mode_t mode, const void *bytes, size_t n);

/* Takes back what newfile_make() has made, as something else failed. */
void newfile_unmake(const char *path);

#endif
