/*
 * The users of one inbound: found by name in a time that does not grow with their number, by a hash
 * table under a random key, so that nobody can flood it with names that collide.
 *
 * A plain password is compared at once. A crypt(5) hash takes long, which is the verifier's work.
 * An unknown name costs as much as a known one: it is compared with a password that nobody has, and
 * where some have hashes, every wrong password takes the time of one.
 */
#ifndef SOCKEYE_FLOW_USERS_H
#define SOCKEYE_FLOW_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct user {
    const char *name;
    const char *password;
    bool is_hash; /* the password is a crypt(5) hash */
};

/* What is longer is wrong, whoever says it; crypt(3) takes no more than 511. */
#define USERS_PASSWORD_MAX_BYTES 255

struct users;

/*
 * Makes a set of n users, 4,294,967,294 at most. Their names and passwords are borrowed, the
 * list is copied. Of those with the same name the first counts. Returns owned; ERR_MEMORY, or
 * ERR_SYSTEM without randomness.
 */
NODISCARD enum err users_new(struct users **out, const struct user *list, size_t n);
void users_free(struct users *users); /* NULL is fine */

enum users_verdict {
    USERS_RIGHT,
    USERS_WRONG,
    USERS_HASHED, /* *hash is for the verifier to judge the password by */
};

/*
 * Who it is. With USERS_RIGHT *user is set. With USERS_HASHED it is so if the password fits *hash,
 * and NULL if it is wrong whatever the verifier says (which is asked for the sake of the time).
 */
enum users_verdict users_judge(const struct users *users, const char *name, size_t n_name,
                               const char *password, size_t n_password, const struct user **user,
                               const char **hash);

#endif
