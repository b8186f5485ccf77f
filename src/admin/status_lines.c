#include "admin/status_lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

/* ---- writing ---- */

/* Names come from the configuration; what could be taken for the end of a word, or move a cursor, is left out. */
static void print_word(FILE *out, const char *text)
{
    fputc('\t', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, out);
    }
}

static void print_numbers(FILE *out, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "\t%" PRIu64, numbers[i]);
    fputc('\n', out);
}

static void print_link(FILE *out, const struct tunnel_link_report *link)
{
    const uint64_t numbers[] = {link->number, link->rtt_us, link->sent_bytes, link->received_bytes,
                                link->retransmits};
    char remote[ADDR_TEXT_BYTES] = "by another tunnel";
    if (link->remote.family != ADDR_NONE)
        addr_format(&link->remote, remote);
    fputs("link", out);
    print_word(out, remote);
    print_numbers(out, numbers, sizeof numbers / sizeof numbers[0]);
}

static void print_session(FILE *out, const struct tunnel_session_report *session)
{
    const uint64_t numbers[] = {
        session->streams_now,  session->streams_total, session->sent_bytes, session->received_bytes,
        session->resent_bytes, session->n_links,       session->links_cut};
    fprintf(out, "session\t%zu\t%" PRIu64 "\t%s", session->worker + 1, session->serial,
            session->is_near ? "near" : "far");
    print_word(out, session->name);
    print_word(out, session->user);
    print_numbers(out, numbers, sizeof numbers / sizeof numbers[0]);
    for (size_t i = 0; i < session->n_links && i < TUNNEL_REPORT_LINKS; i++)
        print_link(out, &session->links[i]);
}

void admin_print_lines(FILE *out, const struct status *status, const struct counters *sum)
{
    uint64_t n_refused = 0;
    for (size_t i = 0; i < N_REFUSALS; i++)
        n_refused += sum->refused[i];
    const uint64_t numbers[] = {
        (uint64_t)status->pid, status->uptime_ms, sum->flows_now, sum->flows_total,
        sum->bytes_up,         sum->bytes_down,   n_refused};
    fputs("sockeye", out);
    print_word(out, status->version);
    print_numbers(out, numbers, sizeof numbers / sizeof numbers[0]);
    for (size_t i = 0; i < status->n_sessions; i++)
        print_session(out, &status->sessions[i]);
    fputs("end\n", out);
}

/* ---- reading ---- */

struct reader {
    const char *at, *end; /* of the line, without its newline */
    bool is_bad;
};

/* The next word; cut where it is longer than there is room. */
static void take_word(struct reader *reader, char *out, size_t cap)
{
    const char *tab = memchr(reader->at, '\t', (size_t)(reader->end - reader->at));
    const char *end = tab != NULL ? tab : reader->end;
    size_t n = (size_t)(end - reader->at);
    n = n < cap ? n : cap - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)reader->at[i];
        reader->is_bad |= byte < 0x20 || byte == 0x7f;
        out[i] = reader->at[i];
    }
    out[n] = '\0';
    reader->at = tab != NULL ? tab + 1 : reader->end;
}

static uint64_t take_number(struct reader *reader)
{
    char word[24];
    take_word(reader, word, sizeof word);
    size_t n = strlen(word);
    if (n == 0 || n > 20 || strspn(word, "0123456789") != n)
        reader->is_bad = true;
    return reader->is_bad ? 0 : strtoull(word, NULL, 10);
}

static void take_numbers(struct reader *reader, uint64_t *const *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *numbers[i] = take_number(reader);
    reader->is_bad |= reader->at != reader->end;
}

/* Room for one more of them: `has` of so many bytes each. False: out of memory. */
static bool grow(void **items, size_t has, size_t bytes)
{
    if ((has & (has - 1)) != 0)
        return true; /* twice as much each time that it is full */
    void *grown = realloc(*items, (has == 0 ? 1 : 2 * has) * bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    return true;
}

static void read_head(struct status_lines *out, struct reader *reader)
{
    uint64_t *const numbers[] = {&out->pid,         &out->uptime_ms, &out->flows_now,
                                 &out->flows_total, &out->bytes_up,  &out->bytes_down,
                                 &out->refused};
    take_word(reader, out->version, sizeof out->version);
    take_numbers(reader, numbers, sizeof numbers / sizeof numbers[0]);
}

static enum err read_session(struct status_lines *out, struct reader *reader)
{
    char end[8];
    if (!grow((void **)&out->sessions, out->n_sessions, sizeof *out->sessions))
        return ERR_MEMORY;
    struct status_lines_session *session = &out->sessions[out->n_sessions++];
    *session = (struct status_lines_session){.first_link = out->n_links};
    uint64_t *const numbers[] = {&session->streams_now, &session->streams_total, &session->sent,
                                 &session->received,    &session->resent,        &session->n_links,
                                 &session->links_cut};
    session->worker = take_number(reader);
    session->serial = take_number(reader);
    take_word(reader, end, sizeof end);
    session->is_near = strcmp(end, "near") == 0;
    reader->is_bad |= !session->is_near && strcmp(end, "far") != 0;
    take_word(reader, session->name, sizeof session->name);
    take_word(reader, session->user, sizeof session->user);
    take_numbers(reader, numbers, sizeof numbers / sizeof numbers[0]);
    return ERR_NONE;
}

static enum err read_link(struct status_lines *out, struct reader *reader)
{
    if (out->n_sessions == 0)
        return ERR_BAD;
    if (!grow((void **)&out->links, out->n_links, sizeof *out->links))
        return ERR_MEMORY;
    struct status_lines_link *link = &out->links[out->n_links++];
    uint64_t *const numbers[] = {&link->number, &link->rtt_us, &link->sent, &link->received,
                                 &link->retransmits};
    take_word(reader, link->remote, sizeof link->remote);
    take_numbers(reader, numbers, sizeof numbers / sizeof numbers[0]);
    out->sessions[out->n_sessions - 1].n_links_told++;
    return ERR_NONE;
}

static enum err read_line(struct status_lines *out, struct reader *reader, bool is_first,
                          bool *is_last)
{
    char word[16];
    enum err err = ERR_NONE;
    take_word(reader, word, sizeof word);
    *is_last = strcmp(word, "end") == 0;
    if (is_first != (strcmp(word, "sockeye") == 0))
        return ERR_BAD;
    if (is_first)
        read_head(out, reader);
    else if (strcmp(word, "session") == 0)
        err = read_session(out, reader);
    else if (strcmp(word, "link") == 0)
        err = read_link(out, reader);
    else if (!*is_last)
        return ERR_BAD;
    return err == ERR_NONE && reader->is_bad ? ERR_BAD : err;
}

enum err status_lines_read(struct status_lines *out, const char *text, size_t n)
{
    const char *at = text, *end = text + n;
    enum err err = ERR_NONE;
    bool is_last = false;
    *out = (struct status_lines){.n_sessions = 0};
    while (err == ERR_NONE && !is_last) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct reader reader = {.at = at, .end = newline};
        err = newline == NULL ? ERR_BAD : read_line(out, &reader, at == text, &is_last);
        at = newline == NULL ? end : newline + 1;
    }
    if (err == ERR_NONE && at != end)
        err = ERR_BAD;
    if (err != ERR_NONE)
        status_lines_free(out);
    return err;
}

void status_lines_free(struct status_lines *lines)
{
    free(lines->sessions);
    free(lines->links);
    *lines = (struct status_lines){.n_sessions = 0};
}
