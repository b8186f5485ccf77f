#include "io/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io/sys.h"

enum err textfile_init(struct textfile *file, const char *path)
{
    size_t n = strlen(path) + 1;
    *file = (struct textfile){.path = malloc(n)};
    if (file->path == NULL)
        return ERR_MEMORY;
    memcpy(file->path, path, n);
    return ERR_NONE;
}

void textfile_deinit(struct textfile *file)
{
    free(file->path);
    *file = (struct textfile){0};
}

void textfile_forget(struct textfile *file)
{
    file->is_read = false;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Reads until the end or until cap bytes are there. */
static enum err read_all(const char *path, char *text, size_t cap, size_t *n)
{
    /* Not blocking: what was a file a moment ago may be a FIFO now. */
    int fd = sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return sys_err(errno);
    enum err err = ERR_NONE;
    *n = 0;
    while (*n < cap) {
        ssize_t got = sys_read(fd, text + *n, cap - *n);
        if (got < 0)
            err = sys_err(errno);
        if (got <= 0)
            break;
        *n += (size_t)got;
    }
    sys_close(fd);
    return err;
}

enum err textfile_read(struct textfile *file, char **text, size_t *n)
{
    struct stat now = {0};
    bool is_there = sys_stat(file->path, &now) == 0;
    if (!is_there && errno != ENOENT)
        return sys_err(errno);
    if (!is_there || !S_ISREG(now.st_mode))
        now = (struct stat){0};
    if (file->is_read && is_same(&file->seen, &now))
        return ERR_AGAIN;

    size_t size = (size_t)now.st_size;
    size_t cap = size < TEXTFILE_MAX_BYTES ? size : TEXTFILE_MAX_BYTES;
    char *bytes = malloc(cap + 1);
    if (bytes == NULL)
        return ERR_MEMORY;
    size_t n_read = 0;
    enum err err = cap == 0 ? ERR_NONE : read_all(file->path, bytes, cap, &n_read);
    if (err != ERR_NONE) {
        free(bytes);
        return err == ERR_AGAIN ? ERR_SYSTEM : err;
    }
    bytes[n_read] = '\0';
    *text = bytes;
    *n = n_read;
    /* What was seen before reading: if the file has changed since, the next look will tell. */
    file->seen = now;
    file->is_read = true;
    return ERR_NONE;
}
