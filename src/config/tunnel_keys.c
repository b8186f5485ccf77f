/* Kinds of what opens a tunnel: shared keys, and the paths of PEM files, which are read later
 * (tunnels.c). */
#include "config/keys.h"

#include <string.h>

#include "config/tunnels.h"

static struct key_text text_of(const struct key *key, const struct node *value)
{
    return (struct key_text){key->name, value->at, value->text, value->n_text};
}

/* Nothing of the value is shown: half of a key is too much already. */
static void read_server_keys(struct reading *reading, const struct key *key,
                             const struct node *value, void *base)
{
    struct entries entries;

    if (!value_list(reading, key, value, &entries))
        return;
    for (size_t i = 0; i < entries.n; i++, entries.next = entries.next->next) {
        struct key_text text = text_of(key, entries.next);
        if (value_is_text(reading, key, entries.next))
            (void)tunnel_key_add(reading, base, &text);
    }
}

/* Where they are from a file, the file is what is printed. */
static void print_server_keys(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_inbound *inbound = base;

    if (inbound->n_keys == 0 || inbound->key_file != NULL)
        return;
    print_key(printer, key->name);
    print_raw(printer, inbound->n_keys > 1 ? "[" : "");
    for (size_t i = 0; i < inbound->n_keys; i++)
        print_raw(printer, i > 0 ? ", \"***\"" : "\"***\"");
    print_raw(printer, inbound->n_keys > 1 ? "]\n" : "\n");
}

const struct kind kind_server_keys = {
    .expects = "a text, or a list of them", .read = read_server_keys, .print = print_server_keys};

static void read_client_key(struct reading *reading, const struct key *key,
                            const struct node *value, void *base)
{
    struct key_text text = text_of(key, value);

    if (value_is_text(reading, key, value))
        tunnel_key_split(reading, base, &text);
}

static void print_client_key(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_outbound *outbound = base;

    if (outbound->key.n_bytes == 0 || outbound->key_file != NULL)
        return;
    print_key(printer, key->name);
    print_raw(printer, "\"***\"\n");
}

const struct kind kind_client_key = {
    .expects = "a text", .read = read_client_key, .print = print_client_key};

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
