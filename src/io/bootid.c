#include "io/bootid.h"

#include <fcntl.h>

#include "io/sys.h"

size_t bootid_read(uint8_t id[static BOOTID_MAX_BYTES])
{
    int fd = sys_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    if (fd < 0)
        return 0;
    ssize_t n = sys_read(fd, id, BOOTID_MAX_BYTES);
    sys_close(fd);
    return n < 0 ? 0 : (size_t)n;
}
