/* Configurations that name files, which are in memory here, and what is said about them. */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

/* The rest of a configuration that is right but for what follows. */
#define GOOD "inbounds: [{type: mixed, name: lan, listen: 1080}]\n"

/* A file that can be read, or why it cannot. */
struct text_file {
    const char *path, *text;
    size_t n; /* 0: that of the text */
    enum err err;
};

static const struct text_file *text_files;
static size_t n_text_files;

static inline enum err read_text_file(const char *path, size_t max_bytes, char **text, size_t *n)
{
    for (size_t i = 0; i < n_text_files; i++) {
        const struct text_file *file = &text_files[i];
        if (strcmp(file->path, path) != 0)
            continue;
        if (file->err != ERR_NONE)
            return file->err;
        *n = file->n > 0 ? file->n : strlen(file->text);
        if (*n > max_bytes)
            return ERR_TOO_LONG;
        *text = malloc(*n + 1);
        assert_non_null(*text);
        memcpy(*text, file->text, *n);
        (*text)[*n] = '\0';
        return ERR_NONE;
    }
    return ERR_NOT_FOUND;
}

static inline const char *secret_variable(const char *name)
{
    return strcmp(name, "SECRET") == 0 ? "hunter2" : NULL;
}

/* Of the configuration and of files: set by a test. */
static unsigned text_file_mode;

static inline unsigned mode_of_text_file(const char *path)
{
    (void)path;
    return text_file_mode;
}

struct said {
    struct config_messages messages; /* first: it is what say() gets */
    char text[32768];
    size_t n;
};

static inline void say(struct config_messages *messages, const char *message)
{
    struct said *said = (struct said *)(void *)messages;
    int n = snprintf(said->text + said->n, sizeof said->text - said->n, "%s\n", message);

    assert_true(n > 0 && (size_t)n < sizeof said->text - said->n);
    said->n += (size_t)n;
}

/* Parses the text of a file of this path, among others; they are found by their own paths. */
static inline enum err parse_among(struct config **out, struct said *said, const char *path,
                                   const char *text, const struct text_file *files, size_t n_files)
{
    static const struct config_sources sources = {
        .getenv = secret_variable, .read_file = read_text_file, .mode_of = mode_of_text_file};

    *said = (struct said){.messages = {.say = say}};
    *out = NULL;
    text_files = files;
    n_text_files = n_files;
    return config_parse(out, path, text, strlen(text), &sources, &said->messages);
}

/* Parses a text about which nothing is to be said. */
static inline struct config *parse_good(const char *text, const struct text_file *files,
                                        size_t n_files)
{
    static struct said said;
    struct config *config;
    enum err err = parse_among(&config, &said, "s.yaml", text, files, n_files);

    assert_string_equal(said.text, "");
    assert_int_equal(err, ERR_NONE);
    return config;
}

struct bad {
    const char *text;
    const char *messages;
};

static inline void assert_all_refused(const struct bad *bad, size_t n,
                                      const struct text_file *files, size_t n_files)
{
    static struct said said;
    struct config *config;

    for (size_t i = 0; i < n; i++) {
        enum err err = parse_among(&config, &said, "s.yaml", bad[i].text, files, n_files);
        assert_string_equal(said.text, bad[i].messages);
        assert_int_equal(err, ERR_BAD);
    }
}

static inline void assert_addr(const struct addr *addr, const char *text)
{
    char found[ADDR_TEXT_BYTES];

    addr_format_ip(addr, found);
    assert_string_equal(found, text);
}

static inline void assert_target(const struct target *target, const char *text)
{
    char found[TARGET_TEXT_BYTES];

    target_format(target, found);
    assert_string_equal(found, text);
}

struct printed {
    char text[32768];
    size_t n;
};

static inline void append(void *arg, const char *text, size_t n)
{
    struct printed *printed = arg;

    assert_true(n < sizeof printed->text - printed->n);
    memcpy(printed->text + printed->n, text, n);
    printed->n += n;
    printed->text[printed->n] = '\0';
}

/* What is printed of it reads as the same. */
static inline void assert_prints_as_itself(const char *text, const struct text_file *files,
                                           size_t n_files)
{
    static struct printed first, second;
    struct config *config = parse_good(text, files, n_files);

    first.n = second.n = 0;
    config_print(config, append, &first);
    config_free(config);
    config = parse_good(first.text, files, n_files);
    config_print(config, append, &second);
    config_free(config);
    assert_string_equal(first.text, second.text);
    assert_null(strstr(first.text, "hunter2"));
}

#endif
