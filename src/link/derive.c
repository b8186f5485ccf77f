#include "link/derive.h"

#include <string.h>

#include "crypto/hash.h"

void link_derive(uint8_t *out, size_t n, const uint8_t prk[static 32], const char *label,
                 struct piece context)
{
    static const char prefix[] = "sockeye-v1 ";
    const struct piece info[] = {
        {prefix, sizeof prefix - 1},
        {label, strlen(label) + 1}, /* with its zero byte */
        context,
    };
    hkdf_expand(out, n, prk, info, sizeof info / sizeof info[0]);
}
