/*
 * A tunnel is opened by a key that both ends share, or by the server's public key in its place:
 *
 *     inbound     key | key_file | identity     and `peers`, the public keys of clients
 *     outbound    key | key_file | peer         and `identity`, our own
 *
 * Of a PEM file only so much is looked at here as tells a private key from a public one, and one
 * public key from another: to parse it is the cryptography's.
 */
#include "config/tunnels.h"

#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "config/files.h"
#include "config/names.h"

#define MAX_KEY_FILE_BYTES 4096
#define MAX_PEM_BYTES ((size_t)16 * 1024)
#define PEM_BEGIN "-----BEGIN "
#define PEM_END "-----END "

/* ---- shared keys ---- */

void tunnel_key_read(struct reading *reading, struct config_key *out, const char *name,
                     struct mark at, const char *text, size_t n)
{
    uint8_t bytes[96]; /* more than a key's, so that a wrong one's length can be told */
    size_t n_bytes = 0;
    enum err err = base64_decode(bytes, sizeof bytes, &n_bytes, text, n);

    if (memchr(text, ':', n) != NULL) {
        report_error(reading->report, at,
                     "%s: this version does not have keys of users "
                     "(SERVER:USER)",
                     name);
    } else if (err == ERR_BAD) {
        report_error(reading->report, at,
                     "%s: this is not base64 with its padding; `sockeye keygen` makes a key", name);
    } else if (err != ERR_NONE) {
        report_error(reading->report, at,
                     "%s: a key has 16, 24 or 32 bytes (128, 192 or 256 bits), this one has more",
                     name);
    } else if (n_bytes != 16 && n_bytes != 24 && n_bytes != 32) {
        report_error(reading->report, at,
                     "%s: a key has 16, 24 or 32 bytes (128, 192 or 256 bits), this one has %zu",
                     name, n_bytes);
    } else {
        memcpy(out->bytes, bytes, n_bytes);
        out->n_bytes = (uint8_t)n_bytes;
    }
    secret_wipe(bytes, sizeof bytes);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Its first line, as `sockeye keygen -o` writes it. */
static void read_key_file(struct reading *reading, const struct node *node, struct config_key *out)
{
    const struct node *value = node_get(node, "key_file");
    struct file file;

    if (!file_read(reading, &file, "key_file", value, value->text, value->n_text,
                   MAX_KEY_FILE_BYTES))
        return;
    file_skip_mark(&file);
    const char *newline = memchr(file.text, '\n', file.n);
    size_t n = newline != NULL ? (size_t)(newline - file.text) : file.n;
    while (n > 0 && is_space(file.text[n - 1]))
        n--;
    if (n == 0)
        report_error(reading->report, value->at, "key_file: expected a key in its first line");
    else
        tunnel_key_read(reading, out, "key_file", value->at, file.text, n);
}

static void check_key(struct reading *reading, const struct node *node, const char *key_file,
                      struct config_key *key)
{
    const struct node *file = node_get(node, "key_file");

    if (file != NULL && node_get(node, "key") != NULL)
        report_error(reading->report, file->key->at, "key and key_file: expected one of them");
    else if (key_file != NULL)
        read_key_file(reading, node, key);
}

/* ---- PEM files ---- */

/* The part of a text that begins with `what`, or NULL. There may be zero bytes in it. */
static const char *find(const char *text, size_t n, const char *what)
{
    size_t n_what = strlen(what);

    for (; n >= n_what; text++, n--)
        if (memcmp(text, what, n_what) == 0)
            return text;
    return NULL;
}

/* What keeps a file from being what is wanted, or NULL. */
static const char *judge_pem(const struct file *file, bool is_private)
{
    bool has_private = find(file->text, file->n, "PRIVATE KEY-----") != NULL;

    if (find(file->text, file->n, "-----BEGIN ENCRYPTED ") != NULL)
        return "the key is encrypted, and there is nobody to ask for its password";
    if (!is_private && has_private)
        return "this is a private key; expected the public one, NAME.pub of `sockeye keygen "
               "--identity`";
    if (is_private && !has_private && find(file->text, file->n, "PUBLIC KEY-----") != NULL)
        return "this is a public key; expected the private one, NAME.key of `sockeye keygen "
               "--identity`";
    if (find(file->text, file->n, PEM_BEGIN) == NULL || find(file->text, file->n, PEM_END) == NULL)
        return "this is no key in PEM, as `sockeye keygen --identity` makes them";
    return NULL;
}

static void read_pem(struct reading *reading, const struct node *value, const char *name,
                     bool is_private, struct config_pem *pem)
{
    struct file file;
    struct quoted q;

    if (!file_read(reading, &file, name, value, value->text, value->n_text, MAX_PEM_BYTES))
        return;
    const char *wrong = judge_pem(&file, is_private);
    if (wrong == NULL && reading->sources->judge_pem != NULL)
        wrong = reading->sources->judge_pem(file.text, file.n, is_private);
    if (wrong != NULL) {
        report_error(reading->report, value->at, "%s: %s: %s", name,
                     value->from_env ? "the file" : quote(&q, file.path, strlen(file.path)), wrong);
        return;
    }
    pem->text = file.text;
    pem->n = file.n;
}

/* The base64 between the first BEGIN and END without its line breaks: the same for the same key.
 * NULL: there is none, or memory is out. */
static char *pem_body(struct reading *reading, const struct config_pem *pem)
{
    const char *end = pem->text + pem->n;
    const char *begin = find(pem->text, pem->n, PEM_BEGIN);
    const char *line = begin != NULL ? memchr(begin, '\n', (size_t)(end - begin)) : NULL;
    const char *stop = line != NULL ? find(line, (size_t)(end - line), PEM_END) : NULL;
    size_t n = 0;

    if (stop == NULL)
        return NULL;
    char *body = arena_text(reading->scratch, line, (size_t)(stop - line));
    if (body == NULL) {
        reading->report->no_memory = true;
        return NULL;
    }
    for (; line < stop; line++)
        if (!is_space(*line) && *line != '\0')
            body[n++] = *line;
    body[n] = '\0';
    return body;
}

/* One client under two names is a mistake: who of them came could not be told. */
static void read_peers(struct reading *reading, const struct node *peers,
                       struct config_inbound *inbound)
{
    struct entries entries = value_entries(peers);
    struct uses uses = uses_new(reading, inbound->n_peers);

