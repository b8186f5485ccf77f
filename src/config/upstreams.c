#include "config/upstreams.h"

#include <stdio.h>
#include <string.h>

#include "config/check.h"
#include "config/files.h"
#include "config/names.h"
#include "config/tunnels.h"

#define MAX_FILE_BYTES ((size_t)64 * 1024)
#define MAX_PASSWORD_BYTES 255 /* what SOCKS5 carries (RFC 1929) */

static void read_password(struct reading *reading, const struct node *value,
                          struct config_outbound *outbound)
{
    struct file file;

    if (!file_read_secret(reading, &file, "password_file", value, value->text, value->n_text,
                          MAX_FILE_BYTES))
        return;
    file_skip_mark(&file);
    const char *newline = memchr(file.text, '\n', file.n);
    size_t n = newline != NULL ? (size_t)(newline - file.text) : file.n;
    if (n > 0 && file.text[n - 1] == '\r')
        n--;
    file.text[n] = '\0';
    if (n == 0 || n > MAX_PASSWORD_BYTES || memchr(file.text, '\0', n) != NULL)
        report_error(reading->report, value->at,
                     "password_file: expected a password of 1 to %d bytes in its first line",
                     MAX_PASSWORD_BYTES);
    else
        outbound->password = file.text;
}

static void check_login(struct reading *reading, const struct node *node,
                        struct config_outbound *outbound)
{
    const struct node *name = node_get(node, "username");
    const struct node *password = node_get(node, "password");
    const struct node *file = node_get(node, "password_file");
    struct report *report = reading->report;

    if (password != NULL && file != NULL)
        report_error(report, file->key->at, "password and password_file: expected one of them");
    if (name != NULL && password == NULL && file == NULL)
        report_error(report, name->key->at,
                     "username: expected a password too (password or password_file)");
    if (name == NULL && (password != NULL || file != NULL))
        report_error(report, (password != NULL ? password : file)->key->at,
                     "a password is of no use without username");
    if (outbound->type == OUTBOUND_HTTP && name != NULL && outbound->username != NULL &&
        strchr(outbound->username, ':') != NULL)
        report_error(report, name->at, "username: it cannot hold \":\", as HTTP ends it there");
    if (file != NULL && outbound->password_file != NULL)
        read_password(reading, file, outbound);
}

static void check_proxy(struct reading *reading, const struct node *node,
                        struct config_outbound *outbound)
{
    if (outbound->n_servers > 1)
        report_error(reading->report, node_get(node, "server")->at,
                     "server: expected one address; a list of them is for tunnels");
    check_login(reading, node, outbound);
}

static void find_via(struct reading *reading, const struct node *node, const struct config *config,
                     struct config_outbound *outbound)
{
    const struct node *via = node_get(node, "via");

    if (via == NULL || !value_stands_for_text(via))
        return;
    struct reference wanted = {via->text, via->at, via->from_env};
    if (!names_find_outbound(reading, config, &wanted, &outbound->via))
        return;
    if (config->outbounds[outbound->via].type == OUTBOUND_BLOCK)
        report_error(reading->report, via->at, "via: an outbound of type block leads nowhere");
    else
        outbound->has_via = true;
}

/* Writes "a -> b -> a", from an outbound of a loop; what does not fit is left out. */
static void format_chain(char *out, size_t cap, const struct config *config, size_t start)
{
    struct quoted q;
    size_t used = 0, i = start;

    do {
        const char *name = config->outbounds[i].name;
        if (cap - used < 2 * sizeof q) {
            used += (size_t)snprintf(out + used, cap - used, "... -> ");
            break;
        }
        used += (size_t)snprintf(out + used, cap - used, "%s -> ", quote(&q, name, strlen(name)));
        i = config->outbounds[i].via;
    } while (i != start);
    const char *name = config->outbounds[start].name;
    snprintf(out + used, cap - used, "%s", quote(&q, name, strlen(name)));
}

static void say_loop(struct reading *reading, const struct node *root, const struct config *config,
                     size_t on_loop)
{
    const struct node *node = check_entries(root, "outbounds");
    char chain[480];

    for (size_t i = 0; i < on_loop; i++)
        node = node->next;
    format_chain(chain, sizeof chain, config, on_loop);
    report_error(reading->report, node_get(node, "via")->at, "via: this leads in a circle: %s",
                 chain);
}

/* Each outbound has one `via` at most: who follows them and meets one met since he set out is on a
 * loop. What was met before leads to what has been looked at. */
static void check_loops(struct reading *reading, const struct node *root,
                        const struct config *config)
{
    size_t *met_by = arena_alloc(reading->scratch, config->n_outbounds, sizeof *met_by);

    if (met_by == NULL) {
        reading->report->no_memory = true;
        return;
    }
    for (size_t start = 0; start < config->n_outbounds; start++) {
        size_t i = start;
        while (met_by[i] == 0 && config->outbounds[i].has_via) {
            met_by[i] = start + 1;
            i = config->outbounds[i].via;
        }
        if (met_by[i] == start + 1)
            say_loop(reading, root, config, i);
    }
}

void upstreams_check(struct reading *reading, const struct node *root, struct config *config,
                     size_t n)
{
    const struct node *node = check_entries(root, "outbounds");

    for (size_t i = 0; i < n && !reading->report->no_memory; i++, node = node->next) {
        struct config_outbound *outbound = &config->outbounds[i];
        if (outbound->type == OUTBOUND_DIRECT || outbound->type == OUTBOUND_BLOCK)
            continue;
        if (outbound->type == OUTBOUND_TUNNEL)
            tunnels_check_outbound(reading, node, outbound);
        else
            check_proxy(reading, node, outbound);
        find_via(reading, node, config, outbound);
    }
    check_loops(reading, root, config);
}
