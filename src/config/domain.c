#include "config/domain.h"

#include <stdbool.h>
#include <string.h>

#define MAX_LABEL_BYTES 63

/* What each byte becomes; 0: it is in no domain. A set may have millions of them. */
static const char lower[256] = {
    ['-'] = '-', ['.'] = '.', ['_'] = '_', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3',
    ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a',
    ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o',
    ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v',
    ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',
    ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j',
    ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q',
    ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

void domain_strip(char **text, size_t *n)
{
    if (*n > 2 && ((*text)[0] == '*' || (*text)[0] == '+') && (*text)[1] == '.') {
        *text += 2;
        *n -= 2;
    } else if (*n > 1 && (*text)[0] == '.') {
        *text += 1;
        *n -= 1;
    }
    if (*n > 1 && (*text)[*n - 1] == '.')
        *n -= 1;
}

static const char *describe(char c)
{
    if ((unsigned char)c >= 0x80)
        return "is not ASCII; write such a name in punycode (xn--...)";
    if (c == '*')
        return "has a \"*\", which is known only as \"*.\" before a suffix";
    if (c == ':' || c == '/')
        return "is no domain; expected one without \"http://\", port or path";
    return "holds a character that no domain has";
}

static bool is_number(const char *label, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (label[i] < '0' || label[i] > '9')
            return false;
    return true;
}

const char *domain_lower_part(char *text, size_t n)
{
    if (n == 0)
        return "is empty";
    if (n > DOMAIN_MAX_BYTES)
        return "is longer than 253 bytes";
    for (size_t i = 0; i < n; i++) {
        char c = lower[(unsigned char)text[i]];
        if (c == '\0')
            return describe(text[i]);
        text[i] = c;
    }
    return NULL;
}

const char *domain_lower(char *text, size_t n)
{
    const char *wrong = domain_lower_part(text, n);
    size_t n_label;

    if (wrong != NULL)
        return wrong;
    for (size_t start = 0;; start += n_label + 1) {
        const char *dot = memchr(text + start, '.', n - start);
        n_label = dot != NULL ? (size_t)(dot - text) - start : n - start;
        if (n_label == 0)
            return "has an empty label";
        if (n_label > MAX_LABEL_BYTES)
            return "has a label longer than 63 bytes";
        /* A host that ends in a number is an address or nothing: base/addr.h. */
        if (dot == NULL)
            return is_number(text + start, n_label)
                       ? "ends in a number; addresses go into IP-CIDR rules"
                       : NULL;
    }
}
