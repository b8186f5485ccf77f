/* What all kinds of value share: telling numbers from text, and saying what was found. */
#include "config/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/suggest.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *text, size_t i)
{
    while (is_digit(text[i]))
        i++;
    return i;
}

/* Whether YAML takes a plain scalar for a number: 12, -1, 0x1f, 1.5, 1e3. */
static bool looks_like_number(const char *text)
{
    size_t i = text[0] == '-' || text[0] == '+' ? 1 : 0;
    size_t start = i;

    if (text[i] == '0' && (text[i + 1] == 'x' || text[i + 1] == 'o'))
        return text[i + 2] != '\0' &&
               text[i + 2 + strspn(text + i + 2, "0123456789abcdefABCDEF")] == '\0';
    i = skip_digits(text, i);
    size_t n_digits = i - start;
    if (text[i] == '.') {
        size_t point = i++;
        i = skip_digits(text, i);
        n_digits += i - point - 1;
    }
    if (n_digits == 0)
        return false;
    if (text[i] == 'e' || text[i] == 'E') {
        i += text[i + 1] == '-' || text[i + 1] == '+' ? 2 : 1;
        if (!is_digit(text[i]))
            return false;
        i = skip_digits(text, i);
    }
    return text[i] == '\0';
}

static bool is_true_or_false(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static bool is_plain_text(const struct node *node)
{
    /* What the environment holds has no quotes to tell a number from a text. */
    return node->kind == NODE_TEXT || node->from_env ||
           !(looks_like_number(node->text) || is_true_or_false(node->text));
}

bool value_is_null(const struct node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (node->kind != NODE_PLAIN || node->from_env)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(node->text, words[i]) == 0)
            return true;
    return false;
}

bool value_stands_for_text(const struct node *node)
{
    return (node->kind == NODE_PLAIN || node->kind == NODE_TEXT) && !value_is_null(node) &&
           is_plain_text(node);
}

bool value_parse_number(uint64_t *out, uint64_t max, const char *text, size_t n)
{
    uint64_t value = 0;

    if (n == 0 || (text[0] == '0' && n > 1))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static const struct {
    char letter;
    unsigned shift;
} size_units[] = {{'G', 30}, {'M', 20}, {'K', 10}};

bool value_parse_size(uint64_t *out, uint64_t max, const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        if (n == 0 || text[n - 1] != size_units[i].letter)
            continue;
        if (!value_parse_number(out, max >> size_units[i].shift, text, n - 1))
            return false;
        *out <<= size_units[i].shift;
        return true;
    }
    return value_parse_number(out, max, text, n);
}

void value_format_size(char out[static SIZE_TEXT_BYTES], uint64_t size)
{
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        uint64_t unit = (uint64_t)1 << size_units[i].shift;
        if (size == 0 || size % unit != 0)
            continue;
        snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 "%c", size / unit, size_units[i].letter);
        return;
    }
    snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64, size);
}

bool value_is_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

bool value_parse_ports(uint16_t *from, uint16_t *to, const char *text, size_t n)
{
    const char *dash = memchr(text, '-', n);
    size_t n_from = dash != NULL ? (size_t)(dash - text) : n;

    if (addr_parse_port(from, text, n_from) != ERR_NONE)
        return false;
    *to = *from;
    return dash == NULL ||
           (addr_parse_port(to, dash + 1, n - n_from - 1) == ERR_NONE && *from <= *to);
}

const char *value_describe(struct quoted *room, const struct key *key, const struct node *node)
{
    struct quoted q;

    if (node->kind == NODE_LIST)
        return "a list";
    if (node->kind == NODE_MAP)
        return "a mapping";
    if (node->from_env)
        return "the value of an environment variable";
    if (value_is_null(node))
        return "nothing";
    if (is_plain_text(node)) {
        if (key->secret)
            return "a text";
        snprintf(room->text, sizeof room->text, "%s%s", quote(&q, node->text, node->n_text),
                 node->kind == NODE_TEXT ? " in quotes" : "");
    } else if (key->secret) {
        return "a number, true or false";
    } else {
        snprintf(room->text, sizeof room->text, "%.64s", node->text);
    }
    return room->text;
}

