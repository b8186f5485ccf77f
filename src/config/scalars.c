/* Kinds of one value: numbers, true and false, words to choose from, texts. */
#include "config/keys.h"

#include <assert.h>
#include <string.h>

static char *member(void *base, const struct key *key)
{
    return (char *)base + key->offset;
}

static const char *const_member(const void *base, const struct key *key)
{
    return (const char *)base + key->offset;
}

/* Enums, counts and limits differ in width: the row's says which. */
static void store(void *base, const struct key *key, uint64_t value)
{
    uint8_t narrow = (uint8_t)value;
    uint32_t middle = (uint32_t)value;

    if (key->bytes == sizeof narrow)
        memcpy(member(base, key), &narrow, sizeof narrow);
    else if (key->bytes == sizeof middle)
        memcpy(member(base, key), &middle, sizeof middle);
    else {
        assert(key->bytes == sizeof value);
        memcpy(member(base, key), &value, sizeof value);
    }
}

static uint64_t load(const void *base, const struct key *key)
{
    uint8_t narrow;
    uint32_t middle;
    uint64_t value;

    if (key->bytes == sizeof narrow) {
        memcpy(&narrow, const_member(base, key), sizeof narrow);
        return narrow;
    }
    if (key->bytes == sizeof middle) {
        memcpy(&middle, const_member(base, key), sizeof middle);
        return middle;
    }
    memcpy(&value, const_member(base, key), sizeof value);
    return value;
}

static_assert(sizeof(enum log_level) == sizeof(uint32_t), "an enum of a width store() lacks");
static_assert(sizeof(bool) == sizeof(uint8_t), "a bool of a width store() lacks");

static void default_number(struct reading *reading, const struct key *key, void *base)
{
    (void)reading;
    store(base, key, key->number);
}

static void read_number(struct reading *reading, const struct key *key, const struct node *value,
                        void *base)
{
    uint64_t number;

    if (value->kind == NODE_PLAIN &&
        value_parse_number(&number, key->max, value->text, value->n_text) && number >= key->min)
        store(base, key, number);
    else
        value_unexpected(reading, key, value);
}

static void print_number_key(struct printer *printer, const struct key *key, const void *base)
{
    print_key(printer, key->name);
    print_number(printer, load(base, key));
    print_raw(printer, "\n");
}

const struct kind kind_number = {
    .set_default = default_number, .read = read_number, .print = print_number_key};

static void read_size(struct reading *reading, const struct key *key, const struct node *value,
                      void *base)
{
    char least[SIZE_TEXT_BYTES], most[SIZE_TEXT_BYTES];
    bool is_scalar = value->kind == NODE_PLAIN || value->kind == NODE_TEXT;
    uint64_t size;

    if (!is_scalar || !value_parse_size(&size, UINT64_MAX, value->text, value->n_text)) {
        value_unexpected(reading, key, value);
        return;
    }
    if (size >= key->min && size <= key->max) {
        store(base, key, size);
        return;
    }
    value_format_size(least, key->min);
    value_format_size(most, key->max);
    report_error(reading->report, value->at, "%s: expected %s to %s", key->name, least, most);
}

static void print_size(struct printer *printer, const struct key *key, const void *base)
{
    char text[SIZE_TEXT_BYTES];

    value_format_size(text, load(base, key));
    print_key(printer, key->name);
    print_raw(printer, text);
    print_raw(printer, "\n");
}

const struct kind kind_size = {.expects = "a size such as 65536, 64K, 16M or 1G",
                               .set_default = default_number,
                               .read = read_size,
                               .print = print_size};

static void read_bool(struct reading *reading, const struct key *key, const struct node *value,
                      void *base)
{
    bool is_true = value->kind == NODE_PLAIN && strcmp(value->text, "true") == 0;
    bool is_false = value->kind == NODE_PLAIN && strcmp(value->text, "false") == 0;

    if (is_true || is_false)
        store(base, key, is_true);
    else
        value_unexpected(reading, key, value);
}

static void print_bool(struct printer *printer, const struct key *key, const void *base)
{
    print_key(printer, key->name);
    print_raw(printer, load(base, key) != 0 ? "true\n" : "false\n");
}

const struct kind kind_bool = {.expects = "true or false",
                               .set_default = default_number,
                               .read = read_bool,
                               .print = print_bool};

static void read_choice(struct reading *reading, const struct key *key, const struct node *value,
                        void *base)
{
    bool is_scalar = value->kind == NODE_PLAIN || value->kind == NODE_TEXT;

    for (const struct choice *c = key->choices; c->name != NULL; c++) {
        if (!is_scalar || strcmp(c->name, value->text) != 0)
            continue;
        if (c->value == CHOICE_LATER)
            report_error(reading->report, value->at, "%s: this version does not have \"%s\"",
                         key->name, c->name);
        else
            store(base, key, (uint64_t)c->value);
        return;
    }
    value_unexpected(reading, key, value);
}

