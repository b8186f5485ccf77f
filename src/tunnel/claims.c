#include "tunnel/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/listener.h"
#include "io/sys.h"

void claims_init(struct claims *claims)
{
    pthread_mutex_init(&claims->lock, NULL);
    for (size_t i = 0; i < CLAIMS_BUCKETS; i++) {
        list_init(&claims->peers[i]);
        list_init(&claims->ports[i]);
    }
}

void claims_deinit(struct claims *claims)
{
    pthread_mutex_destroy(&claims->lock);
}

/* ---- sessions ---- */

static void deliver(struct mail *mail)
{
    struct claimant *claimant = CONTAINER_OF(mail, struct claimant, mail);
    struct claims *claims = claimant->claims;
    pthread_mutex_lock(&claims->lock);
    claimant->is_told = false;
    bool is_replaced = claimant->is_replaced;
    pthread_mutex_unlock(&claims->lock);
    if (claimant->on_told != NULL)
        claimant->on_told(claimant, is_replaced);
    else
        free(claimant);
}

/* Under the lock. */
static void tell(struct claimant *claimant)
{
    if (claimant->is_told)
        return;
    claimant->is_told = true;
    mailbox_post(claimant->mailbox, &claimant->mail);
}

struct claimant *claimant_new(struct claims *claims, struct mailbox *mailbox,
                              void (*on_told)(struct claimant *, bool is_replaced), void *owner)
{
    struct claimant *claimant = calloc(1, sizeof *claimant);
    if (claimant == NULL)
        return NULL;
    claimant->claims = claims;
    claimant->mailbox = mailbox;
    claimant->mail.deliver = deliver;
    claimant->on_told = on_told;
    claimant->owner = owner;
    list_init(&claimant->link);
    return claimant;
}

void claimant_free(struct claimant *claimant)
{
    if (claimant == NULL)
        return;
    struct claims *claims = claimant->claims;
    pthread_mutex_lock(&claims->lock);
    list_remove(&claimant->link);
    claimant->on_told = NULL;
    bool is_told = claimant->is_told; /* then whoever delivers that frees it */
    pthread_mutex_unlock(&claims->lock);
    if (!is_told)
        free(claimant);
}

static bool are_same(const struct claimant *a, const struct claimant *b)
{
    return a->has_begun && b->has_begun && memcmp(a->who, b->who, sizeof a->who) == 0;
}

/* What names a peer is a hash, and so its own. */
static struct list *bucket_of(struct claims *claims, const uint8_t who[static PEER_WHO_BYTES])
{
    return &claims->peers[(who[0] << 8 | who[1]) % CLAIMS_BUCKETS];
}

/* The one whose place the session takes; NULL: there is none. */
static struct claimant *find_same(struct list *bucket, const struct claimant *claimant)
{
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct claimant *other = CONTAINER_OF(at, struct claimant, link);
        if (are_same(other, claimant))
            return other;
    }
    return NULL;
}

/* Under the lock. */
static bool take_place(struct claimant *claimant, struct claimant *from, const void *wanted)
{
    if (wanted == NULL || from->place != wanted)
        return false;
    from->place = NULL;
    from->has_given_place = true;
    claimant->place = wanted;
    return true;
}

bool claimant_begin(struct claimant *claimant, const uint8_t who[static PEER_WHO_BYTES],
                    const void *wanted_place)
{
    struct claims *claims = claimant->claims;
    pthread_mutex_lock(&claims->lock);
    memcpy(claimant->who, who, sizeof claimant->who);
    claimant->has_begun = true;
    struct list *bucket = bucket_of(claims, who);
    struct claimant *other = find_same(bucket, claimant);
    bool has_place = other != NULL && take_place(claimant, other, wanted_place);
    if (other != NULL) {
        other->is_replaced = true;
        list_remove(&other->link);
        tell(other);
    }
    list_append(bucket, &claimant->link);
    pthread_mutex_unlock(&claims->lock);
    return has_place;
}

void claimant_set_place(struct claimant *claimant, const void *place)
{
    pthread_mutex_lock(&claimant->claims->lock);
    claimant->place = place;
    pthread_mutex_unlock(&claimant->claims->lock);
}

bool claimant_keep_place(struct claimant *claimant)
{
    pthread_mutex_lock(&claimant->claims->lock);
    claimant->place = NULL;
    bool has_given_place = claimant->has_given_place;
    pthread_mutex_unlock(&claimant->claims->lock);
    return !has_given_place;
}

void claimant_set_linked(struct claimant *claimant, bool is_linked)
{
    pthread_mutex_lock(&claimant->claims->lock);
    claimant->is_linked = is_linked;
    pthread_mutex_unlock(&claimant->claims->lock);
}

/* ---- addresses ---- */

static struct list *port_of(struct claims *claims, const struct addr *addr)
{
    return &claims->ports[addr->port % CLAIMS_BUCKETS];
}

static struct claim *find(struct claims *claims, const struct addr *addr)
{
    struct list *port = port_of(claims, addr);
    for (struct list *at = port->next; at != port; at = at->next) {
        struct claim *claim = CONTAINER_OF(at, struct claim, link);
        if (!claim_is_lost(claim) && addr_equal(&claim->addr, addr, true))
            return claim;
    }
    return NULL;
}

/* With its socket, which listens all the while. */
static enum err take_over(struct claim *claim, struct claim *from, struct claimant *by)
{
    struct claimant *other = from->by;
    if (other == by || (!other->is_replaced && !are_same(other, by) && other->is_linked))
        return ERR_IN_USE;
    claim->fd = sys_dup(from->fd);
    if (claim->fd < 0)
        return sys_err(errno);
    atomic_store(&from->is_lost, true);
    tell(other);
    return ERR_NONE;
}

static enum err bind_there(struct claim *claim, const struct addr *addr)
{
    struct listener_options options = {0};
    struct addr bound = *addr;
    return listener_open(&claim->fd, &bound, &options);
}

enum err claim_take(struct claim *claim, struct claimant *by, const struct addr *addr,
                    bool *is_taken_over)
{
    struct claims *claims = by->claims;
    pthread_mutex_lock(&claims->lock);
    struct claim *other = find(claims, addr);
    enum err err = other == NULL ? bind_there(claim, addr) : take_over(claim, other, by);
    if (err == ERR_NONE) {
        claim->by = by;
        claim->addr = *addr;
        atomic_store(&claim->is_lost, false);
        list_append(port_of(claims, addr), &claim->link);
    }
    pthread_mutex_unlock(&claims->lock);
    *is_taken_over = other != NULL;
    return err;
}

void claim_drop(struct claim *claim)
{
    if (claim->by == NULL)
        return;
    pthread_mutex_lock(&claim->by->claims->lock);
    list_remove(&claim->link);
    sys_close(claim->fd);
    pthread_mutex_unlock(&claim->by->claims->lock);
    claim->by = NULL;
}
