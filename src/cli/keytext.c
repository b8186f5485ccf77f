#include "cli/keytext.h"

#include <stdio.h>
#include <sysexits.h>

#include "base/secret.h"
#include "io/sys.h"

int keytext_draw(char out[static KEYTEXT_BYTES], unsigned bits)
{
    uint8_t key[KEY_MAX_BITS / 8];
    if (sys_random(key, bits / 8) != ERR_NONE) {
        fprintf(stderr, "sockeye: the system has no randomness\n");
        return EX_OSERR;
    }
    out[base64_encode(out, key, bits / 8)] = '\0';
    secret_wipe(key, sizeof key);
    return EX_OK;
}
