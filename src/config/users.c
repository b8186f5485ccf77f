#include "config/users.h"

#include <string.h>

#include "config/files.h"
#include "config/tunnels.h"

#define MAX_FILE_BYTES ((size_t)256 * 1024 * 1024)
#define MAX_NAME_BYTES 255     /* what SOCKS5 carries (RFC 1929) */
#define MAX_PASSWORD_BYTES 255 /* likewise */
#define MAX_HASH_BYTES 383     /* what crypt(3) reads and writes */

struct users_reading {
    struct reading *reading;
    struct mark at; /* where the configuration names the file */
    struct file file;
    struct config_inbound *inbound;
    size_t line;
    uint32_t *lines;       /* each user's: in this file, or in the configuration */
    uint32_t *slots;       /* a hash table of users by name: index + 1, 0 is free */
    uint32_t *key_slots;   /* of a tunnel's by their keys too; else NULL */
    size_t n_slots;        /* a power of two */
    bool has_warned_plain; /* once is enough */
};

/* FNV-1a: whoever writes the file gains nothing by collisions. */
static size_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037U;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return (size_t)(hash ^ hash >> 32);
}

/* Returns the slot of the user with this name, or the free one where it belongs. */
static uint32_t *find_slot(const struct users_reading *r, const char *name)
{
    size_t i = hash_name(name) & (r->n_slots - 1);

    while (r->slots[i] != 0 && strcmp(r->inbound->users[r->slots[i] - 1].name, name) != 0)
        i = (i + 1) & (r->n_slots - 1);
    return &r->slots[i];
}

/* The same for a key: base64 is canonical, so that a key has one text. */
static uint32_t *find_key_slot(const struct users_reading *r, const char *key)
{
    size_t i = hash_name(key) & (r->n_slots - 1);

    while (r->key_slots[i] != 0 &&
           strcmp(r->inbound->users[r->key_slots[i] - 1].password, key) != 0)
        i = (i + 1) & (r->n_slots - 1);
    return &r->key_slots[i];
}

static struct file_line here(const struct users_reading *r)
{
    return (struct file_line){r->file.path, r->line};
}

/* Passwords are in these lines, so nothing of them but a name that is right is shown. */
static void say(const struct users_reading *r, const char *wrong)
{
    report_file_error(r->reading->report, r->at, here(r), "%s", wrong);
}

/* Which file the user is in. */
static const char *file_of(const struct users_reading *r, size_t user)
{
    return user < r->inbound->n_inline_users ? r->reading->report->file : r->file.path;
}

static void say_twice(const struct users_reading *r, const char *name, size_t first)
{
    struct quoted q;

    report_file_error(r->reading->report, r->at, here(r), "the user %s is already in line %u of %s",
                      quote(&q, name, strlen(name)), (unsigned)r->lines[first], file_of(r, first));
}

static void say_key_twice(const struct users_reading *r, const char *name, size_t first)
{
    const char *other = r->inbound->users[first].name;
    struct quoted q, q2;

    report_file_error(
        r->reading->report, r->at, here(r),
        "the user %s has the key of %s, in line %u of %s: who of them came could not be told",
        quote(&q, name, strlen(name)), quote(&q2, other, strlen(other)), (unsigned)r->lines[first],
        file_of(r, first));
}

static void add_user(struct users_reading *r, const struct config_user *user)
{
    uint32_t *slot = find_slot(r, user->name);
    uint32_t *key_slot = r->key_slots != NULL ? find_key_slot(r, user->password) : NULL;

    if (*slot != 0) {
        say_twice(r, user->name, *slot - 1);
        return;
    }
    if (key_slot != NULL && *key_slot != 0) {
        say_key_twice(r, user->name, *key_slot - 1);
        return;
    }
    r->lines[r->inbound->n_users] = (uint32_t)r->line;
    r->inbound->users[r->inbound->n_users++] = *user;
    *slot = (uint32_t)r->inbound->n_users;
    if (key_slot != NULL)
        *key_slot = *slot;
}

