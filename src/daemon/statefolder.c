#include "daemon/statefolder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/privileges.h"

static const char *absolute_from(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

/* "FOLDER/REST", of which the folder ends at its first colon: systemd names all of a service's so. */
static enum err join(char out[static PATHS_BYTES], const char *folder, const char *rest)
{
    size_t n_folder = strcspn(folder, ":");
    int n = snprintf(out, PATHS_BYTES, "%.*s%s", (int)n_folder, folder, rest);
    if (n_folder < PATHS_BYTES && (size_t)n < PATHS_BYTES)
        return ERR_NONE;
    out[0] = '\0';
    return ERR_TOO_LONG;
}

enum err statefolder_find(char out[static PATHS_BYTES], const struct config *config)
{
    const char *systemd = absolute_from("STATE_DIRECTORY");
    const char *xdg = absolute_from("XDG_STATE_HOME"), *home = absolute_from("HOME");

    out[0] = '\0';
    if (config->state_folder[0] != '\0') {
        size_t n = strlen(config->state_folder);
        if (n >= PATHS_BYTES)
            return ERR_TOO_LONG;
        memcpy(out, config->state_folder, n + 1);
        return ERR_NONE;
    }
    if (systemd != NULL)
        return join(out, systemd, "");
    if (geteuid() == 0)
        return join(out, "/var/lib/sockeye", "");
    if (xdg != NULL)
        return join(out, xdg, "/sockeye");
    return home != NULL ? join(out, home, "/.local/state/sockeye") : ERR_NOT_FOUND;
}

/* Makes what is missing above the folder; that it fails is seen when the folder is made. */
static void make_parents(char *path)
{
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
}

enum err statefolder_make(char out[static PATHS_BYTES], const struct config *config)
{
    uid_t uid;
    gid_t gid;
    enum err err = statefolder_find(out, config);
    if (err != ERR_NONE)
        return err;
    make_parents(out);
    if (mkdir(out, 0700) < 0)
        return errno == EEXIST                     ? ERR_NONE
               : errno == EACCES || errno == EPERM ? ERR_PERMITTED
                                                   : ERR_SYSTEM;
    if (privileges_would_be(config->user, &uid, &gid) && chown(out, uid, gid) < 0)
        return errno == EPERM ? ERR_PERMITTED : ERR_SYSTEM;
    return ERR_NONE;
}
