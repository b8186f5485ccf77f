#include "tunnel/replays.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/hash.h"
#include "io/bootid.h"
#include "io/mapfile.h"
#include "io/sys.h"

/* As many flights as may be in the window at once: 500 a second with a window of one minute to both sides. */
#define N_SALTS ((size_t)65536)

/* Whoever has recorded a flight of just before our start must not be let in by it. */
#define START_MARGIN_MS 2000

struct head {
    char what[16];
    uint64_t low_ms; /* what is dated at or below it was refused since the set began */
    _Atomic(uint64_t)
        high_ms; /* of all flights that were ever taken: the next set's low-water mark */
    _Atomic(uint64_t) was_missed; /* by a process that took flights without it; 0: by none */
    uint8_t rest[4096 - 40];
};

static_assert(sizeof(struct head) == 4096, "the set begins with a page");

static const char head_text[16] = "sockeye replay 1";

struct replays {
    struct list link;
    size_t n_holders;
    uint8_t id[SHA256_BYTES]; /* of the key */
    char *path;               /* NULL: no directory */
    struct mapfile file;      /* memory NULL: it is not used */
    void *memory;             /* of the set, where it is in no file */
    struct head *head;        /* NULL likewise */
    struct replay_set *set;
    enum err trouble;
};

static void identify(uint8_t id[static SHA256_BYTES], const struct link_key *key)
{
    static const char label[] = "sockeye replay file";
    const struct piece pieces[] = {{(const uint8_t *)label, sizeof label}};
    hmac_sha256(id, (struct piece){(const uint8_t *)&key->prk, sizeof key->prk}, pieces, 1);
}

/* "STATE/replay-0123456789abcdef", owned. */
static char *path_of(const char *state, const uint8_t id[static SHA256_BYTES])
{
    size_t n = strlen(state) + sizeof "/replay-" + 16;
    char *path = malloc(n);
    if (path == NULL)
        return NULL;
    int at = snprintf(path, n, "%s/replay-", state);
    for (size_t i = 0; i < 8; i++)
        at += snprintf(path + at, n - (size_t)at, "%02x", id[i]);
    return path;
}

/* What a set is bound to: this boot, and the key. Without the one nobody could tell which boot a set is from. */
static enum err bind_to(uint8_t binding[static SHA256_BYTES], const uint8_t id[static SHA256_BYTES])
{
    uint8_t boot_id[BOOTID_MAX_BYTES];
    size_t n = bootid_read(boot_id);
    const struct piece pieces[] = {{id, SHA256_BYTES}, {boot_id, n}};
    sha256(binding, pieces, 2);
    return n > 0 ? ERR_NONE : ERR_NOT_FOUND;
}

/* Whoever has it next does not find the flights in it that we take. */
static void say_missed(const struct replays *replays)
{
    struct mapfile file;
    if (mapfile_open(&file, replays->path, sizeof(struct head), NULL) != ERR_NONE)
        return;
    struct head *head = file.memory;
    atomic_store(&head->was_missed, 1);
    mapfile_close(&file);
}