/* A hash holds none of ":;*!\" nor anything that is not printable (crypt(5)). */
static bool is_hash(const char *text, size_t n)
{
    if (n > MAX_HASH_BYTES)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c <= ' ' || c > '~' || c == ':' || c == ';' || c == '*' || c == '!' || c == '\\')
            return false;
    }
    return true;
}

static const char *check_hash(const struct config_sources *sources, const char *hash, size_t n)
{
    if (!is_hash(hash, n))
        return "what begins with \"$\" is taken for a hash of crypt(5), which this is not";
    if (sources->knows_hash != NULL && !sources->knows_hash(hash))
        return "a hash by a method that crypt(3) does not know here; `sockeye passwd NAME` prints "
               "lines with one that it knows";
    return NULL;
}

static const char *check_name(size_t n_name)
{
    if (n_name == 0)
        return "the name before \":\" is empty";
    return n_name > MAX_NAME_BYTES ? "the name is longer than 255 bytes" : NULL;
}

static const char *check_password(const struct config_sources *sources,
                                  const struct config_user *user, size_t n_password)
{
    if (n_password == 0)
        return "the password after \":\" is empty";
    if (user->is_hash)
        return check_hash(sources, user->password, n_password);
    return n_password > MAX_PASSWORD_BYTES ? "the password is longer than 255 bytes" : NULL;
}

