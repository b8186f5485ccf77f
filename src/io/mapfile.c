#include "io/mapfile.h"

#include <errno.h>
#include <fcntl.h>

#include "io/sys.h"

/* Of another size it is none of ours, or was not finished. */
static enum err make_whole(int fd, size_t n, bool *is_new)
{
    struct stat st;
    bool is_shared = is_new == NULL;
    if (!is_shared && sys_lock(fd) < 0)
        return ERR_IN_USE;
    if (sys_fstat(fd, &st) < 0)
        return sys_err(errno);
    if (!S_ISREG(st.st_mode))
        return ERR_SYSTEM;
    if (is_shared)
        return st.st_size >= (off_t)n ? ERR_NONE : ERR_NOT_FOUND;
    *is_new = st.st_size != (off_t)n;
    if (*is_new && sys_allocate(fd, n) < 0)
        return sys_err(errno);
    return ERR_NONE;
}

enum err mapfile_open(struct mapfile *file, const char *path, size_t n, bool *is_new)
{
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return sys_err(errno);
    enum err err = make_whole(fd, n, is_new);
    void *memory = NULL;
    if (err == ERR_NONE) {
        memory = sys_map_file(fd, n);
        err = memory == NULL ? ERR_MEMORY : ERR_NONE;
    }
    if (err != ERR_NONE) {
        sys_close(fd);
        return err;
    }
    *file = (struct mapfile){.fd = fd, .memory = memory, .n = n};
    return ERR_NONE;
}

void mapfile_close(struct mapfile *file)
{
    sys_unmap(file->memory, file->n);
    sys_close(file->fd); /* and lets go of the lock */
}
