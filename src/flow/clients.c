#include "flow/clients.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A failed allocation is an error like others, never the end of the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_lost = true)
#include <uthash.h>

struct client_key {
    const void *of;
    uint8_t ip[16];
    uint8_t user[USER_ID_BYTES];
    uint8_t family;
    bool has_user;
};

struct client_count {
    struct client_key key;
    uint64_t n;
    bool is_lost; /* could not be put into the table */
    UT_hash_handle hh;
};

void clients_init(struct clients *clients)
{
    pthread_mutex_init(&clients->lock, NULL);
    clients->counts = NULL;
}

void clients_deinit(struct clients *clients)
{
    assert(clients->counts == NULL);
    pthread_mutex_destroy(&clients->lock);
}

static struct client_key make_key(const struct counted *counted)
{
    struct client_key key;
    memset(&key, 0, sizeof key); /* the padding is hashed too */
    struct addr addr = {.family = ADDR_NONE};
    if (counted->at != NULL)
        addr = *counted->at;
    addr_unmap(&addr);
    key.of = counted->of;
    key.family = addr.family;
    memcpy(key.ip, addr.ip, sizeof key.ip);
    key.has_user = counted->user != NULL;
    if (key.has_user)
        memcpy(key.user, counted->user, sizeof key.user);
    return key;
}

static struct client_count *add_count(struct clients *clients, const struct client_key *key)
{
    struct client_count *count = calloc(1, sizeof *count);
    if (count == NULL)
        return NULL;
    count->key = *key;
    HASH_ADD(hh, clients->counts, key, sizeof count->key, count);
    if (!count->is_lost)
        return count;
    free(count);
    return NULL;
}

static enum err enter(struct clients *clients, const struct client_key *key, uint64_t max)
{
    struct client_count *count;
    HASH_FIND(hh, clients->counts, key, sizeof *key, count);
    if (count == NULL)
        count = add_count(clients, key);
    if (count == NULL)
        return ERR_MEMORY;
    if (count->n >= max)
        return ERR_LIMIT;
    count->n++;
    return ERR_NONE;
}

enum err clients_enter(struct clients *clients, const struct counted *counted, uint64_t max)
{
    struct client_key key = make_key(counted);
    pthread_mutex_lock(&clients->lock);
    enum err err = enter(clients, &key, max);
    pthread_mutex_unlock(&clients->lock);
    return err;
}

void clients_leave(struct clients *clients, const struct counted *counted)
{
    struct client_key key = make_key(counted);
    struct client_count *count;
    pthread_mutex_lock(&clients->lock);
    HASH_FIND(hh, clients->counts, &key, sizeof key, count);
    if (count != NULL && --count->n == 0) {
        HASH_DEL(clients->counts, count);
        free(count);
    }
    pthread_mutex_unlock(&clients->lock);
}

uint64_t clients_count(struct clients *clients, const struct counted *counted)
{
    struct client_key key = make_key(counted);
    struct client_count *count;
    pthread_mutex_lock(&clients->lock);
    HASH_FIND(hh, clients->counts, &key, sizeof key, count);
    uint64_t n = count == NULL ? 0 : count->n;
    pthread_mutex_unlock(&clients->lock);
    return n;
}