/* Whether the line is one of a user, not a comment. */
static bool is_user(const char *line, size_t n)
{
    size_t i = 0;

    while (i < n && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'))
        i++;
    return i < n && line[0] != '#';
}

static bool is_tunnel(const struct users_reading *r)
{
    return r->inbound->type == INBOUND_TUNNEL;
}

static bool has_good_key(const struct users_reading *r, const struct config_user *user)
{
    char room[KEY_WRONG_BYTES];
    const char *wrong = tunnel_key_judge_user(r->inbound, user->password, room);
    struct quoted q;

    if (wrong != NULL)
        report_file_error(r->reading->report, r->at, here(r), "the key of the user %s: %s",
                          quote(&q, user->name, strlen(user->name)), wrong);
    return wrong == NULL;
}

static void read_line(struct users_reading *r, char *line, size_t n)
{
    if (!is_user(line, n))
        return;
    if (line[n - 1] == '\r')
        n--;
    line[n] = '\0';
    if (memchr(line, '\0', n) != NULL) {
        say(r, "a user cannot hold the character \\0");
        return;
    }
    char *colon = memchr(line, ':', n);
    if (colon == NULL) {
        say(r, is_tunnel(r) ? "expected \"name:key\"" : "expected \"name:password\"");
        return;
    }
    *colon = '\0';
    struct config_user user = {line, colon + 1, !is_tunnel(r) && colon[1] == '$'};
    size_t n_name = (size_t)(colon - line);
    const char *wrong = check_name(n_name);
    if (wrong == NULL && is_tunnel(r) && !has_good_key(r, &user))
        return;
    if (wrong == NULL && !is_tunnel(r))
        wrong = check_password(r->reading->sources, &user, n - n_name - 1);
    if (wrong != NULL) {
        say(r, wrong);
        return;
    }
    if (!is_tunnel(r) && !user.is_hash && !r->has_warned_plain) {
        report_file_warning(r->reading->report, r->at, here(r),
                            "this file holds passwords as they are; `sockeye passwd NAME` prints "
                            "lines that hold a hash instead");
        r->has_warned_plain = true;
    }
    add_user(r, &user);
}

/* The bytes of a line, without its newline; the next line begins after it. */
static size_t line_bytes(const struct users_reading *r, const char *line)
{
    size_t n_left = r->file.n - (size_t)(line - r->file.text);
    const char *newline = memchr(line, '\n', n_left);

    return newline != NULL ? (size_t)(newline - line) : n_left;
}

static size_t count_users(const struct users_reading *r)
{
    const char *end = r->file.text + r->file.n;
    size_t n = 0, n_line;

    for (const char *line = r->file.text; line < end; line += n_line + 1) {
        n_line = line_bytes(r, line);
        n += is_user(line, n_line);
    }
    return n;
}

/* Of one who stands in the configuration. */
static void enter_key(const struct users_reading *r, const struct node *node, size_t user)
{
    const struct config_user *users = r->inbound->users;
    uint32_t *slot = find_key_slot(r, users[user].password);
    struct quoted q, q2;

    if (*slot == 0)
        *slot = (uint32_t)user + 1;
    else
        report_error(
            r->reading->report, node_get(node, "key")->at,
            "the user %s has the key of %s, in line %u: who of them came could not be told",
            quote(&q, users[user].name, strlen(users[user].name)),
            quote(&q2, users[*slot - 1].name, strlen(users[*slot - 1].name)),
            (unsigned)r->lines[*slot - 1]);
}

/* Makes room for n users and an index of them; those that the inbound has are in it. */
static bool make_room(struct users_reading *r, const struct node *node, size_t n)
{
    struct config_inbound *inbound = r->inbound;
    const struct node *list = node_get(node, "users");
    const struct node *user = list != NULL && list->kind == NODE_LIST ? list->first : NULL;

    for (r->n_slots = 16; r->n_slots < 2 * n; r->n_slots *= 2)
        continue;
    struct config_user *users = value_alloc(r->reading, n, sizeof *users);
    r->lines = arena_alloc(r->reading->scratch, n, sizeof *r->lines);
    r->slots = arena_alloc(r->reading->scratch, r->n_slots, sizeof *r->slots);
    if (is_tunnel(r))
        r->key_slots = arena_alloc(r->reading->scratch, r->n_slots, sizeof *r->slots);
    if (users == NULL || r->lines == NULL || r->slots == NULL ||
        (is_tunnel(r) && r->key_slots == NULL)) {
        r->reading->report->no_memory = true;
        return false;
    }
    if (inbound->n_users > 0)
        memcpy(users, inbound->users, inbound->n_users * sizeof *users);
    inbound->users = users;
    for (size_t i = 0; i < inbound->n_users && user != NULL; i++, user = user->next) {
        r->lines[i] = user->at.line;
        if (users[i].name != NULL)
            *find_slot(r, users[i].name) = (uint32_t)i + 1;
        if (users[i].name != NULL && users[i].password != NULL && r->key_slots != NULL)
            enter_key(r, user, i);
    }
    return true;
}

static void read_users(struct users_reading *r)
{
    char *end = r->file.text + r->file.n, *line = r->file.text;
    size_t n_line;

    for (; line < end && !r->reading->report->no_memory; line += n_line + 1) {
        n_line = line_bytes(r, line);
        r->line++;
        read_line(r, line, n_line);
    }
}

void users_read_file(struct reading *reading, const struct node *node,
                     struct config_inbound *inbound)
{
    const struct node *value = node_get(node, "users_file");
    struct users_reading r = {.reading = reading, .inbound = inbound};

    if (value == NULL) {
        /* Of a tunnel's users the keys are to be told apart all the same. */
        if (is_tunnel(&r) && inbound->n_users > 0)
            (void)make_room(&r, node, inbound->n_users);
        return;
    }
    r.at = value->at;
    if (!file_read_secret(reading, &r.file, "users_file", value, value->text, value->n_text,
                          MAX_FILE_BYTES))
        return;
    file_skip_mark(&r.file);
    size_t n = count_users(&r);
    if (n == 0)
        report_error(reading->report, value->at,
                     "users_file: there is no user in it, so that nobody could log in");
    else if (n + inbound->n_users > MAX_USERS)
        report_error(reading->report, value->at, "users_file: more than %u users", MAX_USERS);
    else if (make_room(&r, node, n + inbound->n_users))
        read_users(&r);
}
