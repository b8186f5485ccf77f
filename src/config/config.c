/*
 * From text to struct config: text -> tree (tree.c) -> struct (walk.c over schema.c's tables) ->
 * checks (check.c). The struct and all it points to live in one arena, the tree in another.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/files.h"
#include "config/schema.h"

#define MAX_FILE_BYTES ((size_t)4 * 1024 * 1024)

struct owner {
    struct config config; /* first: a pointer to it is one to its owner */
    struct arena arena;
};

static void read_config(struct reading *reading, const struct tree_input *input,
                        struct config *config)
{
    const struct node *root = tree_parse(input);

    if (root == NULL || reading->report->no_memory)
        return;
    if (root->kind != NODE_MAP) {
        report_error(reading->report, root->at,
                     "expected keys with values, such as \"inbounds: [{type: mixed, listen: "
                     "1080}]\"");
        return;
    }
    walk_read(reading, &schema, root, config);
    if (!reading->report->no_memory)
        check_config(reading, root, config);
    if (reading->has_secret)
        file_check_mode(reading, (struct mark){0, 0}, NULL, reading->report->file);
    if (!reading->report->no_memory)
        files_list(reading, config);
}

static enum err parse(struct owner *owner, struct report *report, struct tree_input *input)
{
    struct reading reading = {.report = report,
                              .sources = input->sources,
                              .scratch = report->arena,
                              .keep = &owner->arena};

    input->report = report;
    input->arena = report->arena;
    if (input->n_text > MAX_FILE_BYTES)
        report_error(
            report, (struct mark){0, 0},
            "the file is larger than 4 MiB; lists that long belong into files of their own");
    else
        read_config(&reading, input, &owner->config);
    if (report->no_memory)
        return ERR_MEMORY;
    return report->n_errors > 0 ? ERR_BAD : ERR_NONE;
}

enum err config_parse(struct config **out, const char *file, const char *text, size_t n,
                      const struct config_sources *sources, struct config_messages *messages)
{
    struct arena scratch = {0};
    struct report report = {.file = file, .arena = &scratch};
    struct tree_input input = {.sources = sources, .text = text, .n_text = n};
    struct owner *owner = calloc(1, sizeof *owner);

    if (owner == NULL)
        return ERR_MEMORY;
    enum err err = parse(owner, &report, &input);
    if (err != ERR_MEMORY)
        report_flush(&report, messages);
    arena_free(&scratch);
    if (err == ERR_NONE)
        *out = &owner->config;
    else
        config_free(&owner->config);
    return err;
}

/* Reads `admin` into its struct. `elsewhere` is what was said of the whole file: it matters only where
 * it keeps us from knowing. Returns the report that does, or NULL. */
static struct report *read_admin(struct reading *reading, struct report *elsewhere,
                                 const struct node *root, struct config_admin *admin)
{
    if (root == NULL)
        return elsewhere;
    const struct node *map = node_get(root, "admin");
    if (map == NULL)
        walk_defaults(reading, &schema_admin, admin);
    else if (map->kind == NODE_MAP)
        walk_read(reading, &schema_admin, map, admin);
    else if (map->kind != NODE_BROKEN)
        report_error(reading->report, map->at, "admin: expected a mapping of keys to values");
    if (reading->report->n_errors > 0)
        return reading->report;
    return admin->socket == NULL ? elsewhere : NULL;
}

enum err config_find_admin_socket(char **out, const char *file, const char *text, size_t n,
                                  const struct config_sources *sources,
                                  struct config_messages *messages)
{
    struct arena arena = {0};
    struct report report = {.file = file, .arena = &arena}, elsewhere = report;
    struct tree_input input = {
        .report = &elsewhere, .arena = &arena, .sources = sources, .text = text, .n_text = n};
    struct reading reading = {.report = &report, .scratch = &arena, .keep = &arena};
    struct config_admin admin = {0};
    enum err err = ERR_NONE;

    struct report *wrong = read_admin(&reading, &elsewhere, tree_parse(&input), &admin);
    if (report.no_memory || elsewhere.no_memory) {
        err = ERR_MEMORY;
    } else if (wrong != NULL) {
        report_flush(wrong, messages);
        err = ERR_BAD;
    } else {
        size_t n_socket = strlen(admin.socket) + 1;
        *out = malloc(n_socket);
        err = *out == NULL ? ERR_MEMORY : ERR_NONE;
        if (*out != NULL)
            memcpy(*out, admin.socket, n_socket);
    }
    arena_free(&arena);
    return err;
}

void config_free(struct config *config)
{
    struct owner *owner = (struct owner *)(void *)config;

    if (owner == NULL)
        return;
    arena_free(&owner->arena);
    free(owner);
}

void config_print(const struct config *config, void (*write)(void *arg, const char *text, size_t n),
                  void *arg)
{
    struct printer printer = {.write = write, .arg = arg, .config = config};

    walk_print(&printer, &schema, config);
}
