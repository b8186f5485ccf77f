/* Kinds of what opens a tunnel: shared keys, and the paths of PEM files, which are read later
 * (tunnels.c). */
#include "config/keys.h"

#include <string.h>

#include "config/tunnels.h"

/* Nothing of the value is shown: half of a key is too much already. */
static void read_key(struct reading *reading, const struct key *key, const struct node *value,
                     void *base)
{
    struct config_key *out = (void *)((char *)base + key->offset);

    if (value->kind == NODE_LIST)
        report_error(reading->report, value->at, "%s: this version does not have more than one",
                     key->name);
    else if (value_is_text(reading, key, value))
        tunnel_key_read(reading, out, key->name, value->at, value->text, value->n_text);
}

/* Where it is from a file, the file is what is printed. */
static void print_key_text(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_key *in = (const void *)((const char *)base + key->offset);
    const char *path;

    memcpy(&path, (const char *)base + key->n_offset, sizeof path);
    if (in->n_bytes == 0 || path != NULL)
        return;
    print_key(printer, key->name);
    print_raw(printer, "\"***\"\n");
}

const struct kind kind_key = {.expects = "a text", .read = read_key, .print = print_key_text};

static bool read_path(struct reading *reading, const struct key *key, const struct node *node,
                      struct config_pem *out)
{
    if (!value_is_text(reading, key, node))
        return false;
    if (node->n_text == 0 || node->n_text > TUNNEL_MAX_PATH_BYTES) {
        value_unexpected(reading, key, node);
        return false;
    }
    out->path = arena_text(reading->keep, node->text, node->n_text);
    reading->report->no_memory |= out->path == NULL;
    return true;
}

static void read_pem(struct reading *reading, const struct key *key, const struct node *value,
                     void *base)
{
    (void)read_path(reading, key, value, (void *)((char *)base + key->offset));
}

static void print_pem(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_pem *pem = (const void *)((const char *)base + key->offset);

    if (pem->path == NULL)
        return;
    print_key(printer, key->name);
    print_quoted(printer, pem->path);
    print_raw(printer, "\n");
}

const struct kind kind_pem = {
    .expects = "the path of a file", .read = read_pem, .print = print_pem};

/* In step with the nodes, so that each file's place is known when it is read. */
static void read_pems(struct reading *reading, const struct key *key, const struct node *value,
                      void *base)
{
    struct config_inbound *inbound = base;
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    inbound->peers = value_alloc(reading, entries.n, sizeof *inbound->peers);
    if (inbound->peers == NULL)
        return;
    inbound->n_peers = entries.n;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next)
        (void)read_path(reading, key, entries.next, &inbound->peers[i]);
}

static void print_pems(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_inbound *inbound = base;

    if (inbound->n_peers == 0)
        return;
    print_key(printer, key->name);
    print_raw(printer, "[");
    for (size_t i = 0; i < inbound->n_peers; i++) {
        print_raw(printer, i > 0 ? ", " : "");
        print_quoted(printer, inbound->peers[i].path);
    }
    print_raw(printer, "]\n");
}

const struct kind kind_pems = {
    .expects = "the path of a file, or a list of them", .read = read_pems, .print = print_pems};
