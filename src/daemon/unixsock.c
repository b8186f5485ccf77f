#include "daemon/unixsock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/sys.h"

#define BACKLOG 128

static enum err set_path(struct sockaddr_un *sa, const char *path)
{
    size_t n = strlen(path);
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n >= sizeof sa->sun_path)
        return ERR_TOO_LONG;
    memcpy(sa->sun_path, path, n + 1);
    return ERR_NONE;
}

enum err unixsock_connect(int *fd, const char *path)
{
    struct sockaddr_un sa;
    enum err err = set_path(&sa, path);
    if (err != ERR_NONE)
        return err;
    *fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (*fd < 0)
        return sys_err(errno);
    if (sys_connect(*fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        return ERR_NONE;
    err = sys_err(errno);
    sys_close(*fd);
    return err;
}

/* A socket that nobody listens on any more. Connecting to a plain file is refused just the same. */
static bool is_stale(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd;
    enum err err = unixsock_connect(&fd, path);
    if (err == ERR_NONE)
        sys_close(fd);
    return err == ERR_REFUSED;
}

static enum err bind_and_listen(int fd, const struct sockaddr_un *sa, mode_t mode)
{
    /* The file is made with the descriptor's mode; by its path another's could be changed. */
    if (fchmod(fd, mode) < 0 || sys_bind(fd, (const struct sockaddr *)sa, sizeof *sa) < 0)
        return sys_err(errno);
    if (sys_listen(fd, BACKLOG) == 0)
        return ERR_NONE;
    enum err err = sys_err(errno);
    sys_unlink(sa->sun_path);
    return err;
}

enum err unixsock_listen(int *fd, const char *path, mode_t mode)
{
    struct sockaddr_un sa;
    enum err err = set_path(&sa, path);
    if (err != ERR_NONE)
        return err;
    if (is_stale(path) && sys_unlink(path) < 0)
        return sys_err(errno);
    *fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (*fd < 0)
        return sys_err(errno);
    err = bind_and_listen(*fd, &sa, mode);
    if (err != ERR_NONE)
        sys_close(*fd);
    return err;
}
