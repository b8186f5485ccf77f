#include "cli/top_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/amounts.h"

#define LINE_BYTES 512

/* A session with what is to be compared. */
struct row {
    const struct status_lines_session *session, *before; /* the second NULL: it is new */
    double sent, received;                               /* a second */
    uint64_t rtt_us;                                     /* the least of its links'; 0: unknown */
};

struct page {
    FILE *out;
    const struct top_view *view;
    const struct status_lines *now, *before; /* the second may be NULL */
    uint64_t us;                             /* between them */
    unsigned n_lines;
};

/* ---- lines ---- */

/* As many bytes of the text as take so many columns: a character is one, which it is in most names. */
static size_t bytes_of_columns(const char *text, unsigned columns)
{
    size_t n = 0;
    for (; text[n] != '\0'; n++) {
        bool is_first = ((unsigned char)text[n] & 0xc0) != 0x80;
        if (is_first && columns-- == 0)
            break;
    }
    return n;
}

static bool has_room(const struct page *page, unsigned n)
{
    return page->view->height == 0 || page->n_lines + n <= page->view->height;
}

__attribute__((format(printf, 2, 3))) static void print_line(struct page *page, const char *format,
                                                             ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!has_room(page, 1))
        return;
    size_t n = page->view->width == 0 ? strlen(line) : bytes_of_columns(line, page->view->width);
    fwrite(line, 1, n, page->out);
    fputc('\n', page->out);
    page->n_lines++;
}

/* One of the table's: 80 columns. */
static void print_cells(struct page *page, const char *name, const char *const cells[static 7])
{
    static const unsigned name_columns = 22;
    char padded[LINE_BYTES];
    size_t n = bytes_of_columns(name, name_columns - 1);
    unsigned columns = 0;
    for (size_t i = 0; i < n; i++)
        columns += ((unsigned char)name[i] & 0xc0) != 0x80;
    snprintf(padded, sizeof padded, "%.*s%*s", (int)n, name, (int)(name_columns - columns), "");
    print_line(page, "%s%6s%8s%11s%11s%10s%7s%5s", padded, cells[0], cells[1], cells[2], cells[3],
               cells[4], cells[5], cells[6]);
}

static struct amount number(uint64_t n)
{
    struct amount amount;
    if (n < 1000000)
        snprintf(amount.text, sizeof amount.text, "%" PRIu64, n);
    else
        snprintf(amount.text, sizeof amount.text, "%.1fM", (double)n / 1e6);
    return amount;
}

static struct amount byte_rate(double bytes_per_s)
{
    struct amount amount = amount_bytes(bytes_per_s), rate;
    snprintf(rate.text, sizeof rate.text, "%.20s/s", amount.text);
    return rate;
}

static struct amount round_trip(uint64_t us)
{
    return us == 0 ? (struct amount){"-"} : amount_us((double)us);
}

/* What was sent again, of what was sent. */
static struct amount share(uint64_t part, uint64_t whole)
{
    struct amount amount = {"-"};
    if (whole > 0)
        snprintf(amount.text, sizeof amount.text, "%.*f%%", part * 10 < whole ? 2 : 0,
                 100 * (double)part / (double)whole);
    return amount;
}

/* ---- rates ---- */

