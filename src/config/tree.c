/*
 * libyaml gives events; a stack of the open lists and mappings makes a tree of them. An error that
 * leaves the rest readable breaks one node and goes on, so that one run finds as many as it can.
 */
#include "config/tree.h"

#include <string.h>
#include <yaml.h>

#include "base/secret.h"
#include "config/expand.h"
#include "config/syntax.h"

#define MAX_DEPTH 16

struct builder {
    struct report *report;
    struct arena *arena;
    struct expansion expansion;
    struct node *open[MAX_DEPTH];
    size_t depth;
    struct node *key; /* of the open mapping, waiting for its value */
    struct node *root;
    bool is_at_end;
    bool is_misread; /* stopped by an error after which nothing can be trusted */
};

static struct mark mark_of(const yaml_event_t *event)
{
    return (struct mark){(uint32_t)event->start_mark.line + 1,
                         (uint32_t)event->start_mark.column + 1};
}

/* An error after which the rest would be misread. */
static void stop(struct builder *b, const yaml_event_t *event, const char *message)
{
    report_error(b->report, mark_of(event), "%s", message);
    b->is_misread = true;
}

static struct node *new_node(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
    struct node *node = arena_alloc(b->arena, 1, sizeof *node);

    if (node == NULL) {
        b->report->no_memory = true;
        return NULL;
    }
    node->kind = kind;
    node->at = mark_of(event);
    node->text = "";
    return node;
}

static bool is_scalar(const struct node *node)
{
    return node->kind == NODE_PLAIN || node->kind == NODE_TEXT || node->kind == NODE_BROKEN;
}

/* Hangs a node where the stack says that it belongs. */
static void add_node(struct builder *b, const yaml_event_t *event, struct node *node)
{
    struct node *parent = b->depth > 0 ? b->open[b->depth - 1] : NULL;

    if (parent != NULL && parent->kind == NODE_MAP && b->key == NULL) {
        if (is_scalar(node))
            b->key = node;
        else
            stop(b, event, "expected a word as key, found a list or a mapping");
        return;
    }
    if (is_scalar(node) && node->kind != NODE_BROKEN)
        expand_node(&b->expansion, node);
    if (parent == NULL) {
        b->root = node;
        return;
    }
    node->key = b->key;
    b->key = NULL;
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->n_children++;
}

static void open_node(struct builder *b, const yaml_event_t *event, struct node *node)
{
    add_node(b, event, node);
    if (b->depth == MAX_DEPTH)
        stop(b, event, "nested more than 16 levels deep");
    else
        b->open[b->depth++] = node;
}

/* Anchors are useless without aliases, so they are refused too. */
static void check_anchor(struct builder *b, const yaml_event_t *event, const yaml_char_t *anchor)
{
    if (anchor != NULL)
        report_error(b->report, mark_of(event),
                     "YAML anchors are not supported; a text that begins with & must be in quotes");
}

/* Returns whether there is no tag, or the one that is right here; else says so. */
static bool check_tag(struct builder *b, const yaml_event_t *event, const yaml_char_t *tag,
                      const char *known)
{
    if (tag == NULL || strcmp((const char *)tag, known) == 0)
        return true;
    report_error(
        b->report, mark_of(event),
        "this YAML tag is not supported here; a text that begins with ! must be in quotes");
    return false;
}

static enum node_kind scalar_kind(struct builder *b, const yaml_event_t *event)
{
    static const char *const plain_tags[] = {YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG,
                                             YAML_NULL_TAG};
    const char *tag = (const char *)event->data.scalar.tag;

    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL) {
        report_error(b->report, mark_of(event), "a text cannot hold the character \\0");
        return NODE_BROKEN;
    }
    if (tag == NULL)
        return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? NODE_PLAIN : NODE_TEXT;
    for (size_t i = 0; i < sizeof plain_tags / sizeof plain_tags[0]; i++)
        if (strcmp(tag, plain_tags[i]) == 0)
            return NODE_PLAIN;
    if (strcmp(tag, "!") == 0)
        return NODE_TEXT;
    return check_tag(b, event, event->data.scalar.tag, YAML_STR_TAG) ? NODE_TEXT : NODE_BROKEN;
}

