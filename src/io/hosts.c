/*
 * The names go into one text, lower-cased and zero terminated. While parsing there is an entry for
 * each pair of name and address; sorted by name, family and place in the file they become two
 * arrays side by side, so that the addresses of one name and family lie together and can be lent:
 *
 *     names:  a.example   a.example   a.example   b.example
 *     addrs:  192.0.2.1   192.0.2.9   2001:db8::1 192.0.2.1
 */
#include "io/hosts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct hosts {
    char *text;
    const char **names; /* into text; sorted */
    struct addr *addrs;
    size_t n;
};

struct entry {
    const char *name;
    size_t order;
    struct addr addr;
};

struct builder {
    char *text; /* names so far */
    size_t n_text;
    struct entry *entries;
    size_t n, cap;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

/* The next word of [*at, end), or an empty one. */
static size_t next_word(const char **at, const char *end, const char **word)
{
    const char *p = *at;
    while (p < end && is_blank(*p))
        p++;
    *word = p;
    while (p < end && !is_blank(*p))
        p++;
    *at = p;
    return (size_t)(p - *word);
}

static enum err add(struct builder *builder, const char *name, const struct addr *addr)
{
    if (builder->n == builder->cap) {
        size_t cap = builder->cap == 0 ? 16 : builder->cap * 2;
        struct entry *entries = realloc(builder->entries, cap * sizeof *entries);
        if (entries == NULL)
            return ERR_MEMORY;
        builder->entries = entries;
        builder->cap = cap;
    }
    builder->entries[builder->n] = (struct entry){.name = name, .order = builder->n, .addr = *addr};
    builder->n++;
    return ERR_NONE;
}

/* Copies a name in lower case; the text has room, as a name is never longer than its word. */
static const char *copy_name(struct builder *builder, const char *word, size_t n)
{
    char *name = builder->text + builder->n_text;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] - 'A' + 'a' : word[i]);
    name[n] = '\0';
    builder->n_text += n + 1;
    return name;
}

static enum err add_line(struct builder *builder, const char *line, size_t n)
{
    const char *comment = memchr(line, '#', n);
    const char *end = comment != NULL ? comment : line + n;
    const char *word;
    size_t n_word = next_word(&line, end, &word);
    struct addr addr;
    if (addr_parse_ip(&addr, word, n_word) != ERR_NONE)
        return ERR_NONE;
    while ((n_word = next_word(&line, end, &word)) > 0) {
        if (word[n_word - 1] == '.')
            n_word--;
        if (n_word == 0 || n_word > HOST_NAME_MAX_BYTES)
            continue;
        enum err err = add(builder, copy_name(builder, word, n_word), &addr);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

static enum err add_lines(struct builder *builder, const char *text, size_t n)
{
    const char *end = text + n;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;
        enum err err = add_line(builder, text, (size_t)(line_end - text));
        if (err != ERR_NONE)
            return err;
        text = newline != NULL ? newline + 1 : end;
    }
    return ERR_NONE;
}

/* By name, then family, then place in the file. */
static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int by_name = strcmp(a->name, b->name);
    if (by_name != 0)
        return by_name;
    if (a->addr.family != b->addr.family)
        return a->addr.family < b->addr.family ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Whether the table's last run, if it is this name's and family's, has no place for the entry. */
static bool is_superfluous(const struct hosts *hosts, const struct entry *entry)
{
    size_t n_run = 0;
    for (size_t i = hosts->n; i > 0; i--) {
        if (hosts->addrs[i - 1].family != entry->addr.family ||
            strcmp(hosts->names[i - 1], entry->name) != 0)
            return false;
        if (addr_equal(&hosts->addrs[i - 1], &entry->addr, false) || ++n_run == HOSTS_MAX_ADDRS)
            return true;
    }
    return false;
}

static enum err build_table(struct hosts *hosts, struct builder *builder)
{
    if (builder->n == 0)
        return ERR_NONE;
    hosts->names = calloc(builder->n, sizeof *hosts->names);
    hosts->addrs = calloc(builder->n, sizeof *hosts->addrs);
    if (hosts->names == NULL || hosts->addrs == NULL)
        return ERR_MEMORY;
    qsort(builder->entries, builder->n, sizeof *builder->entries, compare_entries);
    for (size_t i = 0; i < builder->n; i++) {
        const struct entry *entry = &builder->entries[i];
        if (is_superfluous(hosts, entry))
            continue;
        hosts->names[hosts->n] = entry->name;
        hosts->addrs[hosts->n] = entry->addr;
        hosts->n++;
    }
    return ERR_NONE;
}

enum err hosts_parse(struct hosts **out, const char *text, size_t n)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);
    if (hosts == NULL)
        return ERR_MEMORY;
    /* One more than the text: its last word has no blank after it that could become the zero. */
    hosts->text = malloc(n + 1);
    struct builder builder = {.text = hosts->text};
    enum err err = hosts->text == NULL ? ERR_MEMORY : add_lines(&builder, text, n);
    if (err == ERR_NONE)
        err = build_table(hosts, &builder);
    free(builder.entries);
    if (err != ERR_NONE) {
        hosts_free(hosts);
        return err;
    }
    *out = hosts;
    return ERR_NONE;
}

void hosts_free(struct hosts *hosts)
{
    if (hosts == NULL)
        return;
    free(hosts->text);
    free(hosts->names);
    free(hosts->addrs);
    free(hosts);
}

/* The place of the name's first entry, or n. */
static size_t find_first(const struct hosts *hosts, const char *name)
{
    size_t low = 0, high = hosts->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(hosts->names[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < hosts->n && strcmp(hosts->names[low], name) == 0 ? low : hosts->n;
}

bool hosts_find(const struct hosts *hosts, const char *name, enum addr_family family,
                const struct addr **addrs, size_t *n_addrs)
{
    *addrs = NULL;
    *n_addrs = 0;
    if (hosts == NULL)
        return false;
    size_t first = find_first(hosts, name);
    for (size_t i = first; i < hosts->n && strcmp(hosts->names[i], name) == 0; i++) {
        if (hosts->addrs[i].family != family)
            continue;
        if (*n_addrs == 0)
            *addrs = &hosts->addrs[i];
        ++*n_addrs;
    }
    return first < hosts->n;
}
