#include "admin/admin.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/status_text.h"
#include "daemon/paths.h"
#include "daemon/unixsock.h"
#include "io/listener.h"
#include "io/sys.h"

#define MAX_CLIENTS 16
#define LINE_BYTES 32
#define CLIENT_MS 5000 /* for all a client does */

static const char unknown_request[] =
    "error: unknown request; expected: status, or: status json, or: status lines\n";
static const char no_memory[] = "error: out of memory\n";

struct admin {
    struct listener listener;
    struct deferred freeing;
    struct list clients;
    unsigned n_clients;
    status_collect *collect;
    void *arg;
    dev_t dev; /* of the socket's file, so that no other's is removed */
    ino_t ino;
    char path[PATHS_SOCKET_BYTES];
};

enum client_state { CLIENT_READING, CLIENT_COLLECTING, CLIENT_WRITING, CLIENT_GONE };

/* Outlives its client where the daemon is still at it. */
struct request {
    struct status_request base;
    struct client *client; /* NULL: gone */
    enum status_form form;
};

struct client {
    struct list link;
    struct watch watch;
    struct timer timer;
    struct deferred freeing;
    struct admin *admin;
    struct request *request; /* while collecting */
    enum client_state state;
    size_t n_line;
    char line[LINE_BYTES];
    const char *answer;
    char *owned_answer; /* what answer points to, if it must be freed */
    size_t n_answer, n_sent;
};

static void run_free_client(struct deferred *deferred)
{
    struct client *client = CONTAINER_OF(deferred, struct client, freeing);
    free(client->owned_answer);
    free(client);
}

static void close_client(struct client *client)
{
    if (client->state == CLIENT_GONE)
        return;
    client->state = CLIENT_GONE;
    struct loop *loop = client->watch.loop;
    if (client->request != NULL)
        client->request->client = NULL;
    timer_clear(loop_timers(loop), &client->timer);
    loop_remove(&client->watch);
    sys_close(client->watch.fd);
    list_remove(&client->link);
    client->admin->n_clients--;
    loop_defer(loop, &client->freeing, run_free_client);
}

static void on_time_over(struct timer *timer)
{
    close_client(CONTAINER_OF(timer, struct client, timer));
}

static void begin_writing(struct client *client, const char *answer, size_t n)
{
    client->state = CLIENT_WRITING;
    client->answer = answer;
    client->n_answer = n;
    loop_want(&client->watch, LOOP_WRITE);
}

static void on_collected(struct status_request *base)
{
    struct request *request = CONTAINER_OF(base, struct request, base);
    struct client *client = request->client;
    if (client != NULL) {
        size_t n;
        client->request = NULL;
        if (base->status.limits != NULL &&
            admin_status_format(&base->status, request->form, &client->owned_answer, &n) ==
                ERR_NONE)
            begin_writing(client, client->owned_answer, n);
        else
            begin_writing(client, no_memory, strlen(no_memory));
    }
    free(request);
}

static void begin_collecting(struct client *client, enum status_form form)
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        begin_writing(client, no_memory, strlen(no_memory));
        return;
    }
    request->base.done = on_collected;
    request->client = client;
    request->form = form;
    client->request = request;
    client->state = CLIENT_COLLECTING;
    loop_want(&client->watch, 0);
    client->admin->collect(client->admin->arg, &request->base);
}

static void take_line(struct client *client, size_t n)
{
    static const struct {
        const char *line;
        enum status_form form;
    } requests[] = {
        {"status", STATUS_TEXT}, {"status json", STATUS_JSON}, {"status lines", STATUS_LINES}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (n == strlen(requests[i].line) && memcmp(client->line, requests[i].line, n) == 0) {
            begin_collecting(client, requests[i].form);
            return;
        }
    }
    begin_writing(client, unknown_request, strlen(unknown_request));
}

static void read_line(struct client *client)
{
    ssize_t got = sys_recv(client->watch.fd, client->line + client->n_line,
                           sizeof client->line - client->n_line, 0);
    if (got < 0 && sys_err(errno) == ERR_AGAIN) {
        loop_used_up(&client->watch, LOOP_READ);
        return;
    }
    if (got <= 0) {
        close_client(client);
        return;
    }
    client->n_line += (size_t)got;
    const char *end = memchr(client->line, '\n', client->n_line);
    if (end != NULL)
        take_line(client, (size_t)(end - client->line));
    else if (client->n_line == sizeof client->line)
        begin_writing(client, unknown_request, strlen(unknown_request));
}

static void write_answer(struct client *client)
{
    ssize_t sent = sys_send(client->watch.fd, client->answer + client->n_sent,
                            client->n_answer - client->n_sent, 0);
    if (sent < 0 && sys_err(errno) == ERR_AGAIN) {
        loop_used_up(&client->watch, LOOP_WRITE);
        return;
    }
    client->n_sent += sent < 0 ? 0 : (size_t)sent;
    if (sent < 0 || client->n_sent == client->n_answer)
        close_client(client);
}

