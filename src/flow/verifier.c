#include "flow/verifier.h"

#include <crypt.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/secret.h"
#include "base/siphash.h"
#include "io/sys.h"

/* 4 MiB when full; pages that were never written to take none. Four places for each hash. */
#define CACHE_SETS ((size_t)1 << 16)
#define CACHE_WAYS 4

struct known {
    uint8_t tag[SIPHASH128_BYTES];
};

struct verification {
    struct mail mail;
    struct list link; /* in the queue; in none once it has been taken out */
    struct verifier *verifier;
    struct addr from;
    struct mailbox *mailbox;
    void (*done)(void *arg, enum verdict verdict);
    void *arg;
    bool is_abandoned; /* touched by the loop's thread only */
    bool is_decoy;
    enum verdict verdict;
    size_t n_password;
    size_t n_bytes; /* of the whole, to be wiped */
    char *password; /* points behind the hash */
    char hash[];    /* both end with zero bytes */
};

struct verifier {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t is_needed;
    pthread_t thread;
    struct list queue;
    size_t n_waiting;
    struct known (*cache)[CACHE_WAYS]; /* NULL: none was right yet */
    bool has_thread, is_hashing, is_ending;
    uint8_t key[SIPHASH_KEY_BYTES];
    struct crypt_data crypt; /* the thread's own */
};

/* ---- what was right before ---- */

static struct known make_tag(const struct verifier *verifier, const char *hash,
                             const char *password, size_t n_password)
{
    struct siphash128 sip;
    struct known known;
    siphash128_begin(&sip, verifier->key);
    siphash128_add(&sip, hash, strlen(hash) + 1); /* its end parts it from the password */
    siphash128_add(&sip, password, n_password);
    siphash128_end(&sip, known.tag);
    return known;
}

static struct known *cache_set(const struct verifier *verifier, const struct known *known)
{
    size_t index;
    memcpy(&index, known->tag, sizeof index);
    return verifier->cache[index % CACHE_SETS];
}

static bool cache_has(const struct verifier *verifier, const struct known *known)
{
    const struct known *set = verifier->cache == NULL ? NULL : cache_set(verifier, known);
    for (size_t i = 0; set != NULL && i < CACHE_WAYS; i++) {
        if (memcmp(&set[i], known, sizeof *known) == 0)
            return true;
    }
    return false;
}

/* The oldest of four makes room. Without memory the next login is as slow as this one. */
static void cache_put(struct verifier *verifier, const struct known *known)
{
    if (verifier->cache == NULL)
        verifier->cache = calloc(CACHE_SETS, sizeof *verifier->cache);
    if (verifier->cache == NULL || cache_has(verifier, known))
        return;
    struct known *set = cache_set(verifier, known);
    memmove(&set[1], &set[0], (CACHE_WAYS - 1) * sizeof *set);
    set[0] = *known;
}

bool verifier_knows(struct verifier *verifier, const char *hash, const char *password,
                    size_t n_password)
{
    struct known known = make_tag(verifier, hash, password, n_password);
    pthread_mutex_lock(&verifier->lock);
    bool is_known = cache_has(verifier, &known);
    pthread_mutex_unlock(&verifier->lock);
    return is_known;
}

/* ---- the thread ---- */

static void free_verification(struct verification *verification)
{
    secret_wipe(verification, verification->n_bytes);
    free(verification);
}

static void destroy(struct verifier *verifier)
{
    pthread_cond_destroy(&verifier->is_needed);
    pthread_mutex_destroy(&verifier->lock);
    free(verifier->cache);
    secret_wipe(verifier, sizeof *verifier);
    free(verifier);
}

/* crypt(3) tells of failure by NULL or by a text that begins with '*' and is no hash. */
static enum verdict verify(struct crypt_data *crypt, const struct verification *verification)
{
    const char *hash = verification->hash;
    const char *made = crypt_rn(verification->password, hash, crypt, (int)sizeof *crypt);
    enum verdict verdict = VERDICT_NONE;
    if (made != NULL && made[0] != '*')
        verdict =
            secret_equal(made, strlen(made), hash, strlen(hash)) ? VERDICT_RIGHT : VERDICT_WRONG;
    secret_wipe(crypt, sizeof *crypt);
    return verdict;
}

/* With the lock held, which is let go of meanwhile. */
static void compute(struct verifier *verifier, struct verification *verification)
{
    struct known known =
        make_tag(verifier, verification->hash, verification->password, verification->n_password);
    if (!verification->is_decoy && cache_has(verifier, &known)) {
        verification->verdict = VERDICT_RIGHT;
        return;
    }
    verifier->is_hashing = true;
    pthread_mutex_unlock(&verifier->lock);
    verification->verdict = verify(&verifier->crypt, verification);
    pthread_mutex_lock(&verifier->lock);
    verifier->is_hashing = false;
    if (!verification->is_decoy && verification->verdict == VERDICT_RIGHT)
        cache_put(verifier, &known);
}

/* With the lock held. */
static void work_off(struct verifier *verifier)
{
    struct verification *first = CONTAINER_OF(verifier->queue.next, struct verification, link);
    list_remove(&first->link);
    verifier->n_waiting--;
    compute(verifier, first);
    if (verifier->is_ending)
        free_verification(first);
    else
        mailbox_post(first->mailbox, &first->mail);
}