static void take_scalar(struct builder *b, const yaml_event_t *event)
{
    struct node *node = new_node(b, event, scalar_kind(b, event));

    if (node == NULL)
        return;
    check_anchor(b, event, event->data.scalar.anchor);
    if (node->kind != NODE_BROKEN) {
        node->n_text = event->data.scalar.length;
        node->text = arena_text(b->arena, (const char *)event->data.scalar.value, node->n_text);
        if (node->text == NULL) {
            b->report->no_memory = true;
            return;
        }
    }
    add_node(b, event, node);
}

static void take_collection(struct builder *b, const yaml_event_t *event)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *tag =
        is_list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    struct node *node = new_node(b, event, is_list ? NODE_LIST : NODE_MAP);

    if (node == NULL)
        return;
    check_anchor(b, event,
                 is_list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor);
    check_tag(b, event, tag, is_list ? YAML_SEQ_TAG : YAML_MAP_TAG);
    open_node(b, event, node);
}

static void take_alias(struct builder *b, const yaml_event_t *event)
{
    struct node *node = new_node(b, event, NODE_BROKEN);

    if (node == NULL)
        return;
    report_error(b->report, mark_of(event),
                 "YAML aliases are not supported; a text that begins with * must be in quotes");
    add_node(b, event, node);
}

static void take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root != NULL)
            stop(b, event, "a second YAML document begins here; one file holds one");
        break;
    case YAML_ALIAS_EVENT:
        take_alias(b, event);
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        take_collection(b, event);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        break;
    case YAML_STREAM_END_EVENT:
        b->is_at_end = true;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

/* libyaml frees without wiping. */
static void delete_event(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        secret_wipe(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void delete_parser(yaml_parser_t *yaml)
{
    secret_wipe(yaml->buffer.start, (size_t)(yaml->buffer.end - yaml->buffer.start));
    secret_wipe(yaml->raw_buffer.start, (size_t)(yaml->raw_buffer.end - yaml->raw_buffer.start));
    yaml_parser_delete(yaml);
}

static void build(struct builder *b, const char *text, size_t n)
{
    yaml_parser_t yaml;
    yaml_event_t event;

    if (!yaml_parser_initialize(&yaml)) {
        b->report->no_memory = true;
        return;
    }
    yaml_parser_set_input_string(&yaml, (const unsigned char *)text, n);
    while (!b->is_at_end && !b->is_misread && !b->report->no_memory) {
        if (!yaml_parser_parse(&yaml, &event)) {
            b->is_misread = true;
            if (yaml.error == YAML_MEMORY_ERROR)
                b->report->no_memory = true;
            else
                syntax_report(b->report, &yaml, text, n);
            break;
        }
        take_event(b, &event);
        delete_event(&event);
    }
    delete_parser(&yaml);
}

/* A document of nothing but its beginning, "---". */
static bool is_empty(const struct node *root)
{
    return root->kind == NODE_PLAIN && root->n_text == 0;
}

const struct node *tree_parse(const struct tree_input *input)
{
    struct builder b = {
        .report = input->report,
        .arena = input->arena,
        .expansion = {.env = input->sources->getenv,
                      .report = input->report,
                      .arena = input->arena},
    };
    if (!syntax_check_characters(input->report, input->text, input->n_text))
        return NULL;
    build(&b, input->text, input->n_text);
    if (b.is_misread)
        return NULL;
    if ((b.root == NULL || is_empty(b.root)) && !input->report->no_memory) {
        report_error(input->report, (struct mark){0, 0},
                     "the file is empty; the least that works is "
                     "\"inbounds: [{type: mixed, listen: 1080}]\"");
        return NULL;
    }
    return b.root;
}

const struct node *node_get(const struct node *map, const char *key)
{
    if (map->kind != NODE_MAP)
        return NULL;
    for (const struct node *child = map->first; child != NULL; child = child->next)
        if (child->key->kind != NODE_BROKEN && strcmp(child->key->text, key) == 0)
            return child;
    return NULL;
}
