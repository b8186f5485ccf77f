/*
 * Open addressing with linear probing: slots hold 1 + the index of a user, 0 is free, and at least
 * half of them are. That is 8 to 16 bytes for each user beside the user's own 24.
 */
#include "flow/users.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/siphash.h"
#include "io/sys.h"

struct users {
    struct user *list;
    uint32_t *slots;
    size_t mask;       /* the number of slots, a power of two, less 1 */
    const char *decoy; /* a hash that takes the time of one; NULL: there are none */
    uint8_t key[SIPHASH_KEY_BYTES];
};

/* Compared with where a name is unknown, and never right. */
static const char nobodys[] = "0123456789abcdef";

static size_t first_slot(const struct users *users, const char *name, size_t n_name)
{
    return (size_t)siphash64(users->key, name, n_name) & users->mask;
}

/* The user's slot, or the free one where it would be. */
static size_t find_slot(const struct users *users, const char *name, size_t n_name)
{
    size_t at = first_slot(users, name, n_name);
    for (; users->slots[at] != 0; at = (at + 1) & users->mask) {
        const char *known = users->list[users->slots[at] - 1].name;
        if (strlen(known) == n_name && memcmp(known, name, n_name) == 0)
            break;
    }
    return at;
}

static const struct user *find(const struct users *users, const char *name, size_t n_name)
{
    uint32_t slot = users->slots[find_slot(users, name, n_name)];
    return slot == 0 ? NULL : &users->list[slot - 1];
}

static void enter(struct users *users, size_t index)
{
    const struct user *user = &users->list[index];
    size_t at = find_slot(users, user->name, strlen(user->name));
    if (users->slots[at] != 0)
        return;
    users->slots[at] = (uint32_t)(index + 1);
    if (user->is_hash && users->decoy == NULL)
        users->decoy = user->password;
}

static enum err make_table(struct users *users, const struct user *list, size_t n)
{
    size_t n_slots = 2;
    while (n_slots < 2 * n)
        n_slots *= 2;
    users->mask = n_slots - 1;
    users->slots = calloc(n_slots, sizeof *users->slots);
    users->list = calloc(n + 1, sizeof *users->list); /* never 0 bytes */
    if (users->slots == NULL || users->list == NULL)
        return ERR_MEMORY;
    if (sys_random(users->key, sizeof users->key) != ERR_NONE)
        return ERR_SYSTEM;
    if (n > 0)
        memcpy(users->list, list, n * sizeof *list);
    for (size_t i = 0; i < n; i++)
        enter(users, i);
    return ERR_NONE;
}

enum err users_new(struct users **out, const struct user *list, size_t n)
{
    struct users *users = n < UINT32_MAX ? calloc(1, sizeof *users) : NULL;
    if (users == NULL)
        return ERR_MEMORY;
    enum err err = make_table(users, list, n);
    if (err != ERR_NONE) {
        users_free(users);
        return err;
    }
    *out = users;
    return ERR_NONE;
}

void users_free(struct users *users)
{
    if (users == NULL)
        return;
    free(users->list);
    free(users->slots);
    free(users);
}

enum users_verdict users_judge(const struct users *users, const char *name, size_t n_name,
                               const char *password, size_t n_password, const struct user **user,
                               const char **hash)
{
    *user = NULL;
    /* No text that was configured holds a zero byte, and to crypt(3) it would be the end. */
    if (n_password > USERS_PASSWORD_MAX_BYTES || memchr(password, '\0', n_password) != NULL)
        return USERS_WRONG;
    const struct user *known = find(users, name, n_name);
    const char *right = known == NULL ? nobodys : known->password;
    bool is_plain = known == NULL || !known->is_hash;
    if (is_plain && secret_equal(password, n_password, right, strlen(right)) && known != NULL) {
        *user = known;
        return USERS_RIGHT;
    }
    *hash = is_plain ? users->decoy : known->password;
    if (*hash == NULL)
        return USERS_WRONG;
    *user = is_plain ? NULL : known;
    return USERS_HASHED;
}