static void on_event(struct watch *watch, unsigned events)
{
    struct client *client = CONTAINER_OF(watch, struct client, watch);
    if ((events & LOOP_READ) != 0 && client->state == CLIENT_READING)
        read_line(client);
    else if ((events & LOOP_WRITE) != 0 && client->state == CLIENT_WRITING)
        write_answer(client);
    else if ((events & LOOP_ERROR) != 0)
        close_client(client);
}

static void on_accept(struct listener *listener, int fd, const struct addr *from)
{
    (void)from;
    struct admin *admin = CONTAINER_OF(listener, struct admin, listener);
    struct loop *loop = listener->watch.loop;
    struct client *client = admin->n_clients < MAX_CLIENTS ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        sys_close(fd);
        return;
    }
    client->admin = admin;
    timer_init(&client->timer, on_time_over);
    if (timer_set(loop_timers(loop), &client->timer, loop_now_ms(loop) + CLIENT_MS) != ERR_NONE ||
        loop_add(loop, &client->watch, fd, LOOP_READ, on_event) != ERR_NONE) {
        timer_clear(loop_timers(loop), &client->timer);
        sys_close(fd);
        free(client);
        return;
    }
    list_append(&admin->clients, &client->link);
    admin->n_clients++;
}

/* The flows' listeners say what has run out; here it only takes longer. */
static void on_shortage(struct listener *listener, enum err err)
{
    (void)listener;
    (void)err;
}

static bool has_room(struct listener *listener)
{
    (void)listener;
    return true;
}

static enum err open_socket(struct admin *admin, struct loop *loop)
{
    int fd;
    struct stat st;
    enum err err = unixsock_listen(&fd, admin->path, 0600);
    if (err != ERR_NONE)
        return err;
    if (sys_stat(admin->path, &st) == 0) {
        admin->dev = st.st_dev;
        admin->ino = st.st_ino;
    }
    admin->listener =
        (struct listener){.has_room = has_room, .on_accept = on_accept, .on_shortage = on_shortage};
    err = listener_start(&admin->listener, loop, fd);
    if (err != ERR_NONE) {
        sys_close(fd);
        sys_unlink(admin->path);
    }
    return err;
}

enum err admin_new(struct admin **out, struct loop *loop, const char *path, status_collect *collect,
                   void *arg)
{
    size_t n = strlen(path);
    if (n >= PATHS_SOCKET_BYTES)
        return ERR_TOO_LONG;
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return ERR_MEMORY;
    memcpy(admin->path, path, n + 1);
    list_init(&admin->clients);
    admin->collect = collect;
    admin->arg = arg;
    enum err err = open_socket(admin, loop);
    if (err != ERR_NONE) {
        free(admin);
        return err;
    }
    *out = admin;
    return ERR_NONE;
}

static void run_free_admin(struct deferred *deferred)
{
    free(CONTAINER_OF(deferred, struct admin, freeing));
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    struct loop *loop = admin->listener.watch.loop;
    while (!list_empty(&admin->clients))
        close_client(CONTAINER_OF(admin->clients.next, struct client, link));
    listener_stop(&admin->listener);
    struct stat st;
    if (sys_stat(admin->path, &st) == 0 && st.st_dev == admin->dev && st.st_ino == admin->ino)
        sys_unlink(admin->path);
    loop_defer(loop, &admin->freeing, run_free_admin);
}

static const char *why_not(enum err err)
{
    switch (err) {
    case ERR_IN_USE:
        return "another process answers there, or it is no socket";
    case ERR_PERMITTED:
        return "not permitted";
    case ERR_NOT_FOUND:
        return "no such directory";
    case ERR_TOO_LONG:
        return "longer than a socket's path may be (107 bytes)";
    default:
        return err_text(err);
    }
}

static enum err start(struct admin **out, struct loop *loop, struct log *log,
                      const char *configured, status_collect *collect, void *arg)
{
    char path[PATHS_SOCKET_BYTES];
    bool is_auto = strcmp(configured, "auto") == 0;
    *out = NULL;
    enum err err = paths_admin_socket(path, configured);
    if (err == ERR_NONE)
        err = admin_new(out, loop, path, collect, arg);
    if (err == ERR_NONE)
        return ERR_NONE;
    if (is_auto) {
        log_say(log, LOG_LEVEL_WARN,
                "no status socket, so `sockeye status` will not find this process: %s: %s (another "
                "place: admin: {socket: PATH}; none: '')",
                path, why_not(err));
        return ERR_NONE;
    }
    fprintf(stderr, "sockeye: cannot open the status socket %s: %s\n", configured, why_not(err));
    return err;
}

const struct daemon_admin admin_for_daemon = {.start = start, .stop = admin_free};
