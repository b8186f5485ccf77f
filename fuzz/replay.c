/* Runs a fuzz target over files, once each, where libFuzzer is not at hand: so the corpus is a
 * regression test with every compiler. Arguments are files, or folders of files. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *path, size_t len)
{
    FILE *f = fopen(path, "rb");
    /* Exactly as long as the input, so that ASan sees a read past its end. */
    uint8_t *data = malloc(len > 0 ? len : 1);
    if (f == NULL || data == NULL || fread(data, 1, len, f) != len) {
        perror(path);
        free(data);
        if (f != NULL)
            fclose(f);
        return -1;
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
    return 1;
}

/* Returns the number of inputs run, or -1. */
static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (size_t)st.st_size);

    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        return -1;
    }
    int total = 0;
    const struct dirent *entry;
    while (total >= 0 && (entry = readdir(dir)) != NULL) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        int len = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        int n = len > 0 && (size_t)len < sizeof name ? replay(name) : -1;
        total = n < 0 ? -1 : total + n;
    }
    closedir(dir);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    /* No input is no test. */
    return total > 0 ? 0 : 1;
}
