#include "admin/status_json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/addr.h"
#include "config/utf8.h"

/* Names come from the configuration, which is UTF-8, and from files of users, which hold whatever bytes. */
void admin_print_json_string(FILE *out, const char *text)
{
    size_t n = strlen(text), length;
    fputc('"', out);
    for (size_t i = 0; i < n; i += length) {
        uint32_t c = 0;
        length = utf8_decode(&c, text + i, n - i);
        if (length == 0) {
            fputs("\xef\xbf\xbd", out); /* U+FFFD */
            length = 1;
        } else if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", (int)c);
        } else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            fprintf(out, "\\u%04x", (unsigned)c);
        } else {
            fwrite(text + i, 1, length, out);
        }
    }
    fputc('"', out);
}

static void print_number(FILE *out, const char *key, uint64_t number)
{
    fprintf(out, "\"%s\":%" PRIu64, key, number);
}

static void print_counters(FILE *out, const struct counters *counters)
{
    const struct {
        const char *key;
        uint64_t number;
    } fields[] = {
        {"accepted", counters->accepted},
        {"flows_now", counters->flows_now},
        {"flows_total", counters->flows_total},
        {"bytes_up", counters->bytes_up},
        {"bytes_down", counters->bytes_down},
        {"associations_now", counters->associations_now},
        {"datagrams_up", counters->datagrams_up},
        {"datagrams_down", counters->datagrams_down},
        {"strangers_now", counters->strangers_now},
        {"strangers_silenced", counters->strangers_silenced},
        {"strangers_evicted", counters->strangers_evicted},
    };
    fputc('{', out);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        print_number(out, fields[i].key, fields[i].number);
        fputc(',', out);
    }
    for (size_t i = 0; i < N_FLOW_ENDS; i++) {
        fputs(i == 0 ? "\"ended\":{" : ",", out);
        print_number(out, flow_end_text((enum flow_end)i), counters->ended[i]);
    }
    for (size_t i = 0; i < N_REFUSALS; i++) {
        fputs(i == 0 ? "},\"refused\":{" : ",", out);
        print_number(out, refusal_text((enum refusal)i), counters->refused[i]);
    }
    for (size_t i = 0; i < N_DROPS; i++) {
        fputs(i == 0 ? "},\"dropped\":{" : ",", out);
        print_number(out, drop_text((enum drop)i), counters->dropped[i]);
    }
    fputs("}}", out);
}

static void print_inbound(FILE *out, const struct status_inbound *inbound)
{
    fputs("{\"name\":", out);
    admin_print_json_string(out, inbound->name);
    fputs(",\"type\":", out);
    admin_print_json_string(out, inbound->type);
    fputs(",\"addresses\":[", out);
    for (size_t i = 0; i < inbound->n_listens; i++) {
        char text[LISTENING_TEXT_BYTES];
        listening_format(&inbound->listens[i], text);
        fputs(i == 0 ? "" : ",", out);
        admin_print_json_string(out, text);
    }
    fputs("],", out);
    print_number(out, "flows_now", inbound->flows_now);
    fputc(',', out);
    print_number(out, "connections", inbound->connections);
    fputc(',', out);
    print_number(out, "per_client", inbound->per_client);
    fputc('}', out);
}

static void print_numbers(FILE *out, const char *const *keys, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_number(out, keys[i], numbers[i]);
    }
}

static void print_link(FILE *out, const struct tunnel_link_report *link)
{
    static const char *const keys[] = {"rtt_us",        "min_rtt_us", "rate",
                                       "unacked_bytes", "sent_bytes", "received_bytes",
                                       "retransmits"};
    const uint64_t numbers[] = {link->rtt_us,          link->min_rtt_us, link->rate,
                                link->n_unacked_bytes, link->sent_bytes, link->received_bytes,
                                link->retransmits};
    char remote[ADDR_TEXT_BYTES] = "";
    if (link->remote.family != ADDR_NONE)
        addr_format(&link->remote, remote);
    fputs("{\"remote\":", out);
    admin_print_json_string(out, remote);
    fputc(',', out);
    print_numbers(out, keys, numbers, sizeof numbers / sizeof numbers[0]);
    fputc('}', out);
}

static void print_stream(FILE *out, const struct session_stream_stats *stream)
{
    static const char *const keys[] = {"id",          "rtt_us",         "min_rtt_us",  "sent_bytes",
                                       "acked_bytes", "received_bytes", "resent_bytes"};
    const uint64_t numbers[] = {stream->id,
                                stream->srtt_us,
                                stream->min_rtt_us,
                                stream->n_sent_bytes,
                                stream->n_acked_bytes,
                                stream->n_received_bytes,
                                stream->n_resent_bytes};
    fputc('{', out);
    print_numbers(out, keys, numbers, sizeof numbers / sizeof numbers[0]);
    fputc('}', out);
}