    if (uses.items == NULL)
        return;
    for (size_t i = 0; i < inbound->n_peers; i++, entries.next = entries.next->next) {
        struct config_pem *peer = &inbound->peers[i];
        if (peer->path != NULL)
            read_pem(reading, entries.next, "peers", false, peer);
        const char *body = peer->text != NULL ? pem_body(reading, peer) : NULL;
        if (body != NULL)
            uses_add(&uses, body, entries.next->at, false);
    }
    uses_check_unique(reading->report, &uses, "public key");
}

/* ---- both ends ---- */

static bool has_shared_key(const struct node *node)
{
    return node_get(node, "key") != NULL || node_get(node, "key_file") != NULL;
}

/* What comes early comes before anybody has signed: whoever has the key may send it. Of a public
 * key those are too many. */
static void check_early_data(struct reading *reading, const struct node *node,
                             enum config_early_data early_data)
{
    const struct node *value = node_get(node, "early_data");

    if (early_data == EARLY_NONE)
        return;
    if (!has_shared_key(node))
        report_error(reading->report, value->at,
                     "early_data: it needs a shared key (key or key_file)");
    else if (node_get(node, "peers") != NULL)
        report_error(reading->report, value->at,
                     "early_data: with peers nothing is done before the client has signed");
}

/* Clients send their datagrams to the near end. */
static void check_udp(struct reading *reading, const struct node *node,
                      const struct config_command *udp)
{
    const struct node *map = node_get(node, "udp");
    const char *key = udp->ports.from > 0                  ? "ports"
                      : udp->advertise.family != ADDR_NONE ? "advertise"
                                                           : NULL;

    if (key != NULL)
        report_error(reading->report, node_get(map, key)->key->at,
                     "udp: \"%s\" is for the near end's inbounds, to which clients send; a tunnel "
                     "has \"enabled\" alone",
                     key);
}

void tunnels_check_inbound(struct reading *reading, const struct node *node,
                           struct config_inbound *inbound)
{
    const struct node *identity = node_get(node, "identity"), *peers = node_get(node, "peers");
    bool has_key = has_shared_key(node);

    check_key(reading, node, inbound->key_file, &inbound->key);
    if (inbound->identity.path != NULL)
        read_pem(reading, identity, "identity", true, &inbound->identity);
    if (inbound->n_peers > 0)
        read_peers(reading, peers, inbound);
    check_early_data(reading, node, inbound->early_data);
    check_udp(reading, node, &inbound->udp);
    if (!has_key && identity == NULL)
        report_error(
            reading->report, node->at,
            "a tunnel needs a key: add key or key_file, as `sockeye keygen` makes them, or "
            "identity, whose public key then opens it");
    else if (!has_key && peers == NULL)
        report_warning(reading->report, identity->key->at,
                       "identity: without key and without peers, all who have its public key may "
                       "use this tunnel");
}

void tunnels_check_outbound(struct reading *reading, const struct node *node,
                            struct config_outbound *outbound)
{
    const struct node *stream_window = node_get(node, "stream_window");
    bool has_key = has_shared_key(node);

    check_key(reading, node, outbound->key_file, &outbound->key);
    if (outbound->identity.path != NULL)
        read_pem(reading, node_get(node, "identity"), "identity", true, &outbound->identity);
    if (outbound->peer.path != NULL)
        read_pem(reading, node_get(node, "peer"), "peer", false, &outbound->peer);
    check_early_data(reading, node, outbound->early_data);
    if (!has_key && node_get(node, "peer") == NULL)
        report_error(reading->report, node->at,
                     "a tunnel needs the server's key: add key or key_file, or peer, the server's "
                     "public key, if that opens it");
    if (outbound->window == 0 || outbound->stream_window <= outbound->window)
        return;
    if (stream_window != NULL)
        report_error(reading->report, stream_window->at,
                     "stream_window: it is larger than window, which bounds all streams together");
    outbound->stream_window = outbound->window;
}
