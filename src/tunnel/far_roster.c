/*
 * Open addressing with linear probing, slots being 1 + the index of a user and half of them free at least. A tag is the output of a
 * derivation from a key, so it is its own hash; two keys with one tag are not to be expected (of a million users once in 2^25 rosters).
 */
#include "tunnel/far_roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "tunnel/far_spec.h"
#include "tunnel/replays.h"

struct far_roster {
    struct far_specs *specs;
    struct handshake_ground ground;
    struct link_key keys[HANDSHAKE_MAX_SERVERS];
    struct replays *replays[HANDSHAKE_MAX_SERVERS];
    struct link_user *users;
    uint32_t *slots;
    size_t n_users, n_room, mask;
};

static_assert(sizeof(struct link_user) <= 64, "what a user takes");

/* The slot of the user with this tag, or the free one where he would be. */
static size_t find_slot(const struct far_roster *roster, const uint8_t *tag)
{
    size_t at;
    memcpy(&at, tag, sizeof at < LINK_TAG_BYTES ? sizeof at : LINK_TAG_BYTES);
    for (at &= roster->mask; roster->slots[at] != 0; at = (at + 1) & roster->mask)
        if (secret_same(roster->users[roster->slots[at] - 1].key.tag, tag, LINK_TAG_BYTES))
            break;
    return at;
}

static const struct link_key *find_user(const void *users, const uint8_t tag[static LINK_TAG_BYTES],
                                        const struct link_user **user)
{
    const struct far_roster *roster = users;
    uint32_t slot = roster->slots[find_slot(roster, tag)];
    *user = slot == 0 ? NULL : &roster->users[slot - 1];
    return slot == 0 ? NULL : &(*user)->key;
}

static enum err make_room(struct far_roster *roster, size_t n)
{
    size_t n_slots = 2;
    if (n >= UINT32_MAX / 2)
        return ERR_MEMORY;
    while (n_slots < 2 * n)
        n_slots *= 2;
    roster->mask = n_slots - 1;
    roster->n_room = n;
    roster->slots = calloc(n_slots, sizeof *roster->slots);
    roster->users = calloc(n + 1, sizeof *roster->users); /* never 0 bytes */
    return roster->slots != NULL && roster->users != NULL ? ERR_NONE : ERR_MEMORY;
}

static enum err hold_replays(struct far_roster *roster, const char *state)
{
    enum err err = ERR_NONE;
    pthread_mutex_lock(&roster->specs->lock);
    for (size_t i = 0; i < roster->ground.n_servers && err == ERR_NONE; i++) {
        err = replays_hold(&roster->specs->replays, state, &roster->keys[i], &roster->replays[i]);
        if (err == ERR_NONE)
            roster->ground.servers[i] =
                (struct handshake_server){&roster->keys[i], replays_set(roster->replays[i])};
    }
    pthread_mutex_unlock(&roster->specs->lock);
    return err;
}

enum err far_roster_new(struct far_roster **out, struct far_specs *specs,
                        const struct far_roster_settings *settings)
{
    struct far_roster *roster = calloc(1, sizeof *roster);
    if (roster == NULL)
        return ERR_MEMORY;
    roster->specs = specs;
    memcpy(roster->keys, settings->keys, sizeof roster->keys);
    roster->ground.n_servers = settings->n_keys;
    roster->ground.clock_skew_ms = settings->clock_skew_ms;
    roster->ground.users = roster;
    roster->ground.find_user = settings->has_users ? find_user : NULL;
    enum err err = make_room(roster, settings->n_users);
    if (err == ERR_NONE)
        err = hold_replays(roster, settings->state);
    if (err == ERR_NONE)
        *out = roster;
    else
        far_roster_free(roster);
    return err;
}

static enum err copy_rights(struct link_user *user, const struct user_rights *rights)
{
    struct user_rights *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return ERR_MEMORY;
    *copy = *rights;
    static_assert(USER_ID_BYTES == LINK_TAG_BYTES, "the one is the other");
    memcpy(copy->id, user->key.tag, USER_ID_BYTES);
    user->flow.rights = copy;
    return ERR_NONE;
}

enum err far_roster_add(struct far_roster *roster, const char *name, const uint8_t *key,
                        size_t n_key, const struct user_rights *rights)
{
    struct link_user *user = &roster->users[roster->n_users];
    assert(roster->n_users < roster->n_room);
    link_key_init(&user->key, key, n_key);
    size_t slot = find_slot(roster, user->key.tag);
    if (roster->slots[slot] != 0)
        return ERR_NONE;
    user->flow.name = name;
    if (rights != NULL && copy_rights(user, rights) != ERR_NONE)
        return ERR_MEMORY;
    roster->slots[slot] = (uint32_t)++roster->n_users;
    return ERR_NONE;
}

void far_roster_free(struct far_roster *roster)
{
    if (roster == NULL)
        return;
    pthread_mutex_lock(&roster->specs->lock);
    for (size_t i = 0; i < HANDSHAKE_MAX_SERVERS; i++)
        replays_release(roster->replays[i]);
    pthread_mutex_unlock(&roster->specs->lock);
    for (size_t i = 0; i < roster->n_users; i++)
        free((void *)(uintptr_t)roster->users[i].flow.rights);
    if (roster->users != NULL)
        secret_wipe(roster->users, roster->n_room * sizeof *roster->users);
    free(roster->users);
    free(roster->slots);
    secret_wipe(roster, sizeof *roster);
    free(roster);
}

const struct handshake_ground *far_roster_ground(const struct far_roster *roster)
{
    return &roster->ground;
}

void far_roster_note(const struct far_roster *roster)
{
    for (size_t i = 0; i < roster->ground.n_servers; i++)
        replays_note(roster->replays[i]);
}

const struct replays *far_roster_replays(const struct far_roster *roster, size_t i)
{
    return i < roster->ground.n_servers ? roster->replays[i] : NULL;
}
