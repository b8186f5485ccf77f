#include "tunnel/report.h"

#include <stdlib.h>
#include <string.h>

#include "io/socket.h"
#include "tunnel/host.h"

static void report_link(struct tunnel_link_report *out, const struct carrier *carrier,
                        const struct session *session)
{
    struct session_link_stats stats = {0};
    uint64_t number = peer_link_number(carrier->of);
    (void)session_link_stats(session, number, &stats);
    *out = (struct tunnel_link_report){
        .number = number,
        .remote = carrier->remote,
        .rtt_us = stats.srtt_us,
        .min_rtt_us = stats.min_rtt_us,
        .rate = stats.rate,
        .retransmits = sock_retransmits(carrier->endpoint),
        .n_unacked_bytes = stats.n_unacked_bytes,
        .sent_bytes = carrier->n_sent_bytes,
        .received_bytes = carrier->n_received_bytes,
    };
}

/* Cut between characters where it is longer (UTF-8). */
static void copy_text(char *out, size_t cap, const char *text)
{
    size_t n = strlen(text);
    if (n >= cap) {
        n = cap - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

void tunnel_report_listener(struct tunnel_session_report *report, const struct addr *at,
                            const char *inbound, const char *is)
{
    if (report->n_listeners < TUNNEL_REPORT_LISTENERS) {
        struct tunnel_listener_report *out = &report->listeners[report->n_listeners];
        *out = (struct tunnel_listener_report){.at = *at, .is = is};
        copy_text(out->inbound, sizeof out->inbound, inbound != NULL ? inbound : "");
    }
    report->n_listeners++;
}

static void report_session(struct tunnel_session_report *out, struct host *host)
{
    const struct session *session = peer_session(host->peer);
    struct session_stats stats;
    session_stats(session, &stats);
    *out = (struct tunnel_session_report){
        .is_near = host->is_near,
        .worker = host->tended.env->index,
        .serial = host->serial,
        .links_cut = host->n_cut,
        .streams_now = stats.n_streams,
        .streams_total = stats.n_opened,
        .sent_bytes = stats.n_sent_bytes,
        .received_bytes = stats.n_received_bytes,
        .resent_bytes = stats.n_resent_bytes,
        .held_bytes = stats.n_held_bytes,
    };
    out->n_streams = session_stream_stats(session, out->streams, TUNNEL_REPORT_STREAMS);
    copy_text(out->name, sizeof out->name, host->name);
    copy_text(out->user, sizeof out->user, host->user != NULL ? host->user : "");
    if (host->ops->report_listeners != NULL)
        host->ops->report_listeners(host, out);
    for (struct list *at = host->carriers.next; at != &host->carriers; at = at->next) {
        const struct carrier *carrier = CONTAINER_OF(at, struct carrier, link);
        if (!carrier->has_stood)
            continue;
        if (out->n_links < TUNNEL_REPORT_LINKS)
            report_link(&out->links[out->n_links], carrier, session);
        out->n_links++;
    }
}

enum err tunnel_report(struct tunnel_env *env, struct tunnel_session_report **out, size_t *n)
{
    size_t n_hosts = 0, i = 0;
    *out = NULL;
    *n = 0;
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next)
        n_hosts++;
    if (n_hosts == 0)
        return ERR_NONE;
    struct tunnel_session_report *reports = calloc(n_hosts, sizeof *reports);
    if (reports == NULL)
        return ERR_MEMORY;
    for (struct list *at = env->hosts.next; at != &env->hosts; at = at->next)
        report_session(&reports[i++], CONTAINER_OF(at, struct host, link));
    *out = reports;
    *n = n_hosts;
    return ERR_NONE;
}
