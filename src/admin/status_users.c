#include "admin/status_users.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct status_user *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->inbound, y->inbound);
}

/* One for each session that has a user. */
static void list(struct status_users *out, const struct status *status)
{
    for (size_t i = 0; i < status->n_sessions; i++) {
        const struct tunnel_session_report *session = &status->sessions[i];
        if (session->user[0] == '\0')
            continue;
        out->items[out->n++] = (struct status_user){
            .name = session->user,
            .inbound = session->name,
            .n_sessions = 1,
            .n_links = session->n_links,
            .streams_now = session->streams_now,
            .sent_bytes = session->sent_bytes,
            .received_bytes = session->received_bytes,
        };
    }
}

/* Those of one user stand together, and become one. */
static void merge(struct status_users *users)
{
    size_t n = 0;
    for (size_t i = 0; i < users->n; i++) {
        const struct status_user *next = &users->items[i];
        if (n == 0 || compare(&users->items[n - 1], next) != 0) {
            users->items[n++] = *next;
            continue;
        }
        struct status_user *user = &users->items[n - 1];
        user->n_sessions += next->n_sessions;
        user->n_links += next->n_links;
        user->streams_now += next->streams_now;
        user->sent_bytes += next->sent_bytes;
        user->received_bytes += next->received_bytes;
    }
    users->n = n;
}

enum err status_users_gather(struct status_users *out, const struct status *status)
{
    *out = (struct status_users){.items = calloc(status->n_sessions + 1, sizeof *out->items)};
    if (out->items == NULL)
        return ERR_MEMORY;
    list(out, status);
    qsort(out->items, out->n, sizeof *out->items, compare);
    merge(out);
    return ERR_NONE;
}
