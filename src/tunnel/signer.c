#include "tunnel/signer.h"

#include <pthread.h>
#include <stdlib.h>

/* Were there more, those who wait would have gone. */
#define QUEUE_MAX 256

struct signer {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t is_needed;
    pthread_t thread;
    struct signing *first, **last;
    size_t n_waiting;
    bool has_thread, is_ending;
};

static void make(struct signing *signing)
{
    if (sign(signing->key, signing->bytes, sizeof signing->bytes, signing->signature,
             &signing->n) != ERR_NONE)
        signing->n = 0;
    mailbox_post(signing->mailbox, &signing->mail);
}

static struct signing *take_first(struct signer *signer)
{
    struct signing *signing = signer->first;
    if (signing == NULL)
        return NULL;
    signer->first = signing->next;
    signer->n_waiting--;
    if (signer->first == NULL)
        signer->last = &signer->first;
    return signing;
}

static void *run(void *arg)
{
    struct signer *signer = arg;
    pthread_mutex_lock(&signer->lock);
    for (;;) {
        struct signing *signing = take_first(signer);
        if (signing != NULL) {
            pthread_mutex_unlock(&signer->lock);
            make(signing);
            pthread_mutex_lock(&signer->lock);
        } else if (signer->is_ending) {
            break;
        } else {
            pthread_cond_wait(&signer->is_needed, &signer->lock);
        }
    }
    pthread_mutex_unlock(&signer->lock);
    return NULL;
}

struct signer *signer_new(void)
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return NULL;
    pthread_mutex_init(&signer->lock, NULL);
    pthread_cond_init(&signer->is_needed, NULL);
    signer->last = &signer->first;
    return signer;
}

void signer_free(struct signer *signer)
{
    if (signer == NULL)
        return;
    pthread_mutex_lock(&signer->lock);
    signer->is_ending = true;
    pthread_cond_signal(&signer->is_needed);
    bool has_thread = signer->has_thread;
    pthread_mutex_unlock(&signer->lock);
    if (has_thread)
        pthread_join(signer->thread, NULL);
    pthread_cond_destroy(&signer->is_needed);
    pthread_mutex_destroy(&signer->lock);
    free(signer);
}

static void deliver(struct mail *mail)
{
    struct signing *signing = CONTAINER_OF(mail, struct signing, mail);
    signing->done(signing);
    free(signing);
}

struct signing *signing_new(void)
{
    struct signing *signing = calloc(1, sizeof *signing);
    if (signing != NULL)
        signing->mail.deliver = deliver;
    return signing;
}

void signer_begin(struct signer *signer, struct signing *signing)
{
    pthread_mutex_lock(&signer->lock);
    if (!signer->has_thread)
        signer->has_thread = pthread_create(&signer->thread, NULL, run, signer) == 0;
    bool is_queued = signer->has_thread && signer->n_waiting < QUEUE_MAX;
    if (is_queued) {
        signer->n_waiting++;
        signing->next = NULL;
        *signer->last = signing;
        signer->last = &signing->next;
        pthread_cond_signal(&signer->is_needed);
    }
    pthread_mutex_unlock(&signer->lock);
    if (!is_queued)
        mailbox_post(signing->mailbox, &signing->mail);
}
