#include "admin/status_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/status_json.h"
#include "admin/status_lines.h"
#include "admin/status_users.h"
#include "base/addr.h"

/* More workers than this are shown as their sum only: it shall stay one screen. */
#define SHOWN_WORKERS 16
#define SHOWN_SESSIONS 100

static const char *const refusal_reasons[] = {
    [REFUSAL_CONNECTIONS] = "`connections` was reached",
    [REFUSAL_PER_CLIENT] = "`per_client` was reached by that address",
    [REFUSAL_CLIENT] = "`allow` and `deny` say no to that address",
    [REFUSAL_DESCRIPTORS] = "descriptors had run out (ulimit -n, LimitNOFILE=)",
    [REFUSAL_MEMORY] = "memory had run out",
    [REFUSAL_PORTS] = "local ports had run out",
    [REFUSAL_LOGIN] = "wrong credentials, or no method in common",
    [REFUSAL_UNVERIFIED] = "a password that could not be verified",
    [REFUSAL_HANDSHAKE] = "no request, or none that could be understood",
    [REFUSAL_FLIGHT] =
        "at a tunnel: the key was right, its time or something else was not (see the log)",
};

static_assert(sizeof refusal_reasons / sizeof refusal_reasons[0] == N_REFUSALS,
              "a refusal without a reason");

static const char *const drop_reasons[] = {
    [DROP_FOREIGN] = "not from the client of the association",
    [DROP_MALFORMED] = "no SOCKS5 header, or a fragment",
    [DROP_DENIED] = "a rule denies the target",
    [DROP_LOOKUP] = "the name does not resolve",
    [DROP_UNSERVED] = "the outbound carries no datagrams, or is not to be had",
    [DROP_FULL] = "a queue or memory was full",
    [DROP_UNSENT] = "the system would not send it",
    [DROP_OVERRUN] = "it came faster than it could be read",
};

static_assert(sizeof drop_reasons / sizeof drop_reasons[0] == N_DROPS, "a drop without a reason");

/* A short text by value, so that several may be arguments of one printf. */
struct words {
    char text[40];
};

/* 1234567 becomes 1,234,567. */
static struct words count(uint64_t number)
{
    struct words words;
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *at = words.text;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return words;
}

static struct words limit(uint64_t number)
{
    return number == 0 ? (struct words){"none"} : count(number);
}

static struct words bytes(uint64_t number)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct words words;
    size_t unit = 0;
    double scaled = (double)number;
    while (scaled >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        scaled /= 1024;
        unit++;
    }
    snprintf(words.text, sizeof words.text, "%.*f %s", unit == 0 ? 0 : 1, scaled, units[unit]);
    return words;
}

/* In the largest unit that says it exactly. */
static struct words duration(uint64_t ms)
{
    struct words words;
    if (ms == 0)
        return (struct words){"none"};
    if (ms % 3600000 == 0)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " h", ms / 3600000);
    else if (ms % 60000 == 0)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " min", ms / 60000);
    else if (ms % 1000 == 0)
        snprintf(words.text, sizeof words.text, "%" PRIu64 " s", ms / 1000);
    else
        snprintf(words.text, sizeof words.text, "%" PRIu64 " ms", ms);
    return words;
}

