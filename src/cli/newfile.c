#include "cli/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "io/sys.h"

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = sys_write(fd, bytes, n);
        if (written < 0)
            return false;
        bytes += written;
        n -= (size_t)written;
    }
    return true;
}

int newfile_make(const char *path, mode_t mode, const void *bytes, size_t n)
{
    /* O_EXCL follows no symbolic link, so that nobody leads us elsewhere. */
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, mode);
    if (fd < 0) {
        fprintf(stderr, "sockeye: %s: %s\n", path,
                errno == EEXIST ? "it exists already, and is left as it is" : strerror(errno));
        return EX_CANTCREAT;
    }
    bool is_written = write_all(fd, bytes, n);
    int error = errno;
    /* Where there are quotas, it is closing that fails. */
    if (sys_close(fd) < 0 && is_written) {
        is_written = false;
        error = errno;
    }
    if (is_written)
        return EX_OK;
    newfile_unmake(path);
    fprintf(stderr, "sockeye: %s: %s\n", path, strerror(error));
    return EX_IOERR;
}

void newfile_unmake(const char *path)
{
    sys_unlink(path);
}
