/* The files that a configuration names: those of users, of a password, of domains. */
#ifndef SOCKEYE_CONFIG_FILES_H
#define SOCKEYE_CONFIG_FILES_H

#include "config/keys.h"

/* A file that was read, with its bytes, zero terminated; both belong to the configuration. */
struct file {
    const char *path; /* the one it was opened by */
    char *text;
    size_t n;
};

/*
 * Reads the file that the value of a key names, relative to the configuration's folder. `path` is
 * the n_path bytes of the value that name it. false: it could not be read, which was said.
 */
bool file_read(struct reading *reading, struct file *out, const char *key, const struct node *value,
               const char *path, size_t n_path, size_t max_bytes);

/* The same of a file that holds a secret: where others can read it, that is warned of. */
bool file_read_secret(struct reading *reading, struct file *out, const char *key,
                      const struct node *value, const char *path, size_t n_path, size_t max_bytes);
/* Warns where others can read this file; `key` names it, NULL: it is the configuration. */
void file_check_mode(struct reading *reading, struct mark at, const char *key, const char *path);

/* "FOLDER/PATH" of n_path bytes, where FOLDER is that of the configuration; NULL: out of memory, which
 * the report knows. */
char *file_path_beside(struct reading *reading, const char *path, size_t n_path);

/* Leaves out the byte order mark that some editors begin a file with. */
void file_skip_mark(struct file *file);

/* Lists what was read in the configuration. */
void files_list(struct reading *reading, struct config *config);

#endif
