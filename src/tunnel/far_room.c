#include "tunnel/far_room.h"

#include <stdlib.h>
#include <string.h>

#include "flow/clients.h"
#include "io/mailbox.h"
#include "tunnel/far_host.h"
#include "tunnel/far_spec.h"
#include "tunnel/tunnels.h"

struct question {
    struct mail mail;
    struct tunnel_env *to;
    struct far_spec *spec; /* held */
    uint64_t max_sessions;
    uint8_t user_id[USER_ID_BYTES];
};

static struct far *find_far(struct tunnel_env *env, const struct far_spec *spec)
{
    for (struct list *at = env->fars.next; at != &env->fars; at = at->next) {
        struct far *far = CONTAINER_OF(at, struct far, link);
        if (far->spec == spec)
            return far;
    }
    return NULL;
}

/* Another worker may have made room meanwhile. */
static void answer(struct mail *mail)
{
    struct question *question = CONTAINER_OF(mail, struct question, mail);
    struct far *far = find_far(question->to, question->spec);
    if (far != NULL) {
        struct counted sessions = {.of = far->inbound->counts, .user = question->user_id};
        struct clients *clients = &far->tended.env->flow->shared->clients;
        if (clients_count(clients, &sessions) >= question->max_sessions)
            (void)far_host_end_unlinked(far, question->user_id);
    }
    far_spec_release(question->spec);
    free(question);
}

static void ask(const struct far_host *host, struct tunnel_env *worker, uint64_t max_sessions)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return; /* the client comes again */
    *question = (struct question){.mail = {.deliver = answer},
                                  .to = worker,
                                  .spec = host->far->spec,
                                  .max_sessions = max_sessions};
    memcpy(question->user_id, host->user_id, sizeof question->user_id);
    far_spec_hold_again(question->spec);
    mailbox_post(worker->flow->mailbox, &question->mail);
}

void far_room_ask_others(const struct far_host *host, uint64_t max_sessions)
{
    const struct tunnel_env *env = host->host.tended.env;
    const struct tunnels *tunnels = env->tunnels;
    for (size_t i = 0; i < tunnels->n_workers; i++)
        if (tunnels->workers[i] != env)
            ask(host, tunnels->workers[i], max_sessions);
}
