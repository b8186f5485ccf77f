/*
 * Signs off the workers' loops: RSA takes milliseconds. One thread of the process, started when it is first needed.
 *
 *     worker: signer_begin() --> queue --> the thread: sign() --> the worker's mailbox --> done()
 */
#ifndef SOCKEYE_TUNNEL_SIGNER_H
#define SOCKEYE_TUNNEL_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/sign.h"
#include "io/mailbox.h"
#include "link/handshake.h"

struct signer;

/* What is being signed; it belongs to the signer until done() was called, and is freed behind that. */
struct signing {
    struct mail mail;
    struct signing *next;
    struct mailbox *mailbox;
    const struct sign_key *key; /* borrowed until then */
    uint8_t bytes[HANDSHAKE_SIGN_BYTES];
    uint8_t signature[SIGN_MAX_BYTES];
    size_t n; /* of the signature; 0: it could not be made */
    /* On the worker's thread, always and once, even where nobody wants it any more. */
    void (*done)(struct signing *);
    void *owner;
};

/* Returns owned; NULL: out of memory. */
struct signer *signer_new(void);
/* No worker runs any more that could ask, but their mailboxes are there; what waits is signed. NULL is fine. */
void signer_free(struct signer *signer);

/* Whether a key takes so long that it is worth the way. */
static inline bool signer_is_for(const struct sign_key *key)
{
    return key != NULL && sign_key_kind(key) == SIGN_RSA;
}

/* An empty one, of which the caller sets key, bytes, mailbox, done and owner; NULL: out of memory. */
struct signing *signing_new(void);
/* Begins. Where there is no thread, or too many wait, none is made: done() says so, by mail all the same. */
void signer_begin(struct signer *signer, struct signing *signing);

#endif