static void print_head(FILE *out, const struct status *status)
{
    uint64_t s = status->uptime_ms / 1000;
    fprintf(out, "sockeye %s, pid %d, up ", status->version, status->pid);
    if (s >= 86400)
        fprintf(out, "%" PRIu64 "d ", s / 86400);
    fprintf(out, "%02u:%02u:%02u, workers: %zu\n", (unsigned)(s / 3600 % 24),
            (unsigned)(s / 60 % 60), (unsigned)(s % 60), status->n_workers);
    time_t at = (time_t)(status->config_read_ms / 1000);
    struct tm utc;
    char when[40] = "";
    if (gmtime_r(&at, &utc) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(out, "configuration read %s, reloads: %" PRIu64 "\n", when, status->n_reloads);
}

static void print_flows(FILE *out, const char *label, const struct counters *counters)
{
    fprintf(out, "  %-18s %12s %14s %12s %12s\n", label, count(counters->flows_now).text,
            count(counters->flows_total).text, bytes(counters->bytes_up).text,
            bytes(counters->bytes_down).text);
}

static void print_workers(FILE *out, const struct status *status, const struct counters *sum)
{
    fprintf(out, "\n%-20s %12s %14s %12s %12s\n", "flows", "now", "total", "up", "down");
    for (size_t i = 0; status->n_workers > 1 && i < status->n_workers; i++) {
        char label[40];
        if (i == SHOWN_WORKERS) {
            fprintf(out, "  and %zu more workers\n", status->n_workers - i);
            break;
        }
        snprintf(label, sizeof label, "worker %zu", i + 1);
        print_flows(out, label, &status->workers[i]);
    }
    print_flows(out, "together", sum);
}

static void print_inbounds(FILE *out, const struct status *status)
{
    fprintf(out, "\n%-20s %12s %14s %12s  %s\n", "inbounds", "now", "limit", "per client",
            "listening on");
    for (size_t i = 0; i < status->n_inbounds; i++) {
        const struct status_inbound *inbound = &status->inbounds[i];
        char label[64];
        snprintf(label, sizeof label, "%s (%s)", inbound->name, inbound->type);
        fprintf(out, "  %-18s %12s %14s %12s ", label, count(inbound->flows_now).text,
                limit(inbound->connections).text, limit(inbound->per_client).text);
        for (size_t k = 0; k < inbound->n_listens; k++) {
            char text[LISTENING_TEXT_BYTES];
            listening_format(&inbound->listens[k], text);
            fprintf(out, " %s", text);
        }
        fputc('\n', out);
    }
}

static void print_limits(FILE *out, const struct status *status, const struct counters *sum)
{
    const struct config_limits *limits = status->limits;
    fprintf(out, "\n%-20s %12s %14s\n", "limits", "now", "limit");
    fprintf(out, "  %-18s %12s %14s\n", "connections", count(sum->flows_now).text,
            limit(limits->connections).text);
    fprintf(out, "  %-18s %12s %14s\n", "descriptors", count(status->descriptors_in_use).text,
            count(status->descriptors_limit).text);
    if (limits->memory_mb > 0)
        fprintf(out, "  %-18s %12s %11s MB\n", "memory", "", count(limits->memory_mb).text);
    fprintf(out, "  times: connect %s, handshake %s, idle %s, half closed %s, drain %s\n",
            duration(limits->connect_ms).text, duration(limits->handshake_ms).text,
            duration(limits->idle_ms).text, duration(limits->half_closed_ms).text,
            duration(limits->drain_s * 1000).text);
}

static void print_ends(FILE *out, const struct counters *sum)
{
    uint64_t total = 0;
    for (size_t i = 0; i < N_FLOW_ENDS; i++)
        total += sum->ended[i];
    fprintf(out, "\n%-20s %12s\n", "ended", count(total).text);
    for (size_t i = 0; i < N_FLOW_ENDS; i++) {
        if (sum->ended[i] > 0)
            fprintf(out, "  %-18s %12s\n", flow_end_text((enum flow_end)i),
                    count(sum->ended[i]).text);
    }
}

static void print_refusals(FILE *out, const struct counters *sum)
{
    uint64_t total = 0;
    for (size_t i = 0; i < N_REFUSALS; i++)
        total += sum->refused[i];
    fprintf(out, "\n%-20s %12s  of %s connections accepted\n", "refused", count(total).text,
            count(sum->accepted).text);
    for (size_t i = 0; i < N_REFUSALS; i++) {
        if (sum->refused[i] > 0)
            fprintf(out, "  %-18s %12s  %s\n", refusal_text((enum refusal)i),
                    count(sum->refused[i]).text, refusal_reasons[i]);
    }
}

/* Who has no associations is told nothing of them. */
static void print_datagrams(FILE *out, const struct counters *sum)
{
    uint64_t n_dropped = 0;
    for (size_t i = 0; i < N_DROPS; i++)
        n_dropped += sum->dropped[i];
    if (sum->associations_now + sum->datagrams_up + sum->datagrams_down + n_dropped == 0)
        return;
    fprintf(out, "\n%-20s %12s %14s %12s %12s\n", "datagrams", "associations", "up", "down",
            "dropped");
    fprintf(out, "  %-18s %12s %14s %12s %12s\n", "together", count(sum->associations_now).text,
            count(sum->datagrams_up).text, count(sum->datagrams_down).text, count(n_dropped).text);
    for (size_t i = 0; i < N_DROPS; i++) {
        if (sum->dropped[i] > 0)
            fprintf(out, "  %-18s %12s  %s\n", drop_text((enum drop)i), count(sum->dropped[i]).text,
                    drop_reasons[i]);
    }
}

/* Nor of strangers who has no door for them. */
static void print_strangers(FILE *out, const struct counters *sum)
{
    if (sum->strangers_now + sum->strangers_silenced == 0)
        return;
    fprintf(out, "\n%-20s %12s %14s %12s\n", "strangers", "now", "ever silent", "evicted");
    fprintf(out, "  %-18s %12s %14s %12s\n", "together", count(sum->strangers_now).text,
            count(sum->strangers_silenced).text, count(sum->strangers_evicted).text);
}

static struct words round_trip(uint64_t us)
{
    struct words words;
    if (us == 0)
        return (struct words){""};
    snprintf(words.text, sizeof words.text, "%.1f ms", (double)us / 1000);
    return words;
}

/* Bytes a second, as they were acknowledged. */
static struct words rate(uint64_t number)
{
    struct words words = {""};
    if (number > 0)
        snprintf(words.text, sizeof words.text, "%.30s/s", bytes(number).text);
    return words;
}

static void print_link(FILE *out, const struct tunnel_link_report *link)
{
    char remote[ADDR_TEXT_BYTES] = "by another tunnel";
    if (link->remote.family != ADDR_NONE)
        addr_format(&link->remote, remote);
    fprintf(out, "    %-28s %9s %9s %14s %12s %12s %12s %12s %12s\n", remote, "", "", "",
            bytes(link->sent_bytes).text, bytes(link->received_bytes).text,
            count(link->retransmits).text, rate(link->rate).text, round_trip(link->rtt_us).text);
}

static void print_listener(FILE *out, const struct tunnel_listener_report *listener, bool is_near)
{
    char at[ADDR_TEXT_BYTES];
    addr_format(&listener->at, at);
    if (is_near)
        fprintf(out, "    %s at the far end's %s (%s)\n", listener->is, at, listener->inbound);
    else
        fprintf(out, "    %s for it at %s\n", listener->is, at);
}

static void print_session(FILE *out, const struct tunnel_session_report *session)
{
    char label[TUNNEL_REPORT_NAME_BYTES + TUNNEL_REPORT_USER_BYTES + 16];
    snprintf(label, sizeof label, "%s (%s)%s%s", session->name, session->is_near ? "near" : "far",
             session->user[0] != '\0' ? " " : "", session->user);
    fprintf(out, "  %-30s %9zu %9s %14s %12s %12s %12s\n", label, session->n_links,
            count(session->streams_now).text, count(session->streams_total).text,
            bytes(session->sent_bytes).text, bytes(session->received_bytes).text,
            bytes(session->resent_bytes).text);
    if (session->links_cut > 0)
        fprintf(out, "    links lost: %s\n", count(session->links_cut).text);
    for (size_t i = 0; i < session->n_listeners && i < TUNNEL_REPORT_LISTENERS; i++)
        print_listener(out, &session->listeners[i], session->is_near);
    if (session->n_listeners > TUNNEL_REPORT_LISTENERS)
        fprintf(out, "    and %zu more listeners\n",
                session->n_listeners - TUNNEL_REPORT_LISTENERS);
    for (size_t i = 0; i < session->n_links && i < TUNNEL_REPORT_LINKS; i++)
        print_link(out, &session->links[i]);
    if (session->n_links > TUNNEL_REPORT_LINKS)
        fprintf(out, "    and %zu more links\n", session->n_links - TUNNEL_REPORT_LINKS);
}

/* Who has no tunnels is told nothing of them. Below each session stand its links, with the segments that their connections have sent
 * again in place of bytes. */
static void print_sessions(FILE *out, const struct status *status)
{
    if (status->n_sessions == 0)
        return;
    fprintf(out, "\n%-32s %9s %9s %14s %12s %12s %12s %12s %12s\n", "tunnels", "links", "streams",
            "total", "sent", "received", "resent", "rate", "round trip");
    for (size_t i = 0; i < status->n_sessions && i < SHOWN_SESSIONS; i++)
        print_session(out, &status->sessions[i]);
    if (status->n_sessions > SHOWN_SESSIONS)
        fprintf(out, "  and %zu more sessions (--json has them all)\n",
                status->n_sessions - SHOWN_SESSIONS);
}

/* Users of tunnels that have sessions. */
static void print_users(FILE *out, const struct status_users *users)
{
    if (users->n == 0)
        return;
    fprintf(out, "\n%-32s %9s %9s %9s %12s %12s\n", "users", "sessions", "links", "streams", "sent",
            "received");
    for (size_t i = 0; i < users->n && i < SHOWN_SESSIONS; i++) {
        const struct status_user *user = &users->items[i];
        char label[TUNNEL_REPORT_NAME_BYTES + TUNNEL_REPORT_USER_BYTES + 8];
        snprintf(label, sizeof label, "%s (%s)", user->name, user->inbound);
        fprintf(out, "  %-30s %9s %9s %9s %12s %12s\n", label, count(user->n_sessions).text,
                count(user->n_links).text, count(user->streams_now).text,
                bytes(user->sent_bytes).text, bytes(user->received_bytes).text);
    }
    if (users->n > SHOWN_SESSIONS)
        fprintf(out, "  and %zu more users (--json has them all)\n", users->n - SHOWN_SESSIONS);
}

static void print_text(FILE *out, const struct status *status, const struct counters *sum,
                       const struct status_users *users)
{
    print_head(out, status);
    print_workers(out, status, sum);
    print_inbounds(out, status);
    print_sessions(out, status);
    print_users(out, users);
    print_limits(out, status, sum);
    print_ends(out, sum);
    print_refusals(out, sum);
    print_datagrams(out, sum);
    print_strangers(out, sum);
}

enum err admin_status_format(const struct status *status, enum status_form form, char **out,
                             size_t *n)
{
    struct counters sum = {0};
    for (size_t i = 0; i < status->n_workers; i++)
        counters_add(&sum, &status->workers[i]);

    *out = NULL;
    struct status_users users;
    if (status_users_gather(&users, status) != ERR_NONE)
        return ERR_MEMORY;
    FILE *stream = open_memstream(out, n);
    if (stream == NULL) {
        free(users.items);
        return ERR_MEMORY;
    }
    if (form == STATUS_JSON)
        admin_print_json(stream, status, &sum, &users);
    else if (form == STATUS_LINES)
        admin_print_lines(stream, status, &sum);
    else
        print_text(stream, status, &sum, &users);
    free(users.items);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(*out);
        *out = NULL;
        return ERR_MEMORY;
    }
    return ERR_NONE;
}
