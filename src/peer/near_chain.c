/*
 * The near half as one link of a chain: its carriers are streams of another session. While that one has no link nothing moves, which is no
 * fault of ours: if stall, give-up and keepalive went on, each loss of an outer link would cost the inner ones too.
 */
#include "peer/inside.h"

bool peer_is_moving(const struct peer *peer)
{
    return near_has_sound_link(peer);
}

void peer_link_set_chained(struct peer_link *link)
{
    link->is_chained = true;
}

static void resume_link(struct peer_link *link, uint64_t pause_us, uint64_t now_us)
{
    link->started_us = session_excused(link->started_us, pause_us, now_us);
    link->active_us = session_excused(link->active_us, pause_us, now_us);
    link->keepalive_from_us = session_excused(link->keepalive_from_us, pause_us, now_us);
    if (link->keepalive_us != NEVER_US)
        link->keepalive_us += pause_us;
}

static void resume(struct peer *peer, uint64_t pause_us)
{
    struct near *near = &peer->near;
    uint64_t now_us = peer->time.now_us;

    for (unsigned i = 0; i < near->n_dials; i++)
        near->dials_us[i] = session_excused(near->dials_us[i], pause_us, now_us);
    near->attempt_us = session_excused(near->attempt_us, pause_us, now_us);
    for (struct list *at = peer->links.next; at != &peer->links; at = at->next)
        resume_link(CONTAINER_OF(at, struct peer_link, in_owner), pause_us, now_us);
    session_excuse(peer->reign->session, pause_us, now_us);
}

void peer_suspend(struct peer *peer, bool is_suspended, const struct peer_time *time)
{
    struct near *near = &peer->near;

    if (near->is_suspended == is_suspended)
        return;
    peer_at(peer, time);
    near->is_suspended = is_suspended;
    if (is_suspended)
        near->suspended_us = time->now_us;
    else
        resume(peer, time->now_us - near->suspended_us);
}
