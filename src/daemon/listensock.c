#include "daemon/listensock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/unixsock.h"
#include "io/listener.h"
#include "io/sys.h"

/* Whoever may connect can use the proxy, and a unix socket has no other lock. */
#define UNIX_MODE 0600

static struct listensock *new_sock(size_t n_workers)
{
    struct listensock *made = calloc(1, sizeof *made + n_workers * sizeof made->fds[0]);
    for (size_t i = 0; made != NULL && i < n_workers; i++)
        made->fds[i] = -1;
    return made;
}

bool listensock_is_at_path(const struct listensock *sock)
{
    struct stat st;
    return sys_stat(sock->path, &st) == 0 && st.st_dev == sock->dev && st.st_ino == sock->ino;
}

void listensock_remove_file(const struct listensock *sock)
{
    if (sock->path != NULL && !sock->is_given && listensock_is_at_path(sock))
        sys_unlink(sock->path);
}

void listensock_free(struct listensock *sock, size_t n_workers)
{
    for (size_t i = 0; i < n_workers; i++) {
        if (sock->fds[i] >= 0)
            sys_close(sock->fds[i]);
    }
    listensock_remove_file(sock);
    free(sock->path);
    free(sock);
}

/* Hands over what has succeeded, else gives it back. */
static enum err finish(struct listensock **out, struct listensock *sock, size_t n_workers,
                       enum err err)
{
    if (err == ERR_NONE)
        *out = sock;
    else
        listensock_free(sock, n_workers);
    return err;
}

/* The first decides about the port. */
static enum err open_for_workers(struct listensock *sock, const struct listensock_options *given)
{
    struct listener_options options = {.shares_port = given->shares_port, .for_own = true};
    for (size_t i = 0; i < given->n_workers; i++) {
        enum err err = listener_open(&sock->fds[i], &sock->addr, &options);
        if (err == ERR_IN_USE && i == 0 && given->has_own) {
            options.shares_port = true;
            err = listener_open(&sock->fds[i], &sock->addr, &options);
        }
        if (err != ERR_NONE) {
            sock->fds[i] = -1;
            return err;
        }
        options.shares_port = true; /* with the first, which keeps others out */
    }
    return ERR_NONE;
}

enum err listensock_open_tcp(struct listensock **out, const struct addr *asked,
                             const struct addr *addr, const struct listensock_options *options)
{
    struct listensock *sock = new_sock(options->n_workers);
    if (sock == NULL)
        return ERR_MEMORY;
    sock->asked = *asked;
    sock->addr = *addr;
    return finish(out, sock, options->n_workers, open_for_workers(sock, options));
}

/* The first worker has a descriptor, the others get their own of the same socket. */
static enum err share(struct listensock *sock, size_t n_workers)
{
    sock->is_shared = n_workers > 1 || sock->is_given;
    for (size_t i = 1; i < n_workers; i++) {
        sock->fds[i] = sys_dup(sock->fds[0]);
        if (sock->fds[i] < 0)
            return sys_err(errno);
    }
    return ERR_NONE;
}

static enum err listen_at(struct listensock *sock, const char *path)
{
    struct stat st;
    sock->path = strdup(path);
    if (sock->path == NULL)
        return ERR_MEMORY;
    enum err err = unixsock_listen(&sock->fds[0], path, UNIX_MODE);
    if (err != ERR_NONE) {
        sock->fds[0] = -1;
        return err;
    }
    if (sys_stat(path, &st) == 0) {
        sock->dev = st.st_dev;
        sock->ino = st.st_ino;
    }
    return ERR_NONE;
}

enum err listensock_open_unix(struct listensock **out, const char *path, size_t n_workers)
{
    struct listensock *sock = new_sock(n_workers);
    if (sock == NULL)
        return ERR_MEMORY;
    enum err err = listen_at(sock, path);
    if (err == ERR_NONE)
        err = share(sock, n_workers);
    return finish(out, sock, n_workers, err);
}

static enum err take(struct listensock *sock, struct activation_socket *given)
{
    sock->asked = sock->addr = given->addr;
    sock->is_given = true;
    sock->is_dual = given->is_dual;
    sock->fds[0] = activation_take(given);
    if (given->path[0] == '\0')
        return listener_adopt(sock->fds[0]);
    sock->path = strdup(given->path);
    return sock->path == NULL ? ERR_MEMORY : ERR_NONE;
}

enum err listensock_adopt(struct listensock **out, struct activation_socket *given,
                          size_t n_workers)
{
    struct listensock *sock = new_sock(n_workers);
    if (sock == NULL)
        return ERR_MEMORY;
    enum err err = take(sock, given);
    if (err == ERR_NONE)
        err = share(sock, n_workers);
    return finish(out, sock, n_workers, err);
}