/* ERR_NONE: the file is mapped, and has a head; of a new one the mark is 0. */
static enum err open_file(struct replays *replays, size_t n)
{
    if (replays->path == NULL)
        return ERR_NOT_FOUND;
    bool is_new;
    enum err err = mapfile_open(&replays->file, replays->path, sizeof(struct head) + n, &is_new);
    if (err == ERR_IN_USE)
        say_missed(replays);
    if (err != ERR_NONE)
        return err;
    replays->head = replays->file.memory;
    if (memcmp(replays->head->what, head_text, sizeof head_text) != 0) {
        memset(replays->file.memory, 0, replays->file.n);
        memcpy(replays->head->what, head_text, sizeof head_text);
    }
    return ERR_NONE;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The mark of a set that is taken up. */
static uint64_t low_of(struct head *head)
{
    if (atomic_load(&head->was_missed) != 0)
        head->low_ms = later(head->low_ms, sys_wall_ms() + START_MARGIN_MS);
    atomic_store(&head->was_missed, 0);
    return head->low_ms;
}

/* An empty set; of before it there is the mark only. */
static void begin_set(struct replays *replays, void *memory, size_t n,
                      const uint8_t binding[static SHA256_BYTES], uint64_t from_ms)
{
    bool is_taken_up;
    struct head *head = replays->head;
    uint64_t low_ms = head == NULL ? from_ms : later(from_ms, atomic_load(&head->high_ms));
    if (head != NULL)
        head->low_ms = low_ms;
    replays->set = replay_set_open(memory, n, binding, low_ms, &is_taken_up);
}

static enum err open_set(struct replays *replays, bool is_new_key)
{
    size_t n = replay_set_bytes(N_SALTS);
    uint8_t binding[SHA256_BYTES];
    bool is_taken_up = false;
    replays->trouble = bind_to(binding, replays->id);
    if (replays->trouble == ERR_NONE)
        replays->trouble = open_file(replays, n);
    struct head *head = replays->head;
    void *memory = head != NULL ? (void *)(head + 1) : (replays->memory = calloc(1, n));
    if (memory == NULL)
        return ERR_MEMORY;
    uint64_t low_ms = head == NULL ? 0 : low_of(head);
    replays->set = replay_set_open(memory, n, binding, low_ms, &is_taken_up);
    if (!is_taken_up)
        begin_set(replays, memory, n, binding, is_new_key ? 0 : sys_wall_ms() + START_MARGIN_MS);
    return ERR_NONE;
}

static void free_replays(struct replays *replays)
{
    if (replays->head != NULL)
        mapfile_close(&replays->file);
    free(replays->memory);
    free(replays->path);
    free(replays);
}

static enum err new_replays(struct replays **out, const char *state,
                            const uint8_t id[static SHA256_BYTES], bool is_new_key)
{
    struct replays *replays = calloc(1, sizeof *replays);
    if (replays == NULL)
        return ERR_MEMORY;
    list_init(&replays->link);
    replays->n_holders = 1;
    memcpy(replays->id, id, SHA256_BYTES);
    if (state != NULL)
        replays->path = path_of(state, id);
    enum err err = state != NULL && replays->path == NULL ? ERR_MEMORY : ERR_NONE;
    if (err == ERR_NONE)
        err = open_set(replays, is_new_key);
    if (err != ERR_NONE)
        free_replays(replays);
    else
        *out = replays;
    return err;
}

enum err replays_hold(struct list *among, const char *state, const struct link_key *key,
                      struct replays **out)
{
    uint8_t id[SHA256_BYTES];
    identify(id, key);
    for (struct list *at = among->next; at != among; at = at->next) {
        struct replays *replays = CONTAINER_OF(at, struct replays, link);
        if (memcmp(replays->id, id, sizeof id) == 0) {
            replays->n_holders++;
            *out = replays;
            return ERR_NONE;
        }
    }
    enum err err = new_replays(out, state, id, false);
    if (err == ERR_NONE)
        list_append(among, &(*out)->link);
    return err;
}

void replays_release(struct replays *replays)
{
    if (replays == NULL || --replays->n_holders > 0)
        return;
    list_remove(&replays->link);
    free_replays(replays);
}

struct replay_set *replays_set(struct replays *replays)
{
    return replays->set;
}

void replays_note(struct replays *replays)
{
    if (replays->head == NULL)
        return;
    _Atomic(uint64_t) *mark = &replays->head->high_ms;
    uint64_t high_ms = replay_set_high_ms(replays->set), before = atomic_load(mark);
    while (before < high_ms && !atomic_compare_exchange_weak(mark, &before, high_ms))
        continue;
}

enum err replays_trouble(const struct replays *replays, const char **path)
{
    *path = replays->path;
    return replays->trouble;
}

enum err replays_make(const char *state, const uint8_t *key, size_t n_key)
{
    struct link_key derived;
    uint8_t id[SHA256_BYTES];
    struct replays *replays;
    link_key_init(&derived, key, n_key);
    identify(id, &derived);
    secret_wipe(&derived, sizeof derived);
    enum err err = new_replays(&replays, state, id, true);
    if (err != ERR_NONE)
        return err;
    err = replays->trouble;
    free_replays(replays);
    return err;
}
