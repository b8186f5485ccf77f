#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "io/sys.h"

#define MESSAGE_BYTES 512

/* A path, or '@' and a name in the abstract space. */
static socklen_t set_address(struct sockaddr_un *sa, const char *text)
{
    size_t n = strlen(text);
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof sa->sun_path)
        return 0;
    memcpy(sa->sun_path, text, n);
    if (text[0] == '@')
        sa->sun_path[0] = '\0';
    /* An abstract name has no zero byte at its end. */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '/' ? 1 : 0));
}

static enum err connect_to(int *fd, const char *text)
{
    struct sockaddr_un sa;
    socklen_t n = set_address(&sa, text);
    if (n == 0)
        return ERR_BAD;
    *fd = sys_socket(AF_UNIX, SOCK_DGRAM, 0);
    if (*fd < 0)
        return sys_err(errno);
    if (sys_connect(*fd, (const struct sockaddr *)&sa, n) == 0)
        return ERR_NONE;
    enum err err = sys_err(errno);
    sys_close(*fd);
    return err;
}

static uint64_t number_from(const char *variable)
{
    const char *text = getenv(variable);
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? number : 0;
}

/* Where WATCHDOG_PID names another process, it is that one's. */
static uint64_t read_watchdog(void)
{
    if (getenv("WATCHDOG_PID") != NULL && number_from("WATCHDOG_PID") != (uint64_t)getpid())
        return 0;
    return number_from("WATCHDOG_USEC");
}

void notify_init(struct notify *notify, struct voice *voice)
{
    const char *text = getenv("NOTIFY_SOCKET");
    *notify = (struct notify){.fd = -1};
    if (text == NULL)
        return;
    enum err err = connect_to(&notify->fd, text);
    if (err == ERR_NONE) {
        notify->watchdog_us = read_watchdog();
    } else {
        notify->fd = -1;
        voice_say(voice, LOG_LEVEL_WARN, "cannot notify whoever started this at %.200s: %s", text,
                  err == ERR_BAD ? "neither a path nor an abstract name" : err_text(err));
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_deinit(struct notify *notify)
{
    if (notify->fd >= 0)
        sys_close(notify->fd);
    notify->fd = -1;
}

/* False: there is no room. Where it fails otherwise there is nobody else to tell. */
static bool send_now(struct notify *notify, const char *message)
{
    if (notify->fd < 0)
        return true;
    return sys_send(notify->fd, message, strlen(message), 0) >= 0 || errno != EAGAIN;
}

bool notify_ready(struct notify *notify, const char *status)
{
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "READY=1\nSTATUS=%s\n", status);
    return send_now(notify, message);
}

void notify_reloading(struct notify *notify)
{
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading\n",
             sys_monotonic_us());
    (void)send_now(notify, message);
}

void notify_stopping(struct notify *notify)
{
    (void)send_now(notify, "STOPPING=1\nSTATUS=Letting connections end\n");
}

void notify_alive(struct notify *notify)
{
    (void)send_now(notify, "WATCHDOG=1\n");
}