/* What it has grown by; one that counts anew has come from nothing. */
static double per_s(uint64_t now, uint64_t before, uint64_t us)
{
    return us == 0 ? 0 : (double)(now >= before ? now - before : now) * 1e6 / (double)us;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_identities(const void *a, const void *b)
{
    const struct status_lines_session *x = *(const struct status_lines_session *const *)a;
    const struct status_lines_session *y = *(const struct status_lines_session *const *)b;
    int order = compare_numbers(x->worker, y->worker);
    return order != 0 ? order : compare_numbers(x->serial, y->serial);
}

static uint64_t least_rtt_us(const struct status_lines *lines,
                             const struct status_lines_session *session)
{
    uint64_t least = 0;
    for (size_t i = 0; i < session->n_links_told; i++) {
        uint64_t rtt_us = lines->links[session->first_link + i].rtt_us;
        if (rtt_us != 0 && (least == 0 || rtt_us < least))
            least = rtt_us;
    }
    return least;
}

static void fill_rows(struct row *rows, const struct status_lines *now,
                      const struct status_lines_session *const *known, size_t n_known, uint64_t us)
{
    for (size_t i = 0; i < now->n_sessions; i++) {
        const struct status_lines_session *session = &now->sessions[i];
        const struct status_lines_session *const *found =
            n_known == 0 ? NULL
                         : bsearch(&session, known, n_known, sizeof *known, compare_identities);
        rows[i] = (struct row){.session = session, .rtt_us = least_rtt_us(now, session)};
        if (found != NULL) {
            rows[i].before = *found;
            rows[i].sent = per_s(session->sent, (*found)->sent, us);
            rows[i].received = per_s(session->received, (*found)->received, us);
        }
    }
}

/* Owned; NULL: out of memory. */
static struct row *make_rows(const struct status_lines *now, const struct status_lines *before,
                             uint64_t us)
{
    size_t n_known = before == NULL ? 0 : before->n_sessions;
    struct row *rows = calloc(now->n_sessions + 1, sizeof *rows);
    const struct status_lines_session **known = calloc(n_known + 1, sizeof *known);
    if (rows == NULL || known == NULL) {
        free(rows);
        free(known);
        return NULL;
    }
    for (size_t i = 0; i < n_known; i++)
        known[i] = &before->sessions[i];
    qsort(known, n_known, sizeof *known, compare_identities);
    fill_rows(rows, now, known, n_known, us);
    free(known);
    return rows;
}

/* ---- order ---- */

static int compare_names(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->session->name, y->session->name);
    return order != 0 ? order : compare_identities(&x->session, &y->session);
}

static int by_number(const void *a, const void *b, uint64_t x, uint64_t y)
{
    return x == y ? compare_names(a, b) : compare_numbers(y, x);
}

static int compare_rates(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    double ours = x->sent + x->received, theirs = y->sent + y->received;
    /* No whole numbers: what a server says may be beyond them. */
    return ours > theirs ? -1 : ours < theirs ? 1 : compare_names(a, b);
}

static int compare_streams(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return by_number(a, b, x->session->streams_now, y->session->streams_now);
}

static int compare_round_trips(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return by_number(a, b, x->rtt_us, y->rtt_us);
}

static int compare_losses(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return by_number(a, b, x->session->links_cut, y->session->links_cut);
}

static const struct {
    const char *name;
    int (*compare)(const void *a, const void *b);
} orders[] = {
    [TOP_BY_RATE] = {"rate", compare_rates},
    [TOP_BY_NAME] = {"name", compare_names},
    [TOP_BY_STREAMS] = {"streams", compare_streams},
    [TOP_BY_ROUND_TRIP] = {"round trip", compare_round_trips},
    [TOP_BY_LOSSES] = {"links lost", compare_losses},
};

/* ---- the page ---- */

