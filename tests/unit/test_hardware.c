/* Which ciphers the processor is fast at: as the kernel says, and as OPENSSL_ia32cap says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "handshakes.h"

/* Both instructions, of the first processor. */
static bool kernel_says_aes(void)
{
    char line[8192];
    bool has_aes = false;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && !has_aes && fgets(line, sizeof line, f) != NULL)
        has_aes = strncmp(line, "flags", 5) == 0 && strstr(line, " aes ") != NULL &&
                  strstr(line, " pclmulqdq ") != NULL;
    if (f != NULL)
        fclose(f);
    return has_aes;
}

/* In a process that has not loaded the library yet: what it says, and which cipher a client that asks it comes to. */
static uint8_t cipher_of_child(const char *ia32cap)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct ends ends;
        if (ia32cap != NULL)
            setenv("OPENSSL_ia32cap", ia32cap, 1);
        else
            unsetenv("OPENSSL_ia32cap");
        if (crypto_load() != ERR_NONE)
            _exit(100);
        ends_init(&ends, 32, 0);
        ends.offer.has_aes = crypto_has_fast_aes();
        if (ends_play(&ends) != ERR_NONE)
            _exit(101);
        _exit(handshake_info(ends.server)->cipher);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return (uint8_t)WEXITSTATUS(status);
}

static void acc_88_chacha20_is_chosen_where_aes_has_no_instructions(void **state)
{
    (void)state;
    assert_int_equal(cipher_of_child(NULL),
                     kernel_says_aes() ? RECORD_AES_256_GCM : RECORD_CHACHA20_POLY1305);
    /* Bit 57 is AES, bit 33 its other half, PCLMULQDQ: without one the other is not enough. */
    assert_int_equal(cipher_of_child("~0x200000200000000"), RECORD_CHACHA20_POLY1305);
    assert_int_equal(cipher_of_child("~0x200000000000000"), RECORD_CHACHA20_POLY1305);
    assert_int_equal(cipher_of_child("~0x200000000"), RECORD_CHACHA20_POLY1305);
}

int main(void)
{
#if defined __x86_64__ || defined __i386__
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acc_88_chacha20_is_chosen_where_aes_has_no_instructions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)acc_88_chacha20_is_chosen_where_aes_has_no_instructions;
    return 0;
#endif
}
