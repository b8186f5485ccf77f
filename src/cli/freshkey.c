#include "cli/freshkey.h"

#include <stdio.h>
#include <sysexits.h>

#include "io/sys.h"

int fresh_key_draw(struct fresh_key *out, unsigned bits)
{
    *out = (struct fresh_key){.n = bits / 8};
    if (sys_random(out->bytes, out->n) != ERR_NONE) {
        fprintf(stderr, "sockeye: the system has no randomness\n");
        return EX_OSERR;
    }
    out->text[base64_encode(out->text, out->bytes, out->n)] = '\0';
    return EX_OK;
}
