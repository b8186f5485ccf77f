#include "daemon/instance.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/paths.h"
#include "io/sys.h"

static bool read_whole(const char *path, uint8_t bytes[static INSTANCE_BYTES])
{
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    bool is_whole = sys_read(fd, bytes, INSTANCE_BYTES) == INSTANCE_BYTES;
    sys_close(fd);
    return is_whole;
}

/* By another name first, so that nobody ever reads half of it. */
static void write_whole(const char *path, const uint8_t bytes[static INSTANCE_BYTES])
{
    char made[PATHS_BYTES + 4];
    snprintf(made, sizeof made, "%s.new", path);
    int fd = sys_open(made, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return;
    bool is_whole = sys_write(fd, bytes, INSTANCE_BYTES) == INSTANCE_BYTES;
    sys_close(fd);
    if (!is_whole || rename(made, path) != 0)
        sys_unlink(made);
}

void instance_load(uint8_t instance[static INSTANCE_BYTES], const char *folder)
{
    char path[PATHS_BYTES];
    uint8_t bytes[INSTANCE_BYTES];
    int n = snprintf(path, sizeof path, "%s/instance", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return;
    if (read_whole(path, bytes))
        memcpy(instance, bytes, sizeof bytes);
    else
        write_whole(path, instance);
}