/* Writes what the key's choices are: "a, b or c"; those of later versions are left out. */
static void list_choices(char *out, size_t cap, const struct choice *choices)
{
    size_t used = 0, n = 0, seen = 0;

    for (const struct choice *c = choices; c->name != NULL; c++)
        n += c->value != CHOICE_LATER;
    for (const struct choice *c = choices; c->name != NULL && used < cap; c++) {
        if (c->value == CHOICE_LATER)
            continue;
        seen++;
        const char *before = seen == 1 ? "" : seen == n ? " or " : ", ";
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, c->name);
    }
}

static const char *expects(char *room, size_t cap, const struct key *key)
{
    if (key->kind->expects != NULL)
        return key->kind->expects;
    if (key->choices != NULL)
        list_choices(room, cap, key->choices);
    else
        snprintf(room, cap, "a whole number from %" PRIu64 " to %" PRIu64, key->min, key->max);
    return room;
}

/* A hint at what is likely meant, or "". */
static const char *hint(char *room, size_t cap, const struct key *key, const struct node *node)
{
    struct suggest suggest = suggest_for(node->text);

    room[0] = '\0';
    if (key->secret || node->from_env || (node->kind != NODE_PLAIN && node->kind != NODE_TEXT))
        return room;
    if (key->choices != NULL) {
        for (const struct choice *c = key->choices; c->name != NULL; c++)
            if (c->value != CHOICE_LATER)
                suggest_offer(&suggest, c->name);
        if (suggest.best != NULL)
            snprintf(room, cap, "; did you mean %s?", suggest.best);
    } else if (key->kind == &kind_number && looks_like_number(node->text)) {
        if (node->kind == NODE_TEXT)
            return "; write it without quotes";
        if (node->text[0] == '0' && is_digit(node->text[1]))
            return "; write it without leading zeros";
    } else if (key->kind == &kind_bool && is_true_or_false(node->text)) {
        return "; write it without quotes";
    }
    return room;
}

void value_unexpected(struct reading *reading, const struct key *key, const struct node *node)
{
    struct quoted found;
    char expected[160], hinted[80];

    if (report_is_full(reading->report)) {
        reading->report->n_errors++;
        return;
    }
    report_error(reading->report, node->at, "%s: expected %s, found %s%s", key->name,
                 expects(expected, sizeof expected, key), value_describe(&found, key, node),
                 hint(hinted, sizeof hinted, key, node));
}

void value_wrong_count(struct reading *reading, const struct key *key, const struct node *list)
{
    const char *example = key->example != NULL ? key->example : "";

    report_error(reading->report, list->at,
                 "%s: expected %" PRIu64 " to %" PRIu64 " entries, found %zu%s%s", key->name,
                 key->min, key->max, list->n_children, key->example != NULL ? "; for example " : "",
                 example);
}

bool value_list(struct reading *reading, const struct key *key, const struct node *value,
                struct entries *entries)
{
    *entries = value_entries(value);
    if (entries->n >= key->min && entries->n <= key->max)
        return true;
    value_wrong_count(reading, key, value);
    return false;
}

bool value_is_text(struct reading *reading, const struct key *key, const struct node *node)
{
    struct quoted found;

    if (value_stands_for_text(node))
        return true;
    if (node->kind == NODE_BROKEN)
        return false;
    bool is_text = key->kind == &kind_text || key->kind == &kind_upstream_password ||
                   key->kind == &kind_server_keys || key->kind == &kind_client_key;
    if (is_text && node->kind == NODE_PLAIN && !value_is_null(node))
        report_error(reading->report, node->at, "%s: expected a text, found %s; put it in quotes",
                     key->name, value_describe(&found, key, node));
    else
        value_unexpected(reading, key, node);
    return false;
}

struct entries value_entries(const struct node *node)
{
    if (node->kind == NODE_LIST)
        return (struct entries){node->first, node->n_children};
    return (struct entries){node, 1};
}

void *value_alloc(struct reading *reading, size_t n, size_t size)
{
    void *room = arena_alloc(reading->keep, n, size);

    if (room == NULL)
        reading->report->no_memory = true;
    return room;
}