static void print_choice(struct printer *printer, const struct key *key, const void *base)
{
    uint64_t value = load(base, key);

    for (const struct choice *c = key->choices; c->name != NULL; c++)
        if (c->value != CHOICE_LATER && (uint64_t)c->value == value) {
            print_key(printer, key->name);
            print_raw(printer, c->name);
            print_raw(printer, "\n");
            return;
        }
}

const struct kind kind_choice = {
    .set_default = default_number, .read = read_choice, .print = print_choice};

static void store_text(struct reading *reading, const struct key *key, void *base, const char *text,
                       size_t n)
{
    char *copy = arena_text(reading->keep, text, n);

    if (copy == NULL)
        reading->report->no_memory = true;
    memcpy(member(base, key), &copy, sizeof copy);
}

static void default_text(struct reading *reading, const struct key *key, void *base)
{
    if (key->text != NULL)
        store_text(reading, key, base, key->text, strlen(key->text));
}

static void read_text(struct reading *reading, const struct key *key, const struct node *value,
                      void *base)
{
    if (!value_is_text(reading, key, value))
        return;
    if (value->n_text < key->min || value->n_text > key->max)
        report_error(reading->report, value->at, "%s: expected %u to %u bytes, found %zu",
                     key->name, (unsigned)key->min, (unsigned)key->max, value->n_text);
    else
        store_text(reading, key, base, value->text, value->n_text);
}

static void print_text(struct printer *printer, const struct key *key, const void *base)
{
    const char *text;

    memcpy(&text, const_member(base, key), sizeof text);
    if (text == NULL)
        return;
    print_key(printer, key->name);
    if (key->secret)
        print_raw(printer, "\"***\"");
    else
        print_quoted(printer, text);
    print_raw(printer, "\n");
}

const struct kind kind_text = {
    .expects = "a text", .set_default = default_text, .read = read_text, .print = print_text};

/* Where it is from a file, the file is what is printed. */
static void print_upstream_password(struct printer *printer, const struct key *key,
                                    const void *base)
{
    const struct config_outbound *outbound = base;

    if (outbound->password_file == NULL)
        print_text(printer, key, base);
}

const struct kind kind_upstream_password = {
    .expects = "a text", .read = read_text, .print = print_upstream_password};

/* The name of an outbound becomes its index when all outbounds are known (check.c). */
static void read_outbound(struct reading *reading, const struct key *key, const struct node *value,
                          void *base)
{
    (void)base;
    (void)value_is_text(reading, key, value);
}

static void print_outbound(struct printer *printer, const struct key *key, const void *base)
{
    bool is_named;
    size_t index;

    memcpy(&is_named, (const char *)base + key->n_offset, sizeof is_named);
    memcpy(&index, const_member(base, key), sizeof index);
    if (!is_named)
        return;
    print_key(printer, key->name);
    print_quoted(printer, printer->config->outbounds[index].name);
    print_raw(printer, "\n");
}

const struct kind kind_outbound = {
    .expects = "the name of an outbound", .read = read_outbound, .print = print_outbound};

/* log.to: two words, and anything else is a path. */
static void read_log_sink(struct reading *reading, const struct key *key, const struct node *value,
                          void *base)
{
    struct config_log *log = base;
    struct quoted q;

    if (!value_is_text(reading, key, value))
        return;
    if (strcmp(value->text, "stderr") == 0) {
        log->sink = LOG_TO_STDERR;
    } else if (strcmp(value->text, "syslog") == 0) {
        log->sink = LOG_TO_SYSLOG;
    } else if (value->n_text < key->min || value->n_text > key->max) {
        value_unexpected(reading, key, value);
    } else {
        log->sink = LOG_TO_FILE;
        store_text(reading, key, base, value->text, value->n_text);
        if (strpbrk(value->text, "/.") == NULL && !value->from_env)
            report_warning(reading->report, value->at,
                           "%s: %s is taken for a file; write \"./\" before it if it is meant",
                           key->name, quote(&q, value->text, value->n_text));
    }
}

static void print_log_sink(struct printer *printer, const struct key *key, const void *base)
{
    const struct config_log *log = base;

    print_key(printer, key->name);
    if (log->sink == LOG_TO_FILE)
        print_quoted(printer, log->path);
    else
        print_raw(printer, log->sink == LOG_TO_SYSLOG ? "syslog" : "stderr");
    print_raw(printer, "\n");
}

const struct kind kind_log_sink = {
    .expects = "stderr, syslog or a path", .read = read_log_sink, .print = print_log_sink};
