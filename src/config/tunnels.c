/*
 * A tunnel is opened by a key that both ends share, or by the server's public key in its place:
 *
 *     inbound     key | key_file | identity     and `peers`, the public keys of clients
 *     outbound    key | key_file | peer         and `identity`, our own
 *
 * An inbound may have several keys, of which each is good, and users, each with a key beside the server's.
 *
 * Of a PEM file only so much is looked at here as tells a private key from a public one, and one
 * public key from another: to parse it is the cryptography's.
 */
#include "config/tunnels.h"

#include <stdio.h>
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

/* NULL, or why it is no key; nothing of the text is in that. */
static const char *parse_key(struct config_key *out, const char *text, size_t n,
                             char room[static KEY_WRONG_BYTES])
{
    uint8_t bytes[96]; /* more than a key's, so that a wrong one's length can be told */
    size_t n_bytes = 0;
    enum err err = base64_decode(bytes, sizeof bytes, &n_bytes, text, n);
    const char *wrong = NULL;

    if (err == ERR_BAD) {
        wrong = "this is not base64 with its padding; `sockeye keygen` makes a key";
    } else if (err != ERR_NONE) {
        wrong = "a key has 16, 24 or 32 bytes (128, 192 or 256 bits), this one has more";
    } else if (n_bytes != 16 && n_bytes != 24 && n_bytes != 32) {
        snprintf(room, KEY_WRONG_BYTES,
                 "a key has 16, 24 or 32 bytes (128, 192 or 256 bits), this one has %zu", n_bytes);
        wrong = room;
    } else {
        memcpy(out->bytes, bytes, n_bytes);
        out->n_bytes = (uint8_t)n_bytes;
    }
    secret_wipe(bytes, sizeof bytes);
    return wrong;
}

static void say_wrong(struct reading *reading, const struct key_text *text, const char *wrong)
{
    if (wrong != NULL)
        report_error(reading->report, text->at, "%s: %s", text->name, wrong);
}

