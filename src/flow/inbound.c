#include "flow/inbound.h"

#include <string.h>

#include "base/secret.h"

const struct credential *inbound_authenticate(const struct inbound *inbound, const char *user,
                                              size_t n_user, const char *password,
                                              size_t n_password)
{
    const struct credential *found = NULL;
    for (size_t i = 0; i < inbound->n_credentials; i++) {
        const struct credential *known = &inbound->credentials[i];
        /* Every name is compared with, and both parts of it, so that time tells nothing. */
        bool same_user = secret_equal(user, n_user, known->user, strlen(known->user));
        bool same_password =
            secret_equal(password, n_password, known->password, strlen(known->password));
        if (same_user & same_password)
            found = known;
    }
    return found;
}
