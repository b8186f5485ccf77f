/*
 * Verifies passwords by crypt(5) hashes, which takes from milliseconds to seconds: off the workers'
 * loops, in one thread of the process that is started when it is first needed.
 *
 *     worker: verifier_begin() --> queue --> the thread: crypt_r() --> the worker's mailbox --> done()
 *
 * What was right once is known for the life of the process, as a keyed hash (SipHash-128 under a
 * random key) of the stored hash and the password: a second connection costs nothing, and a hash that
 * has changed is another one. Wrong ones are not kept.
 */
#ifndef SOCKEYE_FLOW_VERIFIER_H
#define SOCKEYE_FLOW_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"
#include "io/mailbox.h"

/* How many may wait, and of them from one address (of IPv6 one /64), so that nobody keeps the others
 * out. Were there more, the last would wait too long in any case. */
#define VERIFIER_QUEUE_MAX 256
#define VERIFIER_CLIENT_MAX 64

struct verifier;
struct verification;

enum verdict {
    VERDICT_RIGHT,
    VERDICT_WRONG,
    VERDICT_NONE, /* the hash is none that crypt(3) knows, or memory had run out */
};

/* Returns owned. ERR_MEMORY, or ERR_SYSTEM without randomness. */
NODISCARD enum err verifier_new(struct verifier **out);
/*
 * No mailbox hears of it any more; what waits is dropped. A hash that is being computed is not
 * waited for: the thread ends by itself after it. NULL is fine.
 */
void verifier_free(struct verifier *verifier);

/* Whether this was found right before. */
bool verifier_knows(struct verifier *verifier, const char *hash, const char *password,
                    size_t n_password);

struct verifier_question {
    const char *hash;
    const char *password; /* n_password bytes, USERS_PASSWORD_MAX_BYTES at most */
    size_t n_password;
    bool is_decoy;           /* asked for the sake of the time: it is computed whatever is known */
    const struct addr *from; /* who asks */
    struct mailbox *mailbox; /* from whose loop `done` is called, once */
    void (*done)(void *arg, enum verdict verdict);
    void *arg;
};

/*
 * Begins to verify, and copies what it needs. When `done` returns the verification is gone. Of
 * those who ask the same at once, as a browser does that opens its connections, one is computed.
 * ERR_LIMIT: too many wait, or too many from that address. ERR_MEMORY. ERR_SYSTEM: there is no thread to be had.
 */
NODISCARD enum err verifier_begin(struct verifier *verifier, struct verification **out,
                                  const struct verifier_question *question);
/* On the loop's thread, and not after verifier_free(): `done` will not be called, and what was not
 * begun is not computed. */
void verification_abandon(struct verification *verification);

#endif
