/*
 * Expansion runs twice over the text: once to measure, once to write. What a variable holds is
 * never expanded again, and never shown: it is where secrets come from.
 */
#include "config/expand.h"

#include <string.h>

#include "config/utf8.h"

#define MAX_NAME_BYTES 255

/* One piece of a text: either bytes of its own or what a variable holds. */
struct piece {
    const char *text;
    size_t n;
    size_t consumed; /* how much of the source it stands for; 0: the source is wrong */
    bool from_env;
    bool is_unset;
    char name[MAX_NAME_BYTES + 1];
};

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Reads "${NAME}" at the start of n bytes. */
static void read_variable(struct piece *piece, expand_getenv *env, const char *text, size_t n)
{
    size_t end = 2;

    while (end < n && is_name_char(text[end], end == 2))
        end++;
    if (end == 2 || end == n || text[end] != '}' || end - 2 > MAX_NAME_BYTES)
        return;
    memcpy(piece->name, text + 2, end - 2);
    piece->name[end - 2] = '\0';
    piece->consumed = end + 1;
    piece->from_env = true;
    piece->text = env(piece->name);
    piece->is_unset = piece->text == NULL;
    piece->n = piece->is_unset ? 0 : strlen(piece->text);
}

static struct piece next_piece(expand_getenv *env, const char *text, size_t n)
{
    struct piece piece = {.text = text};

    if (n >= 3 && memcmp(text, "$${", 3) == 0) {
        piece.text = text + 1;
        piece.n = 2;
        piece.consumed = 3;
    } else if (n >= 2 && memcmp(text, "${", 2) == 0) {
        read_variable(&piece, env, text, n);
    } else {
        piece.n = piece.consumed = 1;
        while (piece.n < n && text[piece.n] != '$')
            piece.consumed = ++piece.n;
    }
    return piece;
}

static bool is_text(const char *text, size_t n)
{
    uint32_t c;
    size_t length;

    for (size_t i = 0; i < n; i += length) {
        length = utf8_decode(&c, text + i, n - i);
        if (length == 0 || !utf8_is_printable(c))
            return false;
    }
    return true;
}

/* Says what is wrong with a piece, if anything is. */
static bool is_good(struct expansion *x, const struct node *node, const struct piece *piece)
{
    struct quoted q;

    if (piece->consumed == 0) {
        report_error(x->report, node->at,
                     "\"${\" without the name of an environment variable and \"}\"; "
                     "for the text \"${\" write \"$${\"");
        return false;
    }
    if (!piece->from_env)
        return true;
    if (piece->is_unset)
        report_error(x->report, node->at, "the environment variable %s is not set",
                     quote(&q, piece->name, strlen(piece->name)));
    else if (!is_text(piece->text, piece->n))
        report_error(x->report, node->at, "the environment variable %s is not UTF-8 text",
                     quote(&q, piece->name, strlen(piece->name)));
    else if (piece->n > EXPAND_MAX_BYTES - x->total_bytes)
        report_error(x->report, node->at, "environment variables bring in more than 4 MiB");
    else
        return true;
    return false;
}

/* Finds the expanded length; false: the text is wrong, which has been said. */
static bool measure(struct expansion *x, struct node *node, size_t *total)
{
    size_t i = 0;

    *total = 0;
    while (i < node->n_text) {
        struct piece piece = next_piece(x->env, node->text + i, node->n_text - i);
        if (!is_good(x, node, &piece))
            return false;
        if (piece.from_env) {
            node->from_env = true;
            x->total_bytes += piece.n;
        }
        *total += piece.n;
        i += piece.consumed;
    }
    return true;
}

void expand_node(struct expansion *x, struct node *node)
{
    size_t total;

    if (strstr(node->text, "${") == NULL)
        return;
    if (!measure(x, node, &total)) {
        node->kind = NODE_BROKEN;
        return;
    }
    char *out = arena_alloc(x->arena, total + 1, 1);
    if (out == NULL) {
        x->report->no_memory = true;
        return;
    }
    size_t used = 0, i = 0;
    while (i < node->n_text) {
        struct piece piece = next_piece(x->env, node->text + i, node->n_text - i);
        /* Another thread may have changed the environment since it was measured. */
        size_t n = piece.n < total - used ? piece.n : total - used;
        if (n > 0)
            memcpy(out + used, piece.text, n);
        used += n;
        i += piece.consumed;
    }
    node->text = out;
    node->n_text = used;
}
