#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct identity {
    uid_t uid;
    gid_t gid;
};

static enum err fail(enum err err, char *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum err fail(enum err err, char *message, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, PRIVILEGES_MESSAGE_BYTES, format, args);
    va_end(args);
    return err;
}

/* A number need not be in the user database; then the group has the same number. */
static bool parse_number(const char *text, struct identity *who)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    /* The highest is setuid's word for "as it is". */
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number >= UINT32_MAX)
        return false;
    *who = (struct identity){.uid = (uid_t)number, .gid = (gid_t)number};
    return true;
}

static enum err find_user(const char *user, struct identity *who, char *message)
{
    bool is_number = parse_number(user, who);
    const struct passwd *entry = is_number ? getpwuid(who->uid) : getpwnam(user);
    if (entry != NULL)
        *who = (struct identity){.uid = entry->pw_uid, .gid = entry->pw_gid};
    else if (!is_number)
        return fail(
            ERR_NOT_FOUND, message,
            "no such user: %.64s (user: names whom to go on as when started as root; '' stays "
            "root)",
            user);
    return ERR_NONE;
}

bool privileges_would_be(const char *user, uid_t *uid, gid_t *gid)
{
    struct identity who = {0};
    char message[PRIVILEGES_MESSAGE_BYTES];
    if (user[0] == '\0' || geteuid() != 0 || find_user(user, &who, message) != ERR_NONE)
        return false;
    *uid = who.uid;
    *gid = who.gid;
    return who.uid != 0;
}

/* Keeps a capability that is needed and that the process has at all. */
static void keep(bool is_needed, unsigned capability)
{
    if (is_needed)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability);
}

static void choose_capabilities(const struct privileges_need *need)
{
    bool low_ports =
        need->low_ports && capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
    bool net_admin = need->net_admin && capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN);
    bool net_raw = need->net_raw && capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
    capng_clear(CAPNG_SELECT_ALL);
    keep(low_ports, CAP_NET_BIND_SERVICE);
    keep(net_admin, CAP_NET_ADMIN);
    keep(net_raw, CAP_NET_RAW);
}

static bool may_change_user(void)
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
}

/* Believes nothing: looks whether all of it is gone. */
static bool is_dropped(const struct identity *who)
{
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;
    if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
        return false;
    bool is_user = ruid == who->uid && euid == who->uid && suid == who->uid;
    bool is_group = rgid == who->gid && egid == who->gid && sgid == who->gid;
    return is_user && is_group && getgroups(0, NULL) == 0 && setuid(0) < 0 &&
           capng_get_caps_process() == 0 && !capng_have_capability(CAPNG_PERMITTED, CAP_SETUID);
}

enum err privileges_drop(const char *user, const struct privileges_need *need,
                         char message[static PRIVILEGES_MESSAGE_BYTES])
{
    struct identity who = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    if (user[0] == '\0' || geteuid() != 0)
        return ERR_NONE;
    enum err err = find_user(user, &who, message);
    if (err != ERR_NONE || who.uid == 0)
        return err;
    if (!may_change_user())
        return fail(ERR_PERMITTED, message,
                    "started as root, but without the right to go on as %.64s (CAP_SETUID and "
                    "CAP_SETGID): grant it, start as that user, or say user: '' to stay root",
                    user);
    bool clears_bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    choose_capabilities(need);
    int failed =
        capng_change_id((int)who.uid, (int)who.gid,
                        CAPNG_DROP_SUPP_GRP | (clears_bounding ? CAPNG_CLEAR_BOUNDING : 0));
    if (failed)
        return fail(
            ERR_PERMITTED, message,
            "cannot go on as %.64s (%s; step %d): start as that user, or say user: '' to stay "
            "root",
            user, strerror(errno), -failed);
    /* So that not even a program with the set-user-ID bit, if one were run, would give rights back;
     * it makes up for a bounding set that could not be cleared, too. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !is_dropped(&who))
        return fail(ERR_SYSTEM, message,
                    "root was not given up completely; going on as %.64s failed", user);
    return ERR_NONE;
}
