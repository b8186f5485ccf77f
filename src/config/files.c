#include "config/files.h"

#include <string.h>

#define OTHERS_READ 04u

char *file_path_beside(struct reading *reading, const char *path, size_t n_path)
{
    const char *config = reading->report->file;
    const char *slash = strrchr(config, '/');
    size_t n_folder = slash != NULL && path[0] != '/' ? (size_t)(slash - config) + 1 : 0;
    char *joined = value_alloc(reading, n_folder + n_path + 1, 1);

    if (joined == NULL)
        return NULL;
    memcpy(joined, config, n_folder);
    memcpy(joined + n_folder, path, n_path);
    return joined;
}

/* The path begins messages, and nothing in those moves a terminal's cursor. */
static bool is_printable(const char *path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
            return false;
    return true;
}

static void add_use(struct reading *reading, char *path)
{
    struct file_use *use = arena_alloc(reading->scratch, 1, sizeof *use);

    if (use == NULL) {
        reading->report->no_memory = true;
        return;
    }
    *use = (struct file_use){.next = reading->files, .path = path};
    reading->files = use;
    reading->n_files++;
}

static const char *describe(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        return "there is no such file";
    case ERR_PERMITTED:
        return "reading it is not permitted";
    case ERR_BAD:
        return "a directory; expected a file";
    case ERR_TOO_LONG:
        return "the file is too large";
    default:
        return err_text(err);
    }
}

bool file_read(struct reading *reading, struct file *out, const char *key, const struct node *value,
               const char *path, size_t n_path, size_t max_bytes)
{
    char *joined = file_path_beside(reading, path, n_path);
    struct quoted q;

    *out = (struct file){.path = joined};
    if (joined == NULL)
        return false;
    if (!is_printable(path, n_path)) {
        report_error(reading->report, value->at, "%s: a path cannot hold control characters", key);
        return false;
    }
    enum err err = reading->sources->read_file(joined, max_bytes, &out->text, &out->n);
    if (err == ERR_MEMORY) {
        reading->report->no_memory = true;
    } else if (err != ERR_NONE) {
        report_error(reading->report, value->at, "%s: %s: %s", key,
                     value->from_env ? "the file" : quote(&q, joined, strlen(joined)),
                     describe(err));
    } else if (!arena_take(reading->keep, out->text, out->n)) {
        reading->report->no_memory = true;
    } else {
        add_use(reading, joined);
        return !reading->report->no_memory;
    }
    return false;
}

void file_check_mode(struct reading *reading, struct mark at, const char *key, const char *path)
{
    unsigned mode = reading->sources->mode_of == NULL ? 0 : reading->sources->mode_of(path);

    if ((mode & OTHERS_READ) == 0)
        return;
    report_warning(reading->report, at,
                   "%s%s%s has secrets, and others can read it (mode %04o): `chmod o= %s`",
                   key == NULL ? "" : key, key == NULL ? "" : ": ",
                   key == NULL ? "this file" : path, mode, path);
}

bool file_read_secret(struct reading *reading, struct file *out, const char *key,
                      const struct node *value, const char *path, size_t n_path, size_t max_bytes)
{
    if (!file_read(reading, out, key, value, path, n_path, max_bytes))
        return false;
    if (!value->from_env)
        file_check_mode(reading, value->at, key, out->path);
    return true;
}

void file_skip_mark(struct file *file)
{
    if (file->n >= 3 && memcmp(file->text, "\xef\xbb\xbf", 3) == 0) {
        file->text += 3;
        file->n -= 3;
    }
}

void files_list(struct reading *reading, struct config *config)
{
    config->files = value_alloc(reading, reading->n_files, sizeof *config->files);
    if (config->files == NULL)
        return;
    for (const struct file_use *use = reading->files; use != NULL; use = use->next)
        config->files[config->n_files++] = use->path;
}