static void print_listener(FILE *out, const struct tunnel_listener_report *listener)
{
    char at[ADDR_TEXT_BYTES];
    addr_format(&listener->at, at);
    fputs("{\"at\":", out);
    admin_print_json_string(out, at);
    fputs(",\"inbound\":", out);
    admin_print_json_string(out, listener->inbound);
    fputs(",\"is\":", out);
    admin_print_json_string(out, listener->is);
    fputc('}', out);
}

static void print_session(FILE *out, const struct tunnel_session_report *session)
{
    static const char *const keys[] = {
        "worker",        "serial",     "links",          "links_cut",    "listeners", "streams_now",
        "streams_total", "sent_bytes", "received_bytes", "resent_bytes", "held_bytes"};
    const uint64_t numbers[] = {
        session->worker + 1,     session->serial,       session->n_links,       session->links_cut,
        session->n_listeners,    session->streams_now,  session->streams_total, session->sent_bytes,
        session->received_bytes, session->resent_bytes, session->held_bytes};
    fputs("{\"name\":", out);
    admin_print_json_string(out, session->name);
    fputs(",\"user\":", out);
    admin_print_json_string(out, session->user);
    fputs(session->is_near ? ",\"end\":\"near\"," : ",\"end\":\"far\",", out);
    print_numbers(out, keys, numbers, sizeof numbers / sizeof numbers[0]);
    fputs(",\"listening\":[", out);
    for (size_t i = 0; i < session->n_listeners && i < TUNNEL_REPORT_LISTENERS; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_listener(out, &session->listeners[i]);
    }
    fputs("],\"carriers\":[", out);
    for (size_t i = 0; i < session->n_links && i < TUNNEL_REPORT_LINKS; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_link(out, &session->links[i]);
    }
    fputs("],\"streams\":[", out);
    for (size_t i = 0; i < session->n_streams; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_stream(out, &session->streams[i]);
    }
    fputs("]}", out);
}

static void print_user(FILE *out, const struct status_user *user)
{
    static const char *const keys[] = {"sessions", "links", "streams_now", "sent_bytes",
                                       "received_bytes"};
    const uint64_t numbers[] = {user->n_sessions, user->n_links, user->streams_now,
                                user->sent_bytes, user->received_bytes};
    fputs("{\"name\":", out);
    admin_print_json_string(out, user->name);
    fputs(",\"inbound\":", out);
    admin_print_json_string(out, user->inbound);
    fputc(',', out);
    print_numbers(out, keys, numbers, sizeof numbers / sizeof numbers[0]);
    fputc('}', out);
}

static void print_limits(FILE *out, const struct config_limits *limits)
{
    const struct {
        const char *key;
        uint64_t number;
    } fields[] = {
        {"connections", limits->connections}, {"memory_mb", limits->memory_mb},
        {"connect_ms", limits->connect_ms},   {"handshake_ms", limits->handshake_ms},
        {"idle_ms", limits->idle_ms},         {"half_closed_ms", limits->half_closed_ms},
        {"udp_idle_ms", limits->udp_idle_ms}, {"keepalive_s", limits->keepalive_s},
        {"drain_s", limits->drain_s},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        fputs(i == 0 ? "{" : ",", out);
        print_number(out, fields[i].key, fields[i].number);
    }
    fputc('}', out);
}

void admin_print_json(FILE *out, const struct status *status, const struct counters *sum,
                      const struct status_users *users)
{
    fputs("{\"version\":", out);
    admin_print_json_string(out, status->version);
    fprintf(out, ",\"pid\":%d,", status->pid);
    print_number(out, "uptime_ms", status->uptime_ms);
    fputc(',', out);
    print_number(out, "reloads", status->n_reloads);
    fputc(',', out);
    print_number(out, "config_read_ms", status->config_read_ms);
    fputs(",\"together\":", out);
    print_counters(out, sum);
    fputs(",\"workers\":[", out);
    for (size_t i = 0; i < status->n_workers; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_counters(out, &status->workers[i]);
    }
    fputs("],\"inbounds\":[", out);
    for (size_t i = 0; i < status->n_inbounds; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_inbound(out, &status->inbounds[i]);
    }
    fputs("],\"tunnels\":[", out);
    for (size_t i = 0; i < status->n_sessions; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_session(out, &status->sessions[i]);
    }
    fputs("],\"users\":[", out);
    for (size_t i = 0; i < users->n; i++) {
        fputs(i == 0 ? "" : ",", out);
        print_user(out, &users->items[i]);
    }
    fputs("],\"limits\":", out);
    print_limits(out, status->limits);
    fputs(",\"descriptors\":{", out);
    print_number(out, "limit", status->descriptors_limit);
    fputc(',', out);
    print_number(out, "in_use", status->descriptors_in_use);
    fputs("}}\n", out);
}
