#include "daemon/activation.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/sys.h"

#define FIRST_FD 3

static bool parse_number(const char *text, unsigned long *number)
{
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* How many there are for this process. */
static size_t count_given(void)
{
    unsigned long pid, n;
    if (!parse_number(getenv("LISTEN_PID"), &pid) || pid != (unsigned long)getpid() ||
        !parse_number(getenv("LISTEN_FDS"), &n))
        return 0;
    return n;
}

static bool has_option(int fd, int level, int name, int value)
{
    int is = 0;
    socklen_t n = sizeof is;
    return sys_getsockopt(fd, level, name, &is, &n) == 0 && is == value;
}

static bool take_address(struct activation_socket *socket, const struct sockaddr_storage *sa,
                         socklen_t n)
{
    if (sa->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)sa;
        memcpy(socket->path, un->sun_path, sizeof socket->path - 1);
        return n > offsetof(struct sockaddr_un, sun_path) && socket->path[0] != '\0';
    }
    if (sys_addr_from_sockaddr(&socket->addr, (const struct sockaddr *)sa, n) != ERR_NONE)
        return false;
    socket->is_dual = socket->addr.family == ADDR_V6 && addr_is_unspecified(&socket->addr) &&
                      has_option(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return true;
}

/* False: it is nothing that could be listened on. */
static bool look_at(struct activation_socket *socket, int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof sa;
    *socket = (struct activation_socket){.fd = fd};
    return sys_set_flags(fd) == 0 && has_option(fd, SOL_SOCKET, SO_TYPE, SOCK_STREAM) &&
           has_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 1) &&
           sys_getsockname(fd, (struct sockaddr *)&sa, &n) == 0 && take_address(socket, &sa, n);
}

void activation_init(struct activation *activation, struct voice *voice)
{
    size_t n = count_given();
    activation->n = 0;
    for (size_t i = 0; i < n && i < ACTIVATION_MAX; i++) {
        int fd = FIRST_FD + (int)i;
        if (look_at(&activation->sockets[activation->n], fd)) {
            activation->n++;
        } else {
            voice_say(voice, LOG_LEVEL_WARN,
                      "descriptor %d, which this was started with, is no stream socket that "
                      "listens: closed",
                      fd);
            sys_close(fd);
        }
    }
    if (n > ACTIVATION_MAX)
        voice_say(voice, LOG_LEVEL_WARN,
                  "started with %zu sockets; only the first %d are looked at", n, ACTIVATION_MAX);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool is_at(const struct activation_socket *socket, const struct addr *addr, const char *path)
{
    if (socket->fd < 0)
        return false;
    if (path != NULL || socket->path[0] != '\0')
        return path != NULL && strcmp(socket->path, path) == 0;
    return addr_equal(&socket->addr, addr, true);
}

struct activation_socket *activation_find(struct activation *activation, const struct addr *addr,
                                          const char *path)
{
    for (size_t i = 0; i < activation->n; i++) {
        if (is_at(&activation->sockets[i], addr, path))
            return &activation->sockets[i];
    }
    return NULL;
}

int activation_take(struct activation_socket *socket)
{
    int fd = socket->fd;
    socket->fd = -1;
    return fd;
}

void activation_close(struct activation *activation, struct voice *voice)
{
    for (size_t i = 0; i < activation->n; i++) {
        struct activation_socket *socket = &activation->sockets[i];
        char where[ADDR_TEXT_BYTES];
        if (socket->fd < 0)
            continue;
        addr_format(&socket->addr, where);
        voice_say(
            voice, LOG_LEVEL_WARN,
            "no inbound listens on %s%s, where this was started with a socket: closed",
            socket->path[0] == '\0' ? "" : "unix:", socket->path[0] == '\0' ? where : socket->path);
        sys_close(socket->fd);
        socket->fd = -1;
    }
    activation->n = 0;
}