static void print_head(struct page *page)
{
    const struct status_lines *now = page->now, *before = page->before;
    uint64_t s = now->uptime_ms / 1000;
    char days[24] = "";
    if (s >= 86400)
        snprintf(days, sizeof days, "%" PRIu64 "d ", s / 86400);
    if (page->view->trouble != NULL)
        print_line(page, "sockeye %s, pid %" PRIu64 ": %s", now->version, now->pid,
                   page->view->trouble);
    else
        print_line(page, "sockeye %s, pid %" PRIu64 ", up %s%02u:%02u:%02u", now->version, now->pid,
                   days, (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    double up = before == NULL ? 0 : per_s(now->bytes_up, before->bytes_up, page->us);
    double down = before == NULL ? 0 : per_s(now->bytes_down, before->bytes_down, page->us);
    print_line(page, "flows: %s now, %s in all, %s refused; up %s, down %s",
               number(now->flows_now).text, number(now->flows_total).text,
               number(now->refused).text, byte_rate(up).text, byte_rate(down).text);
}

static void print_sums(struct page *page, const struct row *rows, size_t n)
{
    uint64_t n_links = 0, n_streams = 0, n_cut = 0;
    double sent = 0, received = 0;
    for (size_t i = 0; i < n; i++) {
        n_links += rows[i].session->n_links;
        n_streams += rows[i].session->streams_now;
        n_cut += rows[i].session->links_cut;
        sent += rows[i].sent;
        received += rows[i].received;
    }
    print_line(page, "tunnels: sessions %zu, links %s, streams %s; sent %s, received %s", n,
               number(n_links).text, number(n_streams).text, byte_rate(sent).text,
               byte_rate(received).text);
    print_line(page, "links lost: %s; sorted by %s", number(n_cut).text,
               orders[page->view->order].name);
}

static const struct status_lines_link *link_before(const struct page *page, const struct row *row,
                                                   uint64_t number)
{
    for (size_t i = 0; row->before != NULL && i < row->before->n_links_told; i++) {
        const struct status_lines_link *link = &page->before->links[row->before->first_link + i];
        if (link->number == number)
            return link;
    }
    return NULL;
}

/* Of a link what goes over the wire, and the segments that TCP has sent again. */
static void print_link(struct page *page, const struct row *row,
                       const struct status_lines_link *link)
{
    const struct status_lines_link *before = link_before(page, row, link->number);
    double sent = before == NULL ? 0 : per_s(link->sent, before->sent, page->us);
    double received = before == NULL ? 0 : per_s(link->received, before->received, page->us);
    /* An address may be longer than a name. */
    print_line(page, "  %-34s%11s%11s%10s%7s", link->remote, byte_rate(sent).text,
               byte_rate(received).text, round_trip(link->rtt_us).text,
               number(link->retransmits).text);
}

static void print_row(struct page *page, const struct row *row)
{
    const struct status_lines_session *session = row->session;
    struct amount links = number(session->n_links), streams = number(session->streams_now);
    struct amount sent = byte_rate(row->sent), received = byte_rate(row->received);
    struct amount rtt = round_trip(row->rtt_us), resent = share(session->resent, session->sent);
    struct amount lost = number(session->links_cut);
    const char *const cells[7] = {links.text, streams.text, sent.text, received.text,
                                  rtt.text,   resent.text,  lost.text};
    char name[TUNNEL_REPORT_NAME_BYTES + TUNNEL_REPORT_USER_BYTES + 8];
    snprintf(name, sizeof name, "%s %s%s%s", session->is_near ? "near" : "far ", session->name,
             session->user[0] != '\0' ? " " : "", session->user);
    print_cells(page, name, cells);
    for (size_t i = 0; i < session->n_links_told && !page->view->hides_links; i++)
        print_link(page, row, &page->now->links[session->first_link + i]);
}

static void print_table(struct page *page, const struct row *rows)
{
    static const char *const heads[7] = {"LINKS", "STREAMS", "SENT/S", "RECV/S",
                                         "RTT",   "RESENT",  "LOST"};
    print_line(page, "%s", "");
    print_cells(page, "SESSION", heads);
    for (size_t i = 0; i < page->now->n_sessions; i++) {
        size_t n_left = page->now->n_sessions - i;
        unsigned takes =
            1 + (page->view->hides_links ? 0 : (unsigned)rows[i].session->n_links_told);
        /* The last line is for how many there is no room for. */
        if (!has_room(page, takes + (n_left > 1))) {
            print_line(page, "and %zu more", n_left);
            break;
        }
        print_row(page, &rows[i]);
    }
}

enum err top_view_print(FILE *out, const struct top_view *view, const struct status_lines *now,
                        const struct status_lines *before, uint64_t us)
{
    struct page page = {.out = out, .view = view, .now = now, .before = before, .us = us};
    struct row *rows = make_rows(now, before, us);
    if (rows == NULL)
        return ERR_MEMORY;
    qsort(rows, now->n_sessions, sizeof *rows, orders[view->order].compare);
    print_head(&page);
    print_sums(&page, rows, now->n_sessions);
    print_table(&page, rows);
    free(rows);
    return ERR_NONE;
}
