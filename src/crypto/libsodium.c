#include "crypto/libsodium.h"

#include <dlfcn.h>
#include <stdalign.h>
#include <stddef.h>

#include "crypto/library.h"

struct libsodium libsodium;

/* What is called here is the same in both. */
static const char *const library_names[] = {"libsodium.so.26", "libsodium.so.23"};

static void *open_library(void)
{
    void *library = NULL;
    for (size_t i = 0; i < sizeof library_names / sizeof library_names[0] && library == NULL; i++)
        library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static bool find_functions(void *library)
{
    static const struct library_function functions[] = {
#define FUNCTION(name) {#name, offsetof(struct libsodium, name)},
        LIBSODIUM_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };
    return library_find(library, functions, sizeof functions / sizeof functions[0], &libsodium);
}

/* It is never unloaded, as libcrypto is not. */
void libsodium_load(void)
{
    void *library = open_library();
    if (library == NULL || !find_functions(library) || libsodium.sodium_init() < 0)
        return;
    libsodium.is_there = true;
    /* Where malloc() would not do for its state, the processor is none that it has AES for. */
    libsodium.has_aes =
        alignof(crypto_aead_aes256gcm_state) <= alignof(max_align_t) &&
        libsodium.crypto_aead_aes256gcm_is_available() &&
        libsodium.crypto_aead_aes256gcm_statebytes() <= sizeof(crypto_aead_aes256gcm_state);
}