static bool is_same_key(const struct config_key *a, const struct config_key *b)
{
    return a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

static bool has_key(const struct config_inbound *inbound, const struct config_key *key)
{
    for (size_t i = 0; i < inbound->n_keys; i++)
        if (is_same_key(&inbound->keys[i], key))
            return true;
    return false;
}

bool tunnel_key_add(struct reading *reading, struct config_inbound *inbound,
                    const struct key_text *text)
{
    struct config_key key = {0};
    char room[KEY_WRONG_BYTES];
    const char *wrong;

    if (memchr(text->text, ':', text->n) != NULL)
        wrong =
            "SERVER:USER is what a client has; here the server's key stands alone, and users have "
            "theirs in users or users_file";
    else
        wrong = parse_key(&key, text->text, text->n, room);
    if (wrong == NULL && inbound->n_keys == CONFIG_MAX_KEYS)
        wrong = "more than 4 keys";
    else if (wrong == NULL && has_key(inbound, &key))
        wrong = "the same key twice";
    if (wrong == NULL)
        inbound->keys[inbound->n_keys++] = key;
    say_wrong(reading, text, wrong);
    secret_wipe(&key, sizeof key);
    return wrong == NULL;
}

void tunnel_key_split(struct reading *reading, struct config_outbound *outbound,
                      const struct key_text *text)
{
    const char *colon = memchr(text->text, ':', text->n), *end = text->text + text->n;
    size_t n_server = (size_t)((colon != NULL ? colon : end) - text->text);
    char room[KEY_WRONG_BYTES];
    const char *wrong = parse_key(&outbound->key, text->text, n_server, room);

    if (wrong != NULL || colon == NULL) {
        say_wrong(reading, text, wrong);
        return;
    }
    wrong = parse_key(&outbound->user_key, colon + 1, (size_t)(end - colon) - 1, room);
    if (wrong == NULL && is_same_key(&outbound->key, &outbound->user_key))
        wrong = "it is the server's, but must be the user's own";
    if (wrong != NULL)
        report_error(reading->report, text->at, "%s: the user's key, behind the colon: %s",
                     text->name, wrong);
}

const char *tunnel_key_judge_user(const struct config_inbound *inbound, const char *text,
                                  char room[static KEY_WRONG_BYTES])
{
    struct config_key key = {0};
    const char *wrong = parse_key(&key, text, strlen(text), room);

    if (wrong == NULL && has_key(inbound, &key))
        wrong = "this is the server's own key, which all its users have";
    secret_wipe(&key, sizeof key);
    return wrong;
}

/* ---- files of keys ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A file of keys, as `sockeye keygen -o` writes it: one a line. */
struct key_lines {
    struct file file;
    const char *at;
    struct key_text text; /* of the line */
};

static bool open_key_file(struct reading *reading, const struct node *node, struct key_lines *lines)
{
    const struct node *value = node_get(node, "key_file");

    if (!file_read_secret(reading, &lines->file, "key_file", value, value->text, value->n_text,
                          MAX_KEY_FILE_BYTES))
        return false;
    file_skip_mark(&lines->file);
    lines->at = lines->file.text;
    lines->text = (struct key_text){.name = "key_file", .at = value->at};
    return true;
}

/* The next line that is not blank. */
static bool next_key_line(struct key_lines *lines)
{
    const char *end = lines->file.text + lines->file.n;

    while (lines->at < end) {
        const char *newline = memchr(lines->at, '\n', (size_t)(end - lines->at));
        const char *stop = newline != NULL ? newline : end;
        lines->text.text = lines->at;
        lines->at = newline != NULL ? newline + 1 : end;
        while (stop > lines->text.text && is_space(stop[-1]))
            stop--;
        lines->text.n = (size_t)(stop - lines->text.text);
        if (lines->text.n > 0)
            return true;
    }
    return false;
}

static void say_no_key(struct reading *reading, const struct key_lines *lines)
{
    report_error(reading->report, lines->text.at, "key_file: expected a key in its first line");
}

/* Whether it is from a file that the key is to be read. */
static bool is_from_file(struct reading *reading, const struct node *node, const char *key_file)
{
    const struct node *file = node_get(node, "key_file");

    if (file == NULL || node_get(node, "key") == NULL)
        return key_file != NULL;
    report_error(reading->report, file->key->at, "key and key_file: expected one of them");
    return false;
}

static void read_server_keys(struct reading *reading, const struct node *node,
                             struct config_inbound *inbound)
{
    struct key_lines lines;

    if (!is_from_file(reading, node, inbound->key_file) || !open_key_file(reading, node, &lines))
        return;
    if (!next_key_line(&lines)) {
        say_no_key(reading, &lines);
        return;
    }
    while (tunnel_key_add(reading, inbound, &lines.text) && next_key_line(&lines))
        continue;
}

static void read_client_key(struct reading *reading, const struct node *node,
                            struct config_outbound *outbound)
{
    struct key_lines lines;

    if (!is_from_file(reading, node, outbound->key_file) || !open_key_file(reading, node, &lines))
        return;
    if (!next_key_line(&lines)) {
        say_no_key(reading, &lines);
        return;
    }
    tunnel_key_split(reading, outbound, &lines.text);
    if (next_key_line(&lines))
        report_error(reading->report, lines.text.at,
                     "key_file: more than one line: a client has one key");
}

/* ---- users ---- */

/* In step with the nodes, so that the place of each is known. */
static void take_users(struct reading *reading, const struct node *node,
                       struct config_inbound *inbound)
{
    const struct node *list = node_get(node, "users");
    size_t n = inbound->n_tunnel_users;

    if (n == 0)
        return;
    struct config_user *users = value_alloc(reading, n, sizeof *users);
    if (users == NULL)
        return;
    const struct node *user = list->first;
    for (size_t i = 0; i < n; i++, user = user->next) {
        const struct config_tunnel_user *from = &inbound->tunnel_users[i];
        char room[KEY_WRONG_BYTES];
        struct quoted q;
        const char *wrong =
            from->key != NULL ? tunnel_key_judge_user(inbound, from->key, room) : NULL;
        users[i] = (struct config_user){.name = from->name, .password = from->key};
        if (wrong != NULL && from->name != NULL)
            report_error(reading->report, node_get(user, "key")->at, "the key of the user %s: %s",
                         quote(&q, from->name, strlen(from->name)), wrong);
    }
    inbound->users = users;
    inbound->n_users = inbound->n_inline_users = n;
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

    bool is_read = is_private ? file_read_secret(reading, &file, name, value, value->text,
                                                 value->n_text, MAX_PEM_BYTES)
                              : file_read(reading, &file, name, value, value->text, value->n_text,
                                          MAX_PEM_BYTES);
    if (!is_read)
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

void tunnels_check_inbound(struct reading *reading, const struct node *node,
                           struct config_inbound *inbound)
{
    const struct node *identity = node_get(node, "identity"), *peers = node_get(node, "peers");
    bool is_shared = has_shared_key(node);

    read_server_keys(reading, node, inbound);
    take_users(reading, node, inbound);
    if (inbound->identity.path != NULL)
        read_pem(reading, identity, "identity", true, &inbound->identity);
    if (inbound->n_peers > 0)
        read_peers(reading, peers, inbound);
    check_early_data(reading, node, inbound->early_data);
    if (!is_shared && inbound->has_users)
        report_error(
            reading->report,
            node_get(node, node_get(node, "users") != NULL ? "users" : "users_file")->key->at,
            "users have a key each beside the server's, which is missing: add key or key_file");
    else if (!is_shared && identity == NULL)
        report_error(
            reading->report, node->at,
            "a tunnel needs a key: add key or key_file, as `sockeye keygen` makes them, or "
            "identity, whose public key then opens it");
    else if (!is_shared && peers == NULL)
        report_warning(reading->report, identity->key->at,
                       "identity: without key and without peers, all who have its public key may "
                       "use this tunnel");
}

void tunnels_check_outbound(struct reading *reading, const struct node *node,
                            struct config_outbound *outbound)
{
    const struct node *stream_window = node_get(node, "stream_window");
    bool is_shared = has_shared_key(node);

    read_client_key(reading, node, outbound);
    if (outbound->identity.path != NULL)
        read_pem(reading, node_get(node, "identity"), "identity", true, &outbound->identity);
    if (outbound->peer.path != NULL)
        read_pem(reading, node_get(node, "peer"), "peer", false, &outbound->peer);
    check_early_data(reading, node, outbound->early_data);
    if (!is_shared && node_get(node, "peer") == NULL)
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
