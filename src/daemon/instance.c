#include "daemon/instance.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/paths.h"
#include "io/sys.h"

/* False: there is none yet. */
static bool read_whole(int fd, uint8_t bytes[static INSTANCE_BYTES])
{
    uint8_t read[INSTANCE_BYTES];
    if (sys_read(fd, read, INSTANCE_BYTES) != INSTANCE_BYTES)
        return false;
    for (size_t i = 0; i < INSTANCE_BYTES; i++)
        bytes[i] = read[i];
    return true;
}

int instance_load(uint8_t instance[static INSTANCE_BYTES], const char *folder)
{
    char path[PATHS_BYTES];
    int n = snprintf(path, sizeof path, "%s/instance", folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return -1;
    /* As root in a folder of the user that root becomes. */
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return -1;
    /* What is written is whole or nothing, as nobody else has the file. */
    if (sys_lock(fd) < 0 ||
        (!read_whole(fd, instance) && sys_write(fd, instance, INSTANCE_BYTES) != INSTANCE_BYTES)) {
        sys_close(fd);
        return -1;
    }
    return fd;
}