static void *run(void *arg)
{
    struct verifier *verifier = arg;
    bool is_left_alone = false; /* verifier_free() did not wait */
    pthread_mutex_lock(&verifier->lock);
    while (!verifier->is_ending) {
        if (list_empty(&verifier->queue)) {
            pthread_cond_wait(&verifier->is_needed, &verifier->lock);
        } else {
            work_off(verifier);
            is_left_alone = verifier->is_ending;
        }
    }
    pthread_mutex_unlock(&verifier->lock);
    if (is_left_alone)
        destroy(verifier);
    return NULL;
}

/* ---- for workers ---- */

enum err verifier_new(struct verifier **out)
{
    struct verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL)
        return ERR_MEMORY;
    if (sys_random(verifier->key, sizeof verifier->key) != ERR_NONE) {
        free(verifier);
        return ERR_SYSTEM;
    }
    pthread_mutex_init(&verifier->lock, NULL);
    pthread_cond_init(&verifier->is_needed, NULL);
    list_init(&verifier->queue);
    *out = verifier;
    return ERR_NONE;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL)
        return;
    pthread_mutex_lock(&verifier->lock);
    verifier->is_ending = true;
    while (!list_empty(&verifier->queue)) {
        struct list *first = verifier->queue.next;
        list_remove(first);
        free_verification(CONTAINER_OF(first, struct verification, link));
    }
    bool has_thread = verifier->has_thread, is_hashing = verifier->is_hashing;
    pthread_t thread = verifier->thread;
    pthread_cond_signal(&verifier->is_needed);
    pthread_mutex_unlock(&verifier->lock);

    /* From here on a thread that is hashing frees the verifier itself, perhaps has already. */
    if (is_hashing) {
        pthread_detach(thread);
        return;
    }
    if (has_thread)
        pthread_join(thread, NULL);
    destroy(verifier);
}

static void deliver(struct mail *mail)
{
    struct verification *verification = CONTAINER_OF(mail, struct verification, mail);
    if (!verification->is_abandoned)
        verification->done(verification->arg, verification->verdict);
    free_verification(verification);
}

static struct verification *make_verification(const struct verifier_question *question)
{
    size_t n_hash = strlen(question->hash), n_password = question->n_password;
    size_t n_bytes = sizeof(struct verification) + n_hash + 1 + n_password + 1;
    struct verification *verification = calloc(1, n_bytes);
    if (verification == NULL)
        return NULL;
    verification->n_bytes = n_bytes;
    verification->n_password = n_password;
    verification->password = verification->hash + n_hash + 1;
    memcpy(verification->hash, question->hash, n_hash);
    memcpy(verification->password, question->password, n_password);
    verification->is_decoy = question->is_decoy;
    verification->from = *question->from;
    verification->mailbox = question->mailbox;
    verification->done = question->done;
    verification->arg = question->arg;
    verification->mail.deliver = deliver;
    verification->verdict = VERDICT_NONE;
    return verification;
}

/* With the lock held. */
static enum err need_thread(struct verifier *verifier)
{
    if (verifier->has_thread)
        return ERR_NONE;
    if (pthread_create(&verifier->thread, NULL, run, verifier) != 0)
        return ERR_SYSTEM;
    verifier->has_thread = true;
    return ERR_NONE;
}

static bool is_same_client(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == ADDR_V6 ? 8 : 4) == 0;
}

/* With the lock held. */
static bool has_room(struct verifier *verifier, const struct addr *from)
{
    size_t n = 0;
    for (struct list *at = verifier->queue.next; at != &verifier->queue; at = at->next)
        n += is_same_client(&CONTAINER_OF(at, struct verification, link)->from, from);
    return verifier->n_waiting < VERIFIER_QUEUE_MAX && n < VERIFIER_CLIENT_MAX;
}

static enum err enqueue(struct verifier *verifier, struct verification *verification)
{
    pthread_mutex_lock(&verifier->lock);
    enum err err = has_room(verifier, &verification->from) ? need_thread(verifier) : ERR_LIMIT;
    if (err == ERR_NONE) {
        list_append(&verifier->queue, &verification->link);
        verifier->n_waiting++;
        pthread_cond_signal(&verifier->is_needed);
    }
    pthread_mutex_unlock(&verifier->lock);
    return err;
}

enum err verifier_begin(struct verifier *verifier, struct verification **out,
                        const struct verifier_question *question)
{
    struct verification *verification = make_verification(question);
    if (verification == NULL)
        return ERR_MEMORY;
    verification->verifier = verifier;
    *out = verification;
    enum err err = enqueue(verifier, verification);
    if (err != ERR_NONE)
        free_verification(verification);
    return err;
}

void verification_abandon(struct verification *verification)
{
    struct verifier *verifier = verification->verifier;
    pthread_mutex_lock(&verifier->lock);
    bool is_waiting = !list_empty(&verification->link);
    if (is_waiting) {
        list_remove(&verification->link);
        verifier->n_waiting--;
    }
    pthread_mutex_unlock(&verifier->lock);
    verification->is_abandoned = true;
    if (is_waiting)
        free_verification(verification);
}
